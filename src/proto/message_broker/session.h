/* proto/message_broker/session.h -- one client of the message broker.
 *
 *   [open]            [a frame that ends it]              [all read, or late]
 *  -------> SERVED ---------------------------> LEAVING ---------------------> gone
 *
 *  SERVED   a publisher or a subscriber, as its first action says. While it is `held` nothing is
 *           read from it: a topic is being opened, or cannot take more.
 *  LEAVING  has been told why; what it says is not listened to. It is left to close, so that it is
 *           not reset before it has read that.
 *
 * A subscriber has at most one message in flight, of all its topics together. A subscription that
 * may have something to be given is among the session's `ready`; one that has nothing is in its
 * topic's `tail` and waits for the topic to grow; one whose next message has yet to come from the
 * disk is in its topic's `reading`. */
#ifndef PP_PROTO_MESSAGE_BROKER_SESSION_H
#define PP_PROTO_MESSAGE_BROKER_SESSION_H

#include "proto/message_broker/broker.h"
#include "proto/message_broker/reader.h"

#include "base/table.h"

struct pp_mb_session;

typedef struct pp_mb_sub {
    pp_table_entry entry; /* of the session's, by topic */
    pp_link of_session;
    pp_link in_ready;
    pp_link in_tail;
    pp_link in_reading;
    pp_topic *topic;
    struct pp_mb_session *session;
    pp_consumer consumer;
    pp_timer timer;       /* among the broker's */
    uint64_t seen_seq;    /* in the tail: up to here there was nothing for it */
    uint64_t seen_reads;  /* in `reading`: with the topic at so many there was none */
    uint32_t outstanding; /* as counted in the broker's gauge */
} pp_mb_sub;

/* What a message is waited for. */
typedef struct pp_mb_flight {
    bool on;
    pp_mb_sub *sub; /* NULL: its subscription has ended; the answer is waited for all the same */
    uint64_t seq;
    int64_t due_ns; /* without a subscription */
} pp_mb_flight;

typedef struct pp_mb_session {
    pp_conn *conn;
    pp_mb_broker *broker;
    pp_mb_reader reader;
    pp_link subs;
    pp_table subs_by_topic;
    pp_link ready;
    pp_mb_flight flight;
    pp_topic *topic; /* published to last */
    /* While it is held: */
    pp_link in_stalled; /* of the topic that it waits for */
    bool held;
    bool subscribing; /* for a subscription, which is: */
    pp_mb_op request;
    size_t request_at; /* in the reader's list */
    bool leaving;
    bool counted;
    int64_t start_ns, active_ns;
    int64_t frame_ns; /* when the frame that is being read began */
} pp_mb_session;

/* Read nothing from it until the topic is ready. */
void pp_mb_hold(pp_mb_session *s, pp_topic *topic);
void pp_mb_send(pp_mb_session *s, pp_str bytes);
/* Answer with an error. */
void pp_mb_send_error(pp_mb_session *s, const char *text);
/* See that the session's timer goes off in time. */
void pp_mb_schedule(pp_mb_session *s);

/* subscriber.c */
void pp_mb_subscribe(pp_mb_session *s, const pp_mb_op *op);
/* Go on with a request that had to wait. */
void pp_mb_subscribe_on(pp_mb_session *s);
void pp_mb_unsubscribe(pp_mb_session *s);
void pp_mb_answer(pp_mb_session *s, uint16_t action);
/* Give it what it can be given now. */
void pp_mb_pump(pp_mb_session *s);
/* The same where many others may be given something in this turn. */
void pp_mb_pump_one_of_many(pp_mb_session *s);
/* The message in flight is not waited for any more. */
void pp_mb_end_flight(pp_mb_session *s);
void pp_mb_end_subs(pp_mb_session *s);

static inline uint32_t pp_mb_sub_count(const pp_mb_session *s)
{
    return (uint32_t)s->subs_by_topic.count;
}

#endif
