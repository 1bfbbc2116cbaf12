/* What a header block says about tracing. Rows marked 2.15.2 were played to nats-server. */
#include "proto/nats/trace_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define V "NATS/1.0\r\n"
#define D "Nats-Trace-Dest: T.1\r\n"
#define P "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"

static const struct {
    const char *name;
    const char *block;
    pp_trace_wish wish;
    const char *dest;
    bool only;
} cases[] = {
    {"no block", "", PP_TRACE_NONE, "", false},
    {"first line alone", V, PP_TRACE_NONE, "", false},
    {"empty", V "\r\n", PP_TRACE_NONE, "", false},
    {"others", V "A: 1\r\nNats-Msg-Id: 2\r\n\r\n", PP_TRACE_NONE, "", false},
    /* 2.15.2 from here */
    {"dest", V D "\r\n", PP_TRACE_DEST, "T.1", false},
    {"no blank", V "Nats-Trace-Dest:T.1\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"blanks", V "Nats-Trace-Dest:\t T.1 \t\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"blanks inside", V "Nats-Trace-Dest: T 1\r\n\r\n", PP_TRACE_DEST, "T 1", false},
    {"other case", V "nats-trace-dest: T.1\r\n\r\n", PP_TRACE_NONE, "", false},
    {"blank before the colon", V "Nats-Trace-Dest : T.1\r\n\r\n", PP_TRACE_NONE, "", false},
    {"blank before the name", V " Nats-Trace-Dest: T.1\r\n\r\n", PP_TRACE_NONE, "", false},
    {"behind others", V "A: 1\r\nB:2\r\n" D "C: 3\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"empty dest", V "Nats-Trace-Dest: \r\n\r\n", PP_TRACE_NONE, "", false},
    {"empty dest, then one", V "Nats-Trace-Dest:\r\n" D "\r\n", PP_TRACE_DEST, "T.1", false},
    {"two", V D "Nats-Trace-Dest: T.2\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"disabled", V "Nats-Trace-Dest: trace disabled\r\n\r\n", PP_TRACE_NONE, "", false},
    {"disabled, then dest", V "Nats-Trace-Dest: trace disabled\r\n" D "\r\n", PP_TRACE_NONE, "",
     false},
    {"dest, then disabled", V D "Nats-Trace-Dest: trace disabled\r\n\r\n", PP_TRACE_DEST, "T.1",
     false},
    {"retired", V D "Nats-Trace-Origin-Account: A\r\n\r\n", PP_TRACE_RETIRED, "T.1", false},
    {"retired first", V "Nats-Trace-Origin-Account: A\r\n" D "\r\n", PP_TRACE_RETIRED, "T.1",
     false},
    {"retired alone", V "Nats-Trace-Origin-Account: A\r\n\r\n", PP_TRACE_NONE, "", false},
    {"only", V D "Nats-Trace-Only: true\r\n\r\n", PP_TRACE_DEST, "T.1", true},
    {"only 1", V D "Nats-Trace-Only:1\r\n\r\n", PP_TRACE_DEST, "T.1", true},
    {"only oN", V D "Nats-Trace-Only: oN\r\n\r\n", PP_TRACE_DEST, "T.1", true},
    {"only TRUE", V D "Nats-Trace-Only: TRUE \r\n\r\n", PP_TRACE_DEST, "T.1", true},
    {"only first", V "Nats-Trace-Only: on\r\n" D "\r\n", PP_TRACE_DEST, "T.1", true},
    {"only yes", V D "Nats-Trace-Only: yes\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"only t", V D "Nats-Trace-Only: t\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"only 0", V D "Nats-Trace-Only: 0\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"only empty", V D "Nats-Trace-Only:\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"only false, true", V D "Nats-Trace-Only: false\r\nNats-Trace-Only: true\r\n\r\n",
     PP_TRACE_DEST, "T.1", false},
    {"only, other case", V D "nats-trace-only: true\r\n\r\n", PP_TRACE_DEST, "T.1", false},
    {"only without dest", V "Nats-Trace-Only: true\r\n\r\n", PP_TRACE_NONE, "", false},
    {"line without a colon before", V "Foo\r\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"line without a colon behind", V D "Foo\r\nBar: 1\r\nBaz\r\n\r\n", PP_TRACE_DEST, "T.1",
     false},
    {"empty name", V ": abc\r\n" D "\r\n", PP_TRACE_DEST, "T.1", false},
    {"empty value", V "K:\r\n" D "\r\n", PP_TRACE_DEST, "T.1", false},
    {"behind the empty line", V "A: 1\r\n\r\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"LF alone before", V "A: b\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"LF alone behind the version", "NATS/1.0\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"status", "NATS/1.0 200 ok\r\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"other version", "NATS/1.1\r\n" D "\r\n", PP_TRACE_NONE, "", false},
    {"no version", D "\r\n", PP_TRACE_NONE, "", false},
    {"no end of line", V "Nats-Trace-Dest: T.1", PP_TRACE_NONE, "", false},
    {"CR alone behind", V "Nats-Trace-Dest: T.1\r", PP_TRACE_NONE, "", false},
    {"no empty line", V D, PP_TRACE_DEST, "T.1", false},
    {"CR in the value", V "Nats-Trace-Dest: T.1\rx\r\n\r\n", PP_TRACE_DEST, "T.1\rx", false},
    {"LF in the value", V "Nats-Trace-Dest: T.1\nx\r\n\r\n", PP_TRACE_DEST, "T.1\nx", false},
    {"parent", V P "\r\n", PP_TRACE_PARENT, "", false},
    {"parent, upper case", V "TRACEPARENT:00-a-b-01\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent, empty parts", V "traceparent: ---01\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent, not sampled", V "traceparent: 00-a-b-00\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, 02", V "traceparent: 00-a-b-02\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, 7f", V "traceparent: 00-a-b-7f\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent, 7F", V "traceparent: 00-a-b-7F\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent, 81", V "traceparent: 00-a-b-81\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, ff", V "traceparent: 00-a-b-ff\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, zz", V "traceparent: 00-a-b-zz\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, 0g", V "traceparent: 00-a-b-0g\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, one digit", V "traceparent: 00-a-b-1\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, three digits", V "traceparent: 00-a-b-001\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, three parts", V "traceparent: a-b-01\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, five parts", V "traceparent: a-b-c-d-01\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, short", V "traceparent: 01\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, dashes", V "traceparent: ---\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parent, more behind", V "traceparent: 00-a-b-01 , x\r\n\r\n", PP_TRACE_NONE, "", false},
    {"parents", V "traceparent: 00-a-b-00\r\n" P "\r\n", PP_TRACE_PARENT, "", false},
    {"parents, other order", V P "traceparent: 00-a-b-00\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent is never only", V P "Nats-Trace-Only: 1\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent and dest", V P D "Nats-Trace-Only: 1\r\n\r\n", PP_TRACE_DEST, "T.1", true},
    {"parent and empty dest", V P "Nats-Trace-Dest:\r\n\r\n", PP_TRACE_PARENT, "", false},
    {"parent and disabled", V P "Nats-Trace-Dest: trace disabled\r\n\r\n", PP_TRACE_NONE, "",
     false},
    {"parent and retired", V P "Nats-Trace-Origin-Account: x\r\n\r\n", PP_TRACE_RETIRED, "", false},
};

/* A copy whose end is the end of its memory. */
static pp_str copy(pp_str text)
{
    char *bytes = malloc(text.len ? text.len : 1);

    assert_non_null(bytes);
    memcpy(bytes, text.ptr, text.len);
    return (pp_str){bytes, text.len};
}

static void test_trace_header_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pp_str block = copy(pp_str_of(cases[i].block));
        pp_trace_header header;

        pp_trace_header_read(block, &header);
        if (header.wish != cases[i].wish || header.only != cases[i].only ||
            !pp_str_eq(header.dest, pp_str_of(cases[i].dest)))
            fail_msg("%s: wish %d dest %.*s only %d", cases[i].name, (int)header.wish,
                     PP_STR_ARGS(header.dest), header.only);
        free((char *)block.ptr);
    }
}

