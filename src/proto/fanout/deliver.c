/* What the core asks of a subscriber: a message becomes the line "channel!message".
 *
 * Nobody waits for a subscriber who has stopped reading. One that does read, but lags, may make
 * publishers wait for a moment, as elsewhere, so that a burst does not cost it its connection; how
 * often is paid for in advance (patience_ns): STALLS_AT_ONCE in a row, then one for each
 * stall_price_ns, which at 10 ms each is half a percent of the time. */
#include "proto/fanout/session.h"

#include <string.h>

enum {
    STALLS_AT_ONCE = 10,
    LINE_COST = 16,     /* in deliveries: a send of its own */
    LINE_STAGED = 1024, /* what a line counts for in what is staged: so many sends are to come */
};

static const int64_t reading_ns = 20000000; /* who has taken something since then reads */
static const int64_t stall_price_ns = 2000000000;

static pp_fanout_context *context_here(const pp_fanout_session *s, const pp_loop *loop)
{
    return &s->context->door->contexts[loop->index];
}

static void *client_outlet(pp_client *client, uint32_t router_index)
{
    pp_fanout_session *s = pp_fanout_session_of(client);

    return pp_conn_outlet(s->conn, s->context->door->contexts[router_index].loop);
}

static bool client_closing(pp_client *client, uint32_t router_index)
{
    pp_fanout_session *s = pp_fanout_session_of(client);

    return pp_conn_is_closing(s->conn, s->context->door->contexts[router_index].loop);
}

static size_t client_head(const pp_sub *sub, pp_str subject, char *out)
{
    pp_str channel = pp_sub_sid(sub);

    (void)subject;
    if (out) {
        memcpy(out, channel.ptr, channel.len);
        out[channel.len] = '!';
    }
    return channel.len + 1;
}

/* --- what a line can carry ---------------------------------------------------------------- */

static bool is_line(pp_str text)
{
    return text.len == 0 ||
           (!memchr(text.ptr, '\n', text.len) && !memchr(text.ptr, '\0', text.len));
}

/* Messages from this door are lines; others are looked at once, however many hear them. */
static bool carries(pp_fanout_context *here, const pp_msg *msg, pp_str payload)
{
    if (msg->from && msg->from->ops == &pp_fanout_client_ops)
        return true;
    if (here->judged != here->router->messages) {
        here->judged = here->router->messages;
        here->carried = is_line(payload);
    }
    return here->carried;
}

/* --- who does not keep up ----------------------------------------------------------------- */

typedef enum standing { KEEPS_UP, LAGS, OVERFLOWS } standing;

/* Send what is staged now, and not at the end of the turn. */
static void flush_early(pp_outlet *outlet)
{
    if (outlet->has_answer)
        pp_loop_flush(outlet->loop);
    else
        pp_outlet_flush(outlet);
}

/* Lines that are many may only be waiting for the turn to end. */
static standing judge_many(const pp_fanout_session *s, pp_outlet *outlet, uint32_t lines_max)
{
    uint32_t lines;

    flush_early(outlet);
    lines = atomic_load_explicit(&s->lines, memory_order_relaxed);
    if (lines >= lines_max)
        return OVERFLOWS;
    return outlet->gated || lines > lines_max / 4 * 3 ? LAGS : KEEPS_UP;
}

static standing judge(const pp_fanout_session *s, pp_outlet *outlet, uint32_t lines_max)
{
    if (PP_UNLIKELY(atomic_load_explicit(&s->lines, memory_order_relaxed) >= lines_max / 2))
        return judge_many(s, outlet, lines_max);
    return PP_UNLIKELY(outlet->gated) ? LAGS : KEEPS_UP;
}

/* It has missed a line, and better knows that: its loop closes it. */
static void give_up(pp_fanout_session *s, pp_close_reason reason)
{
    pp_mutex_lock(&s->conn->box.lock);
    if (!s->conn->box.closed)
        pp_conn_fault_locked(s->conn, reason);
    pp_mutex_unlock(&s->conn->box.lock);
}

