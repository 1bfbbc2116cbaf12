/* net/conn.h -- a connection: a stream socket, its loop, its output, its door's session.
 *
 *   [pp_conn_open]         [pp_conn_close]            [all sent, or given up]
 *  ---------------> OPEN ------------------> CLOSING -----------------------> CLOSED
 *
 *  OPEN     read and parsed on its loop; other loops may send to it.
 *  CLOSING  the session has let go; nothing is read any more; queued bytes still go out.
 *  CLOSED   not found by id; its socket is shut; freed when no loop can hold it. */
#ifndef PP_NET_CONN_H
#define PP_NET_CONN_H

#include "base/str.h"
#include "net/layer.h"
#include "net/loop.h"
#include "net/outbox.h"
#include "net/outlet.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Bytes behind every window that may be read (not used): doors copy in whole steps. */
enum { PP_WINDOW_SLACK = 32 };

/* Why a connection ended; the text is what monitoring shows.
 * Source: NATS client protocol, "Every -ERR a client can receive" and "Other monitor reasons". */
#define PP_CLOSE_REASONS(X)                                                                        \
    X(PP_CLOSE_NONE, "")                                                                           \
    X(PP_CLOSE_CLIENT, "Client Closed")                                                            \
    X(PP_CLOSE_READ_ERROR, "Read Error")                                                           \
    X(PP_CLOSE_WRITE_ERROR, "Write Error")                                                         \
    X(PP_CLOSE_PARSE_ERROR, "Parse Error")                                                         \
    X(PP_CLOSE_PROTOCOL, "Protocol Violation")                                                     \
    X(PP_CLOSE_CONTROL_LINE, "Maximum Control Line Exceeded")                                      \
    X(PP_CLOSE_PAYLOAD, "Maximum Message Payload Exceeded")                                        \
    X(PP_CLOSE_AUTH, "Authentication Failure")                                                     \
    X(PP_CLOSE_AUTH_TIMEOUT, "Authentication Timeout")                                             \
    X(PP_CLOSE_CONNECTIONS, "Maximum Connections Exceeded")                                        \
    X(PP_CLOSE_ACCOUNT_CONNECTIONS, "Maximum Account Connections Exceeded")                        \
    X(PP_CLOSE_SUBSCRIPTIONS, "Maximum Subscriptions Exceeded")                                    \
    X(PP_CLOSE_CLIENT_PROTOCOL, "Bad Client Protocol Version")                                     \
    X(PP_CLOSE_NO_RESPONDERS, "No Responders Requires Headers")                                    \
    X(PP_CLOSE_STALE, "Stale Connection")                                                          \
    X(PP_CLOSE_SLOW_PENDING, "Slow Consumer (Pending Bytes)")                                      \
    X(PP_CLOSE_SLOW_DEADLINE, "Slow Consumer (Write Deadline)")                                    \
    X(PP_CLOSE_NO_MEMORY, "Out of Memory")                                                         \
    X(PP_CLOSE_PROXY_NOT_TRUSTED, "Proxy Not Trusted")                                             \
    X(PP_CLOSE_PROXY_REQUIRED, "Proxy Required")                                                   \
    X(PP_CLOSE_AUTH_EXPIRED, "Authentication Expired")                                             \
    X(PP_CLOSE_REVOKED, "Credentials Revoked")                                                     \
    X(PP_CLOSE_KICKED, "Kicked")                                                                   \
    X(PP_CLOSE_MEMORY, "Maximum Memory Exceeded")                                                  \
    X(PP_CLOSE_TLS, "TLS Handshake Failure")                                                       \
    X(PP_CLOSE_SHUTDOWN, "Server Shutdown")

typedef enum pp_close_reason {
#define PP_CLOSE_ENUM(name, text) name,
    PP_CLOSE_REASONS(PP_CLOSE_ENUM)
#undef PP_CLOSE_ENUM
        PP_CLOSE_REASON_COUNT
} pp_close_reason;

const char *pp_close_reason_text(pp_close_reason reason);

/* What a door supplies. All calls come from the connection's loop but free, which comes from there
 * too, later, when no loop looks at the session any more. */
typedef struct pp_proto_ops {
    const char *name;     /* in configuration, logs and metrics */
    size_t session_bytes; /* private state, zeroed, allocated with the connection */
    pipit_err (*open)(void *session, struct pp_conn *conn);
    /* Take what can be taken from the front of window. want: how many bytes in one piece the
     * operation that begins behind the used ones needs; 0: not known yet. */
    void (*on_bytes)(void *session, pp_str window, size_t *out_used, size_t *out_want);
    void (*on_timer)(void *session);
    void (*on_sent)(void *session); /* what pp_conn_ask_sent asked for; may be NULL if none does */
    /* A layer of its connection has become able to carry; what it brings with it comes after this.
     * The session may stage output and close, but not push or stop reading. NULL: no matter. */
    void (*on_layer)(void *session, pp_layer *layer);
    void (*on_close)(void *session); /* accepts a session whose open failed */
    void (*free)(void *session);
    /* Read the frame that staged bytes begin with; its line, at least, lies in them. False: there
     * is none. NULL: this door's output cannot be cut, and its connections cannot miss any of it.
     * Pure. Thread: any. */
    bool (*frame)(pp_str bytes, pp_frame_form *out_form);
    bool hears_end; /* a peer that has said its last word still gets what was meant for it */
} pp_proto_ops;

