/* auth/nkey.h -- NKeys: Ed25519 public keys as text, as NATS names servers, accounts and users. */
#ifndef PP_AUTH_NKEY_H
#define PP_AUTH_NKEY_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum {
    PP_NKEY_RAW_BYTES = 32,   /* the key itself */
    PP_NKEY_TEXT_BYTES = 57,  /* 56 characters and a NUL */
    PP_NKEY_SERVER = 13 << 3, /* the kind, in the first byte: 'N' */
    PP_NKEY_OPERATOR = 14 << 3,
    PP_NKEY_ACCOUNT = 0,
    PP_NKEY_USER = 20 << 3,
    PP_NKEY_CLUSTER = 2 << 3,
    PP_NKEY_CURVE = 23 << 3,
};

/* Write the text of a public key: base32 of kind, key and CRC-16, closed by NUL.
 * Source: NATS authentication, section 3.1. */
void pp_nkey_format(uint8_t kind, const uint8_t key[PP_NKEY_RAW_BYTES],
                    char out[PP_NKEY_TEXT_BYTES]);

/* Read the text of a public key of that kind; out_key may be NULL: is it one? Only the one text
 * that pp_nkey_format writes for a key is taken. Errors: PIPIT_EINVAL it is none, or of another
 * kind. */
pipit_err pp_nkey_decode(pp_str text, uint8_t kind, uint8_t out_key[PP_NKEY_RAW_BYTES]);

/**
 * Make a fresh server key and write its public text; the private half is forgotten.
 *
 * Thread: any.
 * Errors: PIPIT_EIO if libsodium finds no source of randomness.
 */
pipit_err pp_nkey_new_server(char out[PP_NKEY_TEXT_BYTES]);

#endif
