/* What the door is shown of the input, however it came. */
#include "net/conn.h"

#include "conn_world.h"
#include "seed.h"

enum { BODY_MIN = 32 * 1024 }; /* as in conn.c: longer operations are read into a body */

static void test_conn_hands_input_to_the_door(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, &roomy_limits);
    peer_send(&x, "hello", 5);
    turn(&x.l, 0);
    assert_int_equal(x.w.got.len, 5);
    turn(&x.l, 0); /* nothing more: no empty windows */
    peer_send(&x, ", world", 7);
    turn(&x.l, 0);
    assert_int_equal(x.w.got.len, 12);
    assert_memory_equal(x.w.got.ptr, "hello, world", 12);
    world_fini(&x);
}

/* An operation cut at every byte, read in the loop's buffer and, when large, in a body. */
static void test_conn_joins_what_was_cut(void **state)
{
    static char op[40 * 1024];
    static const uint32_t lens[] = {0, 1, 100, BODY_MIN + 1000};

    (void)state;
    for (unsigned greedy = 0; greedy < 2; greedy++) {
        struct world x;

        world_init(&x, &taking, &roomy_limits);
        x.t.greedy = greedy;
        for (size_t i = 0; i < COUNT_OF(lens); i++) {
            size_t total = 4 + lens[i], step = total > 200 ? 1777 : 1;

            for (size_t cut = 0; cut <= total; cut += step) {
                size_t ops = x.t.ops;

                (void)make_op(op, x.t.bytes, lens[i]);
                peer_send(&x, op, cut);
                settle(&x.l, 0);
                peer_send(&x, op + cut, total - cut);
                settle(&x.l, 0);
                assert_int_equal(x.t.ops, ops + 1);
                assert_null(x.w.conn->body); /* between operations it keeps nothing */
            }
        }
        if (greedy)
            assert_true(x.t.in_bodies > 10);
        else
            assert_int_equal(x.t.in_bodies, 0);
        world_fini(&x);
    }
}

static void test_conn_one_byte_at_a_time(void **state)
{
    char bytes[600];
    struct world x;
    size_t len = 0, stream = 0;

    (void)state;
    world_init(&x, &taking, &roomy_limits);
    for (uint32_t i = 0; i < 20; i++) {
        len += make_op(bytes + len, stream, i);
        stream += i;
    }
    for (size_t at = 0; at < len; at++) {
        peer_send(&x, bytes + at, 1);
        turn(&x.l, 0);
    }
    assert_int_equal(x.t.ops, 20);
    world_fini(&x);
}

/* Operations of all sizes in pieces of all sizes; sometimes the door has had enough of a turn. */
static void test_conn_random_input(void **state)
{
    enum { OPS = 400, MAX = 300 * 1024 };
    uint64_t random = test_seed("conn");
    char *bytes = malloc(OPS * 4 + 64 * MAX);

    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        struct world x;
        size_t len = 0, stream = 0, ops = 0;

        world_init(&x, &taking, &roomy_limits);
        x.t.greedy = round % 2 == 0;
        x.t.yield_each = x.t.greedy && round % 3 == 1 ? 0 : round * 2;
        while (ops < OPS && len < 8 * MAX) {
            uint32_t op = pp_random_below(&random, 20)  ? pp_random_below(&random, 200)
                          : pp_random_below(&random, 3) ? pp_random_below(&random, 50000)
                                                        : pp_random_below(&random, MAX);

            len += make_op(bytes + len, stream, op);
            stream += op;
            ops++;
        }
        for (size_t at = 0; at < len;) {
            size_t piece = 1 + pp_random_below(&random, pp_random_below(&random, 3) ? 100000 : 50);

            piece = piece < len - at ? piece : len - at;
            peer_send(&x, bytes + at, piece);
            at += piece;
            if (pp_random_below(&random, 4))
                turn(&x.l, 0);
        }
        settle(&x.l, 0);
        assert_int_equal(x.t.ops, ops);
        assert_int_equal(x.t.bytes, stream);
        world_fini(&x);
    }
    free(bytes);
}

/* A door that has had its share is asked again in the next turn, without new input. */
static void test_conn_yields(void **state)
{
    char bytes[1000];
    struct world x;
    size_t len = 0;

    (void)state;
    world_init(&x, &taking, &roomy_limits);
    x.t.yield_each = 3;
    for (uint32_t i = 0; i < 10; i++)
        len += make_op(bytes + len, i * 5, 5);
    peer_send(&x, bytes, len);
    for (size_t ops = 3; ops < 10; ops += 3) {
        turn(&x.l, 0);
        assert_int_equal(x.t.ops, ops);
    }
    turn(&x.l, 0);
    assert_int_equal(x.t.ops, 10);
    /* Closed in the middle of its share: what is left is not shown to it. */
    peer_send(&x, bytes, 8);
    world_fini(&x);
}

static void echo_all(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    struct taker *t = w->context;

    *want = 0;
    *used = 0;
    if (window.len < t->echo)
        return;
    assert_true(pp_outlet_write(&w->conn->own, PP_STR(".")));
    assert_true(pp_outlet_refer(&w->conn->own, (pp_str){window.ptr, t->echo}, NULL));
    *used = t->echo;
}

/* Output may refer into the input's window, wherever that lies: also for lines that are longer
 * than the loop's buffer, and what was kept. */
static void test_conn_output_refers_into_the_window(void **state)
{
    static const struct watch_hooks echoing = {.on_bytes = echo_all};
    static const size_t sizes[] = {10, 30000, 60000, 70000, 200000};
    static char bytes[200000];

    (void)state;
    fill_stream(bytes, 0, sizeof(bytes));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct world x;

        world_init(&x, &echoing, &roomy_limits);
        x.t.echo = sizes[i];
        for (unsigned round = 0; round < 3; round++) {
            peer_send(&x, bytes, sizes[i] / 2);
            turn(&x.l, 0);
            peer_send(&x, bytes + sizes[i] / 2, sizes[i] - sizes[i] / 2);
            x.w.got.len = 0;
            while (x.w.got.len < sizes[i] + 1) {
                turn(&x.l, 0);
                assert_int_equal(peer_read(x.w.peer, &x.w.got, SIZE_MAX), PIPIT_OK);
                assert_int_equal(x.w.closed, 0);
            }
            assert_int_equal(x.w.got.ptr[0], '.');
            check_stream(x.w.got.ptr + 1, 0, sizes[i]);
        }
        world_fini(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn_hands_input_to_the_door),
        cmocka_unit_test(test_conn_joins_what_was_cut),
        cmocka_unit_test(test_conn_one_byte_at_a_time),
        cmocka_unit_test(test_conn_random_input),
        cmocka_unit_test(test_conn_yields),
        cmocka_unit_test(test_conn_output_refers_into_the_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