typedef struct pp_conn_limits {
    atomic_size_t pending_max; /* bytes; more waiting makes it a slow consumer */
    _Atomic int64_t write_deadline_ns;
    _Atomic pp_slow_policy slow_policy; /* of connections yet to be opened */
    atomic_bool no_stall;               /* who publishes by this door never waits for a recipient */
} pp_conn_limits;

/* What all connections that come in by one listener have in common; outlives them. The limits may
 * be changed while they live. */
typedef struct pp_door {
    const pp_proto_ops *proto;
    pp_conn_limits limits;
    void *context; /* the protocol's own */
    /* Push the layers that a connection has from the beginning, when its session, which says
     * nothing first, has opened. NULL: none, or the session does. Thread: the connection's loop. */
    pipit_err (*wrap)(const struct pp_door *door, struct pp_conn *conn);
    /* Serves the operator, not clients: its connections are counted by nobody but the door, and
     * stay when clients are asked to leave. */
    bool aside;
} pp_door;

typedef struct pp_conn {
    pp_source source; /* fd */
    pp_loop *loop;
    const pp_door *door;
    uint64_t id;
    pp_layer *layer;   /* the top one; NULL: the bare socket */
    pp_layer *next;    /* pushed, and waits until what came before it is sent */
    pp_layer *parting; /* the next to say goodbye */
    pp_link link;      /* in its loop's ready, paused or closing list */
    struct pp_conn *next_in_table;
    uint8_t peer_addr[16];
    uint16_t peer_port;
    uint8_t addr_family;
    uint8_t reason; /* pp_close_reason */
    bool readable;  /* may have input that was not read yet */
    bool hung_up;   /* the peer closed: read to the end */
    bool paused;
    bool closing;
    bool closed;
    bool local;   /* a Unix socket; other loops look at it */
    bool in_body; /* on_bytes is looking at body, a large operation */
    bool large;   /* the last operation was read as a body; the next may be one too */
    bool flush_on_close : 1;
    bool settled : 1;   /* nothing held it when it was to be freed for the last time */
    bool yielding : 1;  /* the door has had its share of this turn: what is left comes again */
    bool asks_sent : 1; /* the door is to be told when all is sent */
    bool guarded : 1;   /* nobody knows yet who it is: little is read at a time, and kept */
    uint32_t stalls;    /* times it was made to wait for a recipient */
    uint32_t kept;      /* bytes of an unfinished operation that the door keeps itself */
    /* An unfinished operation: got bytes of it. want 0: it is joined with what comes next in the
     * loop's buffer; else it is large, want bytes in all, and read in place: now if body has room
     * for all of it, or when memory is not short any more. */
    pp_body *body;
    size_t got, want;
    pp_outlet own;
    pp_outbox box;
    const void *waits_for; /* outlet or post: paused until it has caught up */
    int64_t resume_ns;
    union {
        pp_timer timer;     /* the door's */
        pp_retired retired; /* once it is CLOSED */
    };
    pp_timer write_timer;
    pp_task notice; /* from other loops: look at box.fault */
    uint64_t in_msgs, in_bytes;
    _Alignas(8) char session[];
} pp_conn;

/* Adopt fd. door is borrowed for the life of the connection. On an error fd is closed. Thread: the
 * loop's. */
pipit_err pp_conn_open(pp_loop *loop, int fd, uint64_t id, const pp_door *door, pp_conn **out_conn);

/* Begin to close. Bytes already staged or queued are sent first if flush is set, within the write
 * deadline. Calls the door's on_close; the connection stays valid until the turn ends. */
void pp_conn_close(pp_conn *conn, pp_close_reason reason, bool flush);

static inline int64_t pp_conn_write_deadline(const pp_conn *conn)
{
    return atomic_load_explicit(&conn->door->limits.write_deadline_ns, memory_order_relaxed);
}

static inline size_t pp_conn_pending_max(const pp_conn *conn)
{
    return atomic_load_explicit(&conn->door->limits.pending_max, memory_order_relaxed);
}

/* What becomes of messages that conn does not take in time, from now on. False: its door's output
 * cannot be cut into frames, so only PP_SLOW_DISCONNECT will do. Thread: conn's loop. */
bool pp_conn_set_policy(pp_conn *conn, pp_slow_policy policy);

/* Is conn's policy one by which it misses messages? Thread: any that may look at conn. */
bool pp_conn_may_miss(pp_conn *conn);

