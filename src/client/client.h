/* client/client.h -- a client: subscriptions, requests and a way to a server, and who drives them.
 *
 * One thread at a time *drives* a client: its own, or who calls pipit_client_poll. It alone touches
 * the wire, the dialog, timers and buffers being sent or read, and calls back. Everybody else
 * leaves work under the lock and wakes it. Callbacks run without the lock.
 *
 *   any thread                     the driver
 *   [publish] staged --swap--> sending --> wire or, over memory, straight to the recipients
 *   callbacks <-- subscriptions <-- dialog <-- in <-- wire, or port */
#ifndef PP_CLIENT_CLIENT_H
#define PP_CLIENT_CLIENT_H

#include "base/clock.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/table.h"
#include "base/timer.h"
#include "client/dialog.h"
#include "client/host.h"
#include "client/servers.h"
#include "client/wire.h"
#include "pipit/client.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PP_SID_TABLE_MIN = 16,
    PP_CLIENT_SUBJECT_MAX = 16 * 1024, /* texts of a message */
    PP_INBOX_PREFIX_MAX = 64,          /* "_INBOX", or the program's */
    PP_INBOX_BYTES = 90,               /* that, a dot, 22 characters, a dot and a NUL */
};

/* A message that waits in a subscription without callback. */
struct pp_held {
    struct pp_held *next;
    pipit_msg *msg;
    size_t bytes;
};

struct pipit_sub {
    struct pipit_client *client;
    uint64_t sid;
    char *subject, *queue; /* queue NULL: none; behind the struct */
    pipit_sub_fn callback; /* NULL: messages are held */
    void *context;
    struct pipit_sub *next_of_sid;  /* in the table */
    pp_link link;                   /* among all of the client's */
    pp_host_sub *hosted;            /* over memory; NULL: not there */
    atomic_uint_fast64_t delivered; /* written by the driver */
    uint64_t max;                   /* 0: none */
    uint64_t drain_mark;            /* 0: not draining; ends when flushed is as much */
    bool listed;                    /* in the table: it has not ended by itself */
    bool freed;                     /* by its own callback: it goes when that returns */
    bool internal;                  /* the client's own */
    bool missing;                   /* it was told that messages are missed */
    pthread_cond_t arrived;
    struct pp_held *first, *last;
    size_t held_count, held_bytes;
    uint64_t missed;
};

struct pipit_request {
    struct pipit_client *client;
    uint64_t id;
    pp_timer timer;
    uint32_t replies_max; /* 0: any number */
    uint32_t answers;
    bool cancelled; /* in its own callback */
    int64_t deadline_ns, gap_ns;
    pipit_request_fn callback;
    void *context;
};

struct pp_request_slot {
    struct pipit_request *request; /* NULL: free */
    uint32_t round;
    uint32_t next_free; /* plus 1 */
};

struct pipit_client {
    /* Set once. */
    char *name, *tls_ca, *tls_cert, *tls_key, *tls_name;
    pp_credentials credentials;
    pp_dialog_rules rules;
    pp_tls_rules tls;
    struct pipit_server *server; /* over memory; NULL: by a wire */
    bool wants_tls, own_loop, no_wait, no_reconnect, retry_first, ignore_discovered;
    int64_t reconnect_wait_ns, reconnect_max, publish_wait_ns, connect_timeout_ns;
    size_t pending_max, held_max;
    pipit_event_fn on_event;
    void *event_context;
    char inbox[PP_INBOX_BYTES];
    int epoll_fd, wake_fd, timer_fd;
    bool has_thread;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* flushes, requests, states, callbacks that have returned */
    pthread_cond_t room;
    /* Under the lock. */
    pipit_client_state state;
    pipit_err end_err;   /* why it is closed */
    atomic_bool closing; /* asked for; written under the lock */
    bool ended;          /* nothing will happen any more */
    bool asleep;         /* the driver is, or will be before it looks again */
    bool woken;          /* somebody has left work */
    bool draining;
    bool driven;      /* somebody drives */
    pthread_t driver; /* if driven */
    pp_buf staged;    /* whole frames */
    size_t unsent;    /* bytes of sending, as last seen */
    uint64_t flushes_asked, flushed;
    int64_t drain_deadline_ns; /* 0: not draining */
    unsigned drain_step;
    uint64_t drain_mark;
    uint64_t next_sid;
    struct pipit_sub **sids; /* by sid, chained */
    size_t sid_mask, sid_count;
    pp_link subs;
    struct pipit_sub *running; /* its callback runs, or has run last; the driver may read it */
    atomic_uint sub_changes;   /* what is running may not be the next to run */
    struct pipit_sub *inbox_sub;
    struct pp_request_slot *slots;
    uint32_t slot_count, free_slot, request_count;
    pp_timers timers; /* of requests */
    pp_table claims;  /* by a wire; over memory the server has them (claim.c) */
    unsigned waiting; /* for changed */
    char last_error[256];
    pipit_client_stats stats;
    atomic_uint_fast64_t next_inbox;
    atomic_int_fast64_t max_payload;
    atomic_bool takes_headers;

