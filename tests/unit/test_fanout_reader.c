#include "proto/fanout/reader.h"
#include "proto/fanout/subject.h"
#include "proto/fanout/writer.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIT(text) (text), sizeof(text) - 1

static const struct {
    const char *line;
    size_t len;
    pp_fanout_verb verb;
    const char *channel, *message;
} lines[] = {
    {LIT("ping"), PP_FANOUT_PING, "", ""},
    {LIT("info"), PP_FANOUT_INFO, "", ""},
    {LIT("ping "), PP_FANOUT_NOTHING, "", ""},
    {LIT(" ping"), PP_FANOUT_NOTHING, "", ""},
    {LIT("ping\r"), PP_FANOUT_NOTHING, "", ""},
    {LIT("PING"), PP_FANOUT_NOTHING, "", ""},
    {LIT(""), PP_FANOUT_NOTHING, "", ""},
    {LIT("   "), PP_FANOUT_NOTHING, "", ""},
    {LIT("subscribe"), PP_FANOUT_NOTHING, "", ""},
    {LIT("subscribe "), PP_FANOUT_NOTHING, "", ""},
    {LIT("subscribe a"), PP_FANOUT_SUBSCRIBE, "a", ""},
    {LIT("subscribe  a  b"), PP_FANOUT_SUBSCRIBE, "a", " b"},
    {LIT("  unsubscribe a"), PP_FANOUT_UNSUBSCRIBE, "a", ""},
    {LIT("subscribe a!"), PP_FANOUT_NOTHING, "", ""},
    {LIT("subscribe a\0b"), PP_FANOUT_NOTHING, "", ""},
    {LIT("subscribe\ta"), PP_FANOUT_NOTHING, "", ""},
    {LIT("announce a"), PP_FANOUT_NOTHING, "", ""},
    {LIT("announce a "), PP_FANOUT_NOTHING, "", ""},
    {LIT("announce a  "), PP_FANOUT_ANNOUNCE, "a", " "},
    {LIT("announce   a b c "), PP_FANOUT_ANNOUNCE, "a", "b c "},
    {LIT("announce a!b c"), PP_FANOUT_NOTHING, "", ""},
    {LIT("announce a b!c"), PP_FANOUT_ANNOUNCE, "a", "b!c"},
    {LIT("announcea b"), PP_FANOUT_NOTHING, "", ""},
    {LIT("frobnicate x"), PP_FANOUT_NOTHING, "", ""},
};

enum { LINE_COUNT = sizeof(lines) / sizeof(lines[0]) };

static void assert_op(const pp_fanout_op *op, size_t i)
{
    assert_int_equal(op->verb, lines[i].verb);
    if (op->verb < PP_FANOUT_SUBSCRIBE)
        return;
    assert_true(pp_str_eq(op->channel, pp_str_of(lines[i].channel)));
    assert_true(pp_str_eq(op->message, pp_str_of(lines[i].message)));
}

/* All lines behind one another, and bytes that may be read behind them. */
static char *whole(size_t *out_len)
{
    char *bytes;
    size_t len = 0;

    for (size_t i = 0; i < LINE_COUNT; i++)
        len += lines[i].len + 1;
    bytes = calloc(1, len + PP_FANOUT_LINE_SLACK);
    assert_non_null(bytes);
    len = 0;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        memcpy(bytes + len, lines[i].line, lines[i].len);
        len += lines[i].len;
        bytes[len++] = '\n';
    }
    *out_len = len;
    return bytes;
}

static void test_reader_says_what_a_line_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        pp_fanout_op op;

        pp_fanout_parse((pp_str){lines[i].line, lines[i].len}, &op);
        assert_op(&op, i);
    }
}

/* Read what begins at `at` in windows that end at cut and at the end. */
static void read_cut(pp_fanout_reader *reader, const char *bytes, size_t len, size_t cut)
{
    size_t at = 0, seen = 0;

    for (size_t end = cut; seen < LINE_COUNT; end = len) {
        while (at < end) {
            pp_fanout_op op;
            size_t used = 0;
            pipit_err err = pp_fanout_read(reader, (pp_str){bytes + at, end - at}, &op, &used);

            at += used;
            if (err) {
                assert_int_equal(err, PIPIT_EAGAIN);
                assert_int_equal(at, end);
            } else {
                assert_op(&op, seen++);
            }
        }
        assert_true(end == cut || seen == LINE_COUNT);
    }
}

static void test_reader_takes_lines_cut_anywhere(void **state)
{
    size_t len;
    char *bytes = whole(&len);
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        pp_fanout_reader reader = {.line_max = 64};

        read_cut(&reader, bytes, len, cut);
        pp_fanout_reader_trim(&reader);
        assert_int_equal(pp_alloc_live(), live); /* nothing is kept of lines that are done */
    }
    free(bytes);
}