/* Close conn for not keeping up, without a word. */
void pp_conn_close_slow(pp_conn *conn, pp_close_reason reason);

/* Messages that conn has missed by its policy. Thread: any that may look at conn. */
uint64_t pp_conn_dropped(pp_conn *conn);

/* NULL: not open on this loop. */
pp_conn *pp_conn_find(pp_loop *loop, uint64_t id);

/* Any connection of a client that is open; NULL: none. at: where to look first, 0 to begin with. */
pp_conn *pp_conn_any(pp_loop *loop, size_t *at);

/* The door has had its share of the turn: called from on_bytes, which then returns; it is called
 * again in the next turn with what it has left over. */
static inline void pp_conn_yield(pp_conn *conn)
{
    conn->yielding = true;
}

/* Call visit for each open connection; it may close the one it is given. */
void pp_conn_each(pp_loop *loop, void (*visit)(pp_conn *conn, void *arg), void *arg);

/* Visit the open connections of the next place in the loop's table; *at is 0 to begin with. False:
 * that was the last place. Between the steps of a walk the loop may do what it likes: a connection
 * that is open from the first step to the last is visited, once, however the table grows
 * meanwhile; one that comes or goes may be. visit may close the one it is given. */
bool pp_conn_walk(pp_loop *loop, size_t *at, void (*visit)(pp_conn *conn, void *arg), void *arg);

/* The outlet from loop to conn, made on first use. NULL: closing, or no memory. Thread: loop's. */
pp_outlet *pp_conn_outlet(pp_conn *conn, pp_loop *loop);

/* Is that for ever, as loop sees it? Thread: loop's. */
bool pp_conn_is_closing(pp_conn *conn, const pp_loop *loop);

/* Do not read from conn until who gate leads to (an outlet, a post) has caught up, or for ns at
 * most. */
void pp_conn_pause(pp_conn *conn, const void *gate, int64_t ns);

/* The same, if conn has more to say just now, until the outlet's recipient has nothing waiting, or
 * for a millisecond: bytes that its socket takes at once need not be copied. Does not count as a
 * stall, for it costs the publisher less than it saves. */
void pp_conn_pause_briefly(pp_conn *conn, const void *outlet);

/* Read paused connections again: whose time is over; those that wait for gate, and waiters. */
void pp_conn_resume_due(pp_loop *loop);
void pp_conn_resume_for(pp_loop *loop, const void *gate);

/* Read what is there and hand it to the door. */
void pp_conn_read(pp_conn *conn);

/* After the flush: finish closing those that have nothing left to send. */
void pp_conn_finish_closing(pp_loop *loop);

/* Finish closing all that are closing, sent or not: the server ends. */
void pp_conn_abandon_closing(pp_loop *loop);

/* Set the door's timer. */
void pp_conn_set_timer(pp_conn *conn, int64_t due_ns);

/* Keep the memory of conn, closed or not, while a task or the like is under way to it. */
void pp_conn_hold(pp_conn *conn);
void pp_conn_unhold(pp_conn *conn);

/* Read nothing, and dispatch nothing that is kept, until told to go on. */
void pp_conn_stop_reading(pp_conn *conn);
void pp_conn_start_reading(pp_conn *conn);

/* Call the door's on_sent, once, in another turn, when nothing staged or queued is left. For a door
 * that sends a lot and wants to have little of it waiting. */
void pp_conn_ask_sent(pp_conn *conn);

/* Say to the peer that nothing more comes from here, and go on reading. Only when all is sent. */
void pp_conn_shut_write(pp_conn *conn);

/**
 * Put a layer between conn and what it talked to until now.
 *
 * What is staged or queued still goes out as it is, and the layer begins after it; nothing is read
 * meanwhile, and the session stages nothing until the layer is ready (on_layer), or on_bytes comes;
 * an on_sent that was asked for does not come. early is what has been read already and belongs to
 * the layer: on_bytes has then used all. Nobody else may send to conn yet.
 *
 * Owner:  layer is conn's from now on; early is copied.
 * Thread: conn's loop.
 * Errors: PIPIT_ENOMEM; layer stays the caller's.
 */
pipit_err pp_conn_push_layer(pp_conn *conn, pp_layer *layer, pp_str early);

/* The peer's address, in place of the socket's (PROXY protocol). */
void pp_conn_set_peer(pp_conn *conn, const struct sockaddr *addr);

/* Who opened the other end of a Unix socket, as the kernel has it. False: it is none. */
bool pp_conn_peer_ids(const pp_conn *conn, uid_t *out_uid, gid_t *out_gid);

/* Write the peer's address as text without port: "127.0.0.1", "::1", "unix". */
void pp_conn_address_text(uint8_t family, const uint8_t address[16], char out[48]);
void pp_conn_peer_text(const pp_conn *conn, char out[48]);

/* Tell the owner that it must close conn. Thread: any loop; box lock held. */
void pp_conn_fault_locked(pp_conn *conn, pp_close_reason reason);

#endif
