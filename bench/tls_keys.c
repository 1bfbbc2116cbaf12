/* tls_keys.c -- see tls_keys.h. Hashes by libsodium, which needs no look-up by name for each. */
#include "tls_keys.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "fatal.h"

enum { TAG_BYTES = 16, LABEL_MAX = 32, DATA = 23 };

void bench_tls_mac(const uint8_t key[BENCH_TLS_HASH_BYTES], const uint8_t *bytes, size_t len,
                   uint8_t out[BENCH_TLS_HASH_BYTES])
{
    (void)crypto_auth_hmacsha256(out, bytes, len, key); /* it always succeeds */
}

void bench_tls_expand(const uint8_t secret[BENCH_TLS_HASH_BYTES], const char *label,
                      const uint8_t *context, uint8_t *out, size_t len)
{
    static const char prefix[] = "tls13 ";
    uint8_t info[4 + sizeof(prefix) + LABEL_MAX + BENCH_TLS_HASH_BYTES];
    uint8_t block[BENCH_TLS_HASH_BYTES];
    size_t label_len = strlen(label), at = 0;

    if (label_len > LABEL_MAX || len > sizeof block)
        bench_fatal("no such label: %s", label);
    info[at++] = 0;
    info[at++] = (uint8_t)len;
    info[at++] = (uint8_t)(sizeof(prefix) - 1 + label_len);
    memcpy(info + at, prefix, sizeof(prefix) - 1);
    at += sizeof(prefix) - 1;
    memcpy(info + at, label, label_len);
    at += label_len;
    info[at++] = context ? BENCH_TLS_HASH_BYTES : 0;
    if (context) {
        memcpy(info + at, context, BENCH_TLS_HASH_BYTES);
        at += BENCH_TLS_HASH_BYTES;
    }
    info[at++] = 1;
    bench_tls_mac(secret, info, at, block);
    memcpy(out, block, len);
}

void bench_tls_keys_derive(bench_tls_keys *keys, const uint8_t secret[BENCH_TLS_HASH_BYTES],
                           const char *label, const uint8_t transcript[BENCH_TLS_HASH_BYTES])
{
    bench_tls_expand(secret, label, transcript, keys->secret, sizeof keys->secret);
    bench_tls_expand(keys->secret, "key", NULL, keys->key, sizeof keys->key);
    bench_tls_expand(keys->secret, "iv", NULL, keys->iv, sizeof keys->iv);
    keys->count = 0;
}

void bench_tls_finished(const bench_tls_keys *keys, const uint8_t transcript[BENCH_TLS_HASH_BYTES],
                        uint8_t out[BENCH_TLS_HASH_BYTES])
{
    uint8_t key[BENCH_TLS_HASH_BYTES];

    bench_tls_expand(keys->secret, "finished", NULL, key, sizeof key);
    bench_tls_mac(key, transcript, BENCH_TLS_HASH_BYTES, out);
}

/* --- records ------------------------------------------------------------------------------ */

static EVP_CIPHER_CTX *cipher_new(int sealing)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();

    if (!cipher || !EVP_CipherInit_ex(cipher, EVP_aes_128_gcm(), NULL, NULL, NULL, sealing))
        bench_fatal("no AES-GCM");
    return cipher;
}

EVP_CIPHER_CTX *bench_tls_sealer_new(void)
{
    return cipher_new(1);
}

EVP_CIPHER_CTX *bench_tls_opener_new(void)
{
    return cipher_new(0);
}

/* The next record's nonce, and its head as what is vouched for beside it. */
static void begin_record(EVP_CIPHER_CTX *cipher, bench_tls_keys *keys, const uint8_t *head)
{
    uint8_t nonce[sizeof keys->iv];
    int n;

    memcpy(nonce, keys->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++)
        nonce[sizeof nonce - 1 - i] ^= (uint8_t)(keys->count >> (8 * i));
    keys->count++;
    if (!EVP_CipherInit_ex(cipher, NULL, NULL, keys->key, nonce, -1) ||
        !EVP_CipherUpdate(cipher, NULL, &n, head, BENCH_TLS_HEAD_BYTES))
        bench_fatal("no AES-GCM");
}

size_t bench_tls_seal(EVP_CIPHER_CTX *sealer, bench_tls_keys *keys, uint8_t kind, const void *bytes,
                      size_t len, uint8_t *out)
{
    size_t sealed = len + 1 + TAG_BYTES;
    const uint8_t head[] = {DATA, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed};
    uint8_t *at = out + sizeof head;
    int n, last;

    memcpy(out, head, sizeof head);
    begin_record(sealer, keys, head);
    if (!EVP_CipherUpdate(sealer, at, &n, bytes, (int)len) ||
        !EVP_CipherUpdate(sealer, at + len, &n, &kind, 1) ||
        !EVP_CipherFinal_ex(sealer, at + len + 1, &last) ||
        !EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, at + len + 1))
        bench_fatal("a record cannot be sealed");
    return sizeof head + sealed;
}

size_t bench_tls_open(EVP_CIPHER_CTX *opener, bench_tls_keys *keys, uint8_t *record,
                      size_t record_bytes, uint8_t *out_kind)
{
    uint8_t *at = record + BENCH_TLS_HEAD_BYTES;
    size_t len = record_bytes - BENCH_TLS_HEAD_BYTES;
    int n;

    if (len <= TAG_BYTES)
        bench_fatal("the server sent a record that is too short");
    len -= TAG_BYTES;
    begin_record(opener, keys, record);
    if (!EVP_CIPHER_CTX_ctrl(opener, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, at + len) ||
        !EVP_CipherUpdate(opener, at, &n, at, (int)len) ||
        EVP_CipherFinal_ex(opener, at + len, &n) <= 0)
        bench_fatal("the server sent a record that cannot be opened");
    while (len && at[len - 1] == 0)
        len--;
    if (!len)
        bench_fatal("the server sent a record of no kind");
    *out_kind = at[len - 1];
    return len - 1;
}
