/* The door: requests in, answers out, over a socket pair. */
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

static void count_line(void *context, pp_log_level level, const char *text)
{
    struct world *x = context;

    (void)level;
    assert_null(strstr(text, "cGFzcw")); /* nothing that was sent as a secret */
    x->log_lines++;
}

static pp_body *make_body(const struct handler *h, const char *words, size_t *out_len)
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

static void answer(struct handler *h, pp_http_ticket ticket, const char *words)
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

static bool handle(void *context, const pp_http_request *request, pp_http_ticket ticket)
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
static void answer_next(struct world *x, const char *words)
{
    pp_http_ticket ticket = x->h.tickets[0];

    assert_true(x->h.ticket_count > 0);
    memmove(x->h.tickets, x->h.tickets + 1, --x->h.ticket_count * sizeof(ticket));
    answer(&x->h, ticket, words);
}

/* A connection with its other end; send_bytes: as for watch_connect. */
static pipit_err try_connect_peer(struct world *x, unsigned index, int send_bytes, int *out_peer)
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

static int connect_peer(struct world *x, int send_bytes)
{
    int peer;

    assert_int_equal(try_connect_peer(x, 0, send_bytes, &peer), PIPIT_OK);
    return peer;
}

static void world_open(struct world *x, unsigned loops)
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

static void world_init(struct world *x)
{
    world_open(x, 1);
    x->peer = connect_peer(x, 0);
}

static void world_fini(struct world *x)
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

static void say(struct world *x, const char *bytes, size_t len)
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

static void say_text(struct world *x, const char *text)
{
    say(x, text, strlen(text));
}

/* Take everything that comes until nothing more does. */
static pipit_err hear(struct world *x)
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
static void check_heard(struct world *x, const char *text)
{
    assert_int_equal(pp_buf_add(&x->got, "", 1), PIPIT_OK);
    assert_string_equal(x->got.ptr, text);
    x->got.len = 0;
}

/* Let timers run as they will when so much time has passed. The next turn reads the clock again, so
 * two of these do not add up. */
static void pass(struct world *x, int64_t ns)
{
    pp_loop *loop = &x->l.at[0];

    loop->now_ns += ns;
    pp_timers_run(&loop->timers, loop->now_ns);
    pp_loop_flush(loop);
    pp_conn_finish_closing(loop);
}

/* --- one request, one answer -------------------------------------------------------------- */

