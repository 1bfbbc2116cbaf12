/* server/callout/calls.h -- questions to callout services, from a login until its answer.
 *
 *   [pp_calls_ask]            [on_ask]                 [pp_calls_take]
 *  ----------------> asking ------------> waiting -----------------------> judged, login woken
 *   client's loop      |     home loop      |         loop of the service
 *                      |                    +--[on_timer]----------------> refused, login woken
 *                      +--[too late, or there is no service]-------------> refused, login woken
 *
 * Whoever is kept out by an answer, or for want of one, is complained of in the service's account,
 * on the home loop, before its login is woken: that holds the account.
 *
 * A question is written and signed on the loop of the client that wants to come in, published on
 * the home loop, and judged on the loop of whoever answers, so that a service that answers much
 * takes the time of its own connection's loop and nobody's memory: an answer is looked at where it
 * lies, and only the first one that names a question that waits. It names it by the key that was
 * made for the question, which nobody can guess.
 *
 * Whoever takes a call out of the table, under the lock, ends it. */
#ifndef PP_SERVER_CALLOUT_CALLS_H
#define PP_SERVER_CALLOUT_CALLS_H

#include "auth/callout_answer.h"
#include "auth/callout_request.h"
#include "auth/login.h"
#include "base/list.h"
#include "base/log.h"
#include "core/account.h"
#include "core/message.h"
#include "net/loop.h"

#include <pthread.h>

struct pipit_server;
struct pp_system;

enum {
    PP_CALLS_MAX = 16384,                  /* under way; more logins are told to come again */
    PP_CALLS_ACCOUNT_MAX = 8192,           /* of them in one account */
    PP_CALLS_REQUEST_MAX = 1024 * 1024,    /* bytes of one question */
    PP_CALLS_BYTES_MAX = 64 * 1024 * 1024, /* of all that are not published yet */
    PP_CALLS_BUCKETS = 4096,
};

struct pp_call;

/* An answer has come: write login's verdict. reason: why it is none that lets anybody in, or empty.
 * False: something else must be found out first; then pp_calls_resume is called, once. Thread: any
 * loop's, while a message is delivered. */
typedef bool (*pp_call_judge_fn)(void *context, struct pp_call *call, pp_login *login,
                                 const pp_callout_question *question, pp_str answer,
                                 char reason[PP_CALLOUT_REASON_BYTES]);

/* How one party asks, and how it judges. */
typedef struct pp_call_setup {
    pp_account *account;        /* where it is asked; it stays until the login is woken */
    atomic_uint *asked;         /* calls in that account; the same */
    pp_callout_request request; /* but for the server and for what the calls make themselves */
    int64_t timeout_ns;
    pp_call_judge_fn judge;
    /* The call is over, judged or not; NULL: nothing to do. Not if pp_calls_ask has failed or
     * refused. Thread: any loop's. */
    void (*done)(void *context);
    void *context;
    const uint8_t *service_xkey; /* NULL: openly; else it stays as account does */
} pp_call_setup;

typedef struct pp_calls {
    struct pipit_server *server;
    pthread_mutex_t lock; /* guards buckets, waiting, limit */
    pp_link *buckets;     /* of waiting calls, by key; NULL: nobody has asked yet */
    pp_link waiting;      /* by when they end */
    uint64_t seed;        /* of the buckets */
    pp_log_limit limit;
    atomic_uint count;   /* of all that are under way */
    atomic_size_t bytes; /* of questions that are not published yet */
    atomic_bool stopped; /* nobody is asked any more */
    pp_timer timer;      /* the home loop's: when the first of waiting ends */
} pp_calls;

void pp_calls_init(pp_calls *calls, struct pipit_server *server);
void pp_calls_fini(pp_calls *calls);

/**
 * Ask. PIPIT_EAGAIN: the login is woken when there is a verdict. PIPIT_OK: it is refused.
 *
 * Errors: PIPIT_ENOMEM. Thread: the loop of the login's client.
 */
pipit_err pp_calls_ask(pp_calls *calls, pp_login *login, const pp_call_setup *setup);

/**
 * Tell the service of a login that is refused already, and that it is not asked about.
 * PIPIT_EAGAIN: the login is woken when that has been done. PIPIT_OK: it cannot be told.
 *
 * Of setup only account, asked and request.user_key count. Thread: the loop of the login's client.
 */
pipit_err pp_calls_report(pp_calls *calls, pp_login *login, const pp_call_setup *setup,
                          const char *reason);

/* A message has come to an inbox. False: nobody waits for it. Thread: the publisher's loop. */
bool pp_calls_take(pp_calls *calls, const pp_msg *msg);

/* Judge again, a call whose judge has put it off. Thread: any loop's. */
void pp_calls_resume(struct pp_call *call, pp_str answer);

/* Loops have ended: wake all who wait, and ask nobody any more. */
void pp_calls_stop(pp_calls *calls);

#endif
