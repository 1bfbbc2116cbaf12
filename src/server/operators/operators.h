/* server/operators/operators.h -- operator mode: who may come in is said by signed tokens.
 *
 * A user shows a token that an account has signed; the account's own token, signed by an operator,
 * is found by a resolver when it is first needed, and may be replaced while the account is in use.
 *
 *   session's loop            clerk's thread             home loop
 *   [ask] --known--> judged
 *     |
 *     +---unknown--> fetch ---> [load, get] ----------> [install] --> [judge those that wait]
 *                                                           |
 *   [review each session] <---------------------------------+  when claims have changed
 *
 * `lock` guards the plan, the tenants and what is being fetched; nothing is called under it that
 * waits. Accounts are changed on the home loop alone, or before loops run. The store is the
 * clerk's, which then has one thread.
 * Source: NATS authentication, sections 5 and 6. */
#ifndef PP_SERVER_OPERATORS_OPERATORS_H
#define PP_SERVER_OPERATORS_OPERATORS_H

#include "auth/login.h"
#include "auth/token_login.h"
#include "config/options.h"
#include "server/operators/clerk.h"
#include "server/operators/plan.h"
#include "server/operators/store.h"
#include "server/operators/tenant.h"

struct pipit_server;

enum {
    PP_FETCHES_MAX = 1024, /* accounts that are looked for at a time */
    PP_WAITING_MAX = 8192, /* logins that wait for them */
};

/* An account's token on its way. */
typedef struct pp_fetch {
    struct pp_operators *operators;
    struct pp_fetch *next;
    char key[PP_NKEY_TEXT_BYTES];
    pp_login *waiting; /* chained by login->work */
    pp_clerk_job job;
    pp_task task; /* instead of the job, where nothing has to be waited for */
    pp_buf token; /* what was found */
    pipit_err err;
} pp_fetch;

typedef struct pp_operators {
    pp_authority authority;
    pp_authority callout; /* has the last word, where an account asks a service */
    struct pipit_server *server;
    pthread_mutex_t lock;
    pp_operator_plan *plan; /* held */
    pp_tenants tenants;
    pp_fetch *fetches;
    size_t fetch_count, waiting_count;
    pp_clerk clerk;
    pp_token_store *store; /* the clerk's; NULL: there is none */
    char *url;             /* NULL: not by URL */
    enum pp_resolver_kind kind;
    bool allow_delete;
    int64_t timeout_ns;
    int64_t ttl_s;                     /* of the store; 0: none */
    atomic_uint_fast64_t pinned_fails; /* logins of accounts that are not pinned */
    /* When a token of the store ends; 0: none does. Written by the clerk's thread and when the
     * store is opened. */
    atomic_int_fast64_t store_ends_s;
    /* The home loop's. */
    pp_timer timer;
    pp_clerk_job sweep; /* of the store */
    bool sweeping;
} pp_operators;

/**
 * Make what options ask for; *out_operators is NULL if that is not operator mode. Loops do not run
 * yet. error gets a sentence on PIPIT_EINVAL.
 *
 * Errors: PIPIT_EINVAL; PIPIT_EIO; PIPIT_ENOMEM.
 */
pipit_err pp_operators_new(pp_operators **out_operators, struct pipit_server *server,
                           const pp_options *options, pp_buf *error);
/* When sessions and loops have gone. NULL is fine. */
void pp_operators_free(pp_operators *operators);

/* The home loop is there: begin. The system account's token is installed, if it is to be had.
 * Errors: PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_operators_start(pp_operators *operators);
/* While loops still run: nothing is waited for any more. NULL is fine. */
void pp_operators_stop(pp_operators *operators);

/* Put a new plan in force; the old one is let go. Owner: plan is the callee's. Thread: who reloads.
 */
void pp_operators_replan(pp_operators *operators, pp_operator_plan *plan);

/* The time, in seconds since the Unix epoch. */
int64_t pp_operators_now_s(void);

/* --- what its parts call of each other: tenancy.c, ------------------------------------------ */

/* The claims of an account; held. NULL: they are not known. Thread: any. */
pp_tenant_claims *pp_operators_claims(pp_operators *operators, pp_str key);

/**
 * Put a token in force: make its account, or change it, and have its sessions reviewed. Nothing
 * changes if that fails.
 *
 * Thread: the home loop's, or before loops run.
 * Errors: PIPIT_EINVAL, reason says why: it is no token of that account, it makes no sense, nobody
 *         trusted has issued it; PIPIT_ENOMEM.
 */
pipit_err pp_operators_install(pp_operators *operators, pp_str key, pp_str token,
                               char reason[PP_JWT_REASON_BYTES]);

/* The token of an account is not there any more: its clients must go. Thread: the home loop's. */
void pp_operators_end(pp_operators *operators, pp_str key);

/* A token that ends then has been stored; 0: it does not. Thread: the clerk's. */
void pp_operators_note_end(pp_operators *operators, int64_t ends_s);
/* Set the timer anew. Thread: the home loop's. */
void pp_operators_schedule(pp_operators *operators);

/* Is an account in use? Thread: the home loop's. */
bool pp_operators_know(pp_operators *operators, pp_str key);

/* fetch.c: look for an account, for login if that is not NULL: then it waits, and is woken.
 * Thread: any loop's. Errors: PIPIT_EINVAL key is none; PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_operators_fetch(pp_operators *operators, pp_str key, pp_login *login);

/* review.c: what becomes of guests. */
/* As whom the holder of a token comes in; NULL: not at all, and the verdict says why. */
void pp_operators_decide(pp_operators *operators, pp_login *login, pp_token *token,
                         const pp_tenant_claims *claims);
/* As whom somebody comes in by a token that a callout service has written. The token need not be
 * signed for by the client; its limits on subscriptions and payloads do not count. */
pp_token_fault pp_operators_place(pp_operators *operators, pp_login *login, pp_token *token,
                                  const pp_tenant_claims *claims, pp_str name, int64_t now_s,
                                  pp_user **out_user, const char **out_why);

/* callout.c: accounts that have a service decide who may come in. */
pipit_err pp_operators_call_out(pp_authority *callout, pp_login *login);
/* The one that goes with operators' authority. */
pp_authority *pp_operators_callout(pp_authority *authority);

const pp_user *pp_operators_renew(pp_authority *authority, const pp_user *old,
                                  pp_departure *out_why);
/* All that is needed to have all loops look at an account's sessions; NULL: no memory. */
struct pp_review;
struct pp_review *pp_review_new(struct pipit_server *server, pp_account *account);
void pp_review_post(struct pp_review *review);
void pp_review_free(struct pp_review *review);

/* fetch_url.c: get base/key. Waits. Errors: PIPIT_ENOTFOUND; PIPIT_EIO; PIPIT_ETOOBIG;
 * PIPIT_ENOMEM. */
pipit_err pp_fetch_url(const char *base, const pp_fetch_tls *tls, const char *key,
                       int64_t timeout_ns, const atomic_bool *hurry, pp_buf *out);
/* Have libcurl loaded; error may be NULL. Errors: PIPIT_EIO it is not to be had, error says why. */
pipit_err pp_fetch_url_load(pp_buf *error);
/* Is anybody there who answers for base? */
pipit_err pp_fetch_url_probe(const char *base, const pp_fetch_tls *tls, int64_t timeout_ns);

#endif
