#include "http/door.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/response.h"

#include <string.h>
#include <sys/socket.h>

enum {
    SLICE_BYTES = 256 * 1024, /* of an answer, staged at a time: what one turn may cost */
    PENDING_MAX = 4 * 1024 * 1024,
    CONNECTIONS_MAX = 256,
};

static const int64_t head_timeout_ns = 5 * PP_NS_PER_S;
static const int64_t idle_timeout_ns = 60 * PP_NS_PER_S;
static const int64_t write_deadline_ns = 10 * PP_NS_PER_S;
static const int64_t linger_ns = PP_NS_PER_S;
static const int64_t answer_bytes_max = 256 * 1024 * 1024;

enum phase {
    READING,
    WAITING,
    SENDING,
    LINGERING,
};

typedef struct session {
    pp_conn *conn;
    pp_http_door *door;
    pp_http_reader reader;
    enum phase phase;
    uint32_t serial; /* of the last request */
    bool timed;      /* the timer is that of the request being read, not of a pause */
    bool keep_alive; /* the connection goes on after this answer */
    bool is_head;    /* this answer goes out without its body */
    bool counted;    /* among the door's connections */
    uint8_t minor;   /* the request was HTTP/1.minor */
    uint8_t reason;  /* pp_close_reason when it has been refused */
    pp_body *body;   /* of the answer: a reference until its end is staged */
    size_t at, left; /* of body: staged up to here, to be staged */
    int64_t charged; /* in door->answer_bytes */
} session;

/* An answer on its way. */
struct pp_http_reply {
    pp_task task;
    pp_http_ticket ticket;
    pp_body *body;
    size_t body_bytes;
    size_t head_len;
    char head[PP_HTTP_HEAD_MAX];
};

/* --- sending ------------------------------------------------------------------------------ */

static void drop_answer(session *s)
{
    pp_body_unref(s->body);
    s->body = NULL;
    s->left = 0;
    (void)atomic_fetch_sub(&s->door->answer_bytes, s->charged);
    s->charged = 0;
}

static void stage_slice(session *s)
{
    size_t len = s->left < SLICE_BYTES ? s->left : SLICE_BYTES;

    if (len && !pp_outlet_refer(&s->conn->own, (pp_str){s->body->bytes + s->at, len}, s->body)) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    s->at += len;
    s->left -= len;
    pp_conn_ask_sent(s->conn);
}

/* Takes over the reference of body. */
static void send_answer(session *s, pp_str head, pp_body *body, size_t body_bytes)
{
    pp_str end = pp_http_head_end(s->keep_alive, s->minor);

    s->phase = SENDING;
    s->body = body;
    s->at = 0;
    s->left = s->is_head ? 0 : body_bytes;
    s->charged = (int64_t)s->left;
    (void)atomic_fetch_add(&s->door->answer_bytes, s->charged);
    if (!pp_outlet_write(&s->conn->own, head) || !pp_outlet_write(&s->conn->own, end))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
    else
        stage_slice(s);
}

/* Answer here, with the status for a text. */
static void answer_status(session *s, int status, const char *extra_headers)
{
    char text[64], head[PP_HTTP_HEAD_MAX];
    pp_http_answer answer = {
        .status = status,
        .content_type = "text/plain; charset=utf-8",
        .extra_headers = extra_headers,
        .body_bytes = pp_http_status_format(status, text),
    };
    size_t head_len = pp_http_head_format(&answer, head);
    pp_str end = pp_http_head_end(s->keep_alive, s->minor);
    pp_outlet *outlet = &s->conn->own;

    s->phase = SENDING;
    if (!pp_outlet_write(outlet, (pp_str){head, head_len}) || !pp_outlet_write(outlet, end) ||
        !(s->is_head || pp_outlet_write(outlet, (pp_str){text, answer.body_bytes})))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
    else
        pp_conn_ask_sent(s->conn);
}

/* Nothing more can be read from this peer. */
static void refuse(session *s, int status, pp_close_reason reason)
{
    pp_count(&s->conn->loop->counters->protocol_errors, 1);
    pp_conn_stop_reading(s->conn);
    s->keep_alive = false;
    s->is_head = false; /* it is not known, or does not matter */
    s->reason = (uint8_t)reason;
    answer_status(s, status, NULL);
}

static void linger(session *s)
{
    s->phase = LINGERING;
    pp_conn_shut_write(s->conn);
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + linger_ns);
    pp_conn_start_reading(s->conn);
}

static void next_request(session *s)
{
    s->phase = READING;
    s->timed = false;
    pp_conn_set_timer(s->conn, s->conn->loop->now_ns + s->door->idle_timeout_ns);
    pp_conn_start_reading(s->conn);
}

static void on_sent(void *session_)
{
    session *s = session_;

    PP_ASSERT(s->phase == SENDING);
    if (s->left) {
        stage_slice(s);
        return;
    }
    drop_answer(s);
    if (s->keep_alive)
        next_request(s);
    else
        linger(s);
}

