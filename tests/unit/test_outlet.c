/* Staging, sending, queueing: what arrives at the peer is what was staged, in order and once, or
 * the connection ends; and nothing is left behind. */
#include "net/outlet.h"

#include "loops.h"
#include "seed.h"

enum { SMALL_SEND_BUFFER = 4096 };

struct world {
    struct loops l;
    struct watch w;
    size_t staged; /* of the stream */
};

static void world_init(struct world *x, unsigned loops, const pp_conn_limits *limits,
                       int send_bytes)
{
    loops_init(&x->l, loops);
    watch_init(&x->w, &x->l, NULL);
    x->staged = 0;
    watch_connect(&x->w, 0, limits, send_bytes);
}

static void world_fini(struct world *x)
{
    loops_fini(&x->l);
    assert_int_equal(atomic_load(&x->w.freed), 1);
    watch_fini(&x->w);
    loops_check_memory(&x->l);
}

static pp_outlet *own(struct world *x)
{
    return &x->w.conn->own;
}

/* Stage the next len bytes of the stream as one copy. */
static void stage(struct world *x, pp_outlet *outlet, size_t len)
{
    char *bytes = malloc(len + 1);

    fill_stream(bytes, x->staged, len);
    assert_true(pp_outlet_write(outlet, (pp_str){bytes, len}));
    free(bytes);
    x->staged += len;
}

static void refer_body(struct world *x, pp_outlet *outlet, size_t len)
{
    pp_body *body = pp_body_new(len);

    assert_non_null(body);
    fill_stream(body->bytes, x->staged, len);
    assert_true(pp_outlet_refer(outlet, (pp_str){body->bytes, len}, body));
    pp_body_unref(body);
    x->staged += len;
}

/* Something copied, then something that is not: as frames are. */
static void stage_body(struct world *x, pp_outlet *outlet, size_t len)
{
    stage(x, outlet, 1);
    refer_body(x, outlet, len);
}

/* The same with len bytes in the loop's read buffer, from offset on. */
static void stage_borrowed(struct world *x, pp_outlet *outlet, size_t offset, size_t len)
{
    stage(x, outlet, 1);
    fill_stream(outlet->loop->read_buf + offset, x->staged, len);
    assert_true(
        pp_outlet_refer(outlet, (pp_str){outlet->loop->read_buf + offset, len}, NULL));
    x->staged += len;
}

/* What is flushed does not depend on the read buffer any more. */
static void flush_all(struct world *x, unsigned index)
{
    pp_loop *loop = &x->l.at[index];

    pp_loop_flush(loop);
    assert_false(loop->borrowed);
    assert_null(loop->dirty);
    memset(loop->read_buf, 0xee, loop->read_cap);
}

/* Let the peer read and the owner send until all that was staged has arrived, or never will. */
static void receive_all(struct world *x)
{
    struct watch *w = &x->w;

    while (w->got.len < x->staged) {
        size_t before = w->got.len;
        pipit_err err = peer_read(w->peer, &w->got, SIZE_MAX);
        struct pollfd fds[] = {{.fd = w->peer, .events = POLLIN},
                               {.fd = x->l.at[0].epoll_fd, .events = POLLIN}};

        if (err || (w->got.len == before && !w->conn->box.first))
            fail_msg("%zu bytes of %zu have come, and no more will", w->got.len, x->staged);
        if (w->got.len == x->staged)
            break;
        assert_true(poll(fds, 2, DEADLINE_S * 1000) > 0);
        if (fds[1].revents)
            turn(&x->l, 0);
    }
    check_stream(w->got.ptr, 0, w->got.len);
}

static void check_nothing_waits(struct world *x)
{
    settle(&x->l, 0);
    assert_int_equal(x->w.conn->box.pending_bytes, 0);
    assert_null(x->w.conn->box.first);
    assert_null(x->w.conn->box.last);
    assert_false(x->w.conn->box.sending);
    assert_false(x->w.conn->box.armed);
    assert_int_equal(x->w.closed, 0);
}

