/* auth/user.h -- who somebody has been let in as: an account, permissions, limits, names to show.
 *
 * Immutable. Most are entries of a table that a configuration makes (auth/users.h) and live as long
 * as it; the others, guests, are made for one connection by what it has shown (a JWT, the answer of
 * a callout) and live until nobody holds them. */
#ifndef PP_AUTH_USER_H
#define PP_AUTH_USER_H

#include "base/err.h"
#include "base/str.h"
#include "core/scope.h"
#include "core/view.h"

#include <stdbool.h>
#include <stdint.h>

/* By what kind of connection a user may come: a set of these. */
enum {
    PP_USER_STANDARD = 1 << 0,
    PP_USER_WEBSOCKET = 1 << 1,
    PP_USER_LEAFNODE = 1 << 2,
    PP_USER_LEAFNODE_WS = 1 << 3,
    PP_USER_MQTT = 1 << 4,
    PP_USER_MQTT_WS = 1 << 5,
    PP_USER_IN_PROCESS = 1 << 6,
    PP_USER_ANY_TYPE = (1 << 7) - 1,
};

enum { PP_USER_UNLIMITED = -1 };

typedef struct pp_user {
    pp_scope scope;
    pp_view *view; /* what scope shows; held */
    /* NULL: a guest. */
    struct pp_users *table;
    const char *name;    /* "": whoever needs no name */
    const char *nkey;    /* its public key as text; NULL: it is not known by one */
    int64_t expires_s;   /* Unix time from which it may not stay; 0: none */
    int64_t max_payload; /* bytes; or PP_USER_UNLIMITED, as below */
    int32_t max_subscriptions;
    uint16_t connection_types; /* a set */
    uint8_t slow_policy; /* what happens when it does not keep up; the server's to interpret */
    bool proxy_required; /* it comes by a trusted proxy or not at all */
} pp_user;

/* Count who points at a user, so that it, or its table, can be freed when nobody does. Thread: any.
 * Whoever shows a scope to other loops lets go of its user only when no turn can have it any more.
 */
void pp_user_hold(const pp_user *user);
void pp_user_let_go(const pp_user *user);

/* --- guests ------------------------------------------------------------------------------- */

typedef struct pp_guest_setup {
    pp_views *views; /* the server's */
    pp_account *account;
    const pp_permissions *permissions; /* copied; NULL: all is allowed */
    const char *name;                  /* copied, and so is nkey; NULL: empty, none */
    const char *nkey;
    /* What people are told: who has signed its token, and its tags, each closed by NUL. Copied. */
    pp_str issuer, tags;
    int64_t expires_s;
    int64_t max_payload;
    int32_t max_subscriptions;
    uint16_t connection_types;
    uint8_t slow_policy;
    bool proxy_required;
    /* What its maker remembers of it. forget is called when the guest goes, on any thread; NULL:
     * there is nothing to do. It also keeps the account: who makes guests of an account that may go
     * holds it here. */
    void *origin;
    void (*forget)(void *origin);
} pp_guest_setup;

/* Without limits, by any kind of connection. */
static inline pp_guest_setup pp_guest_setup_none(pp_views *views, pp_account *account)
{
    return (pp_guest_setup){
        .views = views,
        .account = account,
        .max_payload = PP_USER_UNLIMITED,
        .max_subscriptions = PP_USER_UNLIMITED,
        .connection_types = PP_USER_ANY_TYPE,
    };
}

/**
 * Make a guest; whoever asked for it holds it, once.
 *
 * Owner:  setup's origin is the guest's on success only.
 * Errors: PIPIT_ENOMEM. Thread: any.
 */
pipit_err pp_guest_new(const pp_guest_setup *setup, pp_user **out_user);

/* What people are told of a guest; empty: nothing, or it is none. */
pp_str pp_guest_issuer(const pp_user *user);
pp_str pp_guest_tags(const pp_user *user);

/* What its maker remembers of a guest; NULL: nothing, or it is none. */
void *pp_guest_origin(const pp_user *user);

#endif
