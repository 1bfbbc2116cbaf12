/* core/response.h -- responses that are awaited from other accounts.
 *
 * A request that crosses leaves an entry: from which account it came, and where its response is
 * wanted. The entry is found by a token in the reply subject that the responder sees. It ends with
 * the response (of several, with the last), when the time that the export allows is over, when
 * nobody listens for the response any more, or when the request reached nobody.
 *
 * Entries belong to the loop of who asks, which makes them, and to which their time is known.
 * Whoever responds is on any loop; so is who asks for a lock, which is held for a few steps. */
#ifndef PP_CORE_RESPONSE_H
#define PP_CORE_RESPONSE_H

#include "base/timer.h"
#include "core/account.h"
#include "core/client.h"
#include "core/export.h"
#include "core/latency.h"

#include <pthread.h>

struct pp_realm;
struct pp_router;

typedef struct pp_response {
    struct pp_response *hash_next;
    struct pp_response *client_next; /* of the same client */
    struct pp_response **client_at;  /* what points here; NULL: nobody's */
    uint64_t token;
    pp_account *exporter, *requester;
    pp_client *client; /* who asked, if it is still there */
    struct pp_router *router;
    int64_t threshold_ns;
    pp_timer timer;      /* nobody fires it; idle: it has ended */
    pp_latency *latency; /* NULL: not tracked */
    uint32_t holders;    /* the table is one */
    pp_response_kind kind;
    uint32_t reply_len;
    char reply[];
} pp_response;

enum { PP_RESPONSE_TOKENS_KEPT = 32 };

/* Of one loop. */
typedef struct pp_responses {
    pthread_mutex_t lock; /* guards all of it */
    pp_response **table;
    size_t table_mask;
    pp_timers timers;                         /* of all in the table */
    uint64_t tokens[PP_RESPONSE_TOKENS_KEPT]; /* of the system's random numbers */
    unsigned tokens_left;
    int64_t scheduled_ns; /* when somebody will look; INT64_MAX: nobody will */
} pp_responses;

void pp_responses_init(pp_responses *responses);
/* Ends all of them without a word. */
void pp_responses_fini(pp_responses *responses);

typedef struct pp_response_setup {
    pp_account *exporter, *requester;
    pp_client *client; /* NULL: none that could go */
    pp_str reply;
    pp_response_kind kind;
    int64_t threshold_ns;
    pp_latency *latency; /* NULL: not tracked */
} pp_response_setup;

/**
 * Await a response. *out is held for the caller, who gives it back.
 *
 * Owner:  latency is the entry's, also on errors.
 * Errors: PIPIT_ENOMEM; PIPIT_ELIMIT too many are awaited. Thread: router's loop.
 */
pipit_err pp_response_await(struct pp_router *router, const pp_response_setup *setup,
                            pp_response **out);

/* The entry that a response on subject is for, held; NULL: there is none. last: it is empty, which
 * ends several. What ends with this response has ended. Thread: any loop's. */
pp_response *pp_response_find(struct pp_realm *realm, pp_account *exporter, pp_str subject,
                              bool last);

/* End it, if it has not ended. Its latency is still there for the holder to tell. */
bool pp_response_end(pp_response *response);
void pp_response_give_back(pp_response *response);

/* End those whose time is over, but not too many at once, and tell of it. Returns when to call
 * again; INT64_MAX: when something has been scheduled. Thread: the router's loop. */
int64_t pp_responses_expire(struct pp_router *router, int64_t now_ns);

/* A subscription of client has ended: nobody may listen for some responses any more. pattern: what
 * it was; empty: whatever it was. Returns how many were looked at. Thread: the client's loop. */
size_t pp_responses_unheard(struct pp_router *router, pp_client *client, pp_str pattern);

/* All its subscriptions have ended, and so does the client: it is known no more. Thread: the
 * client's loop. */
void pp_responses_forget_client(struct pp_router *router, pp_client *client);
/* The same without looking who listens: it goes now. Thread: the client's loop, in a turn or not.
 */
void pp_responses_detach_client(struct pp_router *router, pp_client *client);

#endif
