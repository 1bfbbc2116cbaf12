/* server/local.h -- the in-process door: subscriptions of the program that the server lives in.
 *
 * It is part of the server and not a room under proto/: it has no wire format, no session and no
 * peer, and what it does is the public interface of pipit/server.h.
 *
 * A subscription has a home loop, and its callback runs there. Other loops send parcels that name
 * it by id; the home looks the id up in its table, under a lock, since a subscription is made and
 * ended on any thread. To the core all subscriptions of one home are one client. */
#ifndef PP_SERVER_LOCAL_H
#define PP_SERVER_LOCAL_H

#include "core/route.h"
#include "net/post.h"
#include "server/inlet.h"

/* One loop's way to a home: an outlet, as the core has it. */
typedef struct pp_local_way {
    pp_post *post;
    const pp_router *router; /* of the loop that sends */
    pp_receiver *receiver;   /* of the home */
} pp_local_way;

struct pp_local_slot {
    struct pipit_subscription *subscription; /* NULL: free */
    uint32_t round;                          /* uses of this slot; in the id */
    uint32_t next_free;                      /* plus 1 */
};

/* A loop's part of the door. */
typedef struct pp_local {
    pp_inlet inlet;
    pp_receiver receiver;
    pp_client client;
    struct pp_worker *worker;
    pp_local_way *ways; /* from this loop, by home; made on first use */
    pthread_mutex_t lock;
    pthread_cond_t idle;                /* a callback that somebody waits for has returned */
    struct pp_local_slot *slots;        /* under the lock */
    uint32_t slot_count, free_slot;     /* under the lock */
    struct pipit_subscription *running; /* its callback runs; under the lock */
    unsigned waiting;                   /* for idle; under the lock */
} pp_local;

void pp_local_init(pp_local *local, struct pp_worker *worker);
/* End what has not been ended. Only when all loops have ended and before the index goes. */
void pp_local_fini(pp_local *local);

/* May this stand in a control line? No blanks, no line ends, not empty. */
bool pp_local_text_valid(pp_str text);

#endif
