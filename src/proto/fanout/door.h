/* proto/fanout/door.h -- what all fanout sessions of a server share: settings, channels, counts.
 *
 * There is no login: whoever may connect comes in as the one whom the settings name. Settings are
 * immutable; a reload makes new ones, and each loop exchanges its pointer in a turn of its own. */
#ifndef PP_PROTO_FANOUT_DOOR_H
#define PP_PROTO_FANOUT_DOOR_H

#include "auth/address_range.h"
#include "base/counters.h"
#include "base/log.h"
#include "core/route.h"
#include "net/conn.h"
#include "proto/fanout/channels.h"
#include "tls/layer.h"

#include <stdatomic.h>

enum { PP_FANOUT_NAME_MAX = 4096 }; /* bytes of a channel's name, whatever the settings say */

typedef struct pp_fanout_settings {
    const pp_scope *scope;   /* of all sessions; outlives the settings */
    int64_t client_limit;    /* at a time */
    size_t line_max;         /* bytes of a line from a client, and of one to it */
    size_t message_max;      /* bytes of a message */
    size_t name_max;         /* bytes of a channel's name; at most PP_FANOUT_NAME_MAX */
    uint32_t queue_lines;    /* that may wait for one client */
    uint32_t channels_max;   /* of one client */
    size_t all_channels_max; /* of all */
    bool crlf;
    int64_t idle_ns;               /* without a word from a client; 0: for ever */
    const pp_address_range *allow; /* where clients may come from; count 0: from anywhere */
    size_t allow_count;
    pp_tls_context *tls; /* NULL: it is not spoken. A reference is the settings' */
    pp_tls_places *places;
    int64_t tls_timeout_ns;
} pp_fanout_settings;

/* Who wants to know what becomes of sessions. Any may be NULL. Thread: the session's loop. */
typedef struct pp_fanout_observer {
    /* A client that was served goes; it has not let go of anything yet. */
    void (*closed)(void *context, pp_conn *conn);
    /* An account has a client more or less. */
    void (*counted)(void *context, pp_account *account);
    void *context;
} pp_fanout_observer;

/* What one loop has counted; written by that loop only. */
#define PP_FANOUT_COUNTERS(X)                                                                      \
    X(connections, "clients served")                                                               \
    X(announcements, "announcements that somebody heard")                                          \
    X(messages, "lines handed to subscribers")                                                     \
    X(subscribes, "subscriptions made, the first of each client included")                         \
    X(unsubscribes, "subscriptions ended, also by a disconnect")                                   \
    X(pings, "pings answered")                                                                     \
    X(undeliverable, "messages not handed to a subscriber: a line cannot carry them")              \
    X(refused, "announcements and subscriptions refused by limits or permissions")                 \
    X(overlong, "clients closed for a line beyond the limit")                                      \
    X(overflows, "clients closed for not reading what waits for them")                             \
    X(not_allowed, "connections closed for where they came from")

typedef struct pp_fanout_counters {
#define PP_FANOUT_COUNTER_FIELD(name, text) _Alignas(8) atomic_uint_fast64_t name;
    PP_FANOUT_COUNTERS(PP_FANOUT_COUNTER_FIELD)
#undef PP_FANOUT_COUNTER_FIELD
} pp_fanout_counters;

struct pp_fanout_door;

/* One per loop. */
typedef struct pp_fanout_context {
    pp_fanout_counters counters;
    struct pp_fanout_door *door;
    const pp_fanout_settings *settings;
    pp_router *router;
    pp_loop *loop;
    pp_route_cache *routes;       /* of the settings' scope; NULL: not found yet */
    uint64_t judged;              /* the message looked at last, as the router counts them */
    bool carried;                 /* and whether a line can carry it */
    pp_log_limit log, refuse_log; /* of lines that peers can cause */
    char apart[64];               /* no two loops write to one cache line */
} pp_fanout_context;

/* Shared by all loops. */
typedef struct pp_fanout_door {
    const pp_log *log;
    pp_fanout_observer observer;
    pp_fanout_context *contexts; /* by loop */
    unsigned context_count;
    int64_t start_ns; /* since when there is one, by the monotonic clock */
    pp_fanout_channels channels;
    _Alignas(64) atomic_int_fast64_t clients; /* served */
    atomic_int_fast64_t securing;             /* their handshakes are under way */
    atomic_int_fast64_t clients_most;
    atomic_uint_fast64_t rejected; /* for their number */
} pp_fanout_door;

/* Sums over all loops. Thread: any. */
typedef struct pp_fanout_totals {
#define PP_FANOUT_TOTAL_FIELD(name, text) uint64_t name;
    PP_FANOUT_COUNTERS(PP_FANOUT_TOTAL_FIELD)
#undef PP_FANOUT_TOTAL_FIELD
} pp_fanout_totals;
void pp_fanout_sum(const pp_fanout_door *door, pp_fanout_totals *out);

/* The settings of this loop's context have been exchanged, and the routes it had are gone: put its
 * sessions under them. Who may not stay is closed, what may not be heard any more is ended. Thread:
 * the loop's. */
void pp_fanout_renew_sessions(pp_fanout_context *context);

#endif
