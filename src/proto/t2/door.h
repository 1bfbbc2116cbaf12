/* proto/t2/door.h -- the T2 Bus as a door: what the server gives it, and what there is of it on
 * each loop. */
#ifndef PP_PROTO_T2_DOOR_H
#define PP_PROTO_T2_DOOR_H

#include "base/log.h"
#include "core/route.h"
#include "net/conn.h"
#include "t2/reader.h"

#include <stdatomic.h>

struct pp_t2_bus;
struct pp_t2_session;

/* What a reload may change, any time. */
typedef struct pp_t2_limits {
    _Atomic int64_t keep_alive_ns; /* a client that is silent for so long is closed */
    _Atomic int64_t request_ns;    /* a request that is not answered for so long ends */
    _Atomic int64_t handshake_ns;  /* of TLS */
    atomic_size_t frame_max;       /* bytes */
    atomic_size_t plain_max;       /* of a payload, decompressed for clients of NATS */
    atomic_uint clients_max;
    atomic_uint subscriptions_max; /* of one client; claims, too */
    atomic_uint requests_max;      /* of one client, not answered yet */
    atomic_bool allow_stop;
} pp_t2_limits;

/* A loop's part of a bus. */
typedef struct pp_t2_lane {
    struct pp_t2_bus *bus;
    pp_loop *loop;
    pp_router *router;
    pp_t2_reader reader;
    struct pp_t2_session **found; /* by the last match */
    size_t found_count, found_cap;
    uint64_t cost;    /* of matches, in steps: whoever shares out a turn's time takes it */
    uint32_t next_id; /* of messages that nobody answers */
    pp_timer timer;   /* of the oldest in waiting */
    pp_link waiting;  /* requests made here, by when they are due; under the bus's lock */
} pp_t2_lane;

/* What a server supplies, for all listeners of a bus. */
typedef struct pp_t2_host {
    pp_log *log;
    pp_account *account; /* where subjects t2.> and t2rr.> stand for topics */
    pp_loop *const *loops;
    pp_router *const *routers; /* by loop; for pp_t2_bus_new only */
    unsigned loop_count;
    /* A client wants the bus to end, and may. Thread: its loop's. */
    void (*stop)(void *context);
    /* A client's connection closes; its subscriptions are still there. NULL: nobody wants to know.
     * Thread: the same. */
    void (*closed)(void *context, pp_conn *conn);
    void *context;
} pp_t2_host;

/* The context of its doors is the bus. */
extern const pp_proto_ops pp_t2_proto;

#endif
