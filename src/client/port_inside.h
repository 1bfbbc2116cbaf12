/* client/port_inside.h -- what ports and lanes are made of: for port.c, which reads, and lane.c,
 * which writes. */
#ifndef PP_CLIENT_PORT_INSIDE_H
#define PP_CLIENT_PORT_INSIDE_H

#include "base/assert.h"
#include "base/barrier.h"
#include "client/port.h"

enum {
    PP_LANE_CHUNK_BYTES = 16 * 1024,
    PP_LANE_LINE = 64, /* of a cache: what two threads write lies so far apart */
    PP_LANE_ALIGN = 8, /* of records */
};

struct pp_lane_record {
    uint32_t bytes; /* of all of it, to the next one */
    uint32_t subject_len;
    uint32_t reply_len;
    uint32_t header_len;
    uint64_t sid;
    uint64_t data_len;
    pp_body *body; /* a reference is held; NULL: data follows reply */
    char text[];   /* subject, reply, small data */
};
static_assert(sizeof(struct pp_lane_record) % PP_LANE_ALIGN == 0, "text begins aligned");

struct pp_lane_chunk {
    _Atomic(struct pp_lane_chunk *) next;
    size_t cap;
    atomic_size_t len; /* written by the writer, read by the reader */
    char bytes[];
};

struct pp_lane {
    pp_port *port;
    atomic_uint refs;   /* the writer, and being listed */
    atomic_bool listed; /* at the port, or kept by its reader */
    pp_lane *next;      /* among the listed */
    size_t bytes_max;
    _Atomic(struct pp_lane_chunk *) spares; /* emptied, for the writer; linked by next */
    /* The writer's. */
    char apart[PP_LANE_LINE];
    struct pp_lane_chunk *stock; /* spares that it has taken */
    struct pp_lane_chunk *tail;
    size_t tail_len, tail_cap; /* of it; its first line is the reader's to look at */
    uint64_t taken_seen;
    atomic_uint_fast64_t written; /* bytes ever */
    /* The reader's. */
    char apart_too[PP_LANE_LINE];
    pp_lane *next_kept;
    struct pp_lane_chunk *head;
    size_t head_at;
    unsigned spare_count; /* of spares, at most */
    atomic_uint_fast64_t taken;
    uint64_t told;     /* taken, when the writer was told last */
    atomic_uint turns; /* a futex: changes when a writer that waits is told of room */
    atomic_bool awaited;
};

struct pp_port {
    pp_barrier barrier;        /* light for who writes */
    _Atomic(pp_lane *) listed; /* pushed by writers */
    atomic_bool asleep;
    atomic_bool closed;
    atomic_uint waking; /* writers that are about to wake it */
    int wake_fd;
    size_t bytes_max;
    atomic_uint refs;
    atomic_uint_fast64_t missed;
    char apart[PP_LANE_LINE];
    pp_lane *kept, *kept_last; /* the reader's, in the order they are served */
};

/* The writer's, or that of being listed. */
void pp_lane_unref(pp_lane *lane);
/* A writer that waits for room looks again. Thread: any. */
void pp_lane_tell_of_room(pp_lane *lane);
void pp_chunks_free(struct pp_lane_chunk *chunk);

/* The first record since the reader lost interest. Thread: the writer. */
void pp_port_list(pp_lane *lane);

#endif
