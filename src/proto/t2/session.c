#include "proto/t2/session.h"

#include "base/assert.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "proto/t2/bridge.h"
#include "proto/t2/request.h"
#include "proto/t2/stage.h"
#include "t2/writer.h"
#include "tls/layer.h"

enum {
    TURN_COST_MAX = 32768, /* of one connection's input in a turn, in deliveries */
    MESSAGE_COST = 8,
    GATHERED_MIN = 8, /* messages at once: they come from many that are under way together */
    TEXT_MAX = 1024,  /* of what an Ack repeats */
};

/* --- answers ------------------------------------------------------------------------------ */

static void stage_ack(pp_t2_session *s, size_t len, char *room)
{
    if (!room) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    pp_outlet_wrote(&s->conn->own, len);
    /* When it is there, so is what the message has brought about for others. */
    pp_outlet_mark_answer(&s->conn->own);
}

/* Cut to what is repeated, at a character's border. */
static pp_str cut(pp_str text)
{
    if (text.len <= TEXT_MAX)
        return text;
    text.len = TEXT_MAX;
    while (text.len && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80)
        text.len--;
    return text;
}

void pp_t2_ack_failure(pp_t2_session *s, uint32_t msg_id, pp_t2_error_code code, pp_str text)
{
    char told[TEXT_MAX + 64];
    pp_t2_message ack = {.id = s->lane->next_id++,
                         .kind = PP_T2_ACK,
                         .msg_id = msg_id,
                         .error = {.code = code, .text = cut(text)}};
    char *room;

    if (code == PP_T2_INVALID_TOPIC_STRING) {
        /* The original has the phrase in the text, too, so that its clients show it twice. */
        pp_str phrase = PP_STR("Invalid topic string: ");

        memcpy(told, phrase.ptr, phrase.len);
        memcpy(told + phrase.len, ack.error.text.ptr, ack.error.text.len);
        ack.error.text = (pp_str){told, phrase.len + ack.error.text.len};
    }
    room = pp_outlet_room(&s->conn->own, pp_t2_frame_max(&ack));
    stage_ack(s, room ? pp_t2_write_frame(&ack, room) : 0, room);
}

void pp_t2_ack(pp_t2_session *s, uint32_t msg_id)
{
    char *room = pp_outlet_room(&s->conn->own, PP_T2_BRIEF_MAX);

    stage_ack(s, room ? pp_t2_write_ack(room, s->lane->next_id++, msg_id) : 0, room);
}

static void ack_publish(pp_t2_session *s, uint32_t msg_id, size_t recipients)
{
    char *room = pp_outlet_room(&s->conn->own, PP_T2_BRIEF_MAX);

    stage_ack(s, room ? pp_t2_write_counted_ack(room, s->lane->next_id++, msg_id, recipients) : 0,
              room);
}

/* What went wrong inside, in words. */
static void ack_error(pp_t2_session *s, uint32_t msg_id, pipit_err err)
{
    pp_str text = err == PIPIT_ENOMEM    ? PP_STR("out of memory")
                  : err == PIPIT_ELIMIT  ? PP_STR("too many subscriptions")
                  : err == PIPIT_ETOOBIG ? PP_STR("message too long")
                                         : PP_STR("failed");

    if (err == PIPIT_EINUSE)
        pp_t2_ack_failure(s, msg_id, PP_T2_TOPIC_ALREADY_CLAIMED, PP_STR(""));
    else if (err)
        pp_t2_ack_failure(s, msg_id, PP_T2_INTERNAL_ERROR, text);
    else
        pp_t2_ack(s, msg_id);
}

/* --- messages ----------------------------------------------------------------------------- */

static void on_publish(pp_t2_session *s, const pp_t2_message *m, const pp_t2_topic *topic,
                       pp_body *in)
{
    pp_t2_lane *lane = s->lane;
    pp_t2_bulk bulk;
    size_t count = 0;
    pipit_err err = pp_t2_bus_match(lane, topic);

    if (!err && lane->found_count) {
        err = pp_t2_bulk_content(&bulk, m, in);
        if (!err) {
            count = pp_t2_stage_to_found(lane, &bulk);
            pp_t2_bulk_fini(&bulk);
        }
    }
    if (!err && !topic->wildcard)
        pp_t2_bridge_publish(lane, m->topic, &m->payload);
    if (err)
        ack_error(s, m->id, err);
    else
        ack_publish(s, m->id, count);
}

