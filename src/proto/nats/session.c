#include "proto/nats/session.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "core/claim.h"
#include "net/proxy.h"
#include "proto/nats/frame.h"
#include "proto/nats/log_prefix.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    /* What one connection's input may cost in a turn, then others have theirs; in deliveries, of
     * which a millisecond holds some 20 000. */
    TURN_COST_MAX = 32768,
    OPERATION_COST = 64, /* SUB, UNSUB and the like */
    CONNECT_COST = 2048,
    ERROR_MAX = 16 * 1024 + 128, /* a quoted subject fits */
    LET_GO_AT_ONCE = 4096,       /* subscriptions ended per turn when a connection closes */
    LAYERING_MAX = 256, /* clients beyond the limit that are let in far enough to be told so */
};

static const int64_t proxy_timeout_ns = 5000000000;
/* What a listener allows whose configuration says nothing about it. */
static const int64_t layer_timeout_ns = 30000000000;

void pp_nats_send(pp_nats_session *s, pp_str bytes)
{
    if (!pp_outlet_write(&s->conn->own, bytes))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
}

void pp_nats_ok(pp_nats_session *s)
{
    if (s->connect.verbose)
        pp_nats_send(s, PP_STR("+OK\r\n"));
}

void pp_nats_error(pp_nats_session *s, const char *format, ...)
{
    char line[ERROR_MAX];
    va_list args;
    int n, m;

    n = snprintf(line, sizeof(line), "-ERR '");
    va_start(args, format);
    m = vsnprintf(line + n, sizeof(line) - (size_t)n - 4, format, args);
    va_end(args);
    n += m < (int)sizeof(line) - n - 4 ? m : (int)sizeof(line) - n - 5;
    PP_NATS_DEBUG(s, "%.*s", n - 6, line + 6);
    line[n++] = '\'';
    line[n++] = '\r';
    line[n++] = '\n';
    pp_nats_send(s, (pp_str){line, (size_t)n});
}

static bool is_refusal(pp_close_reason reason)
{
    return reason == PP_CLOSE_AUTH || reason == PP_CLOSE_PROXY_NOT_TRUSTED ||
           reason == PP_CLOSE_PROXY_REQUIRED;
}

void pp_nats_refuse(pp_nats_session *s, pp_close_reason reason, const char *text)
{
    if (s->conn->closing)
        return;
    if (is_refusal(reason) || reason == PP_CLOSE_AUTH_TIMEOUT)
        pp_count(&s->conn->loop->counters->auth_failures, 1);
    else if (reason == PP_CLOSE_STALE)
        pp_count(&s->conn->loop->counters->stale_connections, 1);
    else if (reason != PP_CLOSE_CONNECTIONS && reason != PP_CLOSE_MEMORY)
        pp_count(&s->conn->loop->counters->protocol_errors, 1);
    if (is_refusal(reason))
        PP_NATS_OBSERVE(s, refused, s);
    if (text)
        pp_nats_error(s, "%s", text);
    pp_conn_close(s->conn, reason, true);
}

/* --- operations --------------------------------------------------------------------------- */

static void trace_op(const pp_nats_session *s, const pp_nats_op *op)
{
    static const char *const names[] = {"PUB",  "HPUB", "CONNECT", "SUB",  "UNSUB", "PING",
                                        "PONG", "+OK",  "-ERR",    "INFO", "..."};

    /* Payloads by length only, CONNECT not at all: it carries credentials. */
    if (op->verb == PP_NATS_PUB || op->verb == PP_NATS_HPUB)
        pp_nats_log(s, PP_LOG_TRACE, "<<- [%s %.*s %.*s %zu]", names[op->verb],
                    PP_STR_ARGS(op->msg.subject), PP_STR_ARGS(op->msg.reply), op->msg.data.len);
    else if (op->verb == PP_NATS_SUB)
        pp_nats_log(s, PP_LOG_TRACE, "<<- [SUB %.*s %.*s %.*s]", PP_STR_ARGS(op->msg.subject),
                    PP_STR_ARGS(op->queue), PP_STR_ARGS(op->sid));
    else if (op->verb == PP_NATS_UNSUB)
        pp_nats_log(s, PP_LOG_TRACE, "<<- [UNSUB %.*s %llu]", PP_STR_ARGS(op->sid),
                    (unsigned long long)op->max);
    else
        pp_nats_log(s, PP_LOG_TRACE, "<<- [%s]", names[op->verb]);
}

