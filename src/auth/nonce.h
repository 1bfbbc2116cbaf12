/* auth/nonce.h -- what a client is asked to sign, so that it shows its key without giving it away.
 */
#ifndef PP_AUTH_NONCE_H
#define PP_AUTH_NONCE_H

enum {
    PP_NONCE_LEN = 15,                 /* 11 random bytes in base64url without padding */
    PP_NONCE_BYTES = PP_NONCE_LEN + 1, /* and a NUL */
};

/* Make a fresh one. libsodium has been started. Source: NATS authentication, section 1.1. */
void pp_nonce_make(char out[PP_NONCE_BYTES]);

#endif
