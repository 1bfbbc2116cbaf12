/* Connections: how they begin and end, and how the loop finds them. */
#include "net/conn.h"

#include "conn_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { BODY_MIN = 32 * 1024 }; /* as in conn.c: longer operations are read into a body */

/* --- ends ----------------------------------------------------------------------------------- */

static void test_conn_peer_leaves_after_its_last_words(void **state)
{
    static char bytes[300000];

    (void)state;
    for (unsigned half = 0; half < 2; half++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        fill_stream(bytes, 0, sizeof(bytes));
        peer_send(&x, bytes, sizeof(bytes));
        if (half) {
            assert_int_equal(shutdown(x.w.peer, SHUT_WR), 0);
        } else {
            (void)close(x.w.peer);
            x.w.peer = -1;
        }
        settle(&x.l, 0);
        assert_int_equal(x.w.got.len, sizeof(bytes));
        check_stream(x.w.got.ptr, 0, sizeof(bytes));
        assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        assert_int_equal(x.l.at[0].conn_count, 0);
        assert_int_equal(atomic_load(&x.l.counters[0].connections_closed), 1);
        world_fini(&x);
    }
}

static void test_conn_read_error(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    peer_send(&x, "hello", 5);
    pp_fault_arm("recv", 1);
    turn(&x.l, 0);
    assert_true(pp_fault_disarm());
    assert_int_equal(x.w.reason, PP_CLOSE_READ_ERROR);
    assert_int_equal(x.w.got.len, 0);
    world_fini(&x);
}

static void close_in_bytes(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    *used = window.len > 3 ? 3 : window.len;
    *want = 0;
    assert_int_equal(w->closed, 0); /* never again after the close */
    assert_true(pp_outlet_write(&w->conn->own, PP_STR("-ERR")));
    pp_conn_close(w->conn, PP_CLOSE_PROTOCOL, true);
    pp_conn_close(w->conn, PP_CLOSE_CLIENT, false); /* the first one counts */
}

static void test_conn_door_closes(void **state)
{
    static const struct watch_hooks closing = {.on_bytes = close_in_bytes};
    struct world x;

    (void)state;
    world_init(&x, &closing, &roomy_limits);
    peer_send(&x, "abcdef", 6);
    turn(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_PROTOCOL);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_ECLOSED);
    assert_int_equal(x.w.got.len, 4);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

static void test_conn_flushes_before_it_closes(void **state)
{
    enum { LEN = 400000 };
    static char bytes[LEN];

    (void)state;
    fill_stream(bytes, 0, LEN);
    for (unsigned flush = 0; flush < 2; flush++) {
        struct world x;

        world_init(&x, NULL, &roomy_limits);
        /* Some of it waits already, some is staged only. */
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, LEN / 2}));
        pp_loop_flush(&x.l.at[0]);
        assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes + LEN / 2, LEN / 2}));
        pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, flush);
        assert_null(pp_conn_find(&x.l.at[0], x.w.conn->id));
        turn(&x.l, 0);
        while (peer_read(x.w.peer, &x.w.got, 10000) == PIPIT_OK) {
            assert_true(x.w.got.len <= LEN);
            settle(&x.l, 0);
        }
        if (flush)
            assert_int_equal(x.w.got.len, LEN);
        else
            assert_true(x.w.got.len < LEN);
        check_stream(x.w.got.ptr, 0, x.w.got.len);
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.w.freed), 1);
        world_fini(&x);
    }
}

/* A peer that does not take its last words either does not keep the connection. */
static void test_conn_does_not_flush_for_ever(void **state)
{
    static const pp_conn_limits limits = {.pending_max = 64 << 20,
                                          .write_deadline_ns = 1000 * PP_NS_PER_S};
    static char bytes[1000000];
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, NULL, &limits);
    loop = &x.l.at[0];
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    loop->now_ns += 999 * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
    assert_int_equal(x.l.at[0].conn_count, 1);
    loop->now_ns += 2 * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
    assert_int_equal(x.l.at[0].conn_count, 0);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

