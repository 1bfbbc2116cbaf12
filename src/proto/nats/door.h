/* proto/nats/door.h -- what all NATS sessions of a server share: settings, the account, a count.
 *
 * Settings are immutable; a reload makes new ones and swaps the pointer on each loop. */
#ifndef PP_PROTO_NATS_DOOR_H
#define PP_PROTO_NATS_DOOR_H

#include "auth/gate.h"
#include "auth/nonce.h"
#include "auth/users.h"
#include "base/log.h"
#include "core/account.h"
#include "core/route.h"
#include "net/loop.h"
#include "proto/nats/connect.h"
#include "proto/nats/reader.h"
#include "tls/layer.h"

#include <stdatomic.h>

/* The nats-server whose behaviour is followed; clients gate features on it. */
#define PP_NATS_VERSION "2.15.1"
#define PP_NATS_API_LEVEL 5 /* announced by that version, JetStream or not */

/* Where a WebSocket listener differs; 0: it does not. */
typedef struct pp_nats_websocket_settings {
    const char *host; /* as announced */
    uint16_t port;
    bool tls;
    int64_t ping_interval_ns;
    int64_t auth_timeout_ns;
    int64_t handshake_timeout_ns;
} pp_nats_websocket_settings;

enum { PP_NATS_TLS_FIRST_OFF = 0, PP_NATS_TLS_FIRST_ON = -1 };

/* TLS of clients that come in by TCP. */
typedef struct pp_nats_tls {
    pp_tls_context *context; /* NULL: there is none. A reference is the settings' */
    pp_tls_places *places;
    bool verify;
    bool optional;      /* clients without it are served, too */
    int64_t timeout_ns; /* of a handshake */
    int64_t first_ns;   /* how long to wait for it before INFO; PP_NATS_TLS_FIRST_OFF, _ON */
    uint32_t rate_max;  /* connections per second; 0: any number */
} pp_nats_tls;

typedef struct pp_nats_settings {
    const char *server_id;
    const char *server_name;
    const char *server_xkey; /* public */
    const char *const *tags; /* of the server */
    size_t tag_count;
    const char *host; /* as announced */
    uint16_t port;
    int64_t max_connections;          /* negative: nobody */
    int64_t max_payload;              /* bytes; -1: no limit */
    uint32_t max_control_line;        /* bytes */
    uint32_t max_subscriptions;       /* per connection; 0: no limit */
    uint32_t max_subscription_tokens; /* 0: no limit */
    int64_t ping_interval_ns;
    int64_t auth_timeout_ns;
    uint32_t ping_max;
    bool headers;        /* supported */
    bool proxy_protocol; /* a PROXY header may come first */
    pp_nats_tls tls;
    bool no_stall; /* drop for a recipient that lags instead of making publishers wait */
    const pp_users *users;
    const pp_gate *gate; /* over them */
    pp_nats_websocket_settings websocket;
} pp_nats_settings;

/* What a listener says of its connections: the context of its pp_door. NULL there: clients. */
typedef struct pp_nats_front {
    pp_entrance entrance;
    /* What a request that came before NATS said for that text of CONNECT, which wins; empty:
     * nothing. NULL: there are no such requests. Thread: the connection's loop. */
    pp_str (*carried)(struct pp_conn *conn, enum pp_nats_connect_text which);
    /* Whom a proxy says it came for, for the log; empty: nobody. May be NULL. */
    pp_str (*real_ip)(const struct pp_conn *conn);
} pp_nats_front;

struct pp_nats_session;

/* Who wants to know what becomes of sessions. Any may be NULL: nobody does. Thread: the session's
 * loop. */
typedef struct pp_nats_observer {
    /* A CONNECT has been accepted; there may be more than one. */
    void (*connected)(void *context, struct pp_nats_session *session);
    /* It is told that it may not come in, or stay, and is about to be closed. */
    void (*refused)(void *context, struct pp_nats_session *session);
    /* It ends, and has not let go of anything yet. */
    void (*closed)(void *context, struct pp_nats_session *session);
    /* An account has a client more or less. */
    void (*counted)(void *context, pp_account *account);
    void *context;
} pp_nats_observer;

/* Shared by all loops. */
typedef struct pp_nats_door {
    const pp_log *log;
    pp_nats_observer observer;
    pp_nonce_secret nonce_secret; /* set before anybody comes in */
    _Alignas(64) atomic_int_fast64_t clients;
    atomic_bool lame_duck;
    atomic_uint_fast64_t tls_rate; /* connections in this second, and which one it is */
    atomic_uint_fast64_t events;   /* that the server has published about itself */
} pp_nats_door;

/* One per loop. */
typedef struct pp_nats_context {
    pp_nats_door *door;
    const pp_nats_settings *settings;
    pp_router *router;
    pp_loop *loop;
    pp_loop *const *loops;                     /* of the server, by router index */
    pp_log_limit auth_log, proxy_log, tls_log; /* of lines about failures */
    /* While one connection's input is read: its last PUB, and that one's route, which is good
     * while the cache's changes are route_changes. */
    pp_nats_memo memo;
    pp_route *route;
    uint64_t route_changes;
    char *mapped_subject; /* PP_ROUTE_MAPPED_MAX bytes, on first use: what a mapping made */
} pp_nats_context;

/* Put every session of this loop under the context's settings, which have just been exchanged: who
 * may not stay is told so and closed, what may not be heard any more is ended.
 * new_interval: that of pings has changed, too. Thread: the loop's. */
void pp_nats_renew_sessions(pp_nats_context *context, bool new_interval);

/* An account has changed: put its sessions of this loop under what it is now, in the same way.
 * Thread: the loop's. */
void pp_nats_review_account(pp_nats_context *context, pp_account *account);

/* Close a connection because there are too many, if it is a client's. False: it is not. */
bool pp_nats_close_excess(struct pp_conn *conn);

/* Tell every client of this loop that takes such news that the server is leaving. */
void pp_nats_announce_lame_duck(pp_nats_context *context);

#endif