/* --- order -------------------------------------------------------------------------------- */

static void test_outlet_sends_at_the_flush(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    stage(&x, own(&x), 10);
    stage(&x, own(&x), 5);
    assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
    assert_int_equal(x.w.got.len, 0);
    assert_ptr_equal(x.l.at[0].dirty, own(&x));
    flush_all(&x, 0);
    assert_int_equal(atomic_load(&x.l.counters[0].sends), 1); /* however many were staged */
    receive_all(&x);
    flush_all(&x, 0); /* nothing staged, nothing done */
    assert_int_equal(atomic_load(&x.l.counters[0].sends), 1);
    check_nothing_waits(&x);
    world_fini(&x);
}

static void test_outlet_turn_flushes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    stage(&x, own(&x), 100);
    turn(&x.l, 0);
    assert_null(x.l.at[0].dirty);
    receive_all(&x);
    world_fini(&x);
}

static void test_outlet_pieces_of_every_size(void **state)
{
    static const size_t sizes[] = {1,     2,     15,    16,    17,    127,   2047,
                                   16299, 16300, 16304, 16305, 16384, 16385, 100000};
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, SMALL_SEND_BUFFER);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t j = 0; j < COUNT_OF(sizes); j++) {
            stage(&x, own(&x), sizes[i]);
            stage(&x, own(&x), sizes[j]);
            flush_all(&x, 0);
        }
        receive_all(&x);
    }
    check_nothing_waits(&x);
    world_fini(&x);
}

static void test_outlet_refers_in_place(void **state)
{
    struct world x;

    (void)state;
    for (unsigned small = 0; small < 2; small++) {
        world_init(&x, 1, &roomy_limits, small ? SMALL_SEND_BUFFER : 0);
        stage_body(&x, own(&x), 3000);
        stage(&x, own(&x), 10);
        stage_borrowed(&x, own(&x), 0, 5000);
        stage_body(&x, own(&x), 200000);
        refer_body(&x, own(&x), 1); /* one right behind the other */
        refer_body(&x, own(&x), 100);
        stage_borrowed(&x, own(&x), 5000, 1);
        stage(&x, own(&x), 16300);
        stage_borrowed(&x, own(&x), 6000, 3000);
        assert_true(x.l.at[0].borrowed);
        flush_all(&x, 0);
        receive_all(&x);
        check_nothing_waits(&x);
        world_fini(&x);
    }
}

/* What is staged first may be a reference, or empty: neither is a lack of memory. */
static void test_outlet_first_of_all(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    refer_body(&x, own(&x), 3000);
    stage(&x, own(&x), 10);
    flush_all(&x, 0);
    assert_true(pp_outlet_write(own(&x), PP_STR("")));
    flush_all(&x, 0);
    receive_all(&x);
    world_fini(&x);
}

/* More references than an outlet holds: some go out before the turn ends. */
static void test_outlet_many_references(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, SMALL_SEND_BUFFER);
    for (unsigned i = 0; i < 3 * PP_OUTLET_REFS_MAX + 7; i++) {
        stage(&x, own(&x), 20);
        stage_body(&x, own(&x), 300);
    }
    flush_all(&x, 0);
    receive_all(&x);
    check_nothing_waits(&x);
    world_fini(&x);
}

/* A client with very many matching subscriptions gets very much in a turn: more chunks than one
 * system call takes. */
static void test_outlet_more_chunks_than_one_call_takes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    for (unsigned i = 0; i < 1200; i++)
        stage(&x, own(&x), 16000);
    flush_all(&x, 0);
    receive_all(&x);
    check_nothing_waits(&x);
    world_fini(&x);
}

