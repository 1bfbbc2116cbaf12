/* net/loop.h -- an event loop: one thread, one epoll, everything that belongs to it.
 *
 * A turn: wait for events; let sources read and stage output; run posted tasks and due timers;
 * flush every outlet that was staged to, once; free what no loop looks at any more. Between turns
 * a loop holds no pointer to anything shared. All fields are the loop's own thread's but the
 * mailbox. */
#ifndef PP_NET_LOOP_H
#define PP_NET_LOOP_H

#include "base/counters.h"
#include "base/err.h"
#include "base/list.h"
#include "base/reclaim.h"
#include "base/timer.h"
#include "net/chunk.h"
#include "net/turns.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pp_conn;
struct pp_outlet;
struct pp_post;

/* Something with a file descriptor that the loop watches, edge-triggered. */
typedef struct pp_source {
    int fd;
    void (*on_event)(struct pp_source *source, uint32_t epoll_events);
    bool says_much; /* at once, last time: the loop gives way to it */
} pp_source;

/* A thing to do on a loop. Lives where its poster keeps it until it has run. */
typedef struct pp_task {
    struct pp_task *next;
    void (*run)(struct pp_task *task);
} pp_task;

/* Tasks for a loop from any thread; order is kept. */
typedef struct pp_mailbox {
    pthread_mutex_t lock;
    pp_task *first, *last;
    atomic_bool waiting;  /* something is in it */
    atomic_bool sleeping; /* the loop must be woken */
} pp_mailbox;

/* Who waits for a recipient to catch up and is no connection: in its loop's waiters. Whoever puts
 * it there also sets a timer, for it must not wait for ever. */
typedef struct pp_waiter {
    pp_link link;
    const void *waits_for;
    void (*resume)(struct pp_waiter *waiter);
} pp_waiter;

/* A connection that reads a large operation for which there is little room: one at a time. */
typedef struct pp_late {
    uint64_t conn_id; /* 0: nobody does */
    size_t got;       /* how far it was ... */
    int64_t got_ns;   /* ... when it was seen to go on */
    int64_t since_ns;
} pp_late;

typedef struct pp_loop {
    unsigned index;
    int epoll_fd;
    int wake_fd;
    pp_source wake;
    pp_source alarm;  /* a timer, so that sleeping need not set one each time */
    int64_t alarm_ns; /* when it goes off; INT64_MAX: it does not */
    int64_t now_ns;   /* monotonic, read once a turn */
    pp_reclaimer reclaimer;
    pp_timers timers;
    pp_chunk_pool chunks;
    pp_counters *counters;
    pp_link ready;   /* connections that may have more to read */
    pp_link paused;  /* connections not read from until a recipient has caught up; oldest first */
    pp_link closing; /* connections to look at after the flush */
    struct pp_outlet *dirty, *dirty_last; /* staged to in this turn */
    size_t staged_bytes;                  /* in all outlets since the last flush, about */
    size_t staged_chunks;                 /* taken for them */
    size_t staged_max, chunks_max;        /* of both, before they are flushed within a turn */
    bool pressed;                         /* the process is short of memory, as last seen */
    bool gives_way;                       /* whoever can run does so before the loop sleeps */
    int64_t gives_way_from_ns;            /* not before: of its time others have had enough */
    bool borrowed;               /* an outlet refers into read_buf: flush before the next read */
    struct pp_conn *lender;      /* whose input that is */
    const void *refused;         /* the outlet whose recipient did not take all of it; or NULL */
    struct pp_kept *kept;        /* borrowed bytes that recipients of this flush share a copy of */
    bool shares;                 /* there may be several such recipients */
    pp_late late;                /* who reads a large operation though memory is short */
    const void *gate;            /* the outlet or post of a recipient that lags, just staged to */
    pp_link waiters;             /* wait for such a one, and are no connections */
    struct pp_post *posts;       /* to other loops, and to itself */
    struct pp_post *posts_dirty; /* packed into in this turn */
    struct pp_body *packed_body; /* of the message packed last; NULL: it needed none */
    uint64_t packed_serial;
    size_t post_bytes_max; /* under way to one loop */
    char *read_buf;
    size_t read_cap;
    size_t conn_count;
    size_t aside_count;          /* of them, those that serve the operator (pp_door.aside) */
    struct pp_conn **conn_table; /* by id; chained */
    size_t conn_mask;
    void *context;       /* the doors' state on this loop */
    size_t litter_bytes; /* given back to the allocator and perhaps not by it to the system */
    pp_timer tidy;
    pp_turns turns;
    atomic_bool stop;
    pp_mailbox mailbox;
} pp_loop;

/* Errors: PIPIT_ENOMEM; PIPIT_ELIMIT no descriptors; PIPIT_EIO. */
pipit_err pp_loop_init(pp_loop *loop, unsigned index, pp_reclaim *reclaim, pp_counters *counters);
/* Only when its thread has ended and all its connections are closed. */
void pp_loop_fini(pp_loop *loop);

/* Turn until stopped. Thread: becomes the loop's. */
void pp_loop_run(pp_loop *loop);
/* Thread: any. */
void pp_loop_stop(pp_loop *loop);

/* Have task run on loop's thread, in order of posting. Owner: task stays the poster's and must
 * live until it runs. Thread: any. */
void pp_loop_post(pp_loop *loop, pp_task *task);

/* Run what is still posted. Only when the loop's thread has ended: from then on it is the
 * caller's. True if there was something. */
bool pp_loop_run_leftovers(pp_loop *loop);

/* Watch a source for input (and hang-up), edge-triggered. */
pipit_err pp_loop_watch(pp_loop *loop, pp_source *source);
pipit_err pp_loop_unwatch(pp_loop *loop, pp_source *source);

/* Say that about that many bytes of small objects have been freed. When they are many the
 * allocator is asked, a second later, to give memory back to the system. Thread: the loop's. */
void pp_loop_note_litter(pp_loop *loop, size_t bytes);

/* See whether memory is short, and be careful with it if so. Thread: the loop's. */
void pp_loop_feel_pressure(pp_loop *loop);

/* Hand over what is packed for other loops and flush every staged outlet, now. Thread: the
 * loop's. */
void pp_loop_flush(pp_loop *loop);

/* The loop whose thread this is; NULL: none. Thread: any. */
pp_loop *pp_loop_current(void);

#endif
