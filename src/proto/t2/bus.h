/* proto/t2/bus.h -- what all clients of a T2 Bus share: who subscribes, who serves, who waits for
 * an answer.
 *
 * One lock for all of it. It is held for a walk of the tree or for a look-up, never while bytes are
 * staged or sent. What is found under it (sessions, their connections) stays until the turn of the
 * loop that looked ends: who closes leaves the bus first and is freed by reclamation. A client that
 * has its Ack for a Sub was in the tree before, so every later publish finds it. */
#ifndef PP_PROTO_T2_BUS_H
#define PP_PROTO_T2_BUS_H

#include "proto/t2/door.h"
#include "t2/message.h"
#include "t2/tree.h"

#include <pthread.h>

enum { PP_T2_SECRET_BYTES = 22 };

typedef struct pp_t2_bus {
    pp_t2_host host;
    pp_t2_limits limits;
    pp_t2_lane *lanes; /* by loop */
    atomic_uint clients;
    pthread_mutex_t lock;
    pp_t2_tree tree;       /* under the lock, as the following */
    pp_table claims;       /* pp_t2_claim.entry, by topic */
    pp_table requests;     /* pp_t2_request.entry, by id */
    uint32_t next_number;  /* of clients */
    uint32_t next_request; /* id */
    uint32_t foreign;      /* requests of clients of NATS */
    uint64_t match;        /* serial of the last */
    uint64_t seed;
    uint64_t random; /* of tokens */
    /* bridge.c: its place among the clients of NATS. */
    pp_client client;
    pp_sub *subs[3];
    char secret[PP_T2_SECRET_BYTES];    /* in the subjects at which they answer requests */
    atomic_uint_fast64_t undeliverable; /* messages that one of the two sides cannot carry */
    atomic_uint_fast64_t refused;       /* clients beyond the limit */
    atomic_uint_fast64_t timeouts;      /* requests that nobody answered in time */
} pp_t2_bus;

/* The exclusive right to answer requests on a topic. */
typedef struct pp_t2_claim {
    pp_table_entry entry;
    pp_link of_owner;
    struct pp_t2_session *owner;
    size_t len;
    char topic[];
} pp_t2_claim;

/* A bus without clients; no loop runs yet. Errors: PIPIT_ENOMEM. */
pipit_err pp_t2_bus_new(pp_t2_bus **out_bus, const pp_t2_host *host);
/* When its connections are gone and no loop runs any more. NULL is fine. */
void pp_t2_bus_free(pp_t2_bus *bus);

/* How many subscriptions, claims and requests there are. Thread: any. */
typedef struct pp_t2_bus_size {
    size_t subscriptions, claims, requests, nodes;
} pp_t2_bus_size;
void pp_t2_bus_measure(pp_t2_bus *bus, pp_t2_bus_size *out_size);

/* --- what its parts call of each other; thread: that of the session or lane --------------- */

/* Take s in. */
void pp_t2_bus_enter(struct pp_t2_session *s);
/* It goes: so do its subscriptions and claims. What it owes and has asked comes after that
 * (pp_t2_requests_leave), so that nothing is added to it any more. */
void pp_t2_bus_leave(struct pp_t2_session *s);

/* Both succeed if it is so already. Errors: PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_t2_bus_subscribe(struct pp_t2_session *s, const pp_t2_topic *topic);
void pp_t2_bus_unsubscribe(struct pp_t2_session *s, const pp_t2_topic *topic);

/* Errors: PIPIT_EINUSE another client has it; PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_t2_bus_claim(struct pp_t2_session *s, pp_str topic);
void pp_t2_bus_unclaim(struct pp_t2_session *s, pp_str topic);
/* NULL: nobody serves it. The lock is held. */
struct pp_t2_session *pp_t2_bus_owner_locked(const pp_t2_bus *bus, pp_str topic);

/* Put into lane->found who hears what is published, each once. Errors: PIPIT_ENOMEM; PIPIT_ELIMIT
 * it takes too long to find out. */
pipit_err pp_t2_bus_match(pp_t2_lane *lane, const pp_t2_topic *topic);

#endif
