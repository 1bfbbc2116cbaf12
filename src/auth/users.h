/* auth/users.h -- who may come in, and as whom.
 *
 * A table made whole from a configuration and never changed: a reload makes another. Passwords are
 * kept as hashes under a key that the server makes for itself once, so that comparing takes the
 * same time wherever the first difference lies, memory shows no password, and two tables of one
 * server can be compared. */
#ifndef PP_AUTH_USERS_H
#define PP_AUTH_USERS_H

#include "auth/user.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum { PP_USER_HASH_BYTES = 32 };

typedef struct pp_user_key {
    uint8_t bytes[PP_USER_HASH_BYTES];
} pp_user_key;

/* Make a key. Errors: PIPIT_EIO libsodium does not start. */
pipit_err pp_user_key_new(pp_user_key *out_key);

/* What one user of a configuration is. */
typedef struct pp_user_entry {
    const char *name;
    const char *pass; /* NULL: empty */
    pp_account *account;
    const pp_permissions *permissions; /* NULL: all is allowed */
    uint8_t slow_policy;
} pp_user_entry;

typedef struct pp_users pp_users;

typedef struct pp_users_setup {
    const pp_user_key *key;     /* borrowed for the life of the table */
    pp_views *views;            /* the same */
    const pp_user_entry *users; /* names are distinct */
    size_t user_count;
    const char *token;        /* NULL: none. Where there is one, users are not asked for */
    const char *no_auth_user; /* NULL: none */
    /* Of those who need not say who they are, and of whoever shows the token. */
    pp_user_entry anybody;
    bool open;                   /* anybody may come in although there are users */
    pp_account *const *accounts; /* whose roots are made */
    size_t account_count;
} pp_users_setup;

/**
 * Make a table.
 *
 * Owner:  texts are copied; accounts and permissions are borrowed for the table's life.
 * Errors: PIPIT_EINVAL a password or token that is a bcrypt hash, which cannot be checked;
 *         PIPIT_ENOTFOUND no_auth_user is not among the users; PIPIT_ENOMEM.
 */
pipit_err pp_users_new(pp_users **out_users, const pp_users_setup *setup);
void pp_users_free(pp_users *users);

/* Must clients show something before they are served? Source: NATS authentication, section 1.1. */
bool pp_users_required(const pp_users *users);

/* What INFO says: also false while there is a user for those who show nothing, and yet true where
 * anybody may come in beside the users. (So does nats-server.) */
bool pp_users_announced(const pp_users *users);

/* As whom somebody comes in who shows nothing; NULL: not at all. */
const pp_user *pp_users_anybody(const pp_users *users);

/**
 * As whom may a client come in that shows these? NULL: not at all.
 *
 * Takes time by the length of what it shows and not by whether such a user exists. Thread: any.
 */
const pp_user *pp_users_check(const pp_users *users, pp_str name, pp_str pass, pp_str token);

/* Who somebody that came in as old, of another table of the same server, is in this one, with the
 * same password or token, in the same account. NULL: nobody; *out_gone tells whether that is
 * because there is no such user any more, or it is in another account. */
const pp_user *pp_users_renew(const pp_users *users, const pp_user *old, bool *out_gone);

/* Does anybody point at users of the table? Then it must not be freed. Thread: any. */
bool pp_users_held(const pp_users *users);
/* What pp_user_hold and pp_user_let_go come to for its users. */
void pp_users_hold(pp_users *users);
void pp_users_let_go(pp_users *users);

/* The scope of an account of the setup without any permissions; by its place there. */
const pp_scope *pp_users_root(const pp_users *users, size_t account);

/* The same by the account itself; NULL: it was not among them. Looks through all. */
const pp_scope *pp_users_find_root(const pp_users *users, const pp_account *account);

/* Does nats-server take this for a bcrypt hash instead of a password? */
bool pp_users_is_bcrypt(pp_str text);

#endif
