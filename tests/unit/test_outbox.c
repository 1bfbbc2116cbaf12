/* What waits for room is sent later or the connection ends; nothing is left behind. */
#include "net/outlet.h"

#include "outlet_world.h"

/* --- recipients that lag -------------------------------------------------------------------- */

static const pp_conn_limits tight_limits = {.pending_max = 400000,
                                            .write_deadline_ns = 3600 * PP_NS_PER_S};

/* Let the owner send until what waits is no more than this. */
static void drain_to(struct world *x, size_t pending)
{
    while (x->w.conn->box.pending_bytes > pending) {
        assert_int_equal(peer_read(x->w.peer, &x->w.got, SIZE_MAX), PIPIT_OK);
        turn_on_event(&x->l, 0);
    }
}

static void test_outlet_gate_closes_and_opens(void **state)
{
    struct world x;
    pp_outlet *outlet;

    (void)state;
    world_init(&x, 2, &tight_limits, SMALL_SEND_BUFFER);
    outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    stage(&x, outlet, 200000);
    flush_all(&x, 1);
    assert_false(outlet->gated);
    stage(&x, outlet, 150000);
    flush_all(&x, 1);
    assert_true(outlet->gated); /* beyond three quarters */
    stage(&x, own(&x), 10);
    flush_all(&x, 0);
    assert_true(own(&x)->gated);
    drain_to(&x, 250000);
    turn(&x.l, 1);
    turn(&x.l, 0);
    assert_false(outlet->gated);
    assert_false(own(&x)->gated);
    world_fini_when_all_came(&x);
}

struct marker {
    pp_task task;
    unsigned ran;
};

static void run_marker(pp_task *task)
{
    PP_CONTAINER(task, struct marker, task)->ran++;
}

/* The recipient may catch up, lag and catch up again before the loop that waits for it has had a
 * turn to hear of the first time. */
static void test_outlet_gate_opens_twice_before_it_is_heard(void **state)
{
    struct marker marker = {.task.run = run_marker};
    struct world x;
    pp_outlet *outlet;

    (void)state;
    world_init(&x, 2, &tight_limits, SMALL_SEND_BUFFER);
    outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    for (unsigned i = 0; i < 2; i++) {
        stage(&x, outlet, 350000);
        flush_all(&x, 1);
        assert_true(outlet->gated);
        drain_to(&x, 1000);
        if (i == 0)
            pp_loop_post(&x.l.at[1], &marker.task); /* something else for that loop */
    }
    turn(&x.l, 1);
    assert_int_equal(marker.ran, 1);
    assert_false(outlet->gated);
    settle(&x.l, 0);
    assert_int_equal(x.w.conn->box.posted, 0);
    receive_all(&x);
    world_fini(&x);
}

static void test_outlet_too_much_waiting_ends_it(void **state)
{
    struct world x;
    pp_outlet *outlet;

    (void)state;
    for (unsigned from = 0; from < 2; from++) {
        world_init(&x, 2, &tight_limits, SMALL_SEND_BUFFER);
        outlet = pp_conn_outlet(x.w.conn, &x.l.at[from]);
        stage(&x, outlet, 300000);
        flush_all(&x, from);
        stage(&x, outlet, 50000); /* in bounds still */
        flush_all(&x, from);
        turn(&x.l, 0);
        assert_int_equal(x.w.closed, 0);
        stage(&x, outlet, 60000);
        flush_all(&x, from);
        settle(&x.l, 0);
        assert_int_equal(x.w.closed, 1);
        assert_int_equal(x.w.reason, PP_CLOSE_SLOW_PENDING);
        assert_int_equal(atomic_load(&x.l.counters[0].slow_consumers), 1);
        /* Nothing of what waited is sent any more; what did arrive is the front of the stream. */
        assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_ECLOSED);
        assert_true(x.w.got.len < 300000);
        check_stream(x.w.got.ptr, 0, x.w.got.len);
        world_fini(&x);
    }
}

/* The limit is of what waits, not of what is staged: a socket that takes it all is no lag. */
static void test_outlet_a_reader_is_not_slow(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &tight_limits, 0);
    for (unsigned i = 0; i < 100; i++) {
        stage(&x, own(&x), 100000);
        flush_all(&x, 0);
        receive_all(&x);
    }
    check_nothing_waits(&x);
    world_fini(&x);
}

