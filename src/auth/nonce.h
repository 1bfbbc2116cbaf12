/* auth/nonce.h -- what a client is asked to sign, so that it shows its key without giving it away.
 *
 * A nonce is a keyed hash of its connection's id, which no other connection of the server has: made
 * when it is needed, it takes no memory in between. */
#ifndef PP_AUTH_NONCE_H
#define PP_AUTH_NONCE_H

#include <stdint.h>

enum {
    PP_NONCE_LEN = 15,                 /* 11 bytes in base64url without padding */
    PP_NONCE_BYTES = PP_NONCE_LEN + 1, /* and a NUL */
    PP_NONCE_SECRET_BYTES = 32,
};

/* Random, one for each server; it never leaves it. */
typedef struct pp_nonce_secret {
    uint8_t bytes[PP_NONCE_SECRET_BYTES];
} pp_nonce_secret;

/* The nonce of one connection, always the same. Nobody without the secret can tell it from random
 * bytes. Source: NATS authentication, section 1.1. */
void pp_nonce_make(const pp_nonce_secret *secret, uint64_t connection_id, char out[PP_NONCE_BYTES]);

#endif