static void test_outlet_more_pieces_than_one_call_takes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &roomy_limits, 0);
    for (unsigned i = 0; i < 900; i++) {
        stage(&x, own(&x), 16000);
        if (i % 4 == 0 && i / 4 < PP_OUTLET_REFS_MAX - 1)
            stage_borrowed(&x, own(&x), i * 10, 10);
    }
    flush_all(&x, 0);
    receive_all(&x);
    check_nothing_waits(&x);
    world_fini(&x);
}

/* Whatever is staged, and however the peer reads. */
static void test_outlet_order_holds_through_short_sends(void **state)
{
    uint64_t random = test_seed("outlet");

    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        struct world x;
        size_t borrowed = 0;

        world_init(&x, 1, &roomy_limits, round % 3 ? SMALL_SEND_BUFFER : 0);
        for (unsigned step = 0; step < 400; step++) {
            size_t len = 1 + pp_random_below(&random, 300);

            switch (pp_random_below(&random, 9)) {
            case 0:
                stage_body(&x, own(&x), 2048 + len * 100);
                break;
            case 1:
                if (borrowed + 2000 + len < x.l.at[0].read_cap) {
                    stage_borrowed(&x, own(&x), borrowed, 2000 + len);
                    borrowed += 2000 + len;
                }
                break;
            case 2:
                stage(&x, own(&x), 15000 + 10 * len);
                break;
            case 3:
                flush_all(&x, 0);
                borrowed = 0;
                break;
            case 4:
                assert_int_equal(peer_read(x.w.peer, &x.w.got, len * 50), PIPIT_OK);
                break;
            case 5:
                turn(&x.l, 0);
                borrowed = 0;
                break;
            default:
                stage(&x, own(&x), len);
            }
        }
        flush_all(&x, 0);
        receive_all(&x);
        check_nothing_waits(&x);
        world_fini(&x);
    }
}

/* Who is told PONG may tell others: answers go out after what was staged to others. */
static void test_outlet_answers_go_last(void **state)
{
    struct loops l;
    struct watch answered, other;

    (void)state;
    loops_init(&l, 1);
    watch_init(&answered, &l, NULL);
    watch_init(&other, &l, NULL);
    watch_connect(&answered, 0, &roomy_limits, 0);
    watch_connect(&other, 0, &roomy_limits, 0);
    assert_true(pp_outlet_write(&answered.conn->own, PP_STR("PONG")));
    pp_outlet_mark_answer(&answered.conn->own);
    assert_true(pp_outlet_write(&other.conn->own, PP_STR("MSG")));
    pp_fault_arm("send", 1); /* ends the connection that is sent to first */
    pp_loop_flush(&l.at[0]);
    assert_true(pp_fault_disarm());
    assert_true(other.conn->box.closed);
    assert_false(answered.conn->box.closed);
    assert_int_equal(peer_read(answered.peer, &answered.got, SIZE_MAX), PIPIT_OK);
    assert_int_equal(answered.got.len, 4);
    loops_fini(&l);
    watch_fini(&answered);
    watch_fini(&other);
    loops_check_memory(&l);
}

static void test_outlet_counts_what_it_passes_on(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 2, &roomy_limits, 0);
    stage(&x, own(&x), 10);
    own(&x)->msgs = 3;
    own(&x)->bytes = 8;
    flush_all(&x, 0);
    stage(&x, own(&x), 10);
    own(&x)->msgs = 1;
    own(&x)->bytes = 9;
    flush_all(&x, 0);
    assert_int_equal(x.w.conn->box.out_msgs, 4);
    assert_int_equal(x.w.conn->box.out_bytes, 17);
    assert_int_equal(atomic_load(&x.l.counters[0].out_msgs), 4);
    assert_int_equal(atomic_load(&x.l.counters[0].out_bytes), 17);
    receive_all(&x);
    world_fini(&x);
}

/* --- from another loop -------------------------------------------------------------------- */