    /* The driver's. */
    unsigned running_changes;               /* sub_changes when running was looked up */
    bool running_plain;                     /* and it has no number of messages to end after */
    atomic_uint_fast64_t in_msgs, in_bytes; /* written by the driver */
    pp_servers servers;
    pp_server_entry *server_entry; /* in use */
    pp_wire wire;
    uint32_t watched; /* epoll events of the wire; 0: not watched */
    pp_dialog dialog;
    pp_buf sending, in;
    size_t sent;                 /* of sending, or of what the dialog says before it is open */
    int64_t attempt_deadline_ns; /* of a connection in the making */
    int64_t spin_ns;             /* how long to look at the port before sleeping */
    int64_t rest_ns;             /* and how long not to, while records flow */
    uint64_t flow_count;         /* records since flow_since_ns */
    int64_t flow_since_ns;
    bool more;                       /* input is left though the socket may be silent */
    int64_t opened_ns;               /* when it was connected last */
    bool was_open;                   /* connected before */
    uint64_t flush_ping, flush_mark; /* the PING under way, and what it stands for; 0: none */
    int64_t retry_ns;                /* when to connect; INT64_MAX: not now */
    pipit_request *answered;         /* its callback runs */
    int64_t timer_set_ns;            /* what timer_fd is set to */
    uint64_t missed_told;
    pp_port *port; /* over memory */
    pp_lodger *lodger;
};

/* Milliseconds, however many: added to the time of day it is no overflow. */
static inline int64_t pp_client_ms_to_ns(int64_t ms)
{
    return ms > INT64_MAX / 4 / PP_NS_PER_MS ? INT64_MAX / 4 : ms * PP_NS_PER_MS;
}

/* --- driver.c ----------------------------------------------------------------------------- */

/* The client's own thread. */
void *pp_client_run(void *client);
/* A turn: work, wait up to timeout_ns (negative: as long as it takes), work. False: it is over. */
bool pp_client_turn(pipit_client *client, int64_t timeout_ns);
/* Wake the driver if it sleeps. Under the lock. */
void pp_client_wake_locked(pipit_client *client);
/* Begin and end to drive; false: somebody else does. Under the lock. */
bool pp_client_take_wheel_locked(pipit_client *client);
void pp_client_leave_wheel_locked(pipit_client *client);
/* Sleep is over before it began unless nothing is to be done: to be called when nobody drives. */
void pp_client_watch_for_work(pipit_client *client);
/* Is the calling thread in a callback of this client? Under the lock. */
bool pp_client_in_callback_locked(const pipit_client *client);
/* Wait for changed, or drive; deadline on the monotonic clock, INT64_MAX: none. Under the lock.
 * Errors: PIPIT_ETIMEOUT. */
pipit_err pp_client_wait_locked(pipit_client *client, pthread_cond_t *cond, int64_t deadline_ns);
/* Call the program. Thread: the driver. */
void pp_client_emit(pipit_client *client, pipit_event event, const char *text);

/* --- subscription.c ----------------------------------------------------------------------- */

/* Give a message to the subscription of that sid, if there is one. Thread: the driver. */
void pp_client_deliver(pipit_client *client, uint64_t sid, const pipit_msg *msg);
/* Nothing runs any more. Thread: the driver, before it waits. */
void pp_client_rest(pipit_client *client);
/* Write the subscriptions that there are, for a new connection. Under the lock. */
pipit_err pp_client_resubscribe_locked(pipit_client *client, pp_buf *out);
/* End those whose draining is through; all: whatever they are. Under the lock. */
void pp_client_end_drained_locked(pipit_client *client);
void pp_client_end_all_locked(pipit_client *client);
/* Have all of them drain, but the client's own. Under the lock. */
void pp_client_drain_subs_locked(pipit_client *client);
void pp_client_free_subs(pipit_client *client);
pipit_err pp_client_subscribe(pipit_client *client, const char *subject, const char *queue,
                              pipit_sub_fn callback, void *context, bool internal,
                              pipit_sub **out_sub);

/* May it be subscribed to, wildcards and all? */
bool pp_client_pattern_valid(pp_str subject);

/* --- request.c ---------------------------------------------------------------------------- */

/* End one request whose time is over; false: there is none. Thread: the driver. */
bool pp_client_late_request(pipit_client *client, int64_t now_ns);
/* End all of them. Thread: the driver. */
void pp_client_end_requests(pipit_client *client, pipit_err err);

/* Ask, and wait for one answer: pipit_client_request with a whole message. heard, which may be
 * NULL, is called with it by who drives. */
pipit_err pp_client_ask(pipit_client *client, const pipit_msg *msg, int64_t timeout_ms,
                        void (*heard)(void *context, const pipit_msg *answer), void *context,
                        pipit_msg **out_reply);

/* --- claim.c ------------------------------------------------------------------------------ */

enum { PP_CLAIM_MARK = 'k' }; /* before the hash, in the reply subject of a renewal: no digit */

/* Claim again what was granted, for a new connection. Under the lock. */
pipit_err pp_client_reclaim_locked(pipit_client *client, pp_buf *out);
/* A claim that was asked for again is granted or lost. Thread: the driver. */
void pp_client_reclaimed(pipit_client *client, uint64_t hash, const pipit_msg *answer);
void pp_client_free_claims(pipit_client *client);

/* --- publish.c ---------------------------------------------------------------------------- */

/* Is text a subject that can be published on? */
bool pp_client_text_valid(pp_str text);
/* Stage one frame by write, with room for it. Under the lock, which is let go of while waiting for
 * room. Errors: PIPIT_EAGAIN; PIPIT_ECLOSED; PIPIT_ENOMEM. */
pipit_err pp_client_reserve_locked(pipit_client *client, size_t bytes);

#endif
