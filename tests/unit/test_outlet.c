/* Staging and sending: what arrives at the peer is what was staged, in order and once. */
#include "net/outlet.h"

#include "outlet_world.h"
#include "seed.h"

/* --- order ---------------------------------------------------------------------------------- */

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
        world_fini_when_all_came(&x);
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
    world_fini_when_all_came(&x);
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
    world_fini_when_all_came(&x);
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
    world_fini_when_all_came(&x);
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
        world_fini_when_all_came(&x);
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

/* --- from another loop ---------------------------------------------------------------------- */

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
    world_fini_when_all_came(&x);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
