/* proto/message_broker/broker.h -- the message broker: topics, who publishes to them and who hears
 * them, all of it on one loop, the broker's home.
 *
 * Its connections are given to that loop only, so a session, a topic and its stream never meet from
 * two threads. Clients of NATS are on any loop: what they publish to a topic's subject comes to the
 * home by post (bridge.c). Files are written and topics opened by threads of their own, which tell
 * the home by a task. */
#ifndef PP_PROTO_MESSAGE_BROKER_BROKER_H
#define PP_PROTO_MESSAGE_BROKER_BROKER_H

#include "base/counters.h"
#include "base/log.h"
#include "consumer/consumer.h"
#include "core/route.h"
#include "net/conn.h"
#include "net/post.h"
#include "topic/topic.h"

/* What a reload may change. Taken by the home loop in a turn of its own. */
typedef struct pp_mb_settings {
    struct pp_topics_limits topics;
    int64_t ack_timeout_ns;
    int64_t ack_delay_ns;
    uint32_t max_deliver;
    uint32_t outstanding_max; /* messages of one subscription that are not done */
    uint32_t clients_max;
    uint32_t subscriptions_max; /* of one client */
    int64_t frame_timeout_ns;   /* for the first action, and for what is left of a frame */
    size_t data_max;            /* bytes of a message */
} pp_mb_settings;

/* Written by the home loop only. */
#define PP_MB_COUNTERS(X)                                                                          \
    X(published, "messages accepted from its clients")                                             \
    X(bridged_in, "messages accepted from clients of NATS")                                        \
    X(bridged_out, "messages passed to clients of NATS")                                           \
    X(deliveries, "messages given to subscribers, again or for the first time")                    \
    X(redeliveries, "those given again")                                                           \
    X(acks, "messages acknowledged")                                                               \
    X(nacks, "messages refused by a subscriber")                                                   \
    X(timeouts, "messages that were not answered in time")                                         \
    X(dropped, "messages given up for a subscriber, who never acknowledged them")                  \
    X(refused, "messages that a topic did not take, or lost before they were settled")             \
    X(undeliverable, "messages of NATS that are empty, or whose subject is no topic")              \
    X(errors, "requests answered with an error")                                                   \
    X(clients_refused, "clients beyond the limit")                                                 \
    X(frame_timeouts, "clients closed for a frame that they did not finish")                       \
    X(overflows, "clients closed for messages that they never acknowledge")                        \
    X(scrubs, "times that all topics were looked through for damage")                              \
    X(damaged, "messages that were found damaged then")

typedef struct pp_mb_counters {
#define PP_MB_COUNTER_FIELD(name, text) _Alignas(8) atomic_uint_fast64_t name;
    PP_MB_COUNTERS(PP_MB_COUNTER_FIELD)
#undef PP_MB_COUNTER_FIELD
} pp_mb_counters;

/* What there is now. Written by the home loop. */
typedef struct pp_mb_gauges {
    _Alignas(8) atomic_uint_fast64_t clients, topics, subscriptions, in_flight, waiting;
} pp_mb_gauges;

struct pp_mb_broker;

/* One loop's way to the home: an outlet, as the core has it. */
typedef struct pp_mb_way {
    struct pp_mb_broker *broker;
    pp_loop *loop;
    const pp_router *router;
    pp_post *post; /* NULL: not needed yet */
} pp_mb_way;

/* What a server supplies. */
typedef struct pp_mb_host {
    const pp_log *log;
    pp_account *account; /* where subjects mb.* stand for topics */
    pp_loop *const *loops;
    pp_router *const *routers; /* by loop; for pp_mb_broker_new only */
    unsigned loop_count;
    unsigned home;   /* its place among them */
    const char *dir; /* of topics; NULL: in memory */
    struct pp_topics_files files;
    void *ctx;
    void (*on_closed)(void *ctx, pp_conn *conn); /* a client has gone. Thread: the home's */
} pp_mb_host;

typedef struct pp_mb_broker {
    pp_mb_settings settings;
    pp_mb_counters counters;
    pp_mb_gauges gauges;
    const pp_log *log;
    pp_account *account;
    pp_loop *home;
    pp_router *router; /* the home's */
    pp_topics *topics;
    pp_task task;     /* topics have something to tell */
    pp_timers timers; /* of subscriptions, so that there is room for all of them */
    pp_timer alarm;   /* of the home's, when the first of these is due */
    pp_timer sweep;   /* of these: messages get too old */
    pp_timer scrub;   /* of these: topics are looked through for damage */
    pp_log_limit log_limit;
    void *host_ctx;
    void (*on_closed)(void *ctx, pp_conn *conn);
    /* bridge.c */
    pp_client client;
    pp_sub *sub;
    pp_receiver receiver;
    pp_mb_way *ways; /* by loop */
} pp_mb_broker;

/* Its topics' directory is looked through; no loop runs yet. out_why, of PP_MB_WHY_BYTES, is for
 * people. Errors: as pp_topics_new(). */
enum { PP_MB_WHY_BYTES = 256 };
pipit_err pp_mb_broker_new(pp_mb_broker **out_broker, const pp_mb_host *host,
                           const pp_mb_settings *settings, char *out_why);
/* Open the topics that are there. Loops run. */
pipit_err pp_mb_broker_start(pp_mb_broker *broker);
/* Settle what can be settled and close the topics: loops do not run any more, and there are no
 * connections. May be called again. */
void pp_mb_broker_stop(pp_mb_broker *broker);
/* NULL is fine. */
void pp_mb_broker_free(pp_mb_broker *broker);

/* Take other settings. Thread: the home's, or before it runs. */
void pp_mb_broker_renew(pp_mb_broker *broker, const pp_mb_settings *settings);

/* The context of its doors is the broker. */
extern const pp_proto_ops pp_mb_proto;

/* --- what its parts call of each other; thread: the home's -------------------------------- */

/* See that the alarm goes off for the first of broker->timers. */
void pp_mb_set_alarm(pp_mb_broker *broker);

/* A line in the log of which peers can cause many. */
void pp_mb_log(pp_mb_broker *broker, pp_log_level level, const char *what, const pp_conn *conn,
               const pp_topic *topic);

/* bridge.c. Errors: PIPIT_ENOMEM. */
pipit_err pp_mb_bridge_open(pp_mb_broker *broker, const pp_mb_host *host);
void pp_mb_bridge_close(pp_mb_broker *broker);
/* Pass messages from first to last to clients of NATS. */
void pp_mb_bridge_out(pp_mb_broker *broker, pp_topic *topic, uint64_t first, uint64_t last);

/* session.c: what becomes of a publisher's message that was accepted; it is lost. */
void pp_mb_on_lost(pp_mb_broker *broker, pp_topic *topic, uint64_t publisher);
/* Settings have changed. */
void pp_mb_renew_sessions(pp_mb_broker *broker);
/* Those who wait for the topic go on. */
void pp_mb_on_ready(pp_topic *topic);
/* subscriber.c: the topic has grown. False: some who wait for that have yet to be given it. */
bool pp_mb_on_grown(pp_topic *topic);
/* The same for those who wait for the disk. */
bool pp_mb_on_read(pp_topic *topic);

static inline void pp_mb_add(atomic_uint_fast64_t *gauge, int64_t more)
{
    pp_count(gauge, (uint64_t)more);
}

#endif