static void test_http_door_answers(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    say_text(&x, GET("/varz?a=1"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nGET /varz a=1 ");
    say_text(&x, "POST /%61 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nPOST /a  hi");
    assert_int_equal(x.h.asked, 2);
    world_fini(&x);
}

static void test_http_door_heads(void **state)
{
    static const struct {
        const char *wire;
        int status;
        const char *type, *extra, *answer;
        bool closes;
    } cases[] = {
        {GET("/"), 404, "a/b", "X: y\r\nZ: 1\r\n",
         "HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\nContent-Length: 7\r\nX: y\r\nZ: 1\r\n\r\n"
         "GET /  ",
         false},
        {"HEAD / HTTP/1.1\r\n" H "\r\n", 200, NULL, NULL,
         "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 200, NULL, NULL,
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nGET /  ", true},
        {"GET / HTTP/1.0\r\n\r\n", 200, NULL, NULL,
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nGET /  ", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, NULL, NULL,
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\nGET /  ", false},
        {GET("/"), 204, NULL, NULL, "HTTP/1.1 204 No Content\r\n\r\n", false},
        {GET("/"), 304, NULL, "ETag: a\r\n", "HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world x;

        world_init(&x);
        x.h.status = cases[i].status;
        x.h.content_type = cases[i].type;
        x.h.extra_headers = cases[i].extra;
        say_text(&x, cases[i].wire);
        assert_int_equal(hear(&x), cases[i].closes ? PIPIT_ECLOSED : PIPIT_OK);
        check_heard(&x, cases[i].answer);
        world_fini(&x);
    }
}

static void test_http_door_headers_that_do_not_fit(void **state)
{
    char extra[PP_HTTP_ANSWER_HEADERS_MAX + 200];
    struct world x;

    (void)state;
    memset(extra, 'a', sizeof(extra));
    memcpy(extra, "X: ", 3);
    world_init(&x);
    /* As much as is promised. */
    memcpy(extra + PP_HTTP_ANSWER_HEADERS_MAX - 2, "\r\n", 3);
    x.h.extra_headers = extra;
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 200 OK\r\n")));
    x.got.len = 0;
    /* Far more. */
    memset(extra, 'a', sizeof(extra) - 1);
    extra[sizeof(extra) - 1] = '\0';
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    world_fini(&x);
}

static void test_http_door_too_busy(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    x.h.refuse = true;
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 503 Service Unavailable\r\n" TEXT
                    "Content-Length: 23\r\nRetry-After: 1\r\n\r\n503 Service Unavailable");
    x.h.refuse = false;
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nGET /  ");
    world_fini(&x);
}

static void test_http_door_base_path(void **state)
{
    static const struct {
        const char *base, *target, *path;
    } cases[] = {
        {"", "/", "/"},           {"", "/varz", "/varz"},         {"", "/varz/", "/varz/"},
        {"/mon", "/mon", "/"},    {"/mon", "/mon/varz", "/varz"}, {"/mon", "/mon/", ""},
        {"/mon", "/", ""},        {"/mon", "/varz", ""},          {"/mon", "/monvarz", ""},
        {"/mon", "/mon//", "//"}, {"/a/b", "/a/b/c", "/c"},       {"/mon", "/m%6fn/varz", "/varz"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world x;
        char wire[128], words[64];

        world_init(&x);
        x.door.base_path = pp_str_of(cases[i].base);
        (void)snprintf(wire, sizeof(wire), "GET %s HTTP/1.1\r\n" H "\r\n", cases[i].target);
        (void)snprintf(words, sizeof(words), "GET %s  ", cases[i].path);
        say_text(&x, wire);
        assert_int_equal(hear(&x), PIPIT_OK);
        assert_string_equal(x.h.last, words);
        world_fini(&x);
    }
}

static void test_http_door_says_continue(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    say_text(&x,
             "PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 100 Continue\r\n\r\n");
    say_text(&x, "2");
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_int_equal(x.got.len, 0); /* once */
    say_text(&x, "\r\nhi\r\n0\r\n\r\n");
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nPUT /  hi");
    world_fini(&x);
}

/* --- many requests ------------------------------------------------------------------------ */

/* Three requests and an end, cut at every byte. */
static void test_http_door_every_split(void **state)
{
    static const char wire[] =
        GET("/a") "POST /b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
                  "GET /c HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
    static const char answers[] = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a  "
                                  "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nPOST /b  hi"
                                  "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n"
                                  "Connection: close\r\n\r\nGET /c  ";
    size_t len = strlen(wire);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        struct world x;

        world_init(&x);
        say(&x, wire, cut);
        if (cut < len)
            assert_int_equal(hear(&x), PIPIT_OK);
        say(&x, wire + cut, len - cut);
        assert_int_equal(hear(&x), PIPIT_ECLOSED);
        check_heard(&x, answers);
        world_fini(&x);
    }
}

static void check_pipeline(struct world *x, unsigned count)
{
    size_t at = 0;

    assert_int_equal(pp_buf_add(&x->got, "", 1), PIPIT_OK);
    for (unsigned i = 0; i < count; i++) {
        char expected[128], words[32];
        int len;

        (void)snprintf(words, sizeof(words), "GET /%u  ", i);
        len = snprintf(expected, sizeof(expected),
                       "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(words), words);
        assert_int_equal(strncmp(x->got.ptr + at, expected, (size_t)len), 0);
        at += (size_t)len;
    }
    assert_int_equal(at, x->got.len - 1);
}

/* They are answered in their order, one at a time, also when the peer has nothing more to say. */
static void test_http_door_pipeline(void **state)
{
    enum { COUNT = 1000 };

    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        struct world x;
        pp_buf wire;

        world_init(&x);
        x.h.later = how & 1;
        pp_buf_init(&wire, 1 << 20);
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(pp_buf_addf(&wire, "GET /%u HTTP/1.1\r\n" H "\r\n", i), PIPIT_OK);
        say(&x, wire.ptr, wire.len);
        if (how & 2)
            assert_int_equal(shutdown(x.peer, SHUT_WR), 0);
        pp_buf_fini(&wire);
        do {
            pipit_err err = hear(&x);

            assert_true(err == PIPIT_OK || (how & 2 && x.h.answered == COUNT));
            assert_true(x.h.asked - x.h.answered <= 1);
            if (x.h.ticket_count)
                answer_next(&x, x.h.last);
        } while (x.h.answered < COUNT);
        assert_int_equal(hear(&x), how & 2 ? PIPIT_ECLOSED : PIPIT_OK);
        check_pipeline(&x, COUNT);
        world_fini(&x);
    }
}

/* --- large answers ------------------------------------------------------------------------ */

static size_t pending(const struct world *x)
{
    return x->conn->box.pending_bytes;
}

/* Of a large answer little waits in the connection, and nothing is copied, however slowly the peer
 * takes it; it may take longer than the write deadline as long as it goes on. */
static void test_http_door_large_answer(void **state)
{
    enum { LEN = 20 << 20, HEAD = 45, SLICE = 256 << 10 };
    struct world x;
    int64_t live, deadline_ns;

    (void)state;
    world_init(&x);
    deadline_ns = atomic_load(&x.door.door.limits.write_deadline_ns);
    x.h.body_bytes = LEN;
    live = pp_alloc_live();
    say_text(&x, GET("/"));
    for (unsigned i = 0; x.got.len < HEAD + LEN; i++) {
        settle(&x.l, 0);
        assert_true(pending(&x) <= SLICE + HEAD);
        assert_true(pp_alloc_live() <= live + 20);
        assert_int_equal(peer_read(x.peer, &x.got, 50000), PIPIT_OK);
        if (i % 10 == 9)
            pass(&x, deadline_ns / 2);
    }
    assert_int_equal(x.got.len, HEAD + LEN);
    assert_memory_equal(x.got.ptr, "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", HEAD);
    check_stream(x.got.ptr + HEAD, 0, LEN);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.door.answer_bytes), 0);
    x.got.len = 0;
    x.h.body_bytes = 0;
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nGET /  ");
    world_fini(&x);
}

/* A peer that takes nothing goes after the write deadline. */
static void test_http_door_peer_takes_nothing(void **state)
{
    struct world x;
    int64_t deadline_ns;

    (void)state;
    world_init(&x);
    deadline_ns = atomic_load(&x.door.door.limits.write_deadline_ns);
    x.h.body_bytes = 20 << 20;
    say_text(&x, GET("/"));
    settle(&x.l, 0);
    pass(&x, deadline_ns - PP_NS_PER_S);
    assert_int_equal(atomic_load(&x.door.connections), 1);
    assert_int_equal(atomic_load(&x.door.answer_bytes), 20 << 20);
    pass(&x, 2 * PP_NS_PER_S);
    assert_int_equal(atomic_load(&x.door.connections), 0);
    assert_int_equal(atomic_load(&x.door.answer_bytes), 0);
    world_fini(&x);
}

/* What is being sent on all connections together has a limit; beyond it new requests wait their
 * turn outside. */
static void test_http_door_answer_budget(void **state)
{
    enum { LEN = 4 << 20 };
    struct world x;
    int first;

    (void)state;
    world_init(&x);
    x.door.answer_bytes_max = LEN - 1;
    x.h.body_bytes = LEN;
    first = x.peer;
    say_text(&x, GET("/"));
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.door.answer_bytes), LEN);
    x.peer = connect_peer(&x, 0);
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 503 ")));
    assert_int_equal(x.h.asked, 1);
    (void)close(first);
    settle(&x.l, 0);
    x.got.len = 0;
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 200 ")));
    world_fini(&x);
}