/* Returns what it cost, in deliveries. */
static uint64_t operate(pp_nats_session *s, const pp_nats_op *op)
{
    uint64_t cost = OPERATION_COST;

    switch (op->verb) {
    case PP_NATS_CONNECT:
        pp_nats_on_connect(s, op->text);
        cost = CONNECT_COST;
        break;
    case PP_NATS_PUB:
    case PP_NATS_HPUB:
        break; /* published where they are read */
    case PP_NATS_SUB:
        s->op_ns = s->conn->loop->now_ns;
        pp_nats_on_sub(s, op);
        break;
    case PP_NATS_UNSUB:
        s->op_ns = s->conn->loop->now_ns;
        cost += pp_nats_on_unsub(s, op);
        break;
    case PP_NATS_PING:
        s->op_ns = s->conn->loop->now_ns;
        pp_nats_on_ping(s);
        break;
    case PP_NATS_PONG:
        pp_nats_on_pong(s);
        break;
    case PP_NATS_OK:
    case PP_NATS_NOTHING:
        break;
    case PP_NATS_ERR:
        PP_NATS_DEBUG(s, "client says -ERR %.*s", PP_STR_ARGS(op->text));
        pp_nats_refuse(s, PP_CLOSE_PARSE_ERROR, NULL);
        break;
    case PP_NATS_INFO:
        pp_nats_on_info(s, op->text);
        break;
    }
    return cost;
}

/* What begins at rest cannot be read; op holds as much of it as was understood.
 * Source: NATS client protocol, section 2.3: which errors are said and which only close. */
static void on_read_error(pp_nats_session *s, pipit_err err, const pp_nats_op *op, pp_str rest)
{
    switch (err) {
    case PIPIT_EPROTO:
        pp_nats_refuse(s, PP_CLOSE_PROTOCOL, "Unknown Protocol Operation");
        break;
    case PIPIT_ELIMIT:
        pp_nats_refuse(s, PP_CLOSE_CONTROL_LINE, "maximum control line exceeded");
        break;
    case PIPIT_ETOOBIG:
        if (op->verb == PP_NATS_HPUB)
            pp_nats_trace_too_big(s, op, rest);
        pp_nats_refuse(s, PP_CLOSE_PAYLOAD, "Maximum Payload Violation");
        break;
    default:
        pp_nats_refuse(s, PP_CLOSE_PROTOCOL, NULL);
        break;
    }
}

/* True when the header is complete, absent, or the connection was refused. */
static bool read_proxy_header(pp_nats_session *s, pp_str window, size_t *out_used)
{
    struct pp_proxy_header header;
    pipit_err err = pp_proxy_read(window, &header, out_used);

    if (err == PIPIT_EAGAIN) {
        *out_used = 0;
        return false;
    }
    s->expects_proxy = false;
    pp_nats_schedule_start(s);
    if (err == PIPIT_ENOTFOUND) {
        *out_used = 0;
        return true;
    }
    if (err) {
        pp_nats_log_limited(s, &s->context->proxy_log, PP_LOG_WARN, "bad PROXY header");
        pp_nats_refuse(s, PP_CLOSE_PROTOCOL, NULL);
        return true;
    }
    s->proxy_skip = (uint32_t)header.skip_bytes;
    if (header.has_address)
        pp_conn_set_peer(s->conn, (const struct sockaddr *)&header.src);
    return true;
}

/* What a window of input has published. */
struct tally {
    uint64_t msgs, bytes;
    uint64_t copies, copied_bytes;
};

/* Count it, for the account that the session is in. */
static inline void settle(pp_nats_session *s, struct tally *tally)
{
    pp_counters *counters = s->conn->loop->counters;
    pp_account_counters *account;

    if (!tally->msgs)
        return;
    account = s->routes->counters;
    pp_count(&account->in_msgs, tally->msgs);
    pp_count(&account->in_bytes, tally->bytes);
    pp_count(&account->out_msgs, tally->copies);
    pp_count(&account->out_bytes, tally->copied_bytes);
    s->op_ns = s->conn->loop->now_ns;
    s->conn->in_msgs += tally->msgs;
    s->conn->in_bytes += tally->bytes;
    pp_count(&counters->in_msgs, tally->msgs);
    pp_count(&counters->in_bytes, tally->bytes);
    *tally = (struct tally){0};
}

