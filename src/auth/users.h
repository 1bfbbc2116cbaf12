/* auth/users.h -- the users of a configuration: a table made whole and never changed; a reload
 * makes another. Users have a name and a secret, or a public key. Who may come in as whom is for
 * the gate to say (auth/gate.h). */
#ifndef PP_AUTH_USERS_H
#define PP_AUTH_USERS_H

#include "auth/entrance.h"
#include "auth/secret.h"
#include "auth/user.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* What one user of a configuration is. */
typedef struct pp_user_entry {
    const char *name; /* NULL or "": it has none, but an nkey */
    const char *pass; /* NULL: empty */
    pp_account *account;
    const pp_permissions *permissions; /* NULL: all is allowed */
    uint8_t slow_policy;
    uint16_t connection_types; /* 0: any */
    bool proxy_required;
    const char *nkey; /* the public key of a user; NULL: none */
    /* Who has this, and if both are said has both, on the other end of a Unix socket is the user,
     * without a password. */
    bool has_uid, has_gid;
    uid_t uid;
    gid_t gid;
} pp_user_entry;

typedef struct pp_users pp_users;

typedef struct pp_users_setup {
    const pp_user_key *key; /* borrowed for the life of the table */
    pp_views *views;        /* the same */
    /* Names are distinct, and so are keys. users NULL: each is asked for, in order and several
     * times, so that very many need not be there at once. */
    const pp_user_entry *users;
    size_t user_count;
    pipit_err (*tell)(void *teller, size_t i, pp_user_entry *out_entry);
    void *teller;
    pp_entrance_setup entrances[PP_ENTRANCE_COUNT];
    /* Of those who need not say who they are, of whoever shows the token, and of the one user. */
    pp_user_entry anybody;
    bool open;                   /* anybody may come in although there are users */
    pp_account *const *accounts; /* whose roots are made */
    size_t account_count;
} pp_users_setup;

/**
 * Make a table.
 *
 * Owner:  texts are copied; accounts are borrowed for the table's life, permissions copied.
 * Errors: PIPIT_ENOTFOUND a no_auth_user is not among the users; PIPIT_ENOMEM; those of tell.
 */
pipit_err pp_users_new(pp_users **out_users, const pp_users_setup *setup);
void pp_users_free(pp_users *users);

/* Must clients show something before they are served? Source: NATS authentication, section 1.1. */
bool pp_users_required(const pp_users *users, pp_entrance entrance);

/* What INFO says: also false while there is a user for those who show nothing, and yet true where
 * anybody may come in beside the users. (So does nats-server.) */
bool pp_users_announced(const pp_users *users, pp_entrance entrance);

/* Does the certificate say who comes in there? */
bool pp_users_mapped(const pp_users *users, pp_entrance entrance);

/* --- looking: all borrowed, NULL for none ------------------------------------------------- */

const pp_user *pp_users_find(const pp_users *users, pp_str name);
const pp_user *pp_users_find_nkey(const pp_users *users, pp_str key);
/* The first of the configuration with a name that fits. */
const pp_user *pp_users_find_where(const pp_users *users,
                                   bool (*fits)(const pp_user *user, void *arg), void *arg);
/* The first of the configuration whose peer this is. */
const pp_user *pp_users_find_peer(const pp_users *users, uid_t uid, gid_t gid);

/* Are there users with names, with keys? */
bool pp_users_have_names(const pp_users *users);
bool pp_users_have_nkeys(const pp_users *users);

/* Whoever needs no name: where nothing is required, and behind the token. */
const pp_user *pp_users_nameless(const pp_users *users, pp_entrance entrance);
/* As whom somebody comes in who shows nothing, by name or key, or because it is open. */
const pp_user *pp_users_no_auth(const pp_users *users, pp_entrance entrance);
const pp_user *pp_users_single(const pp_users *users, pp_entrance entrance);
const pp_secret *pp_users_token(const pp_users *users, pp_entrance entrance);

/* Of a user with a name, single or not. */
const pp_secret *pp_users_secret(const pp_users *users, const pp_user *user);
/* Is its password empty, and may it be known otherwise: by the peer of a Unix socket, or by a
 * certificate at some entrance? Then nobody is it by an empty password. */
bool pp_users_known_otherwise(const pp_users *users, const pp_user *user);
const pp_user_key *pp_users_key(const pp_users *users);

/* Is there a password or token that is no hash? */
bool pp_users_have_plain_secrets(const pp_users *users);

/* What to compare a password with that fits nobody, so that it takes as long as others: a bcrypt
 * setting of the cost that most of the table's have. NULL: it has none. */
const char *pp_users_dummy(const pp_users *users);

/* Who somebody that came in as old, of another table of the same server, is in this one, with the
 * same password, key or token, in the same account. NULL: nobody; *out_gone tells whether that is
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

#endif
