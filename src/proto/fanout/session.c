#include "proto/fanout/session.h"

#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "proto/fanout/writer.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    TURN_COST_MAX = 32768, /* of one client's input, in deliveries to other doors */
    LINE_READ_COST = 8,
    SUBSCRIBE_COST = 128,
    INFO_COST = 64,
    SECURING_MAX = 256, /* clients beyond the limit whose handshake is worth telling them so */
};

/* How long who has been turned away may take to read that. */
static const int64_t leave_ns = 2 * PP_NS_PER_S;

void pp_fanout_send(pp_fanout_session *s, pp_str bytes, unsigned lines)
{
    (void)atomic_fetch_add_explicit(&s->lines, lines, memory_order_relaxed);
    if (!pp_outlet_write(&s->conn->own, bytes))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
}

static void log_limited(const pp_fanout_session *s, pp_log_limit *limit, pp_log_level level,
                        const char *what)
{
    uint64_t left_out;
    char peer[48], others[48] = "";

    if (!pp_log_limit_allows(limit, s->conn->loop->now_ns, &left_out))
        return;
    pp_conn_peer_text(s->conn, peer);
    if (left_out)
        (void)snprintf(others, sizeof(others), " not_logged=%llu", (unsigned long long)left_out);
    pp_log_write(s->context->door->log, level, "fanout: %s peer=%s:%u cid=%llu%s", what, peer,
                 s->conn->peer_port, (unsigned long long)s->conn->id, others);
}

/* --- operations --------------------------------------------------------------------------- */

/* An answer: what its client has announced before goes before it. */
static void answer(pp_fanout_session *s, pp_str bytes, unsigned lines)
{
    pp_fanout_send(s, bytes, lines);
    pp_outlet_mark_answer(&s->conn->own);
}

static void say_time(pp_fanout_session *s)
{
    char line[PP_FANOUT_TIME_BYTES];
    size_t len = pp_fanout_time((uint64_t)(pp_clock_wall_ns() / PP_NS_PER_S), line);

    pp_count(&s->context->counters.pings, 1);
    answer(s, (pp_str){line, len}, 1);
}

static void say_info(pp_fanout_session *s)
{
    const pp_fanout_door *door = s->context->door;
    struct rlimit descriptors = {0};
    pp_fanout_totals totals;
    pp_fanout_facts facts;
    char lines[PP_FANOUT_INFO_BYTES];

    (void)getrlimit(RLIMIT_NOFILE, &descriptors);
    pp_fanout_sum(door, &totals);
    facts = (pp_fanout_facts){
        .uptime_s = (uint64_t)((pp_clock_mono_ns() - door->start_ns) / PP_NS_PER_S),
        .client_limit = s->context->settings->client_limit,
        .rejected = atomic_load(&door->rejected),
        .descriptors_soft = descriptors.rlim_cur,
        .descriptors_hard = descriptors.rlim_max,
        .max_connections = (uint64_t)atomic_load(&door->clients_most),
        .connections = (uint64_t)atomic_load(&door->clients),
        .channels = atomic_load(&door->channels.count),
        .subscriptions = totals.subscribes > totals.unsubscribes
                             ? totals.subscribes - totals.unsubscribes
                             : 0, /* loops count for themselves */
        .total_connections = totals.connections,
        .announcements = totals.announcements,
        .messages = totals.messages,
        .subscribes = totals.subscribes,
        .unsubscribes = totals.unsubscribes,
        .pings = totals.pings,
    };
    answer(s, (pp_str){lines, pp_fanout_info(&facts, lines)}, PP_FANOUT_INFO_LINES);
}

/* Returns what it cost, in deliveries. */
static uint64_t operate(pp_fanout_session *s, const pp_fanout_op *op)
{
    switch (op->verb) {
    case PP_FANOUT_NOTHING:
        return LINE_READ_COST;
    case PP_FANOUT_PING:
        say_time(s);
        return INFO_COST;
    case PP_FANOUT_INFO:
        say_info(s);
        return PP_FANOUT_INFO_LINES * INFO_COST;
    case PP_FANOUT_SUBSCRIBE:
        pp_fanout_subscribe(s, op->channel);
        return SUBSCRIBE_COST;
    case PP_FANOUT_UNSUBSCRIBE:
        pp_fanout_unsubscribe(s, op->channel);
        return SUBSCRIBE_COST;
    case PP_FANOUT_ANNOUNCE:
        return LINE_READ_COST + pp_fanout_announce(s, op);
    }
    return 0;
}

