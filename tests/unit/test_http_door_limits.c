/* What the door refuses, and how long it waits. */
#include "http/door.h"

#include "http_door_world.h"

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
    ask_for_later(&x);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_door_refuses),
        cmocka_unit_test(test_http_door_refuses_after_a_head),
        cmocka_unit_test(test_http_door_does_not_linger_for_ever),
        cmocka_unit_test(test_http_door_timeouts),
        cmocka_unit_test(test_http_door_waits_for_the_answer),
        cmocka_unit_test(test_http_door_too_many_connections),
        cmocka_unit_test(test_http_door_credentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