static void test_outlet_of_each_loop_is_its_own(void **state)
{
    struct world x;
    pp_outlet *first, *second;

    (void)state;
    world_init(&x, 3, &roomy_limits, 0);
    assert_ptr_equal(pp_conn_outlet(x.w.conn, &x.l.at[0]), own(&x));
    first = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    second = pp_conn_outlet(x.w.conn, &x.l.at[2]);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(pp_conn_outlet(x.w.conn, &x.l.at[1]), first);
    world_fini(&x);
}

/* No other thread is asked: what a loop stages for another loop's connection it sends itself. */
static void test_outlet_sends_from_where_it_is(void **state)
{
    struct world x;
    pp_outlet *outlet;

    (void)state;
    world_init(&x, 2, &roomy_limits, 0);
    outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    stage(&x, outlet, 1000);
    flush_all(&x, 1);
    assert_int_equal(atomic_load(&x.l.counters[1].sends), 1);
    assert_int_equal(atomic_load(&x.l.counters[0].turns), 0);
    receive_all(&x);
    world_fini(&x);
}

/* What one loop could not send stands before what another stages later. */
static void test_outlet_queues_behind_what_waits(void **state)
{
    struct world x;
    pp_outlet *outlet;

    (void)state;
    world_init(&x, 2, &roomy_limits, SMALL_SEND_BUFFER);
    outlet = pp_conn_outlet(x.w.conn, &x.l.at[1]);
    for (unsigned i = 0; i < 20; i++) {
        stage(&x, i % 2 ? outlet : own(&x), 30000);
        flush_all(&x, i % 2);
        stage_borrowed(&x, i % 2 ? own(&x) : outlet, 0, 3000);
        flush_all(&x, !(i % 2));
    }
    assert_non_null(x.w.conn->box.first);
    receive_all(&x);
    check_nothing_waits(&x);
    world_fini(&x);
}

/* --- recipients that lag ------------------------------------------------------------------ */

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
    receive_all(&x);
    check_nothing_waits(&x);
    world_fini(&x);
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

/* --- write deadline: the test keeps the clock ---------------------------------------------- */

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

static void test_outlet_write_deadline(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, &hurried_limits, SMALL_SEND_BUFFER);
    x.l.at[0].now_ns = PP_NS_PER_S;
    stage(&x, own(&x), 100000);
    flush_all(&x, 0);
    run_owner_tasks(&x);
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
    world_init(&x, 1, &hurried_limits, SMALL_SEND_BUFFER);
    x.l.at[0].now_ns = PP_NS_PER_S;
    stage(&x, own(&x), 100000);
    flush_all(&x, 0);
    run_owner_tasks(&x);
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
    world_init(&x, 1, &hurried_limits, SMALL_SEND_BUFFER);
    x.l.at[0].now_ns = PP_NS_PER_S;
    stage(&x, own(&x), 100000);
    flush_all(&x, 0);
    run_owner_tasks(&x);
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

/* --- when it ends ------------------------------------------------------------------------- */

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

/* --- several loops at once ---------------------------------------------------------------- */

/* A frame: who sent it, its number, its length, and bytes that follow from these. */
struct frame_head {
    uint32_t magic;
    uint32_t loop;
    uint32_t number;
    uint32_t len;
};

enum { MAGIC = 0x50695069, FRAMES = 3000, FRAMES_PER_TURN = 40, FRAME_MAX = 40000 };

struct sender {
    pp_task task;
    pp_loop *loop;
    _Atomic(pp_conn *) *target; /* NULL once it closes */
    uint64_t random;
    uint32_t number, last;
    sem_t done;
};

