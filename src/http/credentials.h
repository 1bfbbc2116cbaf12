/* http/credentials.h -- the one user of an HTTP listener, by basic authentication.
 *
 * What was configured is kept as a keyed hash: comparing takes the same time wherever the first
 * difference lies, and memory shows no password. May be set anew while requests are checked. */
#ifndef PP_HTTP_CREDENTIALS_H
#define PP_HTTP_CREDENTIALS_H

#include "base/err.h"
#include "base/str.h"

#include <pthread.h>
#include <stdint.h>

enum {
    PP_HTTP_HASH_BYTES = 32,
    PP_HTTP_SECRET_MAX = 1024, /* user, colon and password together */
};

typedef struct pp_http_credentials {
    pthread_mutex_t lock;            /* guards what follows */
    bool has_credentials;            /* false: nobody is asked */
    uint8_t key[PP_HTTP_HASH_BYTES]; /* fresh each time, so that the hash tells nothing */
    uint8_t hash[PP_HTTP_HASH_BYTES];
} pp_http_credentials;

void pp_http_credentials_init(pp_http_credentials *credentials);
void pp_http_credentials_fini(pp_http_credentials *credentials);

/* Ask for this user and password from now on; user empty: ask nobody. The texts are not kept.
 * Thread: any. Errors: PIPIT_EINVAL a colon in the user's name, which basic authentication cannot
 * carry, or a password without a user; PIPIT_ETOOBIG; PIPIT_EIO libsodium does not start. */
pipit_err pp_http_credentials_set(pp_http_credentials *credentials, pp_str user, pp_str password);

/* May somebody who sends that Authorization header (empty: none) come in? Thread: any. */
bool pp_http_credentials_check(pp_http_credentials *credentials, pp_str authorization);

#endif
