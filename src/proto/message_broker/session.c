#include "proto/message_broker/session.h"

#include "base/ceiling.h"
#include "base/clock.h"
#include "proto/message_broker/writer.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    FRAMES_PER_TURN = 4096,    /* of one client's input; then others have their turn */
    DRAINED_MAX = 1024 * 1024, /* bytes that are taken from who is closed, so that it is no reset */
};

/* How long who has been told to go may take to read that. */
static const int64_t leave_ns = 2 * PP_NS_PER_S;

static const char not_stored[] = "failed to send message to subscribers";

/* --- saying ------------------------------------------------------------------------------- */

void pp_mb_send(pp_mb_session *s, pp_str bytes)
{
    if (!s->conn->closing && !pp_outlet_write(&s->conn->own, bytes))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
}

void pp_mb_send_error(pp_mb_session *s, const char *text)
{
    char status[PP_MB_ERROR_BYTES];

    pp_count(&s->broker->counters.errors, 1);
    pp_mb_send(s, (pp_str){status, pp_mb_write_error(text, status)});
}

/* It has been told why. What is staged is sent, and it may still read it. */
static void leave(pp_mb_session *s)
{
    if (s->conn->closing)
        return;
    s->leaving = true;
    pp_mb_end_subs(s);
    pp_conn_ask_sent(s->conn);
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + leave_ns);
}

static void on_sent(void *session)
{
    pp_mb_session *s = session;

    if (s->leaving)
        pp_conn_shut_write(s->conn);
}

/* --- waiting ------------------------------------------------------------------------------ */

void pp_mb_hold(pp_mb_session *s, pp_topic *topic)
{
    s->held = true;
    pp_list_append(&topic->stalled, &s->in_stalled);
    pp_conn_stop_reading(s->conn);
}

static void go_on(pp_mb_session *s)
{
    s->held = false;
    s->frame_ns = s->conn->loop->now_ns;
    pp_conn_start_reading(s->conn);
    pp_mb_schedule(s);
}

void pp_mb_on_ready(pp_topic *topic)
{
    pp_link waiting;

    if (pp_list_empty(&topic->stalled))
        return;
    /* Taken aside: who goes on may have to wait again. */
    waiting = topic->stalled;
    waiting.next->prev = waiting.prev->next = &waiting;
    pp_list_init(&topic->stalled);
    while (!pp_list_empty(&waiting)) {
        pp_mb_session *s = PP_CONTAINER(waiting.next, pp_mb_session, in_stalled);

        pp_list_remove(&s->in_stalled);
        if (s->subscribing) {
            s->held = false;
            pp_mb_subscribe_on(s);
            if (s->held || s->conn->closing)
                continue;
        }
        go_on(s);
        pp_mb_pump_one_of_many(s);
    }
}

/* --- publishing --------------------------------------------------------------------------- */

static void refuse_message(pp_mb_session *s, pipit_err err, const pp_topic *topic)
{
    pp_count(&s->broker->counters.refused, 1);
    pp_mb_log(s->broker, PP_LOG_WARN, pipit_strerror(err), s->conn, topic);
    pp_mb_send_error(s, not_stored);
}

static void publish(pp_mb_session *s, const pp_mb_op *op, int64_t wall_ns)
{
    pp_mb_broker *broker = s->broker;
    pp_loop *loop = s->conn->loop;
    pp_topic *topic = s->topic;
    pipit_err err = PIPIT_OK;

    if (!topic || topic->state == PP_TOPIC_FAILED || !pp_str_eq(topic->name, op->topic)) {
        topic = NULL;
        err = pp_topics_get(broker->topics, op->topic, loop->now_ns, &topic);
    }
    if (!err) {
        s->topic = topic;
        err = pp_topic_publish(topic, s->conn->id, op->data, wall_ns);
    }
    if (err && err != PIPIT_EAGAIN) {
        refuse_message(s, err, topic);
        return;
    }
    s->conn->in_msgs++;
    s->conn->in_bytes += op->data.len;
    pp_count(&loop->counters->in_msgs, 1);
    pp_count(&loop->counters->in_bytes, op->data.len);
    pp_count(&broker->counters.published, 1);
    if (err == PIPIT_EAGAIN)
        pp_mb_hold(s, topic);
}

