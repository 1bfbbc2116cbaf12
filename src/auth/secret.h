/* auth/secret.h -- what somebody must show: a password or a token, as it is kept to compare with.
 *
 * A plain one is kept as a hash under a key that the server makes for itself once, so that
 * comparing takes the same time wherever the first difference lies, memory shows no password, and
 * the secrets of two tables of one server can be compared. One that is given as a bcrypt hash stays
 * what it is; comparing with it takes long on purpose, and is done elsewhere (auth/hasher.h). */
#ifndef PP_AUTH_SECRET_H
#define PP_AUTH_SECRET_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_SECRET_HASH_BYTES = 32,
    PP_BCRYPT_PASSWORD_MAX = 72, /* bytes of what is shown that bcrypt looks at */
};

typedef struct pp_user_key {
    uint8_t bytes[PP_SECRET_HASH_BYTES];
} pp_user_key;

/* Make a key. Errors: PIPIT_EIO libsodium does not start. */
pipit_err pp_user_key_new(pp_user_key *out_key);

typedef struct pp_secret {
    uint8_t hash[PP_SECRET_HASH_BYTES];
    const char *bcrypt; /* NULL: it is plain; else only this counts. Borrowed */
} pp_secret;

/* Does nats-server take this for a bcrypt hash instead of a password? */
bool pp_secret_is_hashed(pp_str text);

/* text is what a configuration says; of a bcrypt hash, closed by NUL, the pointer is kept. */
pp_secret pp_secret_of(const pp_user_key *key, pp_str text);

/* Is a plain secret what is shown? Takes time by the length of that alone. */
bool pp_secret_fits(const pp_secret *secret, const pp_user_key *key, pp_str shown);

/* Are two the same, of tables with the same key? */
bool pp_secret_equal(const pp_secret *a, const pp_secret *b);

/**
 * Is shown what the bcrypt hash was made of? Takes tens of milliseconds and more.
 *
 * Only the first 72 bytes of what is shown count; a hash that is none fits nothing. All versions
 * mean the same, as they do to nats-server. Thread: any; scratch of pp_bcrypt_scratch_bytes()
 * belongs to the caller and holds secrets afterwards.
 */
bool pp_bcrypt_fits(const char *hash, pp_str shown, void *scratch);
size_t pp_bcrypt_scratch_bytes(void);

/* The cost in a bcrypt hash: the work doubles with each. */
unsigned pp_bcrypt_cost(const char *hash);

enum { PP_BCRYPT_SETTING_BYTES = 30, PP_BCRYPT_COST_MIN = 4, PP_BCRYPT_COST_MAX = 31 };

/* A setting of that cost, which fits nothing: to take the time that comparing takes. */
void pp_bcrypt_dummy(unsigned cost, char out[PP_BCRYPT_SETTING_BYTES]);

enum { PP_BCRYPT_HASH_BYTES = 61 }; /* with its NUL */

/* Hash a password of PP_BCRYPT_PASSWORD_MAX bytes at most. scratch as above. Errors: PIPIT_EINVAL
 * cost; PIPIT_EIO. */
pipit_err pp_bcrypt_make(const char *password, unsigned cost, void *scratch,
                         char out[PP_BCRYPT_HASH_BYTES]);

#endif
