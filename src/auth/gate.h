/* auth/gate.h -- who may come in: the whole decision, in order, over a table of users and whoever
 * else has a say.
 *
 * Made from a configuration and never changed: a reload makes another. Logins that wait keep the
 * one they were begun with, and ask the new one when they find that it is old.
 * Source: NATS authentication, section 1.3. */
#ifndef PP_AUTH_GATE_H
#define PP_AUTH_GATE_H

#include "auth/hasher.h"
#include "auth/login.h"
#include "auth/nkey.h"
#include "auth/users.h"

typedef struct pp_gate pp_gate;

typedef struct pp_gate_setup {
    const pp_users *users;
    pp_hasher *hasher; /* for passwords that are given as hashes */
    /* Public keys of those whose word for their clients counts. */
    const char *const *proxies;
    size_t proxy_count;
    /* In operator mode: decides instead of the table. NULL: the table does. */
    pp_authority *operators;
    /* Has the last word on whatever was decided. NULL: nobody has. */
    pp_authority *callout;
} pp_gate_setup;

/* Owner: users, hasher and authorities are borrowed for the gate's life, the rest is copied.
 * Errors: PIPIT_ENOMEM. */
pipit_err pp_gate_new(pp_gate **out_gate, const pp_gate_setup *setup);
/* Only when it is idle. */
void pp_gate_free(pp_gate *gate);

/* Does no login wait for it? Thread: any. */
bool pp_gate_idle(const pp_gate *gate);

/* Must clients show something before they are served? Source: section 1.1. */
bool pp_gate_required(const pp_gate *gate, pp_entrance entrance);

/* What INFO says: also false while there is a user for those who show nothing, and yet true where
 * anybody may come in beside the users. (So does nats-server.) */
bool pp_gate_announced(const pp_gate *gate, pp_entrance entrance);

/* Are clients told a nonce, which they may sign? */
bool pp_gate_wants_nonce(const pp_gate *gate);

/* Does the word of the proxy with this key count? */
bool pp_gate_trusts(const pp_gate *gate, const char *proxy);

/* As whom somebody comes in before it has said anything, by what is known of its connection; NULL:
 * not at all. Not held. */
const pp_user *pp_gate_anybody(const pp_gate *gate, const pp_login_shown *shown);

/**
 * Decide on a login whose shown and wake are set, and the rest zero.
 *
 * PIPIT_OK: its verdict is there. PIPIT_EAGAIN: somebody works on it; once it has been woken,
 * pp_gate_go_on says how it goes on, in the same way. No login is left waiting: who has been told
 * to wait goes on until it is decided. Thread: the session's loop, both.
 */
pipit_err pp_gate_ask(const pp_gate *gate, pp_login *login);
pipit_err pp_gate_go_on(pp_login *login);

/* Instead of going on, or of taking the verdict: nobody wants to know any more. Not while somebody
 * works on it. */
void pp_gate_drop(pp_login *login);

/* Who somebody that was let in as old, by this gate or one before it, is now. Held; NULL: nobody,
 * and why. */
const pp_user *pp_gate_renew(const pp_gate *gate, const pp_user *old, uint16_t connection_type,
                             bool proxied, pp_departure *out_why);

#endif