void pp_mb_on_lost(pp_mb_broker *broker, pp_topic *topic, uint64_t publisher)
{
    pp_conn *conn = publisher ? pp_conn_find(broker->home, publisher) : NULL;

    if (conn && !conn->closing) {
        refuse_message((pp_mb_session *)(void *)conn->session, PIPIT_EIO, topic);
        return;
    }
    pp_count(&broker->counters.refused, 1);
    pp_mb_log(broker, PP_LOG_WARN, "a message could not be stored", NULL, topic);
}

/* --- reading ------------------------------------------------------------------------------ */

static void operate(pp_mb_session *s, const pp_mb_op *op, int64_t wall_ns)
{
    switch (op->kind) {
    case PP_MB_OP_PUBLISH:
        publish(s, op, wall_ns);
        break;
    case PP_MB_OP_SUBSCRIBE:
        pp_mb_subscribe(s, op);
        break;
    case PP_MB_OP_UNSUBSCRIBE:
        pp_mb_unsubscribe(s);
        break;
    case PP_MB_OP_ANSWER:
        pp_mb_answer(s, op->action);
        break;
    case PP_MB_OP_BAD:
        pp_mb_send_error(s, op->error);
        if (!op->over)
            break;
        pp_count(&s->conn->loop->counters->protocol_errors, 1);
        leave(s);
        break;
    }
}

/* Go through the frames of window; returns how much of it was taken. */
static size_t read_frames(pp_mb_session *s, pp_str window, size_t *out_want)
{
    pp_loop *loop = s->conn->loop;
    int64_t wall_ns = pp_clock_wall_ns();
    size_t used = 0;

    for (unsigned frames = 0; !s->conn->closing && !s->leaving && !s->held; frames++) {
        pp_mb_op op;
        size_t n;
        pipit_err err;

        if (frames && (frames == FRAMES_PER_TURN || loop->staged_bytes > loop->staged_max)) {
            pp_conn_yield(s->conn);
            break;
        }
        err = pp_mb_read(&s->reader, (pp_str){window.ptr + used, window.len - used}, &op, &n,
                         out_want);
        used += n;
        if (err == PIPIT_ENOMEM)
            pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        if (err)
            break;
        *out_want = 0;
        s->frame_ns = loop->now_ns;
        operate(s, &op, wall_ns);
    }
    if (s->held)
        pp_conn_yield(s->conn); /* what is left comes when it goes on */
    return s->leaving ? window.len : used;
}

static void on_bytes(void *session, pp_str window, size_t *out_used, size_t *out_want)
{
    pp_mb_session *s = session;
    bool was_in_frame = s->reader.in_frame;

    *out_used = window.len;
    if (s->leaving)
        return;
    s->active_ns = s->conn->loop->now_ns;
    if (!was_in_frame)
        s->frame_ns = s->active_ns;
    *out_used = read_frames(s, window, out_want);
    if (s->conn->closing || s->leaving)
        return;
    s->conn->kept = (uint32_t)(s->reader.topic.len + s->reader.list.packed.len);
    pp_mb_pump(s);
    pp_mb_schedule(s);
}

/* --- life --------------------------------------------------------------------------------- */

/* When the session's timer has something to do; INT64_MAX: never. */
static int64_t next_due(const pp_mb_session *s)
{
    int64_t due_ns = INT64_MAX;

    if (s->reader.in_frame && !s->held)
        due_ns = pp_clock_after(s->frame_ns, s->broker->settings.frame_timeout_ns);
    if (s->flight.on && !s->flight.sub && s->flight.due_ns < due_ns)
        due_ns = s->flight.due_ns;
    return due_ns;
}

