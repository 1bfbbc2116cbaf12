/* pipit/keys.h -- what people sign in with: NKeys, hashes of passwords, tokens, credentials files.
 *
 * For those who run a broker: make them, and look at those there are. Nothing here needs one. */
#ifndef PIPIT_KEYS_H
#define PIPIT_KEYS_H

#include "pipit/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- NKeys --------------------------------------------------------------------------------- */

enum { PIPIT_KEY_BYTES = 64 }; /* enough for the text of a public key or of a seed */

/** Make a key of a kind, which is the first letter of its public text: 'O' operator, 'A' account,
 * 'U' user, 'N' server, 'C' cluster, 'X' curve. Write its public text, and its seed, which callers
 * wipe. Thread: any. Errors: PIPIT_EINVAL no such kind; PIPIT_EIO there is no randomness. */
PIPIT_API pipit_err pipit_key_new(char kind, char out_public[PIPIT_KEY_BYTES],
                                  char out_seed[PIPIT_KEY_BYTES]);

/** Write the public text of a seed, or of a text that is one already; out_seed may be NULL: is it
 * a seed? Blanks and lines around it do not matter. Thread: any. Errors: PIPIT_EINVAL it is
 * neither. */
PIPIT_API pipit_err pipit_key_public(const char *text, char out_public[PIPIT_KEY_BYTES],
                                     bool *out_seed);

/* --- passwords ----------------------------------------------------------------------------- */

enum { PIPIT_PASSWORD_HASH_BYTES = 64, PIPIT_PASSWORD_MAX = 72 };

/** Hash a password with bcrypt, as configurations have it. The work doubles with each cost, from 4
 * to 31; 11 is usual. Thread: any. Errors: PIPIT_EINVAL cost; PIPIT_ETOOBIG longer than
 * PIPIT_PASSWORD_MAX, beyond which bcrypt sees nothing; PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_password_hash(const char *password, unsigned cost,
                                        char out_hash[PIPIT_PASSWORD_HASH_BYTES]);

/** Is hash one of password? Errors: PIPIT_EINVAL it is no hash; PIPIT_EAUTH of another;
 * PIPIT_ENOMEM. Thread: any. */
PIPIT_API pipit_err pipit_password_check(const char *hash, const char *password);

/* --- tokens -------------------------------------------------------------------------------- */

/* A token (JWT) that its issuer has signed. Texts are empty, times 0, where it does not say. */
typedef struct pipit_token {
    const char *type;    /* "operator", "account", "user", "activation", ..., "generic" */
    const char *name;    /* as its owner calls it */
    const char *subject; /* the public key that it is about */
    const char *issuer;  /* the public key that has signed it */
    const char *account; /* of a user's: the account it is in */
    const char *claims;  /* everything, as JSON */
    const char *issues;  /* what is wrong with it at that moment, a line each */
    unsigned errors, warnings, time_checks;    /* how many of these */
    int64_t issued_s, expires_s, not_before_s; /* since the Unix epoch */
} pipit_token;

/**
 * Read a token and check its signature; now_s is the moment to look at it from.
 *
 * Owner:  *out_token is the caller's, for pipit_token_free.
 * Thread: any.
 * Errors: PIPIT_EINVAL, and out_wrong says why, cut to fit; PIPIT_ENOMEM.
 */
PIPIT_API pipit_err pipit_token_decode(const char *text, size_t bytes, int64_t now_s,
                                       pipit_token **out_token, char *out_wrong,
                                       size_t wrong_bytes);

/** The same of the token in a credentials file, with the public text of the seed in there: empty
 * where there is none, as in the file of a bearer. Whether it is the token's is the caller's to
 * compare. Errors: also PIPIT_EINVAL no such file. */
PIPIT_API pipit_err pipit_credentials_decode(const char *text, size_t bytes, int64_t now_s,
                                             pipit_token **out_token,
                                             char out_public[PIPIT_KEY_BYTES], char *out_wrong,
                                             size_t wrong_bytes);

/** NULL is fine. */
PIPIT_API void pipit_token_free(pipit_token *token);

#ifdef __cplusplus
}
#endif
#endif