/* --- peers that leave --------------------------------------------------------------------- */

static void test_http_door_peer_leaves_before_the_answer(void **state)
{
    (void)state;
    for (unsigned bytes = 0; bytes < 2; bytes++) {
        struct world x;

        world_init(&x);
        x.h.later = true;
        x.h.body_bytes = bytes * (10 << 20);
        say_text(&x, GET("/"));
        settle(&x.l, 0);
        (void)close(x.peer);
        x.peer = -1;
        settle(&x.l, 0);
        answer_next(&x, "late");
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        world_fini(&x);
    }
}

static void test_http_door_closed_before_the_answer(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    x.h.later = true;
    say_text(&x, GET("/"));
    settle(&x.l, 0);
    pp_conn_close(x.conn, PP_CLOSE_SHUTDOWN, true);
    answer_next(&x, "in the same turn");
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    check_heard(&x, "");
    world_fini(&x);
}

/* An answer that is still on its way when the loops end. */
static void test_http_door_answer_among_the_leftovers(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    x.h.later = true;
    say_text(&x, GET("/"));
    settle(&x.l, 0);
    answer_next(&x, "never arrives");
    world_fini(&x);
}

static void test_http_door_peer_leaves_in_the_middle(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct world x;

        world_init(&x);
        x.h.body_bytes = 10 << 20;
        say_text(&x, GET("/") GET("/"));
        settle(&x.l, 0);
        assert_int_equal(peer_read(x.peer, &x.got, 1000000), PIPIT_OK);
        if (how == 1)
            assert_int_equal(shutdown(x.peer, SHUT_RD), 0); /* it does not listen any more */
        else
            (void)close(x.peer);
        x.peer = how == 0 ? -1 : x.peer;
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        assert_int_equal(atomic_load(&x.door.answer_bytes), 0);
        world_fini(&x);
    }
}