/* --- answers from elsewhere --------------------------------------------------------------- */

/* The session that waits for this answer; NULL: it is gone. */
static session *find_waiting(const pp_http_ticket *ticket)
{
    pp_conn *conn = pp_conn_find(ticket->loop, ticket->conn_id);
    session *s;

    if (!conn || conn->door->proto != &pp_http_proto)
        return NULL;
    s = (session *)(void *)conn->session;
    return s->phase == WAITING && s->serial == ticket->serial ? s : NULL;
}

static void arrive(pp_task *task)
{
    struct pp_http_reply *reply = PP_CONTAINER(task, struct pp_http_reply, task);
    session *s = find_waiting(&reply->ticket);

    if (s)
        send_answer(s, (pp_str){reply->head, reply->head_len}, reply->body, reply->body_bytes);
    else
        pp_body_unref(reply->body);
    pp_free(reply);
}

void pp_http_answer_send(pp_http_ticket ticket, const pp_http_answer *answer)
{
    struct pp_http_reply *reply = ticket.reply;

    PP_ASSERT(answer->body ? answer->body_bytes <= answer->body->len : answer->body_bytes == 0);
    reply->body = answer->body;
    reply->body_bytes = pp_http_has_body(answer->status) ? answer->body_bytes : 0;
    reply->head_len = pp_http_head_format(answer, reply->head);
    if (reply->head_len == 0) {
        reply->head_len = pp_http_head_format(&(pp_http_answer){.status = 500}, reply->head);
        reply->body_bytes = 0;
    }
    if (pp_loop_current() == ticket.loop)
        arrive(&reply->task);
    else
        pp_loop_post(ticket.loop, &reply->task);
}

/* --- requests ----------------------------------------------------------------------------- */

/* One line a second, from whichever loop it comes. */
static void log_refusal(session *s, const char *text)
{
    pp_http_door *door = s->door;
    int_fast64_t due_ns = atomic_load(&door->refusal_log_ns);
    int64_t now_ns = s->conn->loop->now_ns;
    uint64_t left_out;

    if (now_ns < due_ns ||
        !atomic_compare_exchange_strong(&door->refusal_log_ns, &due_ns, now_ns + PP_NS_PER_S)) {
        (void)atomic_fetch_add(&door->refusals_left_out, 1);
        return;
    }
    left_out = atomic_exchange(&door->refusals_left_out, 0);
    if (left_out)
        pp_log_write(door->log, PP_LOG_WARN, "cid:%llu - %s (and %llu like it since the last line)",
                     (unsigned long long)s->conn->id, text, (unsigned long long)left_out);
    else
        pp_log_write(door->log, PP_LOG_WARN, "cid:%llu - %s", (unsigned long long)s->conn->id,
                     text);
}

/* The part of path below the base path: "/" for the base path itself, "" for what is not below. */
static pp_str below_base(pp_str path, pp_str base)
{
    if (base.len == 0)
        return path;
    if (!pp_str_starts(path, base))
        return PP_STR("");
    path.ptr += base.len;
    path.len -= base.len;
    if (path.len == 0)
        return PP_STR("/");
    return path.ptr[0] == '/' && path.len > 1 ? path : PP_STR("");
}

static void answer_busy(session *s)
{
    answer_status(s, 503, "Retry-After: 1\r\n");
}

static void hand_over(session *s, const pp_http_request *request)
{
    struct pp_http_reply *reply = pp_alloc(sizeof(*reply));

    if (!reply) {
        answer_busy(s);
        return;
    }
    reply->task.run = arrive;
    reply->ticket = (pp_http_ticket){
        .loop = s->conn->loop, .conn_id = s->conn->id, .serial = s->serial, .reply = reply};
    if (s->door->handle(s->door->context, request, reply->ticket))
        return; /* reply may be gone already */
    pp_free(reply);
    answer_busy(s);
}

/* By a Unix socket or from 127.0.0.0/8 or ::1. */
static bool is_from_here(const pp_conn *conn)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (conn->local)
        return true;
    if (conn->addr_family == AF_INET)
        return conn->peer_addr[0] == 127;
    return conn->addr_family == AF_INET6 &&
           memcmp(conn->peer_addr, loopback6, sizeof(loopback6)) == 0;
}

static void on_request(session *s, pp_http_request *request)
{
    pp_http_door *door = s->door;

    s->phase = WAITING;
    s->serial++;
    s->keep_alive = s->reader.keep_alive;
    s->is_head = request->is_head;
    s->minor = s->reader.parser.http_minor != 0;
    if (!pp_http_credentials_check(&door->credentials, request->authorization)) {
        pp_count(&s->conn->loop->counters->auth_failures, 1);
        if (request->authorization.len)
            log_refusal(s, "wrong HTTP credentials");
        answer_status(s, 401, "WWW-Authenticate: Basic realm=\"pipit\"\r\n");
        return;
    }
    if (atomic_load(&door->answer_bytes) > door->answer_bytes_max) {
        answer_busy(s);
        return;
    }
    request->authorization = PP_STR("");
    request->from_here = is_from_here(s->conn);
    request->path = below_base(request->path, door->base_path);
    hand_over(s, request);
}

