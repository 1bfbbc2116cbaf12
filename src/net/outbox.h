/* net/outbox.h -- what waits for a connection until its socket has room.
 *
 * The one place of a connection that its own loop shares with the others (net/outlet.h).
 *
 * Rules, under its lock:
 *   sending   one loop is in send(); others append and leave, the sender looks again afterwards.
 *   armed     the owner's epoll watches for room; set when a send left something behind.
 *   closed    nothing is accepted any more; staged bytes are dropped.
 *   No send is made under the lock. Order is kept: each loop's bytes in its order; leftovers of a
 *   send go back to the front.
 *   A connection that may miss messages has its leftovers kept as frames, in a backlog behind the
 *   chunks (net/slow.h). */
#ifndef PP_NET_OUTBOX_H
#define PP_NET_OUTBOX_H

#include "base/mutex.h"
#include "net/backlog.h"
#include "net/chunk.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pp_conn;
struct pp_outlet;

enum {
    PP_OUT_TIME_SHIFT = 24, /* 17 ms; 32 bits last for two years after the machine's start */
};

typedef struct pp_outbox {
    pp_mutex lock;
    uint32_t posted; /* tasks under way that hold the connection */
    pp_chunk *first, *last;
    size_t pending_bytes; /* in them and in the backlog */
    int64_t mark_ns;      /* when the bytes up to the mark began to wait; dropping: last progress */
    size_t mark_bytes;    /* still to be sent until the mark */
    pp_backlog *backlog;  /* what waits behind the chunks; NULL: never was needed */
    struct pp_outlet *outlets; /* of other loops than the owner */
    bool sending : 1, armed : 1, retry : 1, closed : 1;
    bool noticed : 1;             /* the owner's notice is posted */
    bool owner_waits : 1;         /* the owner closes, or goes on, when all is sent */
    bool watching : 1;            /* the owner's write timer runs */
    uint8_t fault;                /* pp_close_reason why the owner must close; 0: none */
    uint8_t policy;               /* pp_slow_policy */
    atomic_bool framed;           /* the policy is, or was, one that drops: leftovers are frames */
    uint32_t out_time;            /* of the last message, in units of 1 << PP_OUT_TIME_SHIFT ns */
    uint64_t out_msgs, out_bytes; /* totals, folded in at each flush */
} pp_outbox;

/* Publishers that wait for conn may go on. The lock is held. */
void pp_outbox_open_gate_locked(struct pp_conn *conn);

/* The socket has room again. Thread: the connection's loop. */
void pp_outbox_on_writable(struct pp_conn *conn);

/* Bytes that wait to be sent, also in layers. The lock is held. */
size_t pp_outbox_waiting_locked(const struct pp_conn *conn);

/* A layer holds something, or can carry now: see that it goes. Thread: the connection's loop. */
void pp_outbox_nudge(struct pp_conn *conn);

/* Send the owner a notice now and at the end of each send, until it has seen that all is sent.
 * Thread: the connection's loop. */
void pp_outbox_notify_sent(struct pp_conn *conn);

/* Refuse new bytes, free those that wait. Thread: the connection's loop. */
void pp_outbox_shut(struct pp_conn *conn);

#endif
