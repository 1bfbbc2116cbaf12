/* auth/nkey.h -- NKeys: Ed25519 public keys as text, as NATS names servers, accounts and users. */
#ifndef PP_AUTH_NKEY_H
#define PP_AUTH_NKEY_H

#include "base/err.h"

#include <stdint.h>

enum {
    PP_NKEY_RAW_BYTES = 32,   /* the key itself */
    PP_NKEY_TEXT_BYTES = 57,  /* 56 characters and a NUL */
    PP_NKEY_SERVER = 13 << 3, /* the kind, in the first byte: 'N' */
};

/* Write the text of a public key: base32 of kind, key and CRC-16, closed by NUL.
 * Source: NATS authentication, section 3.1. */
void pp_nkey_format(uint8_t kind, const uint8_t key[PP_NKEY_RAW_BYTES],
                    char out[PP_NKEY_TEXT_BYTES]);

/**
 * Make a fresh server key and write its public text; the private half is forgotten.
 *
 * Thread: any.
 * Errors: PIPIT_EIO if libsodium finds no source of randomness.
 */
pipit_err pp_nkey_new_server(char out[PP_NKEY_TEXT_BYTES]);

#endif