/* Only what is too much ends a connection, and that without a word. */
static void on_read_error(pp_fanout_session *s, pipit_err err)
{
    if (err != PIPIT_ETOOBIG) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, true);
        return;
    }
    pp_count(&s->context->counters.overlong, 1);
    pp_count(&s->conn->loop->counters->protocol_errors, 1);
    log_limited(s, &s->context->log, PP_LOG_WARN, "client closed: its line is too long");
    pp_conn_close(s->conn, PP_CLOSE_CONTROL_LINE, true);
}

/* Go through the lines of window; returns how much of it was taken. */
static size_t read_lines(pp_fanout_session *s, pp_str window)
{
    pp_conn *conn = s->conn;
    pp_loop *loop = conn->loop;
    const uint64_t *in_vain = &s->context->router->in_vain;
    uint64_t cost = 0 - *in_vain; /* of which only what it grows by counts */
    size_t used = 0;

    while (used < window.len && !conn->closing) {
        pp_fanout_op op;
        size_t n = 0;
        pipit_err err =
            pp_fanout_read(&s->reader, (pp_str){window.ptr + used, window.len - used}, &op, &n);

        used += n;
        if (err && err != PIPIT_EAGAIN)
            on_read_error(s, err);
        if (err)
            break;
        cost += operate(s, &op);
        if (PP_UNLIKELY(loop->staged_bytes > loop->staged_max))
            pp_loop_flush(loop);
        if (PP_UNLIKELY(cost + *in_vain > TURN_COST_MAX || loop->gate || conn->paused)) {
            pp_conn_yield(conn); /* others have their turn; what is left comes again */
            break;
        }
    }
    return used;
}

static void on_bytes(void *session, pp_str window, size_t *out_used, size_t *out_want)
{
    pp_fanout_session *s = session;

    (void)out_want; /* an unfinished line is kept by the reader */
    *out_used = window.len;
    if (s->phase != PP_FANOUT_SERVED)
        return;
    s->active_ns = s->conn->loop->now_ns;
    *out_used = read_lines(s, window);
    pp_fanout_reader_trim(&s->reader);
    s->conn->kept = (uint32_t)s->reader.kept.len;
}

/* --- coming in ---------------------------------------------------------------------------- */

static bool is_allowed(const pp_fanout_session *s)
{
    const pp_fanout_settings *settings = s->context->settings;
    char peer[48];

    if (settings->allow_count == 0)
        return true;
    pp_conn_peer_text(s->conn, peer);
    for (size_t i = 0; i < settings->allow_count; i++) {
        if (pp_address_range_has(&settings->allow[i], pp_str_of(peer)))
            return true;
    }
    return false;
}

static void leave_account(pp_fanout_session *s)
{
    const pp_fanout_observer *observer = &s->context->door->observer;

    if (!s->account)
        return;
    pp_count(&s->account->counters[s->conn->loop->index].connections_closed, 1);
    (void)atomic_fetch_sub(&s->account->clients, 1);
    if (observer->counted)
        observer->counted(observer->context, s->account);
    s->account = NULL;
}

/* False: it has all the clients that it may have. */
static bool enter_account(pp_fanout_session *s)
{
    const pp_fanout_observer *observer = &s->context->door->observer;
    const pp_scope *scope = s->context->settings->scope;
    pp_account *account = scope->account;
    int64_t max = atomic_load_explicit(&account->max_connections, memory_order_relaxed);

    s->account = account;
    atomic_store_explicit(&s->client.scope, scope, memory_order_release);
    pp_count(&account->counters[s->conn->loop->index].connections_opened, 1);
    if (atomic_fetch_add(&account->clients, 1) >= max && max != PP_ACCOUNT_UNLIMITED) {
        leave_account(s);
        return false;
    }
    if (observer->counted)
        observer->counted(observer->context, account);
    return true;
}

/* Count it, if there is room for one more. */
static bool count_in(pp_fanout_session *s)
{
    pp_fanout_door *door = s->context->door;
    int64_t now = atomic_load(&door->clients), most;

    do {
        if (now >= s->context->settings->client_limit)
            return false;
    } while (!atomic_compare_exchange_weak(&door->clients, &now, now + 1));
    s->counted = true;
    most = atomic_load(&door->clients_most);
    while (now + 1 > most && !atomic_compare_exchange_weak(&door->clients_most, &most, now + 1))
        ;
    return true;
}

static void uncount(pp_fanout_session *s)
{
    if (s->counted)
        (void)atomic_fetch_sub(&s->context->door->clients, 1);
    s->counted = false;
}

