/* auth/nkey.h -- NKeys: Ed25519 keys as text, as NATS names operators, accounts, users and servers;
 * with them the X25519 keys that sealed boxes are for (auth/xkey.h).
 *
 * A public key is its kind, 32 bytes and a CRC in base32; a seed is the private half in the same
 * dress, with two bytes in front that say "seed" and its kind. Only the one text that is written
 * for a key is read as it. Source: NATS authentication, section 3. */
#ifndef PP_AUTH_NKEY_H
#define PP_AUTH_NKEY_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_NKEY_RAW_BYTES = 32,           /* the key itself; a seed */
    PP_NKEY_PRIVATE_BYTES = 64,       /* a seed and its public key */
    PP_NKEY_SIGNATURE_BYTES = 64,     /* by one */
    PP_NKEY_TEXT_BYTES = 57,          /* 56 characters and a NUL */
    PP_NKEY_SEED_TEXT_BYTES = 59,     /* the same of a seed ... */
    PP_NKEY_PRIVATE_TEXT_BYTES = 109, /* ... and of both */
    /* The kind, in the first byte, and with it the first letter. */
    PP_NKEY_SERVER = 13 << 3, /* 'N' */
    PP_NKEY_OPERATOR = 14 << 3,
    PP_NKEY_ACCOUNT = 0,
    PP_NKEY_USER = 20 << 3,
    PP_NKEY_CLUSTER = 2 << 3,
    PP_NKEY_CURVE = 23 << 3, /* 'X': X25519, for boxes */
};

/* Write the text of a public key: base32 of kind, key and CRC-16, closed by NUL.
 * Source: NATS authentication, section 3.1. */
void pp_nkey_format(uint8_t kind, const uint8_t key[PP_NKEY_RAW_BYTES],
                    char out[PP_NKEY_TEXT_BYTES]);

/* Read the text of a public key of that kind; out_key may be NULL: is it one? Only the one text
 * that pp_nkey_format writes for a key is taken. Errors: PIPIT_EINVAL it is none, or of another
 * kind. */
pipit_err pp_nkey_decode(pp_str text, uint8_t kind, uint8_t out_key[PP_NKEY_RAW_BYTES]);

/* Of any kind that there is. */
pipit_err pp_nkey_decode_any(pp_str text, uint8_t *out_kind, uint8_t out_key[PP_NKEY_RAW_BYTES]);

/* --- the private half: callers wipe what they have read ----------------------------------- */

void pp_nkey_seed_format(uint8_t kind, const uint8_t seed[PP_NKEY_RAW_BYTES],
                         char out[PP_NKEY_SEED_TEXT_BYTES]);
/* Errors: PIPIT_EINVAL. */
pipit_err pp_nkey_seed_decode(pp_str text, uint8_t *out_kind, uint8_t out_seed[PP_NKEY_RAW_BYTES]);

/* The form that begins with 'P': seed and public key, of no stated kind. */
void pp_nkey_private_format(const uint8_t key[PP_NKEY_PRIVATE_BYTES],
                            char out[PP_NKEY_PRIVATE_TEXT_BYTES]);
/* Errors: PIPIT_EINVAL. */
pipit_err pp_nkey_private_decode(pp_str text, uint8_t out_key[PP_NKEY_PRIVATE_BYTES]);

/* The public key of a seed of that kind. */
void pp_nkey_public(uint8_t kind, const uint8_t seed[PP_NKEY_RAW_BYTES],
                    uint8_t out_key[PP_NKEY_RAW_BYTES]);

/**
 * Make a fresh key of that kind and write its public text. out_seed NULL: nobody
 * will ever sign with it, and its private half is forgotten.
 *
 * Thread: any.
 * Errors: PIPIT_EIO if libsodium finds no source of randomness.
 */
pipit_err pp_nkey_new(uint8_t kind, uint8_t *out_seed, char out[PP_NKEY_TEXT_BYTES]);

/* --- signatures: not by curve keys -------------------------------------------------------- */

void pp_nkey_sign(const uint8_t seed[PP_NKEY_RAW_BYTES], pp_str message,
                  uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES]);

bool pp_nkey_verify(const uint8_t key[PP_NKEY_RAW_BYTES], pp_str message,
                    const uint8_t signature[PP_NKEY_SIGNATURE_BYTES]);

/* Read a signature as clients write it: base64url without padding, or else standard base64 with
 * it. Errors: PIPIT_EINVAL. Source: section 3.5. */
pipit_err pp_nkey_signature_decode(pp_str text, uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES]);
/* The same, base64url only. */
pipit_err pp_nkey_signature_decode_url(pp_str text, uint8_t out_signature[PP_NKEY_SIGNATURE_BYTES]);

#endif
