/* net/relief.h -- giving memory back at the ceiling: which connections hold most, and their end.
 *
 * A connection holds memory by what waits to be sent to it, and by the beginning of an operation
 * whose rest does not come. When memory stays short each loop looks through its connections, a
 * slice at a time, and remembers those that hold most; of all loops' the worst are then closed, or
 * lose their messages if they are of the kind that may. */
#ifndef PP_NET_RELIEF_H
#define PP_NET_RELIEF_H

#include "net/conn.h"

enum {
    PP_RELIEF_HOLDERS = 64,
    PP_RELIEF_MIN_BYTES = 1024, /* who holds less is not to blame */
};

typedef struct pp_holder {
    uint64_t conn_id;
    size_t bytes;
    size_t got;       /* of an unfinished operation; 0: it is output that waits */
    int64_t since_ns; /* seen first; that operation then was as far as it is */
} pp_holder;

/* Of one loop. Zeroed: nothing was seen yet. */
typedef struct pp_relief {
    pp_holder worst[PP_RELIEF_HOLDERS]; /* by bytes, most first */
    size_t count;
    pp_holder before[PP_RELIEF_HOLDERS]; /* of the survey before */
    size_t before_count;
    size_t total; /* bytes held by all that were looked at */
    size_t slot;  /* of the loop's table, where the survey goes on */
} pp_relief;

/* Begin a survey; look at one slice of the loop's connections. False: that was the last. Thread:
 * the loop's. */
void pp_relief_begin(pp_relief *relief);
bool pp_relief_survey(pp_relief *relief, pp_loop *loop);

/* The bytes of the worst holder whose time is over; 0: there is none. Thread: any, between the
 * loop's steps. */
size_t pp_relief_worst(const pp_relief *relief, int64_t now_ns);

/* End the holders of floor bytes and more until `need` bytes are free; returns how many are.
 * Thread: the loop's. */
size_t pp_relief_close(pp_relief *relief, pp_loop *loop, size_t floor_bytes, size_t need);

#endif