static void test_reader_has_a_limit(void **state)
{
    const char line[] = "announce c 345678\n\0                                ";
    pp_fanout_op op;

    (void)state;
    for (size_t cut = 0; cut <= 17; cut++) {
        pp_fanout_reader fits = {.line_max = 17}, small = {.line_max = 16};
        size_t used = 0;
        pipit_err err;

        assert_int_equal(pp_fanout_read(&fits, (pp_str){line, cut}, &op, &used), PIPIT_EAGAIN);
        assert_int_equal(pp_fanout_read(&fits, (pp_str){line + cut, 18 - cut}, &op, &used), 0);
        assert_true(pp_str_eq(op.message, PP_STR("345678")));
        pp_fanout_reader_fini(&fits);

        err = pp_fanout_read(&small, (pp_str){line, cut}, &op, &used);
        assert_int_equal(err, cut > 16 ? PIPIT_ETOOBIG : PIPIT_EAGAIN);
        if (!err || err == PIPIT_EAGAIN)
            err = pp_fanout_read(&small, (pp_str){line + cut, 18 - cut}, &op, &used);
        assert_int_equal(err, PIPIT_ETOOBIG);
        pp_fanout_reader_fini(&small);
    }
}

static void test_reader_limit_may_shrink(void **state)
{
    pp_fanout_reader reader = {.line_max = 100};
    pp_fanout_op op;
    size_t used;

    (void)state;
    assert_int_equal(pp_fanout_read(&reader, PP_STR("announce all"), &op, &used), PIPIT_EAGAIN);
    reader.line_max = 5;
    assert_int_equal(pp_fanout_read(&reader, PP_STR("\n"), &op, &used), PIPIT_ETOOBIG);
    pp_fanout_reader_fini(&reader);
}

static void test_reader_takes_cr_where_asked(void **state)
{
    pp_fanout_reader reader = {.line_max = 100, .crlf = true};
    pp_fanout_op op;
    size_t used;

    (void)state;
    assert_int_equal(pp_fanout_read(&reader, PP_STR("ping\r\n"), &op, &used), PIPIT_OK);
    assert_int_equal(op.verb, PP_FANOUT_PING);
    assert_int_equal(pp_fanout_read(&reader, PP_STR("announce a \r"), &op, &used), PIPIT_EAGAIN);
    assert_int_equal(pp_fanout_read(&reader, PP_STR("\r\n"), &op, &used), PIPIT_OK);
    assert_true(pp_str_eq(op.message, PP_STR("\r")));
    pp_fanout_reader_fini(&reader);
}

static void test_reader_survives_without_memory(void **state)
{
    pp_fanout_reader reader = {.line_max = 100};
    pp_fanout_op op;
    size_t used;

    (void)state;
    pp_fault_arm("*", 1);
    assert_int_equal(pp_fanout_read(&reader, PP_STR("pi"), &op, &used), PIPIT_ENOMEM);
    (void)pp_fault_disarm();
    pp_fanout_reader_fini(&reader);
}

static void test_subject_tells_channels_apart(void **state)
{
    static const char *const cases[][2] = {
        {"news", "fanout.news"},   {"a.b", "fanout.a%2Eb"},
        {"*", "fanout.%2A"},       {">", "fanout.%3E"},
        {"%2A", "fanout.%252A"},   {"\x01\x7f\x80\xff\t\r", "fanout.%01%7F%80%FF%09%0D"},
        {"$x-_~", "fanout.$x-_~"},
    };
    char out[PP_FANOUT_SUBJECT_BYTES(16)];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = pp_fanout_subject(pp_str_of(cases[i][0]), out);

        assert_true(pp_str_eq((pp_str){out, len}, pp_str_of(cases[i][1])));
    }
}

static void test_writer_has_room_for_every_number(void **state)
{
    pp_fanout_facts facts;
    char out[PP_FANOUT_INFO_BYTES + 1];
    size_t len, ends = 0;

    (void)state;
    memset(&facts, 0xff, sizeof(facts));
    len = pp_fanout_info(&facts, out);
    assert_true(len < PP_FANOUT_INFO_BYTES);
    for (size_t i = 0; i < len; i++)
        ends += out[i] == '\n';
    assert_int_equal(ends, PP_FANOUT_INFO_LINES);
    assert_non_null(strstr(out, "rlimits: Soft=-1 Hard=-1\n"));
    assert_int_equal(pp_fanout_time(UINT64_MAX, out), PP_FANOUT_TIME_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_says_what_a_line_means),
        cmocka_unit_test(test_reader_takes_lines_cut_anywhere),
        cmocka_unit_test(test_reader_has_a_limit),
        cmocka_unit_test(test_reader_limit_may_shrink),
        cmocka_unit_test(test_reader_takes_cr_where_asked),
        cmocka_unit_test(test_reader_survives_without_memory),
        cmocka_unit_test(test_subject_tells_channels_apart),
        cmocka_unit_test(test_writer_has_room_for_every_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