static bool stage_frame(struct sender *s, pp_outlet *outlet)
{
    uint32_t len = pp_random_below(&s->random, 50) ? pp_random_below(&s->random, 600)
                                                   : pp_random_below(&s->random, FRAME_MAX);
    struct frame_head head = {MAGIC, s->loop->index, s->number, len};
    bool staged;

    if (len > 2000) {
        pp_body *body = pp_body_new(len);

        if (!body)
            return false;
        fill_stream(body->bytes, s->number, len);
        staged = pp_outlet_reserve_ref(outlet) &&
                 pp_outlet_write(outlet, (pp_str){(char *)&head, sizeof(head)}) &&
                 pp_outlet_refer(outlet, (pp_str){body->bytes, len}, body);
        pp_body_unref(body);
    } else {
        char *room = pp_outlet_room(outlet, sizeof(head) + len);

        staged = room != NULL;
        if (staged) {
            memcpy(room, &head, sizeof(head));
            fill_stream(room + sizeof(head), s->number, len);
            pp_outlet_wrote(outlet, sizeof(head) + len);
        }
    }
    s->number += staged;
    return staged;
}

/* A turn's worth of frames, then again. */
static void send_some(pp_task *task)
{
    struct sender *s = PP_CONTAINER(task, struct sender, task);
    pp_conn *conn = atomic_load(s->target);
    pp_outlet *outlet = conn ? pp_conn_outlet(conn, s->loop) : NULL;
    unsigned frames = 1 + pp_random_below(&s->random, FRAMES_PER_TURN);

    if (!outlet || s->number >= s->last) {
        (void)sem_post(&s->done);
        return;
    }
    /* As publishers do it waits for a recipient that lags, or that would end as a slow consumer. */
    for (unsigned i = 0; i < frames && s->number < s->last && !outlet->gated; i++) {
        if (!stage_frame(s, outlet))
            break;
    }
    pp_loop_post(s->loop, &s->task);
}

static void senders_start(struct sender *senders, struct world *x, _Atomic(pp_conn *) *target,
                          uint64_t seed, uint32_t frames)
{
    for (unsigned i = 0; i < x->l.count; i++) {
        senders[i] = (struct sender){.task.run = send_some,
                                     .loop = &x->l.at[i],
                                     .target = target,
                                     .random = seed + i,
                                     .last = frames};
        assert_int_equal(sem_init(&senders[i].done, 0, 0), 0);
    }
    for (unsigned i = 0; i < x->l.count; i++)
        pp_loop_post(&x->l.at[i], &senders[i].task);
}

static void senders_end(struct sender *senders, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        wait_sem(&senders[i].done);
        (void)sem_destroy(&senders[i].done);
    }
}

/* Check whole frames at the front of buf and take them off. */
static void take_frames(pp_buf *buf, uint32_t *next, size_t *frames)
{
    size_t at = 0;

    while (buf->len - at >= sizeof(struct frame_head)) {
        struct frame_head head;

        memcpy(&head, buf->ptr + at, sizeof(head));
        assert_int_equal(head.magic, MAGIC);
        assert_true(head.loop < LOOPS_MAX && head.len <= FRAME_MAX);
        if (buf->len - at < sizeof(head) + head.len)
            break;
        assert_int_equal(head.number, next[head.loop]);
        next[head.loop]++;
        check_stream(buf->ptr + at + sizeof(head), head.number, head.len);
        at += sizeof(head) + head.len;
        (*frames)++;
    }
    if (at) {
        memmove(buf->ptr, buf->ptr + at, buf->len - at);
        buf->len -= at;
    }
}

/* Read as one who is sometimes slow, until so many frames have come, or the end. */
static pipit_err read_frames(struct world *x, uint64_t *random, size_t frames, uint32_t *next)
{
    size_t got = 0;

    while (got < frames) {
        pipit_err err;

        peer_wait(x->w.peer);
        err = peer_read(x->w.peer, &x->w.got, 1 + pp_random_below(random, 100000));
        take_frames(&x->w.got, next, &got);
        if (err)
            return err;
    }
    return PIPIT_OK;
}

