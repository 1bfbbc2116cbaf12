/* The owner is told that all is sent. */
#include "net/conn.h"

#include "conn_world.h"

static void test_conn_tells_when_all_is_sent(void **state)
{
    static char bytes[3000000];
    struct world x;

    (void)state;
    fill_stream(bytes, 0, sizeof(bytes));
    for (unsigned how = 0; how < 3; how++) {
        static const size_t lens[] = {0, 100, sizeof(bytes)}; /* 100: the socket takes it at once */
        size_t len = lens[how];

        world_init(&x, NULL, &roomy_limits);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, len}));
        pp_conn_ask_sent(x.w.conn);
        assert_int_equal(x.w.sents, 0); /* not in the call */
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, len <= 100);
        while (x.w.got.len < len) {
            assert_int_equal(peer_read(x.w.peer, &x.w.got, 100000), PIPIT_OK);
            settle(&x.l, 0);
        }
        assert_int_equal(x.w.sents, 1);
        /* Once for each time it asks. */
        assert_true(pp_outlet_write(&x.w.conn->own, PP_STR("more")));
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, 1);
        world_fini(&x);
    }
}

/* Who has asked and closes, or whose peer leaves, is not told any more. */
static void test_conn_tells_nothing_after_the_end(void **state)
{
    static char bytes[3000000];

    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
        pp_conn_ask_sent(x.w.conn);
        if (how == 0) {
            pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
            pp_conn_ask_sent(x.w.conn);
        }
        settle(&x.l, 0);
        if (how == 1) {
            (void)close(x.w.peer);
            x.w.peer = -1;
        }
        while (x.w.peer >= 0 && x.w.got.len < sizeof(bytes)) {
            if (how == 2 && x.w.got.len > 1000000) {
                pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, false);
                break;
            }
            (void)peer_read(x.w.peer, &x.w.got, 100000);
            settle(&x.l, 0);
        }
        settle(&x.l, 0);
        assert_int_equal(x.w.sents, 0);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        world_fini(&x);
    }
}

static void test_conn_reads_on_with_its_own_end_shut(void **state)
{
    struct world x;
    char c;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_shut_write(x.w.conn);
    assert_int_equal(recv(x.w.peer, &c, 1, 0), 0);
    peer_send(&x, "late", 4);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 4);
    assert_int_equal(x.w.closed, 0);
    (void)shutdown(x.w.peer, SHUT_WR);
    settle(&x.l, 0);
    assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_tells_when_all_is_sent),
        cmocka_unit_test(test_conn_tells_nothing_after_the_end),
        cmocka_unit_test(test_conn_reads_on_with_its_own_end_shut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
