/* Subscriptions: requests for them, what they are given, and what comes back. */
#include "base/alloc.h"
#include "base/clock.h"
#include "proto/message_broker/session.h"
#include "proto/message_broker/writer.h"

enum {
    SUB_BYTES = sizeof(pp_mb_sub) + 192, /* about, with what its consumer takes */
    EVENTS_AT_ONCE = 64,                 /* of one subscription; then its timer is due again */
    GIVEN_AT_ONCE = 128,                 /* subscribers of a topic that grows, in one turn */
};

/* --- bookkeeping -------------------------------------------------------------------------- */

static void on_sub_timer(pp_timer *timer);

/* After each change of its consumer. */
static void note_consumer(pp_mb_sub *sub)
{
    pp_mb_broker *broker = sub->session->broker;
    int64_t due_ns = pp_consumer_due(&sub->consumer);

    pp_mb_add(&broker->gauges.waiting,
              (int64_t)sub->consumer.outstanding - (int64_t)sub->outstanding);
    sub->outstanding = sub->consumer.outstanding;
    if (due_ns == INT64_MAX)
        pp_timer_cancel(&broker->timers, &sub->timer);
    else
        pp_timer_set(&broker->timers, &sub->timer, due_ns, on_sub_timer);
    pp_mb_set_alarm(broker);
}

static void make_ready(pp_mb_sub *sub)
{
    pp_list_remove(&sub->in_ready);
    pp_list_append(&sub->session->ready, &sub->in_ready);
}

void pp_mb_end_flight(pp_mb_session *s)
{
    s->flight.on = false;
    pp_mb_add(&s->broker->gauges.in_flight, -1);
}

static void give_up(pp_mb_sub *sub)
{
    pp_mb_broker *broker = sub->session->broker;

    pp_count(&broker->counters.dropped, 1);
    pp_mb_log(broker, PP_LOG_WARN, "a message was never acknowledged", sub->session->conn,
              sub->topic);
}

static void on_sub_timer(pp_timer *timer)
{
    pp_mb_sub *sub = PP_CONTAINER(timer, pp_mb_sub, timer);
    pp_mb_session *s = sub->session;
    pp_consumer_event event;
    uint64_t seq;

    for (unsigned events = 0;
         events < EVENTS_AT_ONCE &&
         (event = pp_consumer_turn(&sub->consumer, s->conn->loop->now_ns, &seq));
         events++) {
        if (event == PP_CONSUMER_READY)
            continue;
        pp_count(&s->broker->counters.timeouts, 1);
        if (event == PP_CONSUMER_DROPPED)
            give_up(sub);
        if (s->flight.on && s->flight.sub == sub && s->flight.seq == seq)
            pp_mb_end_flight(s);
    }
    note_consumer(sub);
    make_ready(sub);
    pp_mb_pump_one_of_many(s);
}

/* --- giving ------------------------------------------------------------------------------- */

static bool stage(pp_mb_session *s, const pp_topic *topic, pp_str data)
{
    pp_outlet *outlet = &s->conn->own;
    size_t head = PP_MB_HEAD_BYTES(topic->name.len);
    char *room = pp_outlet_room(outlet, head);

    if (!room)
        return false;
    (void)pp_mb_write_head(topic->name, data.len, room);
    pp_outlet_wrote(outlet, head);
    return pp_outlet_write(outlet, data);
}

/* Its consumer has it in flight. */
static void give(pp_mb_sub *sub, const struct pp_store_message *message, bool again)
{
    pp_mb_session *s = sub->session;
    pp_counters *counters = s->conn->loop->counters;

    if (!stage(s, sub->topic, message->payload)) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    s->flight = (pp_mb_flight){.on = true, .sub = sub, .seq = message->seq};
    s->conn->loop->staged_bytes += message->payload.len; /* its last chunk is not counted else */
    s->conn->own.msgs++;
    s->conn->own.bytes += message->payload.len;
    pp_count(&counters->out_msgs, 1);
    pp_count(&counters->out_bytes, message->payload.len);
    pp_count(&s->broker->counters.deliveries, 1);
    pp_count(&s->broker->counters.redeliveries, again);
    pp_mb_add(&s->broker->gauges.in_flight, 1);
    note_consumer(sub);
    make_ready(sub); /* it may have more */
}