/* Of those whose handshakes are under way only so many more than there is room for. */
static bool begin_securing(pp_fanout_session *s)
{
    pp_fanout_door *door = s->context->door;
    int64_t others = atomic_fetch_add(&door->securing, 1);

    s->securing = true;
    return atomic_load(&door->clients) + others < s->context->settings->client_limit + SECURING_MAX;
}

static void end_securing(pp_fanout_session *s)
{
    if (s->securing)
        (void)atomic_fetch_sub(&s->context->door->securing, 1);
    s->securing = false;
}

/* There is no room: say so, and let it close. */
static void turn_away(pp_fanout_session *s)
{
    uncount(s);
    (void)atomic_fetch_add(&s->context->door->rejected, 1);
    log_limited(s, &s->context->refuse_log, PP_LOG_WARN, "client turned away: no room");
    s->phase = PP_FANOUT_LEAVING;
    pp_fanout_send(s, PP_STR(PP_FANOUT_BUSY), 1);
    pp_conn_ask_sent(s->conn);
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + leave_ns);
}

static void on_sent(void *session)
{
    pp_fanout_session *s = session;

    if (s->phase == PP_FANOUT_LEAVING)
        pp_conn_shut_write(s->conn);
}

static void schedule_idle(pp_fanout_session *s)
{
    int64_t idle_ns = s->context->settings->idle_ns;

    if (idle_ns)
        pp_conn_set_timer(s->conn, s->active_ns + idle_ns);
}

/* It can be talked to now. */
static void begin(pp_fanout_session *s)
{
    bool pressed = pp_ceiling_pressed();

    end_securing(s);
    pp_count(&s->conn->loop->counters->memory_refusals, pressed);
    if (pressed || !count_in(s) || !enter_account(s)) {
        turn_away(s);
        return;
    }
    s->phase = PP_FANOUT_SERVED;
    pp_count(&s->context->counters.connections, 1);
    pp_fanout_send(s, PP_STR(PP_FANOUT_GREETING), 1);
    if (!s->conn->closing) {
        pp_outlet_lead(&s->conn->own); /* other loops may have a line for `all` at once */
        pp_fanout_subscribe(s, PP_STR("all"));
    }
    schedule_idle(s);
}

/* --- life --------------------------------------------------------------------------------- */

static pipit_err push(pp_conn *conn, pp_layer *layer)
{
    pipit_err err = pp_conn_push_layer(conn, layer, PP_STR(""));

    if (err)
        pp_layer_free(layer);
    return err;
}

static pipit_err push_layers(pp_fanout_session *s)
{
    const pp_fanout_settings *settings = s->context->settings;
    pp_layer *layer;
    pipit_err err = PIPIT_OK;

    if (settings->tls) {
        err = pp_tls_layer_new(&layer, settings->tls, settings->places);
        if (!err)
            err = push(s->conn, layer);
    }
    if (!err)
        err = pp_fanout_segments_new(&layer);
    return err ? err : push(s->conn, layer);
}