/* Returns how many took it; *cost grows by what that cost, in deliveries. */
static inline size_t publish(pp_nats_session *s, pp_nats_op *op, struct tally *tally,
                             uint64_t *cost)
{
    size_t taken;

    op->msg.no_echo = !s->connect.echo;
    if (PP_LIKELY(op->verb == PP_NATS_PUB)) {
        taken = pp_nats_on_publish(s, op);
    } else {
        pp_nats_published published = pp_nats_on_header_publish(s, op);

        taken = published.taken;
        *cost += published.cost;
    }
    tally->msgs++;
    tally->bytes += op->msg.data.len;
    tally->copies += taken;
    tally->copied_bytes += taken * op->msg.data.len;
    *cost += taken;
    return taken;
}

struct repeats {
    size_t count, bytes;
};

/* If nobody heard op, those that say the same right behind it are only counted. All of window had
 * come before that was seen, so nobody can expect more. Neither inlined nor told of the tally: it
 * must not be in the way of messages that somebody hears. */
static __attribute__((noinline)) struct repeats pass_over(const pp_nats_session *s,
                                                          const pp_nats_op *op, pp_str window)
{
    struct repeats repeats = {0};

    if (pp_nats_unheard(s, op))
        repeats.count = pp_nats_read_repeats(&s->reader, window, &repeats.bytes);
    return repeats;
}

/* What comes before the first operation of a window: the header of a proxy, a TLS hello. False: the
 * window is used up by that, as far as *used says. */
static bool is_past_preface(pp_nats_session *s, pp_str window, size_t *used)
{
    if (s->expects_proxy && !read_proxy_header(s, window, used))
        return false;
    if (s->proxy_skip) {
        size_t skip = window.len - *used < s->proxy_skip ? window.len - *used : s->proxy_skip;

        s->proxy_skip -= (uint32_t)skip;
        *used += skip;
    }
    if (s->tls && !s->proxy_skip && !s->conn->closing &&
        !pp_nats_hear_tls(s, (pp_str){window.ptr + *used, window.len - *used})) {
        *used = window.len;
        return false;
    }
    return true;
}

/* Flush what has staged too much. Returns what that cost, in deliveries. */
static inline uint64_t flush_full(pp_loop *loop)
{
    if (PP_LIKELY(loop->staged_bytes <= loop->staged_max))
        return 0;
    pp_loop_flush(loop);
    return loop->pressed && loop->gate ? TURN_COST_MAX : 0; /* what else it says waits with it */
}

static void on_bytes(void *session, pp_str window, size_t *out_used, size_t *out_want)
{
    pp_nats_session *s = session;
    pp_loop *loop = s->conn->loop;
    struct tally tally = {0};
    const uint64_t *in_vain = &s->context->router->in_vain;
    uint64_t cost = 0 - *in_vain; /* of which only what it grows by counts */
    bool trace = pp_log_flag(&s->context->door->log->trace);
    size_t used = 0;
    pp_nats_op op;

    if (PP_UNLIKELY(s->expects_proxy || s->proxy_skip || s->tls) &&
        !is_past_preface(s, window, &used)) {
        *out_used = used;
        return;
    }
    s->context->memo.len = 0;
    s->reader.memo = &s->context->memo;
    op.msg.body = s->conn->in_body ? s->conn->body : NULL;
    op.msg.from = &s->client;
    op.msg.passage = NULL;
    op.msg.witness = NULL;
    while (used < window.len && !s->conn->closing) {
        pp_str rest = {window.ptr + used, window.len - used};
        size_t n;
        pipit_err err;

        if (PP_UNLIKELY(!s->authenticated) && (rest.ptr[0] | 0x20) != 'c') {
            pp_nats_refuse(s, PP_CLOSE_AUTH, "Authorization Violation");
            break;
        }
        err = pp_nats_read(&s->reader, rest, &op, &n);
        if (err == PIPIT_EAGAIN) {
            *out_want = n;
            if (n && s->careful)
                pp_nats_on_publish_line(s, &op);
            break;
        }
        if (err) {
            on_read_error(s, err, &op, rest);
            break;
        }
        if (PP_UNLIKELY(op.verb == PP_NATS_CONNECT) && !pp_nats_end_subs(s, LET_GO_AT_ONCE)) {
            pp_conn_yield(s->conn); /* it starts over, when all it had has ended */
            break;
        }
        used += n;
        if (PP_UNLIKELY(trace))
            trace_op(s, &op);
        if (PP_LIKELY(op.verb <= PP_NATS_HPUB)) {
            if (publish(s, &op, &tally, &cost) == 0 && !trace) {
                struct repeats more =
                    pass_over(s, &op, (pp_str){window.ptr + used, window.len - used});

                used += more.bytes;
                tally.msgs += more.count;
                tally.bytes += more.count * op.msg.data.len;
            }
        } else {
            if (op.verb == PP_NATS_CONNECT)
                settle(s, &tally); /* it may go to another account, or nowhere */
            cost += operate(s, &op);
        }
        cost += flush_full(loop);
        if (PP_UNLIKELY(cost + *in_vain > TURN_COST_MAX || s->conn->paused)) {
            pp_conn_yield(s->conn);
            break;
        }
    }
    settle(s, &tally);
    *out_used = used;
}

