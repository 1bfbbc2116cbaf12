/* server/inlet.h -- where messages come in that the program itself publishes.
 *
 * Each loop has an inlet. Any thread packs its message into the inlet of its choice; the loop
 * takes them out and routes them as if a connection had sent them. A thread always chooses the
 * same inlet, and an inlet keeps order, so what one thread publishes arrives in that order.
 *
 *   [pipit_server_publish]  bag --[post]--> taking --[route]--> recipients
 *                           under the lock  the loop's
 *
 * What waits in an inlet is limited by max_pending: beyond it publishing answers PIPIT_EAGAIN. The
 * loop stops taking, for 10 ms at most, while a recipient of what it took lags behind, but not
 * again for a lodger that has taken nothing since it missed something. */
#ifndef PP_SERVER_INLET_H
#define PP_SERVER_INLET_H

#include "net/loop.h"
#include "net/parcel.h"

struct pipit_msg;
struct pipit_server;
struct pp_worker;

typedef struct pp_inlet {
    struct pp_worker *worker;
    pp_task task;     /* the loop's turn to take */
    pp_waiter waiter; /* while a recipient lags */
    pp_timer timer;   /* the longest it waits */
    bool waits;
    pp_bag taking;
    pthread_mutex_t lock;
    pp_bag bag;                  /* under the lock */
    pp_chunk_pool pool;          /* under the lock */
    size_t bytes;                /* in bag and taking; under the lock */
    bool posted;                 /* the loop knows of what is in bag; under the lock */
    uint64_t put;                /* messages, ever; under the lock */
    pthread_cond_t room;         /* some has been made */
    unsigned awaited;            /* by how many; under the lock */
    atomic_uint_fast64_t routed; /* of them; written by the loop */
    uint64_t routing;            /* the same, not told yet; the loop's */
    /* Of the message that is being routed; the loop's. */
    uint64_t from;         /* a lodger's serial; 0: it is none of theirs */
    bool hosted_done;      /* plain subscriptions of lodgers have it */
    const pp_address *due; /* but for those of so many lodgers, sorted by client_id: the serial */
    uint32_t due_count;
} pp_inlet;

/* Of a message that a lodger publishes. Lodgers are named by their serials: while it waits one may
 * go, and another come at the same address. */
typedef struct pp_inlet_mark {
    uint64_t from;
    bool hosted_done;    /* plain subscriptions of lodgers have it, but for those that are due */
    const uint64_t *due; /* sorted, each once */
    uint32_t due_count;
} pp_inlet_mark;

void pp_inlet_init(pp_inlet *inlet, struct pp_worker *worker);
/* May this be published, to a pattern or not? Errors: PIPIT_EINVAL; PIPIT_ETOOBIG. Thread: any. */
pipit_err pp_inlet_check(const struct pipit_server *server, const struct pipit_msg *msg,
                         bool pattern);
/* The inlet of the thread that calls. */
pp_inlet *pp_inlet_choose(struct pipit_server *server);

/* Drop what has not been routed. Only when the loop has ended. */
void pp_inlet_fini(pp_inlet *inlet);

/* Have the loop route a message to whoever has not got it; mark: NULL: it is not a lodger's.
 * *out_number is what routed will be when that is done. Errors: PIPIT_EAGAIN too much waits;
 * PIPIT_ENOMEM. Thread: any. */
pipit_err pp_inlet_put(pp_inlet *inlet, const pp_parcel *parcel, const pp_inlet_mark *mark,
                       uint64_t *out_number);
/* Of the message that is being routed: is it for plain subscriptions of the lodger with that
 * serial? Thread: the loop's. */
bool pp_inlet_owes(const pp_inlet *inlet, uint64_t serial);

/* Wait until there is room again for what has been refused, until deadline_ns at most, or until
 * over is set and pp_inlet_rouse called. False: it is too late. Thread: any but the loop's. */
bool pp_inlet_await_room(pp_inlet *inlet, size_t data_bytes, int64_t deadline_ns,
                         const atomic_bool *over);
/* Have those who wait for room look at what they wait for again. Thread: any. */
void pp_inlet_rouse(pp_inlet *inlet);

#endif
