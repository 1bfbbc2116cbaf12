/* test_counter.c -- streams of frames are counted right however they are cut into reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "counter.h"

#define STREAM_BYTES 8192

typedef struct stream {
    char bytes[STREAM_BYTES];
    size_t len;
} stream;

static void append(stream *to, const char *text)
{
    size_t len = strlen(text);

    assert_true(to->len + len <= sizeof to->bytes);
    memcpy(to->bytes + to->len, text, len);
    to->len += len;
}

/* Frames with payloads that look like operations, and one operation in front of frame number at. */
static stream make_stream(unsigned frame_count, unsigned at, const char *operation)
{
    stream out = {.len = 0};

    for (unsigned i = 0; i <= frame_count; i++) {
        if (i == at)
            append(&out, operation);
        if (i < frame_count)
            append(&out, "MSG bench 1 12\r\nPING\r\nMSG a\n\r\n");
    }
    return out;
}

/* Feed a stream in reads of step bytes, the first of which ends at first. */
static bench_counter feed_in_steps(const stream *from, size_t first, size_t step)
{
    bench_counter counter = {0};
    size_t used = 0;

    for (size_t end = first; used < from->len; end += step) {
        if (end > from->len)
            end = from->len;
        used += bench_counter_feed(&counter, from->bytes + used, end - used);
        if (end == from->len)
            break;
    }
    assert_int_equal(used, from->len);
    assert_int_equal(counter.rest_bytes, 0);
    return counter;
}

static void test_counter_counts_at_every_split(void **state)
{
    stream from = make_stream(40, 20, "PING\r\n");

    (void)state;
    for (size_t first = 0; first <= from.len; first++) {
        bench_counter counter = feed_in_steps(&from, first, from.len);

        assert_int_equal(counter.message_count, 40);
        assert_int_equal(counter.ping_count, 1);
    }
}

static void test_counter_counts_in_any_step(void **state)
{
    stream from = make_stream(40, 0, "INFO {}\r\n");

    (void)state;
    for (size_t step = 1; step < 200; step++)
        assert_int_equal(feed_in_steps(&from, step, step).message_count, 40);
}

static void test_counter_finds_operations_anywhere(void **state)
{
    (void)state;
    for (unsigned at = 0; at <= 50; at++) {
        stream ping = make_stream(50, at, "PING\r\n");
        stream error = make_stream(50, at, "-ERR 'Permissions Violation'\r\n");
        bench_counter counter = feed_in_steps(&ping, ping.len, 1);

        assert_int_equal(counter.message_count, 50);
        assert_int_equal(counter.ping_count, 1);
        counter = feed_in_steps(&error, error.len, 1);
        assert_int_equal(counter.message_count, 50);
        assert_int_equal(counter.error_count, 1);
    }
}

static void test_counter_keeps_what_is_not_whole(void **state)
{
    bench_counter counter = {0};

    (void)state;
    assert_int_equal(bench_counter_feed(&counter, "MSG bench 1 1", 13), 0);
    assert_int_equal(bench_counter_feed(&counter, "MSG bench 1 10\r\n01234", 21), 21);
    assert_int_equal(counter.message_count, 0);
    assert_int_equal(bench_counter_feed(&counter, "56789\r\nMSG ", 11), 11);
    assert_int_equal(counter.message_count, 1);
    assert_int_equal(counter.frame_bytes, 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_counts_at_every_split),
        cmocka_unit_test(test_counter_counts_in_any_step),
        cmocka_unit_test(test_counter_finds_operations_anywhere),
        cmocka_unit_test(test_counter_keeps_what_is_not_whole),
    };

    return cmocka_run_group_tests_name("bench_counter", tests, NULL, NULL);
}