/* --- life --------------------------------------------------------------------------------- */

static void on_timer(void *session)
{
    pp_nats_session *s = session;

    if (s->expects_layer) {
        pp_conn_close(s->conn, PP_CLOSE_AUTH_TIMEOUT, false);
    } else if (s->expects_proxy) {
        pp_nats_log_limited(s, &s->context->proxy_log, PP_LOG_WARN, "no PROXY header in time");
        pp_nats_refuse(s, PP_CLOSE_PROTOCOL, NULL);
    } else if (s->tls) {
        pp_nats_on_tls_timer(s);
    } else if (!s->authenticated && pp_nats_login_goes_on(s)) {
        pp_nats_schedule_start(s);
    } else if (!s->authenticated) {
        pp_nats_refuse(s, PP_CLOSE_AUTH_TIMEOUT, "Authentication Timeout");
    } else if (pp_nats_has_expired(s)) {
        pp_nats_refuse(s, PP_CLOSE_AUTH_EXPIRED, "User Authentication Expired");
    } else {
        pp_nats_on_ping_timer(s);
    }
}

static int64_t layer_timeout(const pp_nats_session *s)
{
    int64_t ns = s->context->settings->websocket.handshake_timeout_ns;

    return ns ? ns : layer_timeout_ns;
}

static int64_t auth_timeout(const pp_nats_session *s)
{
    const pp_nats_settings *settings = s->context->settings;
    int64_t ns = pp_nats_by_websocket(s->conn) ? settings->websocket.auth_timeout_ns : 0;

    return ns ? ns : settings->auth_timeout_ns;
}

void pp_nats_schedule_start(pp_nats_session *s)
{
    int64_t now_ns = s->conn->loop->now_ns;

    if (s->expects_layer)
        pp_conn_set_timer(s->conn, now_ns + layer_timeout(s));
    else if (s->expects_proxy)
        pp_conn_set_timer(s->conn, now_ns + proxy_timeout_ns);
    else if (s->tls)
        pp_conn_set_timer(s->conn, now_ns + s->context->settings->tls.timeout_ns);
    else if (!s->authenticated)
        pp_conn_set_timer(s->conn, now_ns + auth_timeout(s));
    else
        pp_nats_schedule_ping(s, false);
}

static void let_go(pp_task *task)
{
    pp_nats_session *s = PP_CONTAINER(task, pp_nats_session, let_go);

    if (!pp_nats_end_subs(s, LET_GO_AT_ONCE))
        pp_loop_post(s->conn->loop, task);
    else
        pp_conn_unhold(s->conn);
}

void pp_nats_welcome(pp_nats_session *s)
{
    s->authenticated = pp_nats_admit_anybody(s);
    s->conn->guarded = !s->authenticated;
    if (!s->conn->closing)
        pp_nats_schedule_start(s);
}

/* Say hello, now that the client can be talked to. */
static void begin(pp_nats_session *s, bool over)
{
    pp_conn *conn = s->conn;

    pp_nats_expect_tls(s);
    if (!s->tls_first)
        pp_nats_send_info(s, false);
    if (over || pp_ceiling_pressed()) {
        /* At the memory limit in the same words: clients know them, and try again elsewhere. */
        pp_count(&conn->loop->counters->memory_refusals, !over);
        pp_nats_refuse(s, over ? PP_CLOSE_CONNECTIONS : PP_CLOSE_MEMORY,
                       "maximum connections exceeded");
        return;
    }
    if (pp_nats_throttles(s)) {
        pp_nats_refuse(s, PP_CLOSE_CONNECTIONS,
                       "Connection throttling is active. Please try again later.");
        return;
    }
    if (!s->tls)
        pp_nats_welcome(s);
    else if (s->expects_proxy)
        pp_nats_schedule_start(s);
    else
        pp_nats_begin_tls(s, PP_STR(""));
    if (!conn->closing)
        PP_NATS_DEBUG(s, "Client connection created");
}