/* --- write deadline: the test keeps the clock ----------------------------------------------- */

static const pp_conn_limits hurried_limits = {.pending_max = 64 << 20,
                                              .write_deadline_ns = 1000 * PP_NS_PER_S};

static void pass_time(struct world *x, int64_t seconds)
{
    pp_loop *loop = &x->l.at[0];

    loop->now_ns += seconds * PP_NS_PER_S;
    pp_timers_run(&loop->timers, loop->now_ns);
}

static void run_owner_tasks(struct world *x)
{
    (void)pp_loop_run_leftovers(&x->l.at[0]); /* a turn would read the clock */
}

/* A second has gone by, and some of what was staged waits for the peer. */
static void wait_for_peer(struct world *x)
{
    world_init(x, 1, &hurried_limits, SMALL_SEND_BUFFER);
    x->l.at[0].now_ns = PP_NS_PER_S;
    stage(x, own(x), 100000);
    flush_all(x, 0);
    run_owner_tasks(x);
}

static void test_outlet_write_deadline(void **state)
{
    struct world x;

    (void)state;
    wait_for_peer(&x);
    assert_int_equal(x.l.at[0].timers.count, 1);
    pass_time(&x, 999);
    assert_int_equal(x.w.closed, 0);
    pass_time(&x, 2);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_DEADLINE);
    assert_int_equal(atomic_load(&x.l.counters[0].slow_consumers), 1);
    world_fini(&x);
}

/* A peer that takes what waited, if slowly, goes on; the clock starts again for the rest. */
static void test_outlet_write_deadline_starts_anew(void **state)
{
    struct world x;

    (void)state;
    wait_for_peer(&x);
    for (unsigned i = 0; i < 5; i++) {
        size_t goal = x.staged;

        pass_time(&x, 900);
        assert_int_equal(x.w.closed, 0);
        stage(&x, own(&x), 100000); /* so that something waits all the time */
        flush_all(&x, 0);
        while (x.w.got.len < goal) {
            assert_int_equal(peer_read(x.w.peer, &x.w.got, goal - x.w.got.len), PIPIT_OK);
            pp_outbox_on_writable(x.w.conn);
        }
    }
    assert_non_null(x.w.conn->box.first);
    pass_time(&x, 1001);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_SLOW_DEADLINE);
    world_fini(&x);
}

/* Once all has been taken nobody watches; what comes later has its full time. */
static void test_outlet_write_deadline_rests(void **state)
{
    struct world x;

    (void)state;
    wait_for_peer(&x);
    while (x.w.conn->box.first) {
        assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
        pp_outbox_on_writable(x.w.conn);
    }
    pass_time(&x, 1001);
    assert_int_equal(x.w.closed, 0);
    assert_int_equal(x.l.at[0].timers.count, 0);
    pass_time(&x, 1001);
    stage(&x, own(&x), 200000);
    flush_all(&x, 0);
    run_owner_tasks(&x);
    pass_time(&x, 999);
    assert_int_equal(x.w.closed, 0);
    pass_time(&x, 2);
    assert_int_equal(x.w.closed, 1);
    world_fini(&x);
}

/* --- when it ends --------------------------------------------------------------------------- */

static void test_outlet_of_a_closing_connection(void **state)
{
    struct world x;
    pp_outlet *outlet;

    (void)state;
    world_init(&x, 2, &roomy_limits, 0);
    outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    assert_non_null(outlet);
    /* Loop 1 is in the middle of a turn, with something staged, when the connection ends. */
    pp_reclaim_enter(&x.l.at[1].reclaimer);
    stage(&x, outlet, 5000);
    stage_body(&x, outlet, 5000);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, false);
    assert_null(pp_conn_outlet(x.w.conn, &x.l.at[0]));
    turn(&x.l, 0);
    turn(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 0);
    assert_null(pp_conn_outlet(x.w.conn, &x.l.at[1]));
    flush_all(&x, 1);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_ECLOSED);
    assert_int_equal(x.w.got.len, 0);
    turn(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 0);
    pp_reclaim_leave(&x.l.at[1].reclaimer);
    settle(&x.l, 0);
    assert_int_equal(atomic_load(&x.w.freed), 1);
    loops_fini(&x.l);
    watch_fini(&x.w);
    loops_check_memory(&x.l);
}