static void test_conn_peer_leaves_while_it_closes(void **state)
{
    static char bytes[1000000];
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_PROTOCOL, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    (void)close(x.w.peer);
    x.w.peer = -1;
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 0); /* long before the write deadline */
    world_fini(&x);
}

static void test_conn_abandon(void **state)
{
    static char bytes[1000000];
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    assert_true(pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_conn_close(x.w.conn, PP_CLOSE_SHUTDOWN, true);
    settle(&x.l, 0);
    assert_int_equal(x.l.at[0].conn_count, 1);
    pp_conn_abandon_closing(&x.l.at[0]);
    assert_int_equal(x.l.at[0].conn_count, 0);
    world_fini(&x);
}

/* While somebody holds it, it is closed but not freed. */
static void test_conn_is_held(void **state)
{
    struct world x;
    pp_conn *conn;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    conn = x.w.conn;
    pp_conn_hold(conn);
    pp_conn_close(conn, PP_CLOSE_CLIENT, false);
    settle(&x.l, 0);
    assert_true(conn->closed);
    assert_int_equal(atomic_load(&x.w.freed), 0);
    pp_conn_unhold(conn);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    world_fini(&x);
}

/* --- the loop's connections ----------------------------------------------------------------- */

static void count_and_close(pp_conn *conn, void *arg)
{
    unsigned *count = arg;

    if (++*count % 2)
        pp_conn_close(conn, PP_CLOSE_CLIENT, false);
}

struct walked {
    unsigned times[3000];
};

static void note_walked(pp_conn *conn, void *arg)
{
    ((struct walked *)arg)->times[conn->id]++;
}

/* Between the steps connections come, so that the table grows, and go. */
static void test_conn_walk_visits_once_what_stays(void **state)
{
    enum { COUNT = 100, COMING = 900 };
    static struct watch watches[COUNT + COMING];
    static struct walked walked;
    unsigned opened = COUNT;
    size_t at = 0, mask;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    for (unsigned i = 0; i < COUNT + COMING; i++)
        watch_init(&watches[i], &l, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(watch_connect_as(&watches[i], 0, 3 * i, &roomy_limits, 0), PIPIT_OK);
    mask = l.at[0].conn_mask;
    while (pp_conn_walk(&l.at[0], &at, note_walked, &walked)) {
        for (unsigned n = 0; n < 20 && opened < COUNT + COMING; n++, opened++)
            assert_int_equal(watch_connect_as(&watches[opened], 0, 3 * opened, &roomy_limits, 0),
                             PIPIT_OK);
        if (opened % 60 == 0) /* one of those that were there, and every third of them */
            pp_conn_close(watches[opened / 60 * 3 % COUNT].conn, PP_CLOSE_CLIENT, false);
    }
    assert_int_equal(opened, COUNT + COMING);
    assert_true(l.at[0].conn_mask >= 8 * mask);
    for (unsigned i = 0; i < COUNT + COMING; i++) {
        assert_true(walked.times[3 * i] <= 1);
        if (i < COUNT && !watches[i].closed)
            assert_int_equal(walked.times[3 * i], 1);
    }
    for (unsigned i = 0; i < COUNT + COMING; i++)
        pp_conn_close(watches[i].conn, PP_CLOSE_CLIENT, false);
    settle(&l, 0);
    loops_fini(&l);
    for (unsigned i = 0; i < COUNT + COMING; i++)
        watch_fini(&watches[i]);
    loops_check_memory(&l);
}

static void test_conn_is_found_by_id(void **state)
{
    enum { COUNT = 300 };
    static struct watch watches[COUNT];
    struct loops l;
    unsigned count = 0;
    size_t at = 0;

    (void)state;
    loops_init(&l, 1);
    assert_null(pp_conn_any(&l.at[0], &at));
    for (unsigned i = 0; i < COUNT; i++) {
        watch_init(&watches[i], &l, NULL);
        assert_int_equal(watch_connect_as(&watches[i], 0, 7 * i, &roomy_limits, 0), PIPIT_OK);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_ptr_equal(pp_conn_find(&l.at[0], 7 * i), watches[i].conn);
        assert_null(pp_conn_find(&l.at[0], 7 * i + 1));
    }
    assert_int_equal(l.at[0].conn_count, COUNT);
    pp_conn_each(&l.at[0], count_and_close, &count);
    assert_int_equal(count, COUNT);
    settle(&l, 0);
    assert_int_equal(l.at[0].conn_count, COUNT / 2);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true((pp_conn_find(&l.at[0], 7 * i) == NULL) == (watches[i].closed == 1));
    for (unsigned i = 0; i < COUNT / 2; i++) {
        pp_conn *conn = pp_conn_any(&l.at[0], &at);

        assert_non_null(conn);
        pp_conn_close(conn, PP_CLOSE_CLIENT, false);
    }
    assert_null(pp_conn_any(&l.at[0], &at));
    settle(&l, 0);
    assert_int_equal(l.at[0].conn_count, 0);
    loops_fini(&l);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&watches[i].freed), 1);
        watch_fini(&watches[i]);
    }
    loops_check_memory(&l);
}

