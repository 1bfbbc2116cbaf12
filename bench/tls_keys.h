/* tls_keys.h -- the key schedule and the records of TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519,
 * for a client that only has to be cheap. RFC 8446, 5 and 7. */
#ifndef BENCH_TLS_KEYS_H
#define BENCH_TLS_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_TLS_HASH_BYTES 32
#define BENCH_TLS_HEAD_BYTES 5
#define BENCH_TLS_SEAL_EXTRA (BENCH_TLS_HEAD_BYTES + 1 + 16) /* head, kind, tag */

/* One direction. */
typedef struct bench_tls_keys {
    uint8_t secret[BENCH_TLS_HASH_BYTES];
    uint8_t key[16], iv[12];
    uint64_t count; /* records so far */
} bench_tls_keys;

/* HMAC of bytes. */
void bench_tls_mac(const uint8_t key[BENCH_TLS_HASH_BYTES], const uint8_t *bytes, size_t len,
                   uint8_t out[BENCH_TLS_HASH_BYTES]);

/* HKDF-Expand-Label; context may be NULL, or is a hash. At most 32 bytes. */
void bench_tls_expand(const uint8_t secret[BENCH_TLS_HASH_BYTES], const char *label,
                      const uint8_t *context, uint8_t *out, size_t len);

/* The keys of a direction, of the secret of that label. */
void bench_tls_keys_derive(bench_tls_keys *keys, const uint8_t secret[BENCH_TLS_HASH_BYTES],
                           const char *label, const uint8_t transcript[BENCH_TLS_HASH_BYTES]);

/* What the Finished message of that direction says of a transcript. */
void bench_tls_finished(const bench_tls_keys *keys, const uint8_t transcript[BENCH_TLS_HASH_BYTES],
                        uint8_t out[BENCH_TLS_HASH_BYTES]);

struct evp_cipher_ctx_st; /* OpenSSL's: a thread has one for each way and shares it */

struct evp_cipher_ctx_st *bench_tls_sealer_new(void);
struct evp_cipher_ctx_st *bench_tls_opener_new(void);

/* Make a record of len bytes at out; returns its length. */
size_t bench_tls_seal(struct evp_cipher_ctx_st *sealer, bench_tls_keys *keys, uint8_t kind,
                      const void *bytes, size_t len, uint8_t *out);

/* Open a whole record where it lies, behind its head. Returns how much is in it; *out_kind: what.
 * Ends the program if it is not what its sender made. */
size_t bench_tls_open(struct evp_cipher_ctx_st *opener, bench_tls_keys *keys, uint8_t *record,
                      size_t record_bytes, uint8_t *out_kind);

#endif