/* It may go off in vain: so it need not be set anew with each frame. */
void pp_mb_schedule(pp_mb_session *s)
{
    int64_t due_ns = next_due(s);

    if (s->conn->closing || s->leaving || due_ns == INT64_MAX)
        return;
    if (s->conn->timer.place == PP_TIMER_IDLE || s->conn->timer.due_ns > due_ns)
        pp_conn_set_timer(s->conn, due_ns);
}

static void on_timer(void *session)
{
    pp_mb_session *s = session;
    int64_t now_ns = s->conn->loop->now_ns;

    if (s->leaving) {
        pp_conn_close(s->conn, PP_CLOSE_PROTOCOL, false);
        return;
    }
    if (s->reader.in_frame && !s->held &&
        now_ns - s->frame_ns >= s->broker->settings.frame_timeout_ns) {
        pp_count(&s->broker->counters.frame_timeouts, 1);
        pp_conn_close(s->conn, PP_CLOSE_STALE, true);
        return;
    }
    if (s->flight.on && !s->flight.sub && s->flight.due_ns <= now_ns) {
        pp_mb_end_flight(s);
        pp_mb_pump_one_of_many(s);
    }
    pp_mb_schedule(s);
}

static pipit_err open_session(void *session, pp_conn *conn)
{
    pp_mb_session *s = session;
    pp_mb_broker *broker = conn->door->context;

    s->conn = conn;
    s->broker = broker;
    s->reader.data_max = broker->settings.data_max;
    s->reader.in_frame = true; /* the first action is awaited */
    s->start_ns = s->active_ns = s->frame_ns = conn->loop->now_ns;
    pp_list_init(&s->subs);
    pp_list_init(&s->ready);
    pp_list_init(&s->in_stalled);
    if (atomic_load(&broker->gauges.clients) >= broker->settings.clients_max ||
        pp_ceiling_pressed()) {
        pp_count(&broker->counters.clients_refused, 1);
        pp_mb_log(broker, PP_LOG_WARN, "client turned away: no room", conn, NULL);
        pp_conn_close(conn, PP_CLOSE_CONNECTIONS, false);
        return PIPIT_OK;
    }
    s->counted = true;
    pp_mb_add(&broker->gauges.clients, 1);
    pp_mb_schedule(s);
    return PIPIT_OK;
}

/* What the peer has sent is taken, so that its socket ends and is not reset: clients of the
 * original come back after the one and give up after the other.
 * Source: message-broker, section 5.4. */
static void drain(pp_conn *conn)
{
    char said[4096];
    size_t taken = 0;
    ssize_t n;

    do {
        n = recv(conn->source.fd, said, sizeof(said), MSG_DONTWAIT);
        taken += n > 0 ? (size_t)n : 0;
    } while ((n > 0 || (n < 0 && errno == EINTR)) && taken < DRAINED_MAX);
}

static void on_close(void *session)
{
    pp_mb_session *s = session;

    if (!s->broker)
        return;
    s->broker->on_closed(s->broker->host_ctx, s->conn); /* it still knows what it subscribed to */
    pp_mb_end_subs(s);
    pp_list_remove(&s->in_stalled);
    if (s->counted)
        pp_mb_add(&s->broker->gauges.clients, -1);
    s->counted = false;
    drain(s->conn);
}

static void free_session(void *session)
{
    pp_mb_session *s = session;

    pp_mb_reader_fini(&s->reader);
    pp_table_fini(&s->subs_by_topic);
}

static void renew(pp_conn *conn, void *arg)
{
    pp_mb_session *s = (pp_mb_session *)(void *)conn->session;

    if (conn->door->context == arg && conn->door->proto == &pp_mb_proto)
        s->reader.data_max = s->broker->settings.data_max;
}

void pp_mb_renew_sessions(pp_mb_broker *broker)
{
    pp_conn_each(broker->home, renew, broker);
}

const pp_proto_ops pp_mb_proto = {
    .name = "message_broker",
    .session_bytes = sizeof(pp_mb_session),
    .open = open_session,
    .on_bytes = on_bytes,
    .on_timer = on_timer,
    .on_sent = on_sent,
    .on_close = on_close,
    .free = free_session,
    .hears_end = true,
};
