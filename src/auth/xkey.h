/* auth/xkey.h -- sealed boxes: messages that only the owner of a curve key can read, and that only
 * the owner of another can have written. Source: NATS authentication, section 3.4. */
#ifndef PP_AUTH_XKEY_H
#define PP_AUTH_XKEY_H

#include "auth/nkey.h"
#include "base/buf.h"

enum {
    PP_XKEY_NONCE_BYTES = 24,
    PP_XKEY_EXTRA_BYTES = 4 + PP_XKEY_NONCE_BYTES + 16, /* what a box is longer than its message */
};

/* Make a fresh curve key: its seed and its public key. libsodium has been started. */
void pp_xkey_new(uint8_t out_seed[PP_NKEY_RAW_BYTES], uint8_t out_key[PP_NKEY_RAW_BYTES]);

/**
 * Append to out the box of message from the owner of seed to the owner of key, with a fresh nonce.
 *
 * Errors: PIPIT_EINVAL key is no point that a secret can be shared with; those of pp_buf_add.
 */
pipit_err pp_xkey_seal(const uint8_t seed[PP_NKEY_RAW_BYTES], const uint8_t key[PP_NKEY_RAW_BYTES],
                       pp_str message, pp_buf *out);

/* The same with a nonce of the caller's, which must never be used twice with these keys: for tests
 * against vectors. */
pipit_err pp_xkey_seal_with(const uint8_t seed[PP_NKEY_RAW_BYTES],
                            const uint8_t key[PP_NKEY_RAW_BYTES],
                            const uint8_t nonce[PP_XKEY_NONCE_BYTES], pp_str message, pp_buf *out);

/**
 * Append to out what is in box, which the owner of key has sealed for the owner of seed.
 *
 * Errors: PIPIT_EINVAL it is no such box, or has been changed; those of pp_buf_add.
 */
pipit_err pp_xkey_open(const uint8_t seed[PP_NKEY_RAW_BYTES], const uint8_t key[PP_NKEY_RAW_BYTES],
                       pp_str box, pp_buf *out);

#endif
