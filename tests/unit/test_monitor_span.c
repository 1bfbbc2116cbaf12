#include "server/monitor/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static void test_span_as_go_writes_it(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {-5, "0s"},
        {0, "0s"},
        {1, "1ns"},
        {999, "999ns"},
        {1000, "1\xC2\xB5s"},
        {512000, "512\xC2\xB5s"},
        {1500, "1.5\xC2\xB5s"},
        {1234000, "1.234ms"},
        {1000001, "1.000001ms"},
        {1 * S, "1s"},
        {1 * S + 500000000, "1.5s"},
        {62 * S + 500000000, "1m2.5s"},
        {3600 * S, "1h0m0s"},
        {90061 * S + 1, "25h1m1.000000001s"},
    };
    char text[PP_SPAN_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pp_span_format(text, cases[i].ns), strlen(cases[i].text));
        text[strlen(cases[i].text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void test_uptime_begins_with_the_largest_unit(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {-1, "0s"},
        {0, "0s"},
        {999999999, "0s"},
        {59 * S, "59s"},
        {60 * S, "1m0s"},
        {3661 * S, "1h1m1s"},
        {86400 * S, "1d0h0m0s"},
        {365 * 86400 * S, "1y0d0h0m0s"},
        {(3 * 365 + 12) * 86400 * S + (4 * 3600 + 5 * 60 + 6) * S, "3y12d4h5m6s"},
    };
    char text[PP_SPAN_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pp_uptime_format(text, cases[i].ns), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span_as_go_writes_it),
        cmocka_unit_test(test_uptime_begins_with_the_largest_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
