/* When a connection is not read: it is paused, stopped, or waits for who lags. */
#include "net/conn.h"

#include "conn_world.h"

static void test_conn_paused_is_not_read(void **state)
{
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    loop = &x.l.at[0];
    pp_conn_pause(x.w.conn, NULL, 3600 * PP_NS_PER_S);
    assert_int_equal(atomic_load(&x.l.counters[0].stalls), 1);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    peer_send(&x, "def", 3);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    loop->now_ns += 3601 * PP_NS_PER_S;
    pp_conn_resume_due(loop);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 6);
    world_fini(&x);
}

static void test_conn_resumes_for_whom_it_waits(void **state)
{
    struct world x;
    pp_loop *loop;
    pp_outlet other;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    loop = &x.l.at[0];
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    pp_conn_resume_for(loop, &other);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    pp_conn_resume_for(loop, &x.w.conn->own);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    world_fini(&x);
}

/* The peer's end is noticed when the pause is over, after what it had sent. */
static void test_conn_peer_leaves_during_a_pause(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    peer_send(&x, "abc", 3);
    (void)close(x.w.peer);
    x.w.peer = -1;
    settle(&x.l, 0);
    assert_int_equal(x.w.closed, 0);
    pp_conn_resume_for(&x.l.at[0], &x.w.conn->own);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

static void test_conn_closes_during_a_pause(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_pause(x.w.conn, &x.w.conn->own, 3600 * PP_NS_PER_S);
    pp_conn_close(x.w.conn, PP_CLOSE_STALE, true);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    assert_true(pp_list_empty(&x.l.at[0].paused));
    world_fini(&x);
}

static void test_conn_stops_and_starts_reading(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    pp_conn_stop_reading(x.w.conn);
    peer_send(&x, "abc", 3);
    settle(&x.l, 0);
    pp_conn_resume_for(&x.l.at[0], NULL); /* nobody else starts it */
    x.l.at[0].now_ns += 3600 * PP_NS_PER_S;
    pp_conn_resume_due(&x.l.at[0]);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 0);
    pp_conn_start_reading(x.w.conn);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 3);
    world_fini(&x);
}

static void set_gate(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct watch *slow = w->context;

    *used = window.len;
    *want = 0;
    w->timers++;
    if (slow->conn->own.gated)
        w->conn->loop->gate = &slow->conn->own;
}

/* A publisher to a recipient that lags is paused after what it has sent, and goes on when the
 * recipient has caught up. */
static void test_conn_waits_for_who_lags(void **state)
{
    static const pp_conn_limits limits = {.pending_max = 400000,
                                          .write_deadline_ns = 3600 * PP_NS_PER_S};
    static const struct watch_hooks gating = {.on_bytes = set_gate};
    static char bytes[350000];
    struct loops l;
    struct watch slow, publisher;

    (void)state;
    loops_init(&l, 1);
    watch_init(&slow, &l, NULL);
    watch_init(&publisher, &l, &gating);
    publisher.context = &slow;
    watch_connect(&slow, 0, &limits, 4096);
    watch_connect(&publisher, 0, &limits, 0);
    assert_true(pp_outlet_write(&slow.conn->own, (pp_str){bytes, sizeof(bytes)}));
    pp_loop_flush(&l.at[0]);
    assert_true(slow.conn->own.gated);
    assert_int_equal(send(publisher.peer, "a", 1, MSG_NOSIGNAL), 1);
    turn(&l, 0);
    assert_true(publisher.conn->paused);
    assert_ptr_equal(publisher.conn->waits_for, &slow.conn->own);
    assert_null(l.at[0].gate);
    assert_int_equal(publisher.timers, 1);
    while (slow.conn->box.first) {
        assert_int_equal(peer_read(slow.peer, &slow.got, SIZE_MAX), PIPIT_OK);
        turn(&l, 0);
    }
    settle(&l, 0);
    assert_false(slow.conn->own.gated);
    assert_false(publisher.conn->paused);
    loops_fini(&l);
    watch_fini(&slow);
    watch_fini(&publisher);
    loops_check_memory(&l);
}