static bool may_wait_for(pp_fanout_session *s, int64_t now_ns)
{
    int64_t paid_ns = atomic_load_explicit(&s->patience_ns, memory_order_relaxed);

    if (now_ns - atomic_load_explicit(&s->taken_ns, memory_order_relaxed) > reading_ns)
        return false;
    paid_ns = (paid_ns > now_ns ? paid_ns : now_ns) + stall_price_ns;
    if (paid_ns - now_ns > STALLS_AT_ONCE * stall_price_ns)
        return false;
    atomic_store_explicit(&s->patience_ns, paid_ns, memory_order_relaxed);
    return true;
}

/* Make the publisher wait for who lags, if that is called for. Where memory is short it is, and
 * this message is the publisher's last for now. */
static void hold_publisher(pp_fanout_session *s, pp_outlet *outlet)
{
    pp_loop *loop = outlet->loop;

    if (outlet->gated_pressed && !pp_outlet_lags(outlet))
        return;
    if (loop->pressed)
        loop->staged_bytes += PP_STAGED_MAX;
    else if (loop->gate || !may_wait_for(s, loop->now_ns))
        return;
    loop->gate = outlet;
}

/* --- delivering --------------------------------------------------------------------------- */

/* The line, of which nothing is staged if memory does not suffice. A long message that lies in a
 * body is referred to there. */
static bool write_line(pp_outlet *outlet, pp_str head, const pp_msg *msg, pp_str payload)
{
    bool refer = msg->body && payload.len >= PP_MSG_REFER_MIN;
    char *room;

    if (refer && outlet->ref_count + 1 == PP_OUTLET_REFS_MAX)
        flush_early(outlet); /* the last one would flush in the middle of the line */
    room = pp_outlet_room(outlet, head.len + (refer ? 0 : payload.len) + 1);
    if (!room || (refer && !pp_outlet_reserve_ref(outlet)))
        return false;
    memcpy(room, head.ptr, head.len);
    if (!refer) {
        if (payload.len)
            memcpy(room + head.len, payload.ptr, payload.len);
        room[head.len + payload.len] = '\n';
        pp_outlet_wrote(outlet, head.len + payload.len + 1);
        return true;
    }
    pp_outlet_wrote(outlet, head.len);
    return pp_outlet_refer(outlet, payload, msg->body) && pp_outlet_write(outlet, PP_STR("\n"));
}

static bool client_deliver(void *way, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_outlet *outlet = way;
    pp_fanout_session *s = pp_fanout_session_of(sub->client);
    pp_fanout_context *here = context_here(s, outlet->loop);
    pp_str payload = pp_msg_payload(msg);
    standing stands = judge(s, outlet, here->settings->queue_lines);

    if (PP_UNLIKELY(head.len + payload.len > here->settings->line_max) ||
        PP_UNLIKELY(!carries(here, msg, payload))) {
        pp_count(&here->counters.undeliverable, 1);
        return false;
    }
    if (PP_UNLIKELY(stands == LAGS))
        hold_publisher(s, outlet);
    if (PP_UNLIKELY(stands == OVERFLOWS)) {
        give_up(s, PP_CLOSE_SLOW_PENDING);
        return false;
    }
    (void)atomic_fetch_add_explicit(&s->lines, 1, memory_order_relaxed);
    if (!write_line(outlet, head, msg, payload)) {
        (void)atomic_fetch_sub_explicit(&s->lines, 1, memory_order_relaxed);
        give_up(s, PP_CLOSE_NO_MEMORY);
        return false;
    }
    outlet->msgs++;
    outlet->bytes += payload.len;
    outlet->loop->staged_bytes += LINE_STAGED;
    here->router->in_vain += LINE_COST - 1;
    pp_count(&here->counters.messages, 1);
    return true;
}

static void client_identify(const pp_client *client, pp_client_identity *out)
{
    out->id = PP_CONTAINER(client, pp_fanout_session, client)->conn->id;
}

const struct pp_client_ops pp_fanout_client_ops = {
    .outlet = client_outlet,
    .closing = client_closing,
    .head = client_head,
    .deliver = client_deliver,
    .identify = client_identify,
};
