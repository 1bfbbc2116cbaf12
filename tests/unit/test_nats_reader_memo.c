/* What a reader remembers of the line before. */
#include "proto/nats/reader.h"

#include "nats_reader_feed.h"

static const char padding[] = "PING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\n"
                              "PING\r\nPING\r\nPING\r\nPING\r\n";

static pipit_err read_padded(pp_nats_reader *r, const char *wire, pp_nats_op *op, size_t *used)
{
    static char window[512];

    (void)snprintf(window, sizeof(window), "%s%s", wire, padding);
    return pp_nats_read(r, pp_str_of(window), op, used);
}

static void test_reader_tells_repeated_lines(void **state)
{
    pp_nats_memo memo = {0};
    pp_nats_reader reader = fresh_reader;
    pp_nats_op op;
    size_t used;

    (void)state;
    reader.memo = &memo;
    assert_int_equal(read_padded(&reader, "PUB a.b r 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
    assert_int_equal(read_padded(&reader, "PUB a.b r 2\r\nho\r\n", &op, &used), PIPIT_OK);
    assert_true(op.repeats);
    assert_int_equal(used, 17);
    assert_true(pp_str_eq(op.msg.subject, PP_STR("a.b")));
    assert_true(pp_str_eq(op.msg.reply, PP_STR("r")));
    assert_true(pp_str_eq(op.msg.data, PP_STR("ho")));
    assert_true(pp_str_eq(op.msg.wire, PP_STR("r 2\r\n")));
    assert_int_equal(read_padded(&reader, "PUB a.c r 2\r\nho\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
}

/* Any other publish in between, however it was read, ends the repetition: what is known of the
 * last message's subject is then known of another one. */
static void test_reader_publish_between_ends_repetition(void **state)
{
    static const char *const between[] = {"HPUB b 1 2\r\nhi\r\n", "pub b 2\r\nhi\r\n",
                                          "PUB  b 2\r\nhi\r\n",   "PUB b 2 \r\nhi\r\n",
                                          "PUB b 2\nhi\r\n",      "PUB b\t2\r\nhi\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(between); i++) {
        pp_nats_memo memo = {0};
        pp_nats_reader reader = fresh_reader;
        pp_nats_op op;
        size_t used;

        reader.memo = &memo;
        assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
        assert_int_equal(read_padded(&reader, between[i], &op, &used), PIPIT_OK);
        assert_true(pp_str_eq(op.msg.subject, PP_STR("b")));
        assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
        if (op.repeats)
            fail_msg("behind %s", between[i]);
    }
}

/* Counted at once as many as are there whole, and as reading one after the other would. */
static void test_reader_counts_repetitions(void **state)
{
    static const char wire[] =
        "PUB a 3\r\nabc\r\nPUB a 3\r\n\r\nx\r\nPUB a 3\r\nPUB\r\nPUB a 3\r\nabcd\r\n";
    pp_nats_memo memo = {0};
    pp_nats_reader reader = fresh_reader;
    pp_nats_op op;
    char window[512];
    size_t used;

    (void)state;
    reader.memo = &memo;
    assert_int_equal(pp_nats_read_repeats(&reader, pp_str_of(wire), &used), 0); /* of nothing */
    (void)snprintf(window, sizeof(window), "%s%s", wire, padding);
    assert_int_equal(pp_nats_read(&reader, pp_str_of(window), &op, &used), PIPIT_OK);
    for (size_t len = 0; len <= strlen(window); len++) {
        size_t whole = len >= PP_NATS_MEMO_MAX ? 3 : 0; /* in a window that steps can be made in */
        size_t count = pp_nats_read_repeats(&reader, (pp_str){window, len}, &used);

        assert_in_range(count, whole ? 1 : 0, 3);
        assert_int_equal(used, count * 14);
    }
    assert_int_equal(pp_nats_read_repeats(&reader, pp_str_of(window), &used), 3);
    assert_int_equal(pp_nats_read(&reader, pp_str_of(window + used), &op, &used), PIPIT_EPROTO);
}

/* One memo goes from reader to reader; emptied, it holds nothing against a reader's own limits. */
static void test_reader_memo_is_emptied(void **state)
{
    pp_nats_memo memo = {0};
    pp_nats_reader reader = fresh_reader;
    pp_nats_op op;
    size_t used;

    (void)state;
    reader.memo = &memo;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    memo.len = 0;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_OK);
    assert_false(op.repeats);
    reader.payload_max = 1;
    memo.len = 0;
    assert_int_equal(read_padded(&reader, "PUB a 2\r\nhi\r\n", &op, &used), PIPIT_ETOOBIG);
}

/* Lines around the length that the memo holds; and no memo at all. */
static void test_reader_remembers_lines_of_any_length(void **state)
{
    (void)state;
    for (unsigned len = 1; len < 100; len++) {
        pp_nats_memo memo = {0};
        pp_nats_reader reader = {.memo = &memo, .line_max = 4096, .payload_max = -1};
        char wire[256], other[256];
        pp_nats_op op;
        size_t used;

        (void)snprintf(wire, sizeof(wire), "PUB %0*u 2\r\nhi\r\n", (int)len, 7u);
        (void)snprintf(other, sizeof(other), "PUB %0*u 2\r\nhi\r\n", (int)len, 8u);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(read_padded(&reader, wire, &op, &used), PIPIT_OK);
            assert_int_equal(op.repeats, i > 0 && len + 8 <= PP_NATS_MEMO_MAX);
            assert_int_equal(op.msg.subject.len, len);
            assert_int_equal(op.msg.subject.ptr[len - 1], '7');
        }
        assert_int_equal(read_padded(&reader, other, &op, &used), PIPIT_OK);
        assert_false(op.repeats);
        assert_int_equal(op.msg.subject.ptr[len - 1], '8');
        reader.memo = NULL;
        assert_int_equal(read_padded(&reader, other, &op, &used), PIPIT_OK);
        assert_false(op.repeats);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_tells_repeated_lines),
        cmocka_unit_test(test_reader_publish_between_ends_repetition),
        cmocka_unit_test(test_reader_counts_repetitions),
        cmocka_unit_test(test_reader_memo_is_emptied),
        cmocka_unit_test(test_reader_remembers_lines_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