/* Pass on what comes without a copy. */
static void lend(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct watch *slow = w->context;

    *used = window.len;
    *want = 0;
    w->got.len += window.len;
    assert_true(pp_outlet_refer(&slow->conn->own, window, NULL));
}

/* Say more than a read takes, to a recipient whose socket takes next to nothing. */
static void pour(struct loops *l, struct watch *slow, struct watch *publisher,
                 const pp_conn_limits *limits)
{
    static const struct watch_hooks lending = {.on_bytes = lend};
    char *bytes = calloc(1, 3 * l->at[0].read_cap / 2);

    watch_init(slow, l, NULL);
    watch_init(publisher, l, &lending);
    publisher->context = slow;
    watch_connect(slow, 0, &roomy_limits, 4096);
    watch_connect(publisher, 0, limits, 0);
    assert_int_equal(send(publisher->peer, bytes, 3 * l->at[0].read_cap / 2, MSG_DONTWAIT),
                     3 * l->at[0].read_cap / 2);
    free(bytes);
    turn(l, 0);
}

static void flood(struct loops *l, struct watch *slow, struct watch *publisher)
{
    pour(l, slow, publisher, &roomy_limits);
    assert_true(publisher->conn->paused);
    assert_ptr_equal(publisher->conn->waits_for, &slow->conn->own);
    assert_int_equal(publisher->got.len, l->at[0].read_cap);
    assert_int_equal(atomic_load(&l->counters[0].stalls), 0);
}

static void flood_fini(struct loops *l, struct watch *slow, struct watch *publisher)
{
    publisher->got.len = 0;
    loops_fini(l);
    watch_fini(slow);
    watch_fini(publisher);
    loops_check_memory(l);
}

/* What the recipient's socket refuses has to be copied: more is read when it has been sent. */
static void test_conn_waits_briefly_for_who_refuses(void **state)
{
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    flood(&l, &slow, &publisher);
    while (slow.conn->box.first) {
        assert_true(publisher.conn->paused);
        l.at[0].now_ns = 0; /* the time that passes here shall not end the pause */
        assert_int_equal(peer_read(slow.peer, &slow.got, 10000), PIPIT_OK);
        pp_outbox_on_writable(slow.conn);
    }
    settle(&l, 0);
    assert_false(publisher.conn->paused);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    flood_fini(&l, &slow, &publisher);
}

/* And if it is not sent it is not waited for longer than that. */
static void test_conn_waits_for_a_millisecond(void **state)
{
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    loops_init(&l, 1);
    flood(&l, &slow, &publisher);
    assert_true(publisher.conn->resume_ns - l.at[0].now_ns <= PP_NS_PER_MS);
    l.at[0].now_ns += PP_NS_PER_MS;
    pp_conn_resume_due(&l.at[0]);
    assert_false(publisher.conn->paused);
    settle(&l, 0);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    assert_false(publisher.conn->paused); /* nothing was left to be read */
    flood_fini(&l, &slow, &publisher);
}

static void test_conn_never_waits_where_it_must_not(void **state)
{
    pp_conn_limits limits = {.no_stall = true};
    struct watch slow, publisher;
    struct loops l;

    (void)state;
    atomic_init(&limits.pending_max, roomy_limits.pending_max);
    loops_init(&l, 1);
    pour(&l, &slow, &publisher, &limits);
    assert_false(publisher.conn->paused);
    settle(&l, 0);
    assert_int_equal(publisher.got.len, 3 * l.at[0].read_cap / 2);
    flood_fini(&l, &slow, &publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_paused_is_not_read),
        cmocka_unit_test(test_conn_resumes_for_whom_it_waits),
        cmocka_unit_test(test_conn_peer_leaves_during_a_pause),
        cmocka_unit_test(test_conn_closes_during_a_pause),
        cmocka_unit_test(test_conn_stops_and_starts_reading),
        cmocka_unit_test(test_conn_waits_for_who_lags),
        cmocka_unit_test(test_conn_waits_briefly_for_who_refuses),
        cmocka_unit_test(test_conn_never_waits_where_it_must_not),
        cmocka_unit_test(test_conn_waits_for_a_millisecond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
