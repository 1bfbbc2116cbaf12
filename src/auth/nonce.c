#include "auth/nonce.h"

#include <assert.h>
#include <sodium.h>

enum { SHOWN_BYTES = 11 };

static_assert(sodium_base64_ENCODED_LEN(SHOWN_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                  PP_NONCE_BYTES,
              "the text of a nonce");
static_assert(PP_NONCE_SECRET_BYTES == crypto_generichash_KEYBYTES, "a key of the hash");

void pp_nonce_make(const pp_nonce_secret *secret, uint64_t connection_id, char out[PP_NONCE_BYTES])
{
    unsigned char hash[crypto_generichash_BYTES];

    (void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)&connection_id,
                             sizeof(connection_id), secret->bytes, sizeof(secret->bytes));
    (void)sodium_bin2base64(out, PP_NONCE_BYTES, hash, SHOWN_BYTES,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