/* Its log cannot be read, or it cannot be noted what was given: it had better come again. */
static void fail(pp_mb_sub *sub, pipit_err err)
{
    pp_mb_session *s = sub->session;

    if (err == PIPIT_ELIMIT) {
        pp_count(&s->broker->counters.overflows, 1);
        pp_mb_log(s->broker, PP_LOG_WARN, "client closed: it acknowledges nothing", s->conn,
                  sub->topic);
        pp_conn_close_slow(s->conn, PP_CLOSE_SLOW_PENDING);
        return;
    }
    pp_mb_log(s->broker, PP_LOG_ERROR, pipit_strerror(err), s->conn, sub->topic);
    pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
}

static bool is_gone(pipit_err err)
{
    return err == PIPIT_ENOTFOUND || err == PIPIT_EDAMAGED;
}

/* Its next message has yet to come from the disk. */
static void await_read(pp_mb_sub *sub)
{
    note_consumer(sub);
    sub->seen_reads = sub->topic->reads;
    pp_list_append(&sub->topic->reading, &sub->in_reading);
}

/* One that comes again, if there is one; those that have gone meanwhile are done. */
static bool give_again(pp_mb_sub *sub)
{
    struct pp_store_message message;
    uint32_t count;
    uint64_t seq;

    while ((seq = pp_consumer_again(&sub->consumer, &count))) {
        pipit_err err = pp_topic_at(sub->topic, seq, &message);

        if (is_gone(err)) {
            (void)pp_consumer_ack(&sub->consumer, seq);
            continue;
        }
        if (err) {
            if (err == PIPIT_EAGAIN)
                await_read(sub);
            else
                fail(sub, err);
            return true;
        }
        pp_consumer_deliver_again(&sub->consumer, sub->session->conn->loop->now_ns);
        give(sub, &message, true);
        return true;
    }
    return false;
}

static bool give_new(pp_mb_sub *sub)
{
    struct pp_store_message message;
    pipit_err err = pp_topic_next(sub->topic, sub->consumer.next_seq, &message);

    if (is_gone(err))
        return false;
    if (err == PIPIT_EAGAIN) {
        await_read(sub);
        return true;
    }
    if (!err)
        err =
            pp_consumer_deliver_new(&sub->consumer, message.seq, sub->session->conn->loop->now_ns);
    if (err)
        fail(sub, err);
    else
        give(sub, &message, false);
    return true;
}

static bool may_give(const pp_mb_session *s)
{
    return !s->flight.on && !s->reader.in_frame && !s->held && !s->leaving && !s->conn->closing;
}

void pp_mb_pump(pp_mb_session *s)
{
    while (may_give(s) && !pp_list_empty(&s->ready)) {
        pp_mb_sub *sub = PP_CONTAINER(s->ready.next, pp_mb_sub, in_ready);

        pp_list_remove(&sub->in_ready);
        pp_list_remove(&sub->in_reading);
        if (give_again(sub) || give_new(sub))
            continue;
        note_consumer(sub);
        pp_list_remove(&sub->in_tail);
        pp_list_append(&sub->topic->tail, &sub->in_tail);
        sub->seen_seq = sub->topic->settled_seq;
    }
}

void pp_mb_pump_one_of_many(pp_mb_session *s)
{
    pp_loop *loop = s->conn->loop;

    pp_mb_pump(s);
    if (loop->staged_bytes > loop->staged_max)
        pp_loop_flush(loop);
}

/* Has this turn given enough to subscribers of a topic? */
static bool is_enough(unsigned given, const pp_mb_sub *next)
{
    const pp_loop *loop = next->session->conn->loop;

    return given == GIVEN_AT_ONCE || (given && loop->staged_bytes > loop->staged_max);
}

bool pp_mb_on_read(pp_topic *topic)
{
    for (unsigned given = 0; !pp_list_empty(&topic->reading); given++) {
        pp_mb_sub *sub = PP_CONTAINER(topic->reading.next, pp_mb_sub, in_reading);

        if (sub->seen_reads == topic->reads)
            return true; /* and so have all behind it */
        if (is_enough(given, sub))
            return false;
        make_ready(sub);
        pp_list_remove(&sub->in_reading);
        pp_mb_pump(sub->session);
    }
    return true;
}

