#include "config/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000LL

static void test_duration_reads(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"5s", 5 * S},
        {"+5s", 5 * S},
        {"-1.5s", -1500000000},
        {"500ms", 500000000},
        {"1m30s", 90 * S},
        {"1h30m0.5s", 5400 * S + 500000000},
        {"10ns", 10},
        {"1us", 1000},
        {"1\xC2\xB5s", 1000},
        {"1\xCE\xBCs", 1000},
        {".5s", 500000000},
        {"1.s", S},
        {"0.000000001s", 1},
        {"0.1234567891234567891s", 123456789},
        {"1s1s", 2 * S},
        {"2562047h47m16.854775807s", INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = 77;

        if (!pp_duration_parse(pp_str_of(cases[i].text), &ns) || ns != cases[i].ns)
            fail_msg("%s gives %lld", cases[i].text, (long long)ns);
    }
}

static void test_duration_refuses(void **state)
{
    static const char *const texts[] = {
        "",
        "-",
        "+",
        "s",
        "1",
        "1.5",
        ".s",
        ".",
        "1d",
        "1 s",
        "1s ",
        " 1s",
        "1sx",
        "1s2",
        "--1s",
        "1S",
        "ms",
        "1e3s",
        "00",
        "1:2",
        "-",
        "1.2.3s",
        "9223372036854775808ns",
        "2562048h",
        "2562047h48m",
        "99999999999999999999s",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t ns = 77;

        if (pp_duration_parse(pp_str_of(texts[i]), &ns))
            fail_msg("%s gives %lld", texts[i], (long long)ns);
        assert_int_equal(ns, 77);
    }
}

static void test_duration_writes(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {1500, "1.5\xC2\xB5s"},
        {2000000, "2ms"},
        {2010000, "2.01ms"},
        {S, "1s"},
        {1500000000, "1.5s"},
        {120 * S, "2m0s"},
        {3600 * S, "1h0m0s"},
        {5400 * S + 1, "1h30m0.000000001s"},
        {-90 * S, "-1m30s"},
        {-3600 * S, "-1h0m0s"},
        {-1, "-1ns"},
        {INT64_MIN, "-2562047h47m16.854775808s"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[PP_DURATION_TEXT_BYTES];
        int64_t back;

        assert_string_equal(pp_duration_format(text, cases[i].ns), cases[i].text);
        if (cases[i].ns > INT64_MIN) {
            assert_true(pp_duration_parse(pp_str_of(text), &back));
            assert_int_equal(back, cases[i].ns);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration_reads),
        cmocka_unit_test(test_duration_refuses),
        cmocka_unit_test(test_duration_writes),
    };

    return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