static void test_http_door_peer_leaves_in_a_request(void **state)
{
    static const char wire[] = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab";

    (void)state;
    for (size_t len = 0; len <= strlen(wire); len++) {
        struct world x;

        world_init(&x);
        say(&x, wire, len);
        settle(&x.l, 0);
        (void)close(x.peer);
        x.peer = -1;
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        world_fini(&x);
    }
}

/* --- refusals and limits ------------------------------------------------------------------ */

/* The peer gets the answer, the end of the stream, and is heard out until it closes too. */
static void test_http_door_refuses(void **state)
{
    static const struct {
        const char *wire, *status;
    } cases[] = {
        {"\x16\x03\x01\x02", "400 Bad Request"},
        {"CONNECT {}\r\n", "400 Bad Request"},
        {"HEAD / HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\n", "413 Payload Too Large"},
        {"GET / HTTP/1.1\r\n" H "Expect: x\r\n\r\n", "417 Expectation Failed"},
        {"GET / HTTP/3.0\r\n" H "\r\n", "505 HTTP Version Not Supported"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world x;
        char expected[256];

        world_init(&x);
        (void)snprintf(expected, sizeof(expected),
                       "HTTP/1.1 %s\r\n" TEXT "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       cases[i].status, strlen(cases[i].status), cases[i].status);
        say_text(&x, cases[i].wire);
        say_text(&x, GET("/not-served"));
        assert_int_equal(hear(&x), PIPIT_ECLOSED);
        check_heard(&x, expected);
        say_text(&x, "and much more");
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 1);
        (void)close(x.peer);
        x.peer = -1;
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        assert_int_equal(x.h.asked, 0);
        assert_int_equal(x.log_lines, 0);
        world_fini(&x);
    }
}

/* A refusal has its text whatever the request before was. */
static void test_http_door_refuses_after_a_head(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    say_text(&x, "HEAD / HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(hear(&x), PIPIT_OK);
    x.got.len = 0;
    say_text(&x, "nonsense\r\n");
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    check_heard(&x, "HTTP/1.1 400 Bad Request\r\n" TEXT
                    "Content-Length: 15\r\nConnection: close\r\n\r\n400 Bad Request");
    world_fini(&x);
}

static void test_http_door_does_not_linger_for_ever(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    say_text(&x, "nonsense\r\n");
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    pass(&x, PP_NS_PER_S / 2);
    assert_int_equal(atomic_load(&x.door.connections), 1);
    pass(&x, PP_NS_PER_S);
    assert_int_equal(atomic_load(&x.door.connections), 0);
    world_fini(&x);
}

static void test_http_door_timeouts(void **state)
{
    struct world x;
    int64_t head_ns, idle_ns, due_ns;

    (void)state;
    world_init(&x);
    head_ns = x.door.head_timeout_ns;
    idle_ns = x.door.idle_timeout_ns;
    (void)close(x.peer);

    /* Who never says a word. */
    x.peer = connect_peer(&x, 0);
    pass(&x, head_ns + 1);
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    assert_int_equal(x.got.len, 0);
    (void)close(x.peer);

    /* Who says one byte after the other. */
    x.peer = connect_peer(&x, 0);
    due_ns = x.conn->timer.due_ns;
    for (unsigned i = 0; i < 5; i++) {
        say(&x, &GET("/")[i], 1);
        settle(&x.l, 0);
        pass(&x, head_ns - PP_NS_PER_S);
        assert_int_equal(x.conn->timer.due_ns, due_ns);
    }
    pass(&x, head_ns + 1);
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    check_heard(&x, "HTTP/1.1 408 Request Timeout\r\n" TEXT
                    "Content-Length: 19\r\nConnection: close\r\n\r\n408 Request Timeout");
    (void)close(x.peer);

    /* Who sends no body, which is counted too. */
    x.peer = connect_peer(&x, 0);
    say_text(&x, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab");
    settle(&x.l, 0);
    pass(&x, head_ns + 1);
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 408 ")));
    x.got.len = 0;
    (void)close(x.peer);

    /* Between requests there is more time; from the first byte of the next one less again. */
    x.peer = connect_peer(&x, 0);
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    pass(&x, idle_ns - PP_NS_PER_S);
    say_text(&x, GET("/") "G");
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_int_equal(x.h.asked, 2);
    x.got.len = 0;
    pass(&x, head_ns - PP_NS_PER_S);
    assert_int_equal(hear(&x), PIPIT_OK);
    pass(&x, head_ns + 1);
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 408 ")));
    x.got.len = 0;
    (void)close(x.peer);

    x.peer = connect_peer(&x, 0);
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    x.got.len = 0;
    pass(&x, idle_ns + 1);
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    assert_int_equal(x.got.len, 0);
    world_fini(&x);
}

/* An answer may take as long as it likes. */
static void test_http_door_waits_for_the_answer(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    x.h.later = true;
    say_text(&x, GET("/"));
    settle(&x.l, 0);
    pass(&x, 3600 * PP_NS_PER_S);
    answer_next(&x, "at last");
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nat last");
    world_fini(&x);
}

static void test_http_door_too_many_connections(void **state)
{
    enum { MAX = 3 };
    struct world x;
    int peers[3 * MAX];

    (void)state;
    world_open(&x, 1);
    x.door.connections_max = MAX;
    for (unsigned i = 0; i < COUNT_OF(peers); i++) {
        peers[i] = connect_peer(&x, 0);
        settle(&x.l, 0);
    }
    assert_int_equal(atomic_load(&x.door.connections), 2 * MAX);
    assert_int_equal(x.log_lines, 1);
    for (unsigned i = 0; i < COUNT_OF(peers); i++) {
        x.peer = peers[i];
        x.got.len = 0;
        if (i < MAX) {
            say_text(&x, GET("/"));
            assert_int_equal(hear(&x), PIPIT_OK);
            assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 200 ")));
        } else {
            assert_int_equal(hear(&x), PIPIT_ECLOSED);
            assert_int_equal(x.got.len > 0, i < 2 * MAX);
            if (i < 2 * MAX)
                assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 503 ")));
        }
    }
    for (unsigned i = 0; i < COUNT_OF(peers); i++)
        (void)close(peers[i]);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.door.connections), 0);
    x.got.len = 0;
    x.peer = connect_peer(&x, 0);
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    assert_true(pp_str_starts(pp_buf_str(&x.got), PP_STR("HTTP/1.1 200 ")));
    world_fini(&x);
}

static void test_http_door_credentials(void **state)
{
    static const char refused[] = "HTTP/1.1 401 Unauthorized\r\n" TEXT "Content-Length: 16\r\n"
                                  "WWW-Authenticate: Basic realm=\"pipit\"\r\n\r\n401 Unauthorized";
    struct world x;

    (void)state;
    world_init(&x);
    assert_int_equal(pp_http_credentials_set(&x.door.credentials, PP_STR("user"), PP_STR("pass")),
                     PIPIT_OK);
    say_text(&x, GET("/"));
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, refused);
    assert_int_equal(x.log_lines, 0); /* a browser's first try is no failure */
    for (unsigned i = 0; i < 10; i++) {
        say_text(&x, "GET / HTTP/1.1\r\n" H "Authorization: Basic bWU6cGFzcw==\r\n\r\n");
        assert_int_equal(hear(&x), PIPIT_OK);
        check_heard(&x, refused);
    }
    assert_int_equal(x.log_lines, 1);
    assert_int_equal(x.h.asked, 0);
    assert_int_equal(atomic_load(&x.l.counters[0].auth_failures), 11);
    say_text(&x, "GET / HTTP/1.1\r\n" H "Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
    assert_int_equal(hear(&x), PIPIT_OK);
    check_heard(&x, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nGET /  ");
    world_fini(&x);
}

/* --- without memory, and with sockets that fail ------------------------------------------- */

/* Like hear, but the connection may be reset. */
static void hear_until_the_end(struct world *x)
{
    for (bool more = true; more;) {
        char bytes[65536];
        ssize_t n;

        settle(&x->l, 0);
        n = recv(x->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
        more = n > 0;
        if (more)
            assert_int_equal(pp_buf_add(&x->got, bytes, (size_t)n), PIPIT_OK);
    }
}

/* One connection's life: small, large, pipelined, refused. What comes is right as far as it goes.
 */
static void live_once(struct world *x)
{
    static const char first[] = GET("/1") GET("/2") "GET";
    static const char second[] = " /3 HTTP/1.1\r\n" H "\r\nbad";
    int peer;

    if (try_connect_peer(x, 0, 0, &peer)) {
        (void)close(peer);
        return;
    }
    x->peer = peer;
    x->h.body_bytes = 1 << 20;
    (void)!send(peer, first, strlen(first), MSG_NOSIGNAL);
    settle(&x->l, 0);
    (void)!send(peer, second, strlen(second), MSG_NOSIGNAL);
    hear_until_the_end(x);
    (void)close(peer);
    x->peer = -1;
    settle(&x->l, 0);
}

static void check_life(struct world *x, bool whole)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
    size_t at = 0;

    for (unsigned i = 0; i < 3 && at + strlen(head) + (1 << 20) <= x->got.len; i++) {
        if (memcmp(x->got.ptr + at, head, strlen(head)) != 0)
            return; /* a 503 */
        check_stream(x->got.ptr + at + strlen(head), 0, 1 << 20);
        at += strlen(head) + (1 << 20);
    }
    if (whole) {
        assert_int_equal(at, 3 * (strlen(head) + (1 << 20)));
        assert_memory_equal(x->got.ptr + at, "HTTP/1.1 400 ", 13);
    }
}

static void sweep(const char *point)
{
    uint64_t nth;
    bool fired = true;

    for (nth = 1; fired; nth++) {
        struct world x;

        world_open(&x, 1);
        assert_int_equal(pp_buf_reserve(&x.got, 4 << 20), PIPIT_OK);
        pp_fault_arm(point, nth);
        live_once(&x);
        fired = pp_fault_disarm();
        check_life(&x, !fired);
        world_fini(&x);
    }
    assert_true(nth > 3);
}

static void test_http_door_fault_sweep(void **state)
{
    (void)state;
    sweep("alloc");
    sweep("send");
    sweep("send_short");
    sweep("recv");
    sweep("epoll_mod");
}

/* --- answers from other threads ----------------------------------------------------------- */

enum { ANSWERERS = 2, CLIENTS = 8, REQUESTS = 200 };

/* A queue between the loops and the threads that answer. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pp_http_ticket tickets[CLIENTS];
    char words[CLIENTS][16];
    size_t count;
    bool ended;
};

static bool enqueue(void *context, const pp_http_request *request, pp_http_ticket ticket)
{
    struct queue *q = context;

    (void)pthread_mutex_lock(&q->lock);
    PP_ASSERT(q->count < CLIENTS); /* one request of each connection at a time */
    (void)snprintf(q->words[q->count], 16, "%.*s", PP_STR_ARGS(request->path));
    q->tickets[q->count++] = ticket;
    (void)pthread_cond_signal(&q->changed);
    (void)pthread_mutex_unlock(&q->lock);
    return true;
}

static void *answer_thread(void *arg)
{
    struct queue *q = arg;

    (void)pthread_mutex_lock(&q->lock);
    while (!q->ended || q->count) {
        pp_http_answer a = {.status = 200};
        pp_http_ticket ticket;

        if (q->count == 0) {
            (void)pthread_cond_wait(&q->changed, &q->lock);
            continue;
        }
        ticket = q->tickets[--q->count];
        a.body_bytes = strlen(q->words[q->count]);
        a.body = pp_body_new(a.body_bytes);
        PP_ASSERT(a.body);
        memcpy(a.body->bytes, q->words[q->count], a.body_bytes);
        (void)pthread_mutex_unlock(&q->lock);
        pp_http_answer_send(ticket, &a);
        (void)pthread_mutex_lock(&q->lock);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return NULL;
}

struct opening {
    struct world *x;
    unsigned index;
    int peer;
};

static void open_one(void *arg)
{
    struct opening *o = arg;

    assert_int_equal(try_connect_peer(o->x, o->index, 0, &o->peer), PIPIT_OK);
}

/* Half of the clients leave while answers are on their way to them. */
static void *client_thread(void *arg)
{
    struct opening *o = arg;
    pp_buf got;

    pp_buf_init(&got, 1 << 16);
    for (unsigned i = 0; i < REQUESTS; i++) {
        char wire[64], expected[128];
        int len = snprintf(wire, sizeof(wire), "GET /%u HTTP/1.1\r\n" H "\r\n", i);
        int words = snprintf(expected, sizeof(expected), "/%u", i);

        PP_ASSERT(send(o->peer, wire, (size_t)len, MSG_NOSIGNAL) == len);
        if (o->index && i == REQUESTS / 2)
            break;
        len = snprintf(expected, sizeof(expected),
                       "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n/%u", words, i);
        got.len = 0;
        while (got.len < (size_t)len) {
            peer_wait(o->peer);
            PP_ASSERT(peer_read(o->peer, &got, SIZE_MAX) == PIPIT_OK);
        }
        PP_ASSERT(got.len == (size_t)len && memcmp(got.ptr, expected, got.len) == 0);
    }
    (void)close(o->peer);
    pp_buf_fini(&got);
    return NULL;
}

static void test_http_door_answers_from_threads(void **state)
{
    struct queue q = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t answerers[ANSWERERS], clients[CLIENTS];
    struct opening openings[CLIENTS];
    struct world x;

    (void)state;
    world_open(&x, 2);
    x.door.handle = enqueue;
    x.door.context = &q;
    loops_start(&x.l);
    for (unsigned i = 0; i < ANSWERERS; i++)
        assert_int_equal(pthread_create(&answerers[i], NULL, answer_thread, &q), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        openings[i] = (struct opening){.x = &x, .index = i % 2};
        on_loop(&x.l, i % 2, open_one, &openings[i]);
        assert_int_equal(pthread_create(&clients[i], NULL, client_thread, &openings[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(clients[i], NULL), 0);
    (void)pthread_mutex_lock(&q.lock);
    q.ended = true;
    (void)pthread_cond_broadcast(&q.changed);
    (void)pthread_mutex_unlock(&q.lock);
    for (unsigned i = 0; i < ANSWERERS; i++)
        assert_int_equal(pthread_join(answerers[i], NULL), 0);
    x.peer = -1;
    /* Requests that were not read yet are not asked any more: their connections close first. */
    x.door.handle = handle;
    x.door.context = &x.h;
    world_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_door_answers),
        cmocka_unit_test(test_http_door_heads),
        cmocka_unit_test(test_http_door_headers_that_do_not_fit),
        cmocka_unit_test(test_http_door_too_busy),
        cmocka_unit_test(test_http_door_base_path),
        cmocka_unit_test(test_http_door_says_continue),
        cmocka_unit_test(test_http_door_every_split),
        cmocka_unit_test(test_http_door_pipeline),
        cmocka_unit_test(test_http_door_large_answer),
        cmocka_unit_test(test_http_door_peer_takes_nothing),
        cmocka_unit_test(test_http_door_answer_budget),
        cmocka_unit_test(test_http_door_peer_leaves_before_the_answer),
        cmocka_unit_test(test_http_door_closed_before_the_answer),
        cmocka_unit_test(test_http_door_answer_among_the_leftovers),
        cmocka_unit_test(test_http_door_peer_leaves_in_the_middle),
        cmocka_unit_test(test_http_door_peer_leaves_in_a_request),
        cmocka_unit_test(test_http_door_refuses),
        cmocka_unit_test(test_http_door_refuses_after_a_head),
        cmocka_unit_test(test_http_door_does_not_linger_for_ever),
        cmocka_unit_test(test_http_door_timeouts),
        cmocka_unit_test(test_http_door_waits_for_the_answer),
        cmocka_unit_test(test_http_door_too_many_connections),
        cmocka_unit_test(test_http_door_credentials),
        cmocka_unit_test(test_http_door_fault_sweep),
        cmocka_unit_test(test_http_door_answers_from_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
