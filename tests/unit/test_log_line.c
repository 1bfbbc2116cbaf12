/* The forms of a log line. */
#include "server/log_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* 2026-11-05 03:04:44.522155666 UTC */
static const int64_t when_ns = 1793847884522155666;

static void set_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static void require_line(const pp_log_form *form, pp_log_level level, const char *text,
                         const char *wanted)
{
    static char out[PP_LOG_LINE_MAX];
    size_t len = pp_log_line_format(form, &(pp_log_entry){when_ns, level, pp_str_of(text)}, out);

    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(out, wanted, len);
}

static void test_log_line_text(void **state)
{
    static const struct {
        pp_log_form form;
        pp_log_level level;
        const char *wanted;
    } cases[] = {
        {{.pid = 7, .time = true}, PP_LOG_INFO, "[7] 2026/11/05 04:04:44.522155 [INF] hi\n"},
        {{.pid = 7, .time = true, .utc = true},
         PP_LOG_ERROR,
         "[7] 2026/11/05 03:04:44.522155 [ERR] hi\n"},
        {{.pid = 7}, PP_LOG_FATAL, "[7] [FTL] hi\n"},
        {{.pid = 7, .utc = true}, PP_LOG_WARN, "[7] [WRN] hi\n"},
        {{.pid = 7}, PP_LOG_DEBUG, "[7] [DBG] hi\n"},
        {{.pid = 7}, PP_LOG_TRACE, "[7] [TRC] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_INFO, "[7] [\x1b[32mINF\x1b[0m] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_DEBUG, "[7] [\x1b[36mDBG\x1b[0m] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_WARN, "[7] [\x1b[0;93mWRN\x1b[0m] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_ERROR, "[7] [\x1b[31mERR\x1b[0m] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_FATAL, "[7] [\x1b[31mFTL\x1b[0m] hi\n"},
        {{.pid = 7, .colours = true}, PP_LOG_TRACE, "[7] [\x1b[33mTRC\x1b[0m] hi\n"},
    };

    (void)state;
    set_zone("XXX-1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        require_line(&cases[i].form, cases[i].level, "hi", cases[i].wanted);
}

static void test_log_line_json(void **state)
{
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"a \"b\" \\c", "a \\\"b\\\" \\\\c"},
        {"\x01\t\n\x1f\x7f", "\\u0001\\u0009\\u000a\\u001f\\u007f"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6"},
        {"\xff|\xc3|\xc0\x80|\xed\xa0\x80|\xf4\x90\x80\x80|\x80",
         "\\ufffd|\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\\ufffd|"
         "\\ufffd"},
        {"cut \xe2\x82", "cut \\ufffd\\ufffd"},
    };
    const pp_log_form form = {.pid = 7, .json = true, .time = false};
    char wanted[512];

    (void)state;
    set_zone("XXX5:30");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(wanted, sizeof(wanted),
                       "{\"time\":\"2026-11-04T21:34:44.522155-05:30\",\"level\":\"warn\","
                       "\"pid\":7,\"msg\":\"%s\"}\n",
                       cases[i].msg);
        require_line(&form, PP_LOG_WARN, cases[i].text, wanted);
    }
    require_line(&(pp_log_form){.pid = 7, .json = true, .utc = true}, PP_LOG_FATAL, "x",
                 "{\"time\":\"2026-11-05T03:04:44.522155Z\",\"level\":\"fatal\",\"pid\":7,"
                 "\"msg\":\"x\"}\n");
}

static void test_log_line_syslog(void **state)
{
    static const struct {
        pp_syslog_form form;
        pp_log_level level;
        const char *wanted;
    } cases[] = {
        {{7, 0, "vm", "pipit-server"},
         PP_LOG_INFO,
         "<5>2026-11-05T04:04:44+01:00 vm pipit-server[7]: hi\n"},
        {{7, 0, NULL, "p"}, PP_LOG_WARN, "<4>Nov  5 04:04:44 p[7]: hi\n"},
        {{7, 3, NULL, "p"}, PP_LOG_ERROR, "<27>Nov  5 04:04:44 p[7]: hi\n"},
        {{7, 3, NULL, "p"}, PP_LOG_FATAL, "<26>Nov  5 04:04:44 p[7]: hi\n"},
        {{7, 3, NULL, "p"}, PP_LOG_DEBUG, "<31>Nov  5 04:04:44 p[7]: hi\n"},
        {{7, 3, NULL, "p"}, PP_LOG_TRACE, "<29>Nov  5 04:04:44 p[7]: hi\n"},
    };
    static char out[PP_LOG_LINE_MAX];

    (void)state;
    set_zone("XXX-1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_log_entry entry = {when_ns, cases[i].level, PP_STR("hi")};
        size_t len = pp_log_line_format_syslog(&cases[i].form, &entry, out);

        assert_int_equal(len, strlen(cases[i].wanted));
        assert_memory_equal(out, cases[i].wanted, len);
    }
}

/* The longest text, of what takes most room, stays within PP_LOG_LINE_MAX. */
static void test_log_line_longest(void **state)
{
    static char text[2 * PP_LOG_TEXT_MAX], name[600];
    char *out = malloc(PP_LOG_LINE_MAX); /* of that size, so that a sanitizer sees what is over */
    pp_log_entry entry = {when_ns, PP_LOG_WARN, {text, sizeof(text)}};
    size_t len;

    (void)state;
    assert_non_null(out);
    memset(text, 0xff, sizeof(text));
    memset(name, 'n', sizeof(name) - 1);
    len = pp_log_line_format(&(pp_log_form){.pid = 1, .json = true}, &entry, out);
    assert_true(len > 6 * PP_LOG_TEXT_MAX && len <= PP_LOG_LINE_MAX);
    assert_memory_equal(out + len - 3, "\"}\n", 3);
    len = pp_log_line_format(&(pp_log_form){.pid = 1, .time = true}, &entry, out);
    assert_true(len > PP_LOG_TEXT_MAX && len < PP_LOG_TEXT_MAX + 100);
    len = pp_log_line_format_syslog(&(pp_syslog_form){1, 0, name, name}, &entry, out);
    assert_true(len > PP_LOG_TEXT_MAX && len < PP_LOG_TEXT_MAX + 400);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line_text),
        cmocka_unit_test(test_log_line_json),
        cmocka_unit_test(test_log_line_syslog),
        cmocka_unit_test(test_log_line_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