static void on_layer(void *session, pp_layer *layer)
{
    pp_nats_session *s = session;
    int64_t max = s->context->settings->max_connections;

    if (!s->expects_layer) {
        pp_nats_on_tls(s, layer);
    } else if (layer == s->conn->layer) { /* not one below */
        s->expects_layer = false;
        begin(s, atomic_load(&s->context->door->clients) > max);
    }
}

/* Its layer has to be agreed on before it can say anything: it waits for that, if there is hope. */
static void begin_when_layered(pp_nats_session *s, int64_t others)
{
    int64_t max = s->context->settings->max_connections;

    s->expects_layer = true;
    if (others >= max + LAYERING_MAX || pp_ceiling_pressed())
        pp_conn_close(s->conn, PP_CLOSE_CONNECTIONS, false);
    else
        pp_nats_schedule_start(s);
}

static pipit_err open_session(void *session, pp_conn *conn)
{
    pp_nats_session *s = session;
    pp_nats_context *context = conn->loop->context;
    const pp_nats_settings *settings = context->settings;
    int64_t others;

    s->client.ops = &pp_nats_client_ops;
    s->conn = conn;
    s->context = context;
    s->start_ns = pp_clock_mono_ns();
    s->let_go.run = let_go;
    pp_nats_connect_init(&s->connect);
    s->careful = true;
    s->reader = (pp_nats_reader){
        .line_max = settings->max_control_line,
        .payload_max = settings->max_payload,
    };
    s->expects_proxy = settings->proxy_protocol && pp_nats_entrance(conn) == PP_ENTRANCE_CLIENTS;
    s->has_nonce = pp_gate_wants_nonce(settings->gate);
    conn->guarded = true; /* until it is known who it is */
    s->counted = true;
    others = atomic_fetch_add(&context->door->clients, 1);
    if (conn->door->wrap)
        begin_when_layered(s, others);
    else
        begin(s, others >= settings->max_connections);
    return PIPIT_OK;
}

static void on_close(void *session)
{
    pp_nats_session *s = session;

    if (!s->expects_layer) /* else it never was a client */
        PP_NATS_OBSERVE(s, closed, s);
    pp_nats_log_tls_failure(s);
    pp_nats_abandon_login(s);
    if (s->counted)
        (void)atomic_fetch_sub(&s->context->door->clients, 1);
    s->counted = false;
    pp_nats_leave_account(s);
    if (s->client.claims_in)
        pp_claim_release_all(s->client.claims_in, &s->client);
    if (!pp_nats_end_subs(s, LET_GO_AT_ONCE)) {
        pp_conn_hold(s->conn);
        pp_loop_post(s->conn->loop, &s->let_go);
    }
    if (!s->expects_layer)
        PP_NATS_DEBUG(s, "Client connection closed: %s",
                      pp_close_reason_text((pp_close_reason)s->conn->reason));
}

static void free_session(void *session)
{
    pp_nats_session *s = session;

    PP_ASSERT(s->sids.count == 0 && !s->login);
    /* A request may have been on its way when the connection was closed. */
    pp_responses_detach_client(s->context->router, &s->client);
    if (atomic_load_explicit(&s->client.scope, memory_order_relaxed))
        pp_user_let_go(pp_nats_user(s));
    pp_grants_free(atomic_load_explicit(&s->grants, memory_order_relaxed));
    pp_nats_sids_fini(&s->sids);
    pp_free(s->proxy_key);
    pp_nats_connect_fini(&s->connect);
}

const pp_proto_ops pp_nats_proto = {
    .name = "nats",
    .session_bytes = sizeof(pp_nats_session),
    .open = open_session,
    .on_bytes = on_bytes,
    .on_timer = on_timer,
    .on_layer = on_layer,
    .on_close = on_close,
    .free = free_session,
    .frame = pp_nats_frame,
};