bool pp_mb_on_grown(pp_topic *topic)
{

    /* Who has seen least is in front, and who is through waits at the end again. */
    for (unsigned given = 0; !pp_list_empty(&topic->tail); given++) {
        pp_mb_sub *sub = PP_CONTAINER(topic->tail.next, pp_mb_sub, in_tail);

        if (sub->seen_seq == topic->settled_seq)
            return true;
        if (is_enough(given, sub))
            return false;
        pp_list_remove(&sub->in_tail);
        make_ready(sub);
        pp_mb_pump(sub->session);
    }
    return true;
}

/* --- subscribing -------------------------------------------------------------------------- */

static pp_mb_sub *find_sub(const pp_mb_session *s, const pp_topic *topic)
{
    uint64_t hash = topic->entry.hash;

    for (pp_table_entry *e = pp_table_first(&s->subs_by_topic, hash); e; e = e->next) {
        pp_mb_sub *sub = PP_CONTAINER(e, pp_mb_sub, entry);

        if (sub->topic == topic)
            return sub;
    }
    return NULL;
}

/* A message of it that is in flight is waited for all the same: its answer belongs to nobody. */
static void orphan_flight(pp_mb_sub *sub)
{
    pp_mb_session *s = sub->session;

    if (!s->flight.on || s->flight.sub != sub)
        return;
    s->flight.sub = NULL;
    s->flight.due_ns = pp_clock_after(s->conn->loop->now_ns, s->broker->settings.ack_timeout_ns);
}

static void end_sub(pp_mb_sub *sub)
{
    pp_mb_session *s = sub->session;

    orphan_flight(sub);
    pp_consumer_fini(&sub->consumer);
    note_consumer(sub); /* nothing is due any more */
    pp_table_remove(&s->subs_by_topic, &sub->entry);
    pp_list_remove(&sub->of_session);
    pp_list_remove(&sub->in_ready);
    pp_list_remove(&sub->in_tail);
    pp_list_remove(&sub->in_reading);
    pp_mb_add(&s->broker->gauges.subscriptions, -1);
    pp_loop_note_litter(s->conn->loop, SUB_BYTES);
    pp_free(sub);
}

void pp_mb_end_subs(pp_mb_session *s)
{
    while (!pp_list_empty(&s->subs))
        end_sub(PP_CONTAINER(s->subs.next, pp_mb_sub, of_session));
    if (s->flight.on)
        pp_mb_end_flight(s);
}

/* Without memory: NULL. */
static pp_mb_sub *new_sub(pp_mb_session *s, pp_topic *topic)
{
    pp_mb_broker *broker = s->broker;
    size_t subs = (size_t)atomic_load(&broker->gauges.subscriptions);
    pp_mb_sub *sub;

    if (pp_timers_reserve(&broker->timers, subs + 3)) /* it, the sweep's, the scrub's */
        return NULL;
    sub = pp_calloc(1, sizeof(*sub));
    if (!sub)
        return NULL;
    sub->entry.hash = topic->entry.hash;
    if (pp_table_add(&s->subs_by_topic, &sub->entry)) {
        pp_free(sub);
        return NULL;
    }
    sub->session = s;
    sub->topic = topic;
    pp_list_init(&sub->in_ready);
    pp_list_init(&sub->in_tail);
    pp_list_init(&sub->in_reading);
    pp_list_append(&s->subs, &sub->of_session);
    pp_mb_add(&broker->gauges.subscriptions, 1);
    return sub;
}

/* Where a subscription begins. Source: message-broker, section 7.2. */
static uint64_t first_seq(const pp_topic *topic, const pp_mb_op *op)
{
    if (op->start == PP_MB_BEGINNING)
        return 1;
    if (op->start == PP_MB_FROM && op->offset < topic->last_seq)
        return (uint64_t)op->offset + 1;
    return topic->last_seq + 1;
}

static pipit_err subscribe_to(pp_mb_session *s, pp_topic *topic)
{
    const pp_mb_settings *settings = &s->broker->settings;
    const pp_consumer_rules rules = {
        .max_deliver = settings->max_deliver,
        .max_outstanding = settings->outstanding_max,
        .ack_wait_ns = settings->ack_timeout_ns,
        .late_delay_ns = settings->ack_delay_ns,
    };
    pp_mb_sub *sub = find_sub(s, topic);

    if (!sub && pp_mb_sub_count(s) >= settings->subscriptions_max)
        return PIPIT_ELIMIT;
    if (sub)
        orphan_flight(sub);
    else
        sub = new_sub(s, topic);
    if (!sub)
        return PIPIT_ENOMEM;
    pp_consumer_fini(&sub->consumer);
    pp_consumer_init(&sub->consumer, &rules, first_seq(topic, &s->request));
    note_consumer(sub);
    make_ready(sub);
    return PIPIT_OK;
}