static void on_claim(pp_t2_session *s, const pp_t2_message *m, const pp_t2_topic *topic)
{
    if (topic->wildcard) {
        pp_t2_ack_failure(s, m->id, PP_T2_CLAIM_WILDCARD_NOT_SUPPORTED, PP_STR(""));
    } else if (m->kind == PP_T2_SRV) {
        ack_error(s, m->id, pp_t2_bus_claim(s, m->topic));
    } else {
        pp_t2_bus_unclaim(s, m->topic);
        pp_t2_ack(s, m->id);
    }
}

static void on_topic(pp_t2_session *s, const pp_t2_message *m, pp_body *in)
{
    pp_t2_topic topic;

    if (!pp_t2_topic_parse(&topic, m->topic)) {
        pp_t2_ack_failure(s, m->id, PP_T2_INVALID_TOPIC_STRING, m->topic);
        return;
    }
    switch (m->kind) {
    case PP_T2_SUB:
        if (s->conn->loop->pressed)
            ack_error(s, m->id, PIPIT_ENOMEM);
        else
            ack_error(s, m->id, pp_t2_bus_subscribe(s, &topic));
        break;
    case PP_T2_UNSUB:
        pp_t2_bus_unsubscribe(s, &topic);
        pp_t2_ack(s, m->id);
        break;
    case PP_T2_PUB:
        on_publish(s, m, &topic, in);
        break;
    default:
        on_claim(s, m, &topic);
        break;
    }
}

static void on_stop(pp_t2_session *s, const pp_t2_message *m)
{
    pp_t2_bus *bus = s->lane->bus;

    if (!atomic_load_explicit(&bus->limits.allow_stop, memory_order_relaxed)) {
        pp_t2_ack_failure(s, m->id, PP_T2_INTERNAL_ERROR, PP_STR("stop not permitted"));
        return;
    }
    pp_t2_ack(s, m->id);
    bus->host.stop(bus->host.context);
}

static void on_message(pp_t2_session *s, const pp_t2_message *m)
{
    pp_body *in = s->conn->in_body ? s->conn->body : NULL;

    switch (m->kind) {
    case PP_T2_REQ:
        pp_t2_on_request(s, m, in);
        break;
    case PP_T2_RSP:
        pp_t2_on_response(s, m, in);
        break;
    case PP_T2_STOP:
        on_stop(s, m);
        break;
    case PP_T2_KEEP_ALIVE:
        pp_t2_ack(s, m->id);
        break;
    case PP_T2_ACK: /* servers say that */
        pp_count(&s->conn->loop->counters->protocol_errors, 1);
        pp_conn_close(s->conn, PP_CLOSE_PROTOCOL, true);
        break;
    default:
        on_topic(s, m, in);
        break;
    }
}

static void count_in(pp_t2_session *s, const pp_t2_message *m)
{
    pp_counters *counters = s->conn->loop->counters;
    size_t bytes = m->payload.is_array ? m->payload.count : m->payload.data.len;

    if (m->kind != PP_T2_PUB && m->kind != PP_T2_REQ && m->kind != PP_T2_RSP)
        return;
    s->conn->in_msgs++;
    s->conn->in_bytes += bytes;
    pp_count(&counters->in_msgs, 1);
    pp_count(&counters->in_bytes, bytes);
}

/* Without a word, as the original does it. What was said before is answered. */
static void refuse(pp_t2_session *s, pipit_err err)
{
    pp_count(&s->conn->loop->counters->protocol_errors, err != PIPIT_ENOMEM);
    pp_conn_close(s->conn,
                  err == PIPIT_ENOMEM    ? PP_CLOSE_NO_MEMORY
                  : err == PIPIT_ETOOBIG ? PP_CLOSE_PAYLOAD
                                         : PP_CLOSE_PARSE_ERROR,
                  err != PIPIT_ENOMEM);
}

