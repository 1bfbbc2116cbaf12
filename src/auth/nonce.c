#include "auth/nonce.h"

#include <assert.h>
#include <sodium.h>

enum { RANDOM_BYTES = 11 };

static_assert(sodium_base64_ENCODED_LEN(RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                  PP_NONCE_BYTES,
              "the text of a nonce");

void pp_nonce_make(char out[PP_NONCE_BYTES])
{
    unsigned char bytes[RANDOM_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    (void)sodium_bin2base64(out, PP_NONCE_BYTES, bytes, sizeof(bytes),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