static pipit_err open_session(void *session, pp_conn *conn)
{
    pp_fanout_session *s = session;
    pp_fanout_door *door = conn->door->context;
    const pp_fanout_settings *settings;
    int one = 1;

    s->client.ops = &pp_fanout_client_ops;
    s->conn = conn;
    s->context = &door->contexts[conn->loop->index];
    settings = s->context->settings;
    s->start_ns = s->active_ns = conn->loop->now_ns;
    atomic_init(&s->taken_ns, s->start_ns);
    s->reader = (pp_fanout_reader){.line_max = settings->line_max, .crlf = settings->crlf};
    if (!is_allowed(s)) {
        pp_count(&s->context->counters.not_allowed, 1);
        log_limited(s, &s->context->refuse_log, PP_LOG_WARN, "client refused: not from there");
        pp_conn_close(conn, PP_CLOSE_AUTH, false);
        return PIPIT_OK;
    }
    (void)setsockopt(conn->source.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    if (settings->tls && !begin_securing(s)) {
        pp_conn_close(conn, PP_CLOSE_CONNECTIONS, false);
        return PIPIT_OK;
    }
    if (push_layers(s))
        return PIPIT_ENOMEM;
    if (settings->tls)
        pp_conn_set_timer(conn, conn->loop->now_ns + settings->tls_timeout_ns);
    else
        begin(s);
    return PIPIT_OK;
}

static void on_layer(void *session, pp_layer *layer)
{
    pp_fanout_session *s = session;

    if (s->phase == PP_FANOUT_SECURING && pp_layer_is_tls(layer)) {
        pp_timer_cancel(&s->conn->loop->timers, &s->conn->timer);
        begin(s);
    }
}

static void on_timer(void *session)
{
    pp_fanout_session *s = session;
    int64_t idle_ns = s->context->settings->idle_ns;

    if (s->phase == PP_FANOUT_SECURING)
        pp_conn_close(s->conn, PP_CLOSE_TLS, false);
    else if (s->phase == PP_FANOUT_LEAVING)
        pp_conn_close(s->conn, PP_CLOSE_CONNECTIONS, false);
    else if (idle_ns && s->conn->loop->now_ns - s->active_ns >= idle_ns)
        pp_conn_close(s->conn, PP_CLOSE_STALE, true);
    else
        schedule_idle(s);
}

static void tell_tls_failure(pp_fanout_session *s)
{
    const pp_layer *layer = pp_tls_layer_of(s->conn);
    const char *why = layer ? pp_tls_layer_failure(layer) : "";
    char what[160];

    (void)snprintf(what, sizeof(what), "TLS handshake failed: %s", *why ? why : "timeout");
    log_limited(s, &s->context->log, PP_LOG_ERROR, what);
}

static void tell_closed(pp_fanout_session *s)
{
    const pp_fanout_observer *observer = &s->context->door->observer;
    pp_close_reason reason = (pp_close_reason)s->conn->reason;

    if (reason == PP_CLOSE_SLOW_PENDING || reason == PP_CLOSE_SLOW_DEADLINE) {
        pp_count(&s->context->counters.overflows, 1);
        if (s->account)
            pp_count(&s->account->counters[s->conn->loop->index].slow_consumers, 1);
        log_limited(s, &s->context->log, PP_LOG_WARN, "client closed: it does not read");
    }
    if (reason == PP_CLOSE_TLS)
        tell_tls_failure(s);
    if (s->phase == PP_FANOUT_SERVED && observer->closed)
        observer->closed(observer->context, s->conn);
}

static void on_close(void *session)
{
    pp_fanout_session *s = session;

    if (!s->context)
        return;
    tell_closed(s);
    pp_fanout_end_subs(s);
    leave_account(s);
    uncount(s);
    end_securing(s);
}

static void free_session(void *session)
{
    pp_fanout_session *s = session;

    pp_fanout_subs_fini(&s->subs);
    pp_fanout_reader_fini(&s->reader);
}

/* --- all of them -------------------------------------------------------------------------- */

/* Source: fanout, wire protocol, section 4.2; a reload does not end what is not forbidden. */
static void renew(pp_conn *conn, void *arg)
{
    pp_fanout_session *s = (pp_fanout_session *)conn->session;
    const pp_fanout_settings *settings;

    if (conn->door->proto != &pp_fanout_proto || s->context != arg)
        return;
    settings = s->context->settings;
    s->reader.line_max = settings->line_max;
    s->reader.crlf = settings->crlf;
    if (s->phase != PP_FANOUT_SERVED)
        return;
    if (!is_allowed(s) || settings->scope->account != s->account) {
        pp_conn_close(conn, PP_CLOSE_AUTH, true);
        return;
    }
    atomic_store_explicit(&s->client.scope, settings->scope, memory_order_release);
    pp_fanout_check_subs(s);
    schedule_idle(s);
}

void pp_fanout_renew_sessions(pp_fanout_context *context)
{
    context->routes = NULL;
    pp_conn_each(context->loop, renew, context);
}

void pp_fanout_sum(const pp_fanout_door *door, pp_fanout_totals *out)
{
    *out = (pp_fanout_totals){0};
    for (unsigned i = 0; i < door->context_count; i++) {
        pp_fanout_counters *c = &door->contexts[i].counters;

#define PP_FANOUT_ADD(name, text) out->name += atomic_load_explicit(&c->name, memory_order_relaxed);
        PP_FANOUT_COUNTERS(PP_FANOUT_ADD)
#undef PP_FANOUT_ADD
    }
}

const pp_proto_ops pp_fanout_proto = {
    .name = "fanout",
    .session_bytes = sizeof(pp_fanout_session),
    .open = open_session,
    .on_bytes = on_bytes,
    .on_timer = on_timer,
    .on_sent = on_sent,
    .on_layer = on_layer,
    .on_close = on_close,
    .free = free_session,
    .hears_end = true,
};