/* Cut anywhere: no byte behind the end is read, and what asks for a trace is never passed over. */
static void test_trace_header_hint_misses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t len = 0; len <= strlen(cases[i].block); len++) {
            pp_str block = copy((pp_str){cases[i].block, len});
            pp_trace_header header;

            pp_trace_header_read(block, &header);
            if (header.wish != PP_TRACE_NONE)
                assert_true(pp_trace_hinted(block, true));
            if (header.wish == PP_TRACE_DEST)
                assert_true(pp_trace_hinted(block, false));
            free((char *)block.ptr);
        }
    }
}

/* At every distance from the start of a step, and only there where it begins a line. */
static void test_trace_header_hint_at_every_place(void **state)
{
    char text[256];

    (void)state;
    for (int fill = 0; fill < 80; fill++) {
        int n =
            snprintf(text, sizeof(text), V "A: %.*s\r\n" D "\r\n", fill,
                     "xNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxnxNxTxtxn");
        pp_str block = copy((pp_str){text, (size_t)n});

        assert_true(pp_trace_hinted(block, false));
        free((char *)block.ptr);
        n = snprintf(
            text, sizeof(text), V "A: %.*s\r\nTracePARENT:\r\n", fill,
            "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN");
        block = copy((pp_str){text, (size_t)n});
        assert_true(pp_trace_hinted(block, true));
        assert_false(pp_trace_hinted(block, false));
        free((char *)block.ptr);
        n = snprintf(
            text, sizeof(text), V "A: %.*sNats-Trace-Dest: traceparent: x\r\n\r\n", fill,
            "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN");
        block = copy((pp_str){text, (size_t)n});
        assert_false(pp_trace_hinted(block, true));
        free((char *)block.ptr);
    }
}

static void test_trace_header_fields(void **state)
{
    static const char text[] =
        V "A: 1\r\n : x\r\nB:\t2 \r\nC:\r\n: 3\r\nD\r\nE: 4:5\r\nlast\r\n\r\n";
    static const struct {
        const char *name, *value;
    } fields[] = {{"A", "1"}, {" ", "x"}, {"B", "2"}, {"D\r\nE", "4:5"}};
    pp_header_field field;
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        assert_true(pp_header_next(PP_STR(text), &at, &field));
        assert_true(pp_str_eq(field.name, pp_str_of(fields[i].name)));
        assert_true(pp_str_eq(field.value, pp_str_of(fields[i].value)));
    }
    assert_false(pp_header_next(PP_STR(text), &at, &field));
    assert_false(pp_header_next(PP_STR(text), &at, &field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_header_cases),
        cmocka_unit_test(test_trace_header_hint_misses_nothing),
        cmocka_unit_test(test_trace_header_hint_at_every_place),
        cmocka_unit_test(test_trace_header_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