static void test_outlet_loops_send_at_once(void **state)
{
    uint64_t seed = test_seed("outlet");

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct world x;
        struct sender senders[LOOPS_MAX];
        _Atomic(pp_conn *) target;
        uint32_t next[LOOPS_MAX] = {0};
        uint64_t random = seed ^ round;

        world_init(&x, LOOPS_MAX, &roomy_limits, round % 2 ? SMALL_SEND_BUFFER : 0);
        atomic_init(&target, x.w.conn);
        loops_start(&x.l);
        senders_start(senders, &x, &target, seed + round * 100, FRAMES);
        assert_int_equal(read_frames(&x, &random, LOOPS_MAX * FRAMES, next), PIPIT_OK);
        senders_end(senders, LOOPS_MAX);
        assert_int_equal(x.w.got.len, 0);
        world_fini(&x);
        assert_int_equal(x.w.reason, PP_CLOSE_SHUTDOWN);
    }
}

static void forget_target(struct watch *w)
{
    atomic_store((_Atomic(pp_conn *) *)w->context, NULL);
}

static void close_conn(void *arg)
{
    struct watch *w = arg;

    if (w->conn)
        pp_conn_close(w->conn, PP_CLOSE_CLIENT, false);
}

/* The connection ends while others are sending to it: what arrived is whole up to the last frame,
 * and neither memory nor a look at freed memory is left behind. */
static void test_outlet_connection_ends_while_loops_send(void **state)
{
    static const struct watch_hooks hooks = {.on_close = forget_target};
    uint64_t seed = test_seed("outlet");

    (void)state;
    for (unsigned round = 0; round < 24; round++) {
        struct world x;
        struct sender senders[LOOPS_MAX];
        _Atomic(pp_conn *) target;
        uint32_t next[LOOPS_MAX] = {0};
        uint64_t random = seed ^ round;

        loops_init(&x.l, LOOPS_MAX);
        watch_init(&x.w, &x.l, &hooks);
        x.w.context = &target;
        watch_connect(&x.w, 0, &roomy_limits, round % 2 ? SMALL_SEND_BUFFER : 0);
        atomic_init(&target, x.w.conn);
        loops_start(&x.l);
        senders_start(senders, &x, &target, seed + round * 100, UINT32_MAX);
        assert_int_equal(read_frames(&x, &random, 1 + pp_random_below(&random, 200), next),
                         PIPIT_OK);
        if (round % 3 == 2)
            (void)shutdown(x.w.peer, SHUT_RDWR); /* the peer goes */
        else
            on_loop(&x.l, 0, close_conn, &x.w);
        if (round % 3 != 2)
            assert_int_equal(read_frames(&x, &random, SIZE_MAX, next), PIPIT_ECLOSED);
        senders_end(senders, LOOPS_MAX);
        wait_sem(&x.w.gone); /* freed while the loops still run */
        loops_fini(&x.l);
        watch_fini(&x.w);
        loops_check_memory(&x.l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlet_sends_at_the_flush),
        cmocka_unit_test(test_outlet_turn_flushes),
        cmocka_unit_test(test_outlet_pieces_of_every_size),
        cmocka_unit_test(test_outlet_refers_in_place),
        cmocka_unit_test(test_outlet_first_of_all),
        cmocka_unit_test(test_outlet_many_references),
        cmocka_unit_test(test_outlet_more_chunks_than_one_call_takes),
        cmocka_unit_test(test_outlet_more_pieces_than_one_call_takes),
        cmocka_unit_test(test_outlet_order_holds_through_short_sends),
        cmocka_unit_test(test_outlet_answers_go_last),
        cmocka_unit_test(test_outlet_counts_what_it_passes_on),
        cmocka_unit_test(test_outlet_of_each_loop_is_its_own),
        cmocka_unit_test(test_outlet_sends_from_where_it_is),
        cmocka_unit_test(test_outlet_queues_behind_what_waits),
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
        cmocka_unit_test(test_outlet_loops_send_at_once),
        cmocka_unit_test(test_outlet_connection_ends_while_loops_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
