/* client/credentials.h -- who a client is, and how it proves it. */
#ifndef PP_CLIENT_CREDENTIALS_H
#define PP_CLIENT_CREDENTIALS_H

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>

typedef struct pp_credentials {
    char *user, *password, *token; /* NULL: none */
    char *nkey_seed;
    char *creds_file; /* read at each login: what renews it need not tell */
} pp_credentials;

void pp_credentials_fini(pp_credentials *credentials);

/* The token and the seed in a credentials file, without what is around them; empty: not there.
 * They lie in file. */
void pp_credentials_split(pp_str file, pp_str *out_jwt, pp_str *out_seed);

/**
 * Add what CONNECT tells of them, the nonce signed.
 *
 * Errors: PIPIT_EINVAL a seed or file that is none; PIPIT_ENOMEM; what reading a file gives.
 * Source: NATS authentication, sections 3 and 4.
 */
pipit_err pp_credentials_tell(const pp_credentials *credentials, const char *nonce, pp_json *json);

#endif