/* One failure at each place while a connection opens: it is closed, both counters know of it, and
 * its peer learns. */
static void test_conn_open_fault_sweep(void **state)
{
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        struct loops l;
        struct watch w;
        pipit_err err;
        bool fired;

        loops_init(&l, 1);
        watch_init(&w, &l, NULL);
        pp_fault_arm("*", nth);
        err = watch_connect_as(&w, 0, 5, &roomy_limits, 0);
        fired = pp_fault_disarm();
        if (!fired)
            assert_int_equal(err, PIPIT_OK);
        if (err) {
            assert_int_not_equal(err, PIPIT_EAGAIN);
            settle(&l, 0);
            assert_int_equal(peer_read(w.peer, &w.got, SIZE_MAX), PIPIT_ECLOSED);
            assert_null(pp_conn_find(&l.at[0], 5));
            assert_int_equal(atomic_load(&l.counters[0].connections_opened), 1);
            assert_int_equal(atomic_load(&l.counters[0].connections_closed), 1);
            if (w.opened)
                assert_int_equal(w.closed, 1);
        }
        loops_fini(&l);
        watch_fini(&w);
        loops_check_memory(&l);
        if (!fired)
            break;
    }
    assert_true(nth > 2);
}

static pipit_err refuse_open(struct watch *w)
{
    (void)w;
    return PIPIT_ELIMIT;
}

static void test_conn_door_refuses_to_open(void **state)
{
    static const struct watch_hooks refusing = {.open = refuse_open};
    struct loops l;
    struct watch w;

    (void)state;
    loops_init(&l, 1);
    watch_init(&w, &l, &refusing);
    assert_int_equal(watch_connect_as(&w, 0, 5, &roomy_limits, 0), PIPIT_ELIMIT);
    settle(&l, 0);
    assert_int_equal(w.closed, 1);
    assert_int_equal(atomic_load(&w.freed), 1);
    assert_int_equal(peer_read(w.peer, &w.got, SIZE_MAX), PIPIT_ECLOSED);
    loops_fini(&l);
    watch_fini(&w);
    loops_check_memory(&l);
}

/* No memory for what is not complete: that connection ends, no other. */
static void test_conn_keep_fault(void **state)
{
    static char bytes[BODY_MIN * 2];

    (void)state;
    for (unsigned large = 0; large < 2; large++) {
        struct world x;

        world_init(&x, &taking, &roomy_limits);
        (void)make_op(bytes, 0, large ? BODY_MIN + 100 : 100);
        peer_send(&x, bytes, 50);
        pp_fault_arm("alloc", 1);
        turn(&x.l, 0);
        assert_true(pp_fault_disarm());
        assert_int_equal(x.w.reason, PP_CLOSE_NO_MEMORY);
        world_fini(&x);
    }
}