/* Have the next topic that is not open yet be opened, and wait for it. PIPIT_OK: all are. */
static pipit_err open_topics(pp_mb_session *s)
{
    int64_t now_ns = s->conn->loop->now_ns;
    size_t at = s->request_at;
    pp_topic *topic;
    pp_str name;
    pipit_err err;

    while (pp_mb_list_next(&s->reader.list, &at, &name)) {
        err = pp_topics_get(s->broker->topics, name, now_ns, &topic);
        if (err)
            return err;
        if (topic->state == PP_TOPIC_FAILED)
            return topic->open_err;
        if (topic->state == PP_TOPIC_OPENING) {
            pp_mb_hold(s, topic);
            return PIPIT_EAGAIN;
        }
        s->request_at = at;
    }
    return PIPIT_OK;
}

static pipit_err subscribe_all(pp_mb_session *s)
{
    size_t at = 0;
    pp_topic *topic;
    pp_str name;
    pipit_err err = PIPIT_OK;

    while (!err && pp_mb_list_next(&s->reader.list, &at, &name)) {
        err = pp_topics_get(s->broker->topics, name, s->conn->loop->now_ns, &topic);
        if (!err)
            err = subscribe_to(s, topic);
    }
    return err;
}

void pp_mb_subscribe_on(pp_mb_session *s)
{
    pipit_err err = open_topics(s);

    s->subscribing = err == PIPIT_EAGAIN;
    if (s->subscribing)
        return;
    if (!err)
        err = subscribe_all(s);
    pp_mb_list_fini(&s->reader.list);
    if (!err)
        pp_mb_send(s, PP_STR(PP_MB_SUBSCRIBED));
    else if (err == PIPIT_ELIMIT)
        pp_mb_send_error(s, "too many topics");
    else
        pp_mb_send_error(s, "failed to open topic");
}

void pp_mb_subscribe(pp_mb_session *s, const pp_mb_op *op)
{
    if (s->conn->loop->pressed) {
        pp_count(&s->conn->loop->counters->memory_refusals, 1);
        pp_mb_list_fini(&s->reader.list);
        pp_mb_send_error(s, "out of memory");
        return;
    }
    s->request = *op;
    s->request_at = 0;
    if (s->reader.list.count > s->broker->settings.subscriptions_max) {
        pp_mb_list_fini(&s->reader.list);
        pp_mb_send_error(s, "too many topics");
        return;
    }
    pp_mb_subscribe_on(s);
}

void pp_mb_unsubscribe(pp_mb_session *s)
{
    size_t at = 0;
    pp_str name;

    while (pp_mb_sub_count(s) && pp_mb_list_next(&s->reader.list, &at, &name)) {
        const pp_topic *topic = pp_topics_find(s->broker->topics, name);
        pp_mb_sub *sub = topic ? find_sub(s, topic) : NULL;

        if (sub)
            end_sub(sub);
    }
    pp_mb_list_fini(&s->reader.list);
    pp_mb_send(s, PP_STR(PP_MB_UNSUBSCRIBED));
}

/* --- answers ------------------------------------------------------------------------------ */

/* Whatever is said while a message is in flight is about that. Without one, it is too late, or
 * nothing that is known. Source: message-broker, section 5.3. */
void pp_mb_answer(pp_mb_session *s, uint16_t action)
{
    pp_mb_broker *broker = s->broker;
    pp_mb_sub *sub = s->flight.sub;

    if (!s->flight.on) {
        if (action != PP_MB_ACK && action != PP_MB_NACK)
            pp_mb_send_error(s, "unknown action");
        return;
    }
    pp_mb_end_flight(s);
    if (!sub)
        return;
    if (action == PP_MB_ACK) {
        pp_count(&broker->counters.acks, 1);
        (void)pp_consumer_ack(&sub->consumer, s->flight.seq);
    } else {
        pp_count(&broker->counters.nacks, 1);
        if (pp_consumer_nack(&sub->consumer, s->flight.seq, broker->settings.ack_delay_ns,
                             s->conn->loop->now_ns) == PP_CONSUMER_DROPPED)
            give_up(sub);
    }
    note_consumer(sub);
    make_ready(sub);
}