static void test_outlet_send_error_closes(void **state)
{
    struct world x;

    (void)state;
    for (unsigned from = 0; from < 2; from++) {
        world_init(&x, 2, &roomy_limits, 0);
        stage(&x, pp_conn_outlet(x.w.conn, &x.l.at[from]), 100);
        pp_fault_arm("send", 1);
        pp_loop_flush(&x.l.at[from]);
        assert_true(pp_fault_disarm());
        assert_null(pp_conn_outlet(x.w.conn, &x.l.at[1]));
        settle(&x.l, 0);
        assert_int_equal(x.w.closed, 1);
        assert_int_equal(x.w.reason, PP_CLOSE_WRITE_ERROR);
        world_fini(&x);
    }
}

static void test_outlet_send_error_in_the_queue_closes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, SMALL_SEND_BUFFER);
    stage(&x, own(&x), 100000);
    flush_all(&x, 0);
    pp_fault_arm("send", 1);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
    turn_on_event(&x.l, 0);
    assert_true(pp_fault_disarm());
    settle(&x.l, 0);
    assert_int_equal(x.w.closed, 1);
    assert_int_equal(x.w.reason, PP_CLOSE_WRITE_ERROR);
    world_fini(&x);
}

/* The nth allocation fails: either the caller hears of it and goes without that piece, or the
 * connection ends. A stream with a hole in it is never sent. */
static void test_outlet_fault_sweep(void **state)
{
    unsigned nth, refused = 0, ended = 0;

    (void)state;
    for (nth = 1;; nth++) {
        struct world x;
        char bytes[4000];
        bool fired;

        world_init(&x, 2, &roomy_limits, SMALL_SEND_BUFFER);
        pp_fault_arm("alloc", nth);
        for (unsigned i = 0; i < 12; i++) {
            pp_outlet *outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
            pp_body *body = i % 3 == 1 ? pp_body_new(sizeof(bytes)) : NULL;
            pp_str text = {bytes, sizeof(bytes)};
            bool staged = false;

            fill_stream(bytes, x.staged, sizeof(bytes));
            if (outlet && body) {
                memcpy(body->bytes, bytes, sizeof(bytes));
                staged = pp_outlet_room(outlet, 1) &&
                         pp_outlet_refer(outlet, (pp_str){body->bytes, sizeof(bytes)}, body);
            } else if (outlet && i % 3 == 2) {
                memcpy(x.l.at[1].read_buf + i * 4000, bytes, sizeof(bytes));
                text.ptr = x.l.at[1].read_buf + i * 4000;
                staged = pp_outlet_room(outlet, 1) && pp_outlet_refer(outlet, text, NULL);
            } else if (outlet) {
                staged = pp_outlet_write(outlet, text);
            }
            pp_body_unref(body);
            refused += !staged;
            x.staged += staged ? sizeof(bytes) : 0;
            if (i % 5 == 4)
                flush_all(&x, 1);
        }
        flush_all(&x, 1);
        fired = pp_fault_disarm();
        settle(&x.l, 0);
        if (x.w.closed) {
            assert_int_equal(x.w.reason, PP_CLOSE_NO_MEMORY);
            (void)peer_read(x.w.peer, &x.w.got, SIZE_MAX);
            assert_true(x.w.got.len <= x.staged);
            check_stream(x.w.got.ptr, 0, x.w.got.len);
            ended++;
        } else {
            receive_all(&x);
        }
        world_fini(&x);
        if (!fired)
            break;
    }
    assert_true(refused > 0 && ended > 0 && nth > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlet_gate_closes_and_opens),
        cmocka_unit_test(test_outlet_gate_opens_twice_before_it_is_heard),
        cmocka_unit_test(test_outlet_too_much_waiting_ends_it),
        cmocka_unit_test(test_outlet_a_reader_is_not_slow),
        cmocka_unit_test(test_outlet_write_deadline),
        cmocka_unit_test(test_outlet_write_deadline_starts_anew),
        cmocka_unit_test(test_outlet_write_deadline_rests),
        cmocka_unit_test(test_outlet_of_a_closing_connection),
        cmocka_unit_test(test_outlet_send_error_closes),
        cmocka_unit_test(test_outlet_send_error_in_the_queue_closes),
        cmocka_unit_test(test_outlet_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