/* --- timers --------------------------------------------------------------------------------- */

static void set_again(struct watch *w)
{
    if (w->timers < 3)
        pp_conn_set_timer(w->conn, w->conn->loop->now_ns + 5);
}

static void test_conn_door_timer(void **state)
{
    static const struct watch_hooks hooks = {.on_timer = set_again};
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, &hooks, &roomy_limits);
    loop = &x.l.at[0];
    loop->now_ns = 1000;
    pp_conn_set_timer(x.w.conn, 1010);
    pp_conn_set_timer(x.w.conn, 1005); /* anew */
    pp_timers_run(&loop->timers, 1004);
    assert_int_equal(x.w.timers, 0);
    for (unsigned i = 1; i <= 3; i++) {
        loop->now_ns += 5;
        pp_timers_run(&loop->timers, loop->now_ns);
        assert_int_equal(x.w.timers, i);
    }
    pp_conn_set_timer(x.w.conn, 2000);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, false);
    pp_conn_set_timer(x.w.conn, 2000); /* not any more */
    pp_timers_run(&loop->timers, 3000);
    assert_int_equal(x.w.timers, 3);
    world_fini(&x);
}

/* --- addresses ------------------------------------------------------------------------------ */

static void test_conn_peer_addresses(void **state)
{
    static const struct {
        const char *address;
        const char *text;
    } rows[] = {{"127.0.0.1", "127.0.0.1"},
                {"::1", "::1"},
                {"2001:db8::2", "2001:db8::2"},
                {"::ffff:10.1.2.3", "10.1.2.3"}};
    struct world x;
    char text[48];

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_peer_text(x.w.conn, text);
    assert_string_equal(text, "unix");
    assert_true(x.w.conn->local);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(4222)};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4222)};

        if (inet_pton(AF_INET, rows[i].address, &in.sin_addr) == 1) {
            pp_conn_set_peer(x.w.conn, (struct sockaddr *)&in);
        } else {
            assert_int_equal(inet_pton(AF_INET6, rows[i].address, &in6.sin6_addr), 1);
            pp_conn_set_peer(x.w.conn, (struct sockaddr *)&in6);
        }
        pp_conn_peer_text(x.w.conn, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(x.w.conn->peer_port, 4222);
    }
    world_fini(&x);
}

static void test_conn_reasons_have_texts(void **state)
{
    (void)state;
    assert_string_equal(pp_close_reason_text(PP_CLOSE_NONE), "");
    assert_string_equal(pp_close_reason_text(PP_CLOSE_SLOW_PENDING),
                        "Slow Consumer (Pending Bytes)");
    assert_string_equal(pp_close_reason_text(PP_CLOSE_SHUTDOWN), "Server Shutdown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_peer_leaves_after_its_last_words),
        cmocka_unit_test(test_conn_read_error),
        cmocka_unit_test(test_conn_door_closes),
        cmocka_unit_test(test_conn_flushes_before_it_closes),
        cmocka_unit_test(test_conn_does_not_flush_for_ever),
        cmocka_unit_test(test_conn_peer_leaves_while_it_closes),
        cmocka_unit_test(test_conn_abandon),
        cmocka_unit_test(test_conn_is_held),
        cmocka_unit_test(test_conn_walk_visits_once_what_stays),
        cmocka_unit_test(test_conn_is_found_by_id),
        cmocka_unit_test(test_conn_open_fault_sweep),
        cmocka_unit_test(test_conn_door_refuses_to_open),
        cmocka_unit_test(test_conn_keep_fault),
        cmocka_unit_test(test_conn_door_timer),
        cmocka_unit_test(test_conn_peer_addresses),
        cmocka_unit_test(test_conn_reasons_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
