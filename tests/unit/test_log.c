/* What the sink is told, and when it is not. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct record {
    unsigned lines;
    pp_log_level level;
    char text[8192];
};

static void keep(void *context, pp_log_level level, const char *text)
{
    struct record *record = context;

    record->lines++;
    record->level = level;
    (void)snprintf(record->text, sizeof(record->text), "%s", text);
}

static void test_log_formats_one_line(void **state)
{
    struct record record = {0};
    pp_log log = {.sink = keep, .context = &record};

    (void)state;
    pp_log_write(&log, PP_LOG_WARN, "append failed stream=%s seq=%d", "ORDERS", 812);
    assert_int_equal(record.lines, 1);
    assert_int_equal(record.level, PP_LOG_WARN);
    assert_string_equal(record.text, "append failed stream=ORDERS seq=812");
}

static void test_log_without_sink_is_silent(void **state)
{
    pp_log log = {.debug = true, .trace = true};

    (void)state;
    pp_log_write(&log, PP_LOG_FATAL, "%s", "nobody hears");
    PP_DEBUG(&log, "nobody");
    PP_TRACE(&log, "nobody");
}

static int evaluated;

static int evaluate(void)
{
    return ++evaluated;
}

/* Arguments of lines that are not wanted cost nothing. */
static void test_log_levels_that_are_off(void **state)
{
    struct record record = {0};
    pp_log log = {.sink = keep, .context = &record};

    (void)state;
    evaluated = 0;
    PP_DEBUG(&log, "%d", evaluate());
    PP_TRACE(&log, "%d", evaluate());
    assert_int_equal(evaluated, 0);
    assert_int_equal(record.lines, 0);
    log.debug = true;
    PP_DEBUG(&log, "%d", evaluate());
    PP_TRACE(&log, "%d", evaluate());
    assert_int_equal(record.lines, 1);
    assert_int_equal(record.level, PP_LOG_DEBUG);
    log.trace = true;
    PP_TRACE(&log, "%d", evaluate());
    assert_int_equal(record.level, PP_LOG_TRACE);
    assert_int_equal(evaluated, 2);
}

static void test_log_cuts_long_lines(void **state)
{
    static char text[20000];
    struct record record = {0};
    pp_log log = {.sink = keep, .context = &record};
    size_t len;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    pp_log_write(&log, PP_LOG_INFO, "%s", text);
    len = strlen(record.text);
    assert_true(len > 1000 && len < 5000);
    assert_int_equal(strspn(record.text, "x"), len);
}

/* What a peer sent can stand in a line: it ends no line and moves no cursor. */
static void test_log_lines_have_no_control_characters(void **state)
{
    struct record record = {0};
    pp_log log = {.sink = keep, .context = &record};
    char all[256];

    (void)state;
    for (unsigned c = 1; c < 256; c++)
        all[c - 1] = (char)c;
    all[255] = '\0';
    pp_log_write(&log, PP_LOG_INFO, "peer says %s", all);
    assert_int_equal(record.lines, 1);
    for (const char *c = record.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    assert_non_null(strstr(record.text, "ABC"));
}

static void test_log_escapes_what_terminals_obey(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"\x1b[2J", "\\x1b[2J"},
        {"a\r\nb", "a\\x0d\\x0ab"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},                                 /* CSI in one character */
        {"\x9b", "\\x9b"},                                 /* and for terminals of 8 bits */
        {"\xe2\x80\xaetxt.exe", "\\xe2\\x80\\xaetxt.exe"}, /* turns the direction */
        {"\xe2\x80\x8b", "\\xe2\\x80\\x8b"},               /* takes no room */
        {"gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x90\xa6",
         "gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x90\xa6"},
        {"C:\\x", "C:\\x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record record = {0};
        pp_log log = {.sink = keep, .context = &record};

        pp_log_write(&log, PP_LOG_INFO, "%s", cases[i].text);
        assert_string_equal(record.text, cases[i].shown);
    }
}

/* One line a second; the next one tells how many there would have been. */
static void test_log_limit_counts_what_it_leaves_out(void **state)
{
    pp_log_limit limit = {0};
    uint64_t left_out = 99;

    (void)state;
    assert_true(pp_log_limit_allows(&limit, 5, &left_out));
    assert_int_equal(left_out, 0);
    for (int i = 0; i < 3; i++)
        assert_false(pp_log_limit_allows(&limit, 1000000004, &left_out));
    assert_true(pp_log_limit_allows(&limit, 1000000005, &left_out));
    assert_int_equal(left_out, 3);
    assert_true(pp_log_limit_allows(&limit, 3000000000, &left_out));
    assert_int_equal(left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_formats_one_line),
        cmocka_unit_test(test_log_without_sink_is_silent),
        cmocka_unit_test(test_log_levels_that_are_off),
        cmocka_unit_test(test_log_cuts_long_lines),
        cmocka_unit_test(test_log_lines_have_no_control_characters),
        cmocka_unit_test(test_log_escapes_what_terminals_obey),
        cmocka_unit_test(test_log_limit_counts_what_it_leaves_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
