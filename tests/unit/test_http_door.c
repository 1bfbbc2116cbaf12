/* The door: requests in, answers out, over a socket pair. */
#include "http/door.h"

#include "http_door_world.h"

/* --- one request, one answer ---------------------------------------------------------------- */

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

/* --- many requests -------------------------------------------------------------------------- */

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

/* --- large answers -------------------------------------------------------------------------- */

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