static void on_partial(session *s)
{
    if (!s->reader.wants_continue)
        return;
    s->reader.wants_continue = false;
    if (!pp_outlet_write(&s->conn->own, PP_STR("HTTP/1.1 100 Continue\r\n\r\n")))
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
}

static void on_bytes(void *session_, pp_str window, size_t *out_used, size_t *out_want)
{
    session *s = session_;
    pp_http_request request;
    pipit_err err;

    (void)out_want; /* everything is taken as it comes */
    if (s->phase == LINGERING) {
        *out_used = window.len;
        return;
    }
    PP_ASSERT(s->phase == READING);
    if (!s->timed) {
        s->timed = true;
        pp_conn_set_timer(s->conn, s->conn->loop->now_ns + s->door->head_timeout_ns);
    }
    err = pp_http_read(&s->reader, window, &request, out_used);
    if (err == PIPIT_EAGAIN) {
        on_partial(s);
        return;
    }
    pp_conn_stop_reading(s->conn);
    pp_conn_yield(s->conn); /* what is left comes again when reading goes on */
    if (err) {
        *out_used = window.len;
        refuse(s, s->reader.status, PP_CLOSE_PARSE_ERROR);
    } else {
        on_request(s, &request);
    }
    pp_http_reader_reset(&s->reader);
}

/* --- life --------------------------------------------------------------------------------- */

static void on_timer(void *session_)
{
    session *s = session_;

    if (s->phase == LINGERING)
        pp_conn_close(s->conn, (pp_close_reason)s->reason, false);
    else if (s->phase == READING && pp_http_reader_begun(&s->reader))
        refuse(s, 408, PP_CLOSE_STALE);
    else if (s->phase == READING)
        pp_conn_close(s->conn, PP_CLOSE_STALE, false);
}

/* One too many. Saying so takes a connection for a while, so there is a limit to that too. */
static void turn_away(session *s, bool silently)
{
    log_refusal(s, "too many HTTP connections");
    s->reason = PP_CLOSE_CONNECTIONS;
    if (silently) {
        pp_conn_close(s->conn, PP_CLOSE_CONNECTIONS, false);
        return;
    }
    pp_conn_stop_reading(s->conn);
    answer_busy(s);
}

static pipit_err open_session(void *session_, pp_conn *conn)
{
    session *s = session_;
    int64_t others;

    s->conn = conn;
    s->door = conn->door->context;
    s->reason = PP_CLOSE_CLIENT;
    s->minor = 1;
    pp_http_reader_init(&s->reader, &s->door->limits);
    s->reader.keep_body = s->door->keep_bodies;
    s->counted = true;
    others = atomic_fetch_add(&s->door->connections, 1);
    if (others >= s->door->connections_max) {
        turn_away(s, others >= 2 * (int64_t)s->door->connections_max);
        return PIPIT_OK;
    }
    s->timed = true; /* silent connections must not keep others out for long */
    pp_conn_set_timer(conn, conn->loop->now_ns + s->door->head_timeout_ns);
    return PIPIT_OK;
}

static void on_close(void *session_)
{
    session *s = session_;

    if (!s->counted)
        return; /* it was never opened */
    s->counted = false;
    drop_answer(s);
    (void)atomic_fetch_sub(&s->door->connections, 1);
}

static void free_session(void *session_)
{
    session *s = session_;

    pp_http_reader_fini(&s->reader);
}

const pp_proto_ops pp_http_proto = {
    .name = "http",
    .session_bytes = sizeof(session),
    .open = open_session,
    .on_bytes = on_bytes,
    .on_timer = on_timer,
    .on_sent = on_sent,
    .on_close = on_close,
    .free = free_session,
};

void pp_http_door_init(pp_http_door *door)
{
    *door = (pp_http_door){
        .door = {.proto = &pp_http_proto, .context = door},
        .limits = PP_HTTP_LIMITS_DEFAULT,
        .head_timeout_ns = head_timeout_ns,
        .idle_timeout_ns = idle_timeout_ns,
        .connections_max = CONNECTIONS_MAX,
        .answer_bytes_max = answer_bytes_max,
        .base_path = PP_STR(""),
    };
    atomic_store(&door->door.limits.pending_max, (size_t)PENDING_MAX);
    atomic_store(&door->door.limits.write_deadline_ns, write_deadline_ns);
    pp_http_credentials_init(&door->credentials);
}

void pp_http_door_fini(pp_http_door *door)
{
    pp_http_credentials_fini(&door->credentials);
}
