/* net/post.h -- the post from one loop to another: parcels of a turn, handed over at its end.
 *
 * For recipients that cannot be written to through an outlet, because delivering to them needs
 * their session. Packing takes no lock and, for small messages, no memory in the steady state:
 * emptied chunks come back. One hand-over a turn, which wakes the other loop only if it sleeps.
 *
 *   from's loop                              to's loop
 *   [pp_post_add]     bag --[pp_post_hand_over]--> inbox --> taking --> receivers
 *                      ^                                        |
 *                      +---------------- back <-----------------+
 *
 * A post to the own loop goes the same way and arrives in the next turn: receivers run between
 * the events of a turn, never inside another's call. Parcels keep their order.
 *
 * What is under way is limited: beyond three quarters of the limit the publishers of from's loop
 * are paused, as for an outlet that lags; beyond all of it messages are refused. */
#ifndef PP_NET_POST_H
#define PP_NET_POST_H

#include "net/loop.h"
#include "net/parcel.h"

enum {
    PP_POST_BYTES_MAX = 64 * 1024 * 1024, /* under way from one loop to another, by default */
    PP_POST_BACK_MAX = 16,                /* emptied chunks that wait to be used again */
};

typedef struct pp_post {
    pp_loop *from, *to;
    struct pp_post *next; /* of from's */
    /* from's */
    pp_bag bag;
    uint64_t serial;      /* of the message that is open in bag; 0: none */
    uint64_t added_bytes; /* ever */
    uint64_t taken_seen;  /* taken_bytes as from last read it */
    bool dirty;
    bool gated; /* to lags: who adds must wait */
    struct pp_post *next_dirty;
    /* shared */
    pthread_mutex_t lock;
    pp_bag inbox;                     /* under lock */
    pp_chunk *back;                   /* under lock */
    unsigned back_count;              /* under lock */
    bool posted;                      /* arrive is under way or will come again; under lock */
    atomic_uint_fast64_t taken_bytes; /* ever; written by to */
    atomic_bool wants_notice;         /* from waits: post ungate when the inbox is empty */
    /* to's */
    pp_bag taking;
    pp_task arrive; /* runs on to */
    pp_task ungate; /* runs on from */
} pp_post;

/* The post between two loops of a server, made on first use; from keeps it. NULL: no memory.
 * Thread: from's. */
pp_post *pp_post_between(pp_loop *from, pp_loop *to);

/* Pack a message for one more recipient. Messages are told apart by serial: from the second
 * recipient on only its address is added. It is not 0, and from's own for each message. Large data
 * without a body is copied into one, once. False: no memory, or too much is under way; this
 * recipient does not get it. When the recipient's loop lags, from's gate is set. Thread: from's. */
bool pp_post_add(pp_post *post, uint64_t serial, const pp_parcel *parcel, const pp_address *to);

/* Hand over what was packed in this turn. Part of pp_loop_flush. Thread: loop's. */
void pp_post_hand_over_all(pp_loop *loop);

static inline void pp_post_hand_over(pp_loop *loop)
{
    if (__builtin_expect(loop->posts_dirty != NULL, 0))
        pp_post_hand_over_all(loop);
}

/* Drop what is left in loop's posts, and them. Only when all loops they lead to have ended. */
void pp_post_free_all(pp_loop *loop);

#endif