static void on_bytes(void *session, pp_str window, size_t *out_used, size_t *out_want)
{
    pp_t2_session *s = session;
    pp_loop *loop = s->conn->loop;
    pp_t2_lane *lane = s->lane;
    size_t frame_max = atomic_load_explicit(&lane->bus->limits.frame_max, memory_order_relaxed);
    uint64_t cost = 0;
    unsigned count = 0;
    size_t used = 0;

    while (used < window.len && !s->conn->closing) {
        pp_t2_message m;
        size_t n;
        pipit_err err = pp_t2_read(&lane->reader, (pp_str){window.ptr + used, window.len - used},
                                   frame_max, &m, &n);

        if (err == PIPIT_EAGAIN) {
            *out_want = n;
            break;
        }
        if (err) {
            refuse(s, err);
            break;
        }
        used += n;
        s->heard_ns = loop->now_ns;
        lane->cost = 0;
        lane->found_count = 0;
        count_in(s, &m);
        on_message(s, &m);
        count++;
        cost += MESSAGE_COST + lane->found_count + lane->cost;
        if (loop->staged_bytes > loop->staged_max)
            pp_loop_flush(loop);
        if (cost > TURN_COST_MAX || s->conn->paused) {
            pp_conn_yield(s->conn);
            break;
        }
    }
    *out_used = used;
    /* Who says several things at once does not wait for each answer, and writes each by itself: it
     * has the processor until it does wait, rather than be interrupted for every few. */
    s->conn->source.says_much = count >= GATHERED_MIN;
    loop->gives_way |= count >= GATHERED_MIN;
}

/* --- life --------------------------------------------------------------------------------- */

static int64_t timeout_ns(const pp_t2_session *s)
{
    const pp_t2_limits *limits = &s->lane->bus->limits;

    return atomic_load_explicit(s->expects_layer ? &limits->handshake_ns : &limits->keep_alive_ns,
                                memory_order_relaxed);
}

static void on_timer(void *session)
{
    pp_t2_session *s = session;
    int64_t due_ns = s->heard_ns + timeout_ns(s);

    if (due_ns > s->conn->loop->now_ns) {
        pp_conn_set_timer(s->conn, due_ns);
        return;
    }
    pp_count(&s->conn->loop->counters->stale_connections, !s->expects_layer);
    pp_conn_close(s->conn, s->expects_layer ? PP_CLOSE_AUTH_TIMEOUT : PP_CLOSE_STALE, false);
}

static void on_layer(void *session, pp_layer *layer)
{
    pp_t2_session *s = session;

    (void)layer;
    s->expects_layer = false;
    s->heard_ns = s->conn->loop->now_ns;
    pp_conn_set_timer(s->conn, s->heard_ns + timeout_ns(s));
}

static pipit_err open_session(void *session, pp_conn *conn)
{
    pp_t2_session *s = session;
    pp_t2_bus *bus = conn->door->context;
    unsigned max = atomic_load_explicit(&bus->limits.clients_max, memory_order_relaxed);

    s->conn = conn;
    s->lane = &bus->lanes[conn->loop->index];
    s->start_ns = s->heard_ns = pp_clock_mono_ns();
    s->expects_layer = conn->door->wrap != NULL;
    pp_t2_bus_enter(s);
    s->entered = true;
    if (atomic_fetch_add(&bus->clients, 1) >= max || pp_ceiling_pressed()) {
        (void)atomic_fetch_add_explicit(&bus->refused, 1, memory_order_relaxed);
        pp_conn_close(conn, PP_CLOSE_CONNECTIONS, false);
        return PIPIT_OK;
    }
    pp_conn_set_timer(conn, conn->loop->now_ns + timeout_ns(s));
    return PIPIT_OK;
}

static void on_close(void *session)
{
    pp_t2_session *s = session;

    if (!s->entered)
        return; /* it was never opened, or memory was short */
    s->entered = false;
    if (s->lane->bus->host.closed)
        s->lane->bus->host.closed(s->lane->bus->host.context, s->conn);
    pp_t2_bus_leave(s);
    pp_t2_requests_leave(s);
    (void)atomic_fetch_sub(&s->lane->bus->clients, 1);
}

static void free_session(void *session)
{
    PP_ASSERT(!((pp_t2_session *)session)->entered);
}

const pp_proto_ops pp_t2_proto = {
    .name = "t2",
    .session_bytes = sizeof(pp_t2_session),
    .open = open_session,
    .on_bytes = on_bytes,
    .on_timer = on_timer,
    .on_layer = on_layer,
    .on_close = on_close,
    .free = free_session,
};
