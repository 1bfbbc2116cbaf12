/* auth/credentials.h -- the one user or token of a server that is given on its command line.
 *
 * What was configured is kept as keyed hashes: comparing takes the same time wherever the first
 * difference lies, and memory shows no password. */
#ifndef PP_AUTH_CREDENTIALS_H
#define PP_AUTH_CREDENTIALS_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum { PP_CREDENTIAL_HASH_BYTES = 32 };

struct pp_credentials {
    bool has_user;
    bool has_token;
    uint8_t key[PP_CREDENTIAL_HASH_BYTES]; /* fresh for each, so that hashes tell nothing */
    uint8_t user_hash[PP_CREDENTIAL_HASH_BYTES];
    uint8_t pass_hash[PP_CREDENTIAL_HASH_BYTES];
    uint8_t token_hash[PP_CREDENTIAL_HASH_BYTES];
};

/**
 * Configure what clients must present; empty means not configured.
 *
 * A token, where there is one, is what counts: user and password are then not looked at, as in
 * nats-server. A user may have an empty password. Nothing configured lets everybody in. The texts
 * are not kept.
 *
 * Errors: PIPIT_EINVAL a password without a user, which would protect nothing; a password or token
 *         that is a bcrypt hash, which cannot be checked. PIPIT_EIO libsodium does not start.
 */
pipit_err pp_credentials_init(struct pp_credentials *credentials, pp_str user, pp_str pass,
                              pp_str token);
void pp_credentials_fini(struct pp_credentials *credentials);

/* Must clients present something? It is what INFO says in auth_required. */
static inline bool pp_credentials_required(const struct pp_credentials *credentials)
{
    return credentials->has_user || credentials->has_token;
}

/* May a client that presents these come in? Takes time by the length of what it presents only.
 * Thread: any. */
bool pp_credentials_check(const struct pp_credentials *credentials, pp_str user, pp_str pass,
                          pp_str token);

/* Does nats-server take this for a bcrypt hash instead of a password? */
bool pp_credentials_is_bcrypt(pp_str text);

#endif
