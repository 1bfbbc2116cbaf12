#include "store/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum {
    NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    EPOCH_BYTES = 8,
};
static_assert(NONCE_BYTES == 24 && EPOCH_BYTES + TAG_BYTES == PP_SEAL_BYTES, "as on disk");

/* A hash under the key, of what it is for, the store, and a number. */
static void hash_with(void *out, size_t out_bytes, const unsigned char key[PP_STORE_KEY_BYTES],
                      const char purpose[16], const uint8_t store[16], uint64_t number)
{
    unsigned char said[16 + 16 + 8];

    memcpy(said, purpose, 16);
    memcpy(said + 16, store, 16);
    memcpy(said + 32, &number, 8);
    (void)crypto_generichash(out, out_bytes, said, sizeof(said), key, PP_STORE_KEY_BYTES);
}

uint64_t pp_seal_key_id(const unsigned char key[PP_STORE_KEY_BYTES], const uint8_t store[16])
{
    unsigned char hash[16];
    uint64_t id;

    hash_with(hash, sizeof(hash), key, "pipit key ident\0", store, 0);
    memcpy(&id, hash, sizeof(id));
    return id ? id : 1;
}

void pp_seal_derive(struct pp_seal *seal, const unsigned char key[PP_STORE_KEY_BYTES],
                    const uint8_t store[16], uint64_t number, uint64_t epoch)
{
    hash_with(seal->key, sizeof(seal->key), key, "pipit segment  \0", store, number);
    seal->epoch = epoch;
}

static void make_nonce(unsigned char nonce[NONCE_BYTES], const struct pp_seal_place *place,
                       const void *epoch)
{
    uint64_t what = place->what;

    memcpy(nonce, epoch, EPOCH_BYTES);
    memcpy(nonce + 8, &place->at, 8);
    memcpy(nonce + 16, &what, 8);
}

void pp_seal_close(const struct pp_seal *seal, const struct pp_seal_place *place, char *bytes,
                   size_t len)
{
    unsigned char nonce[NONCE_BYTES], *in = (unsigned char *)bytes;

    make_nonce(nonce, place, &seal->epoch);
    memcpy(bytes + len, &seal->epoch, EPOCH_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        in, in + len + EPOCH_BYTES, NULL, in, len, (const unsigned char *)place->said.ptr,
        place->said.len, NULL, nonce, seal->key);
}

bool pp_seal_open(const struct pp_seal *seal, const struct pp_seal_place *place, const char *bytes,
                  size_t len, char *out)
{
    const unsigned char *in = (const unsigned char *)bytes;
    unsigned char nonce[NONCE_BYTES];
    size_t plain = len - PP_SEAL_BYTES;

    if (len < PP_SEAL_BYTES)
        return false;
    make_nonce(nonce, place, bytes + plain);
    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
               (unsigned char *)out, NULL, in, plain, in + plain + EPOCH_BYTES,
               (const unsigned char *)place->said.ptr, place->said.len, nonce, seal->key) == 0;
}
