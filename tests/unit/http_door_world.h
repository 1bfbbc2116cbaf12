/* tests/unit/http_door_world.h -- a door, a handler that answers as it is told, and peers over
 * socket pairs. */
#ifndef PIPIT_TESTS_UNIT_HTTP_DOOR_WORLD_H
#define PIPIT_TESTS_UNIT_HTTP_DOOR_WORLD_H

#include "http/door.h"
#include "loops.h"

#define H "Host: x\r\n"
#define GET(target) "GET " target " HTTP/1.1\r\n" H "\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"

enum { TICKETS_MAX = 64 };

/* What the handler does, and what it has seen. */
struct handler {
    bool later;  /* keep the ticket instead of answering */
    bool refuse; /* too busy */
    size_t asked;
    size_t answered;
    pp_http_ticket tickets[TICKETS_MAX]; /* kept, oldest first */
    size_t ticket_count;
    char last[512];    /* the request in words */
    size_t body_bytes; /* of an answer; 0: the request in words */
    int status;
    const char *content_type, *extra_headers;
};

struct world {
    struct loops l;
    struct handler h;
    pp_http_door door;
    pp_log log;
    unsigned log_lines;
    pp_buf got;
    uint64_t next_id;
    pp_conn *conn; /* the one opened last */
    int peer;
};

static inline void count_line(void *context, pp_log_level level, const char *text)
{
    struct world *x = context;

    (void)level;
    assert_null(strstr(text, "cGFzcw")); /* nothing that was sent as a secret */
    x->log_lines++;
}

static inline pp_body *make_body(const struct handler *h, const char *words, size_t *out_len)
{
    size_t len = h->body_bytes ? h->body_bytes : strlen(words);
    pp_body *body = pp_body_new(len + 10);

    if (!body)
        return NULL;
    memset(body->bytes + len, '!', 10); /* not part of it */
    if (h->body_bytes)
        fill_stream(body->bytes, 0, len);
    else
        memcpy(body->bytes, words, len);
    *out_len = len;
    return body;
}

static inline void answer(struct handler *h, pp_http_ticket ticket, const char *words)
{
    pp_http_answer a = {
        .status = h->status,
        .content_type = h->content_type,
        .extra_headers = h->extra_headers,
    };

    a.body = make_body(h, words, &a.body_bytes);
    h->answered++;
    pp_http_answer_send(ticket, &a);
}

static inline bool handle(void *context, const pp_http_request *request, pp_http_ticket ticket)
{
    struct handler *h = context;

    h->asked++;
    assert_int_equal(request->authorization.len, 0);
    (void)snprintf(h->last, sizeof(h->last), "%.*s %.*s %.*s %.*s", PP_STR_ARGS(request->method),
                   PP_STR_ARGS(request->path), PP_STR_ARGS(request->query),
                   PP_STR_ARGS(request->body));
    if (h->refuse)
        return false;
    if (!h->later) {
        answer(h, ticket, h->last);
        return true;
    }
    assert_true(h->ticket_count < TICKETS_MAX);
    h->tickets[h->ticket_count++] = ticket;
    return true;
}

/* Answer the oldest that waits. */
static inline void answer_next(struct world *x, const char *words)
{
    pp_http_ticket ticket = x->h.tickets[0];

    assert_true(x->h.ticket_count > 0);
    memmove(x->h.tickets, x->h.tickets + 1, --x->h.ticket_count * sizeof(ticket));
    answer(&x->h, ticket, words);
}

/* A connection with its other end; send_bytes: as for watch_connect. */
static inline pipit_err try_connect_peer(struct world *x, unsigned index, int send_bytes,
                                         int *out_peer)
{
    int fds[2];
    pipit_err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (send_bytes)
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)),
                         0);
    *out_peer = fds[1];
    err = pp_conn_open(&x->l.at[index], fds[0], ++x->next_id, &x->door.door, &x->conn);
    return err;
}

static inline int connect_peer(struct world *x, int send_bytes)
{
    int peer;

    assert_int_equal(try_connect_peer(x, 0, send_bytes, &peer), PIPIT_OK);
    return peer;
}

static inline void world_open(struct world *x, unsigned loops)
{
    *x = (struct world){.peer = -1, .h = {.status = 200}};
    loops_init(&x->l, loops);
    x->log = (pp_log){.sink = count_line, .context = x};
    pp_buf_init(&x->got, 64 << 20);
    pp_http_door_init(&x->door);
    x->door.log = &x->log;
    x->door.handle = handle;
    x->door.context = &x->h;
    x->door.keep_bodies = true;
}

static inline void world_init(struct world *x)
{
    world_open(x, 1);
    x->peer = connect_peer(x, 0);
}

static inline void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->door.connections), 0);
    assert_int_equal(atomic_load(&x->door.answer_bytes), 0);
    pp_http_door_fini(&x->door);
    pp_buf_fini(&x->got);
    if (x->peer >= 0)
        (void)close(x->peer);
    loops_check_memory(&x->l);
}

static inline void say(struct world *x, const char *bytes, size_t len)
{
    unsigned turns = 0;

    for (size_t at = 0; at < len;) {
        ssize_t n = send(x->peer, bytes + at, len - at, MSG_NOSIGNAL);

        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(++turns < 100000);
            turn(&x->l, 0);
            continue;
        }
        at += (size_t)n;
    }
}

static inline void say_text(struct world *x, const char *text)
{
    say(x, text, strlen(text));
}

/* Ask for what is answered when answer_next says so. */
static inline void ask_for_later(struct world *x)
{
    x->h.later = true;
    say_text(x, GET("/"));
    settle(&x->l, 0);
}

/* Take everything that comes until nothing more does. */
static inline pipit_err hear(struct world *x)
{
    pipit_err err;
    size_t before;

    do {
        settle(&x->l, 0);
        before = x->got.len;
        err = peer_read(x->peer, &x->got, SIZE_MAX);
    } while (!err && x->got.len > before);
    return err;
}

/* That, and nothing else, has come. */
static inline void check_heard(struct world *x, const char *text)
{
    assert_int_equal(pp_buf_add(&x->got, "", 1), PIPIT_OK);
    assert_string_equal(x->got.ptr, text);
    x->got.len = 0;
}

/* Let timers run as they will when so much time has passed. The next turn reads the clock again, so
 * two of these do not add up. */
static inline void pass(struct world *x, int64_t ns)
{
    pp_loop *loop = &x->l.at[0];

    loop->now_ns += ns;
    pp_timers_run(&loop->timers, loop->now_ns);
    pp_loop_flush(loop);
    pp_conn_finish_closing(loop);
}

#endif
