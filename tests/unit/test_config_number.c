#include "config/number.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    pipit_err err;
    int64_t value;
} integers[] = {
    {"0", PIPIT_OK, 0},
    {"-0", PIPIT_OK, 0},
    {"007", PIPIT_OK, 7},
    {"9223372036854775807", PIPIT_OK, INT64_MAX},
    {"-9223372036854775808", PIPIT_OK, INT64_MIN},
    {"9223372036854775808", PIPIT_ETOOBIG, 0},
    {"-9223372036854775809", PIPIT_ETOOBIG, 0},
    {"99999999999999999999999", PIPIT_ETOOBIG, 0},
    {"1k", PIPIT_OK, 1000},
    {"2M", PIPIT_OK, 2000000},
    {"3g", PIPIT_OK, 3000000000},
    {"4T", PIPIT_OK, 4000000000000},
    {"5p", PIPIT_OK, 5000000000000000},
    {"6E", PIPIT_OK, 6000000000000000000},
    {"-6e", PIPIT_OK, -6000000000000000000},
    {"1kb", PIPIT_OK, 1024},
    {"1Ki", PIPIT_OK, 1024},
    {"1kIb", PIPIT_OK, 1024},
    {"1mb", PIPIT_OK, 1 << 20},
    {"1gb", PIPIT_OK, 1 << 30},
    {"1tib", PIPIT_OK, 1LL << 40},
    {"1pi", PIPIT_OK, 1LL << 50},
    {"7eb", PIPIT_OK, 7LL << 60},
    {"-8eb", PIPIT_OK, INT64_MIN},
    {"8eb", PIPIT_ETOOBIG, 0},
    {"10e", PIPIT_ETOOBIG, 0},
    {"9223372036854775807k", PIPIT_ETOOBIG, 0},
    {"1kbb", PIPIT_EINVAL, 0},
    {"1kbi", PIPIT_EINVAL, 0},
    {"1x", PIPIT_EINVAL, 0},
    {"1b", PIPIT_EINVAL, 0},
    {"", PIPIT_EINVAL, 0},
    {"-", PIPIT_EINVAL, 0},
    {"k", PIPIT_EINVAL, 0},
};

static void test_integers_and_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        int64_t value = 0;

        assert_int_equal(pp_integer_parse(pp_str_of(integers[i].text), &value), integers[i].err);
        assert_int_equal(value, integers[i].value);
    }
}

/* What Go's encoding/json writes. */
static const struct {
    const char *text, *formatted;
} reals[] = {
    {"0.0", "0"},
    {"-0.0", "-0"},
    {"1.0", "1"},
    {"1.5", "1.5"},
    {"-2.50", "-2.5"},
    {"0.1", "0.1"},
    {"100.0", "100"},
    {"0.000001", "0.000001"},
    {"0.0000001", "1e-7"},
    {"0.00000012", "1.2e-7"},
    {"100000000000000000000.0", "100000000000000000000"},
    {"1000000000000000000000.0", "1e+21"},
    {"1230000000000000000000.0", "1.23e+21"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"123456789012345678.0", "123456789012345680"},
    {"9007199254740993.0", "9007199254740992"},
    {"0.000000000000056843418860808015", "5.684341886080802e-14"}, /* a power of two */
    {"99999999999999999.0", "100000000000000000"},
};

static void check_reals(void)
{
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        char text[PP_REAL_TEXT_MAX + 1];
        double real;

        assert_int_equal(pp_real_parse(pp_str_of(reals[i].text), &real), PIPIT_OK);
        text[pp_real_format(real, text)] = '\0';
        assert_string_equal(text, reals[i].formatted);
    }
}

static void test_reals(void **state)
{
    (void)state;
    check_reals();
}

/* Where the decimal point is a comma; where no such locale is installed it is the test above. */
static void test_reals_in_any_locale(void **state)
{
    (void)state;
    (void)(setlocale(LC_ALL, "de_DE.UTF-8") || setlocale(LC_ALL, "fr_FR.UTF-8"));
    check_reals();
    (void)setlocale(LC_ALL, "C");
}

/* Extremes, and any bits: the text reads back as the same number and has room. */
static void test_reals_read_back(void **state)
{
    uint64_t bits = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[PP_REAL_TEXT_MAX + 1];
        double real, again;
        size_t len;

        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&real, &bits, sizeof(real));
        if (i < 2046) { /* all powers of two */
            uint64_t power = (uint64_t)(i + 1) << 52;

            memcpy(&real, &power, sizeof(real));
        }
        if (real != real || real - real != 0)
            continue;
        len = pp_real_format(real, text);
        assert_in_range(len, 1, PP_REAL_TEXT_MAX);
        text[len] = '\0';
        again = strtod(text, NULL);
        assert_memory_equal(&again, &real, sizeof(real));
    }
}

static void test_reals_out_of_range(void **state)
{
    static char text[2000];
    double real;

    (void)state;
    memset(text, '9', sizeof(text));
    text[400] = '.';
    assert_int_equal(pp_real_parse((pp_str){text, 410}, &real), PIPIT_ETOOBIG);
    text[400] = '9';
    text[1990] = '.';
    assert_int_equal(pp_real_parse((pp_str){text, 1995}, &real), PIPIT_ETOOBIG);
    text[1] = '.';
    assert_int_equal(pp_real_parse((pp_str){text, 1990}, &real), PIPIT_OK);
    assert_true(real == 10.0);
    assert_int_equal(pp_real_parse(PP_STR("12"), &real), PIPIT_EINVAL);
}

static const struct {
    const char *text;
    pipit_err err;
    int64_t seconds;
} dates[] = {
    {"1970-01-01T00:00:00Z", PIPIT_OK, 0},
    {"1969-12-31T23:59:59Z", PIPIT_OK, -1},
    {"2016-05-04T18:53:41Z", PIPIT_OK, 1462388021},
    {"2000-02-29T00:00:00Z", PIPIT_OK, 951782400},
    {"2024-02-29T23:59:59Z", PIPIT_OK, 1709251199},
    {"0000-01-01T00:00:00Z", PIPIT_OK, -62167219200},
    {"9999-12-31T23:59:59Z", PIPIT_OK, 253402300799},
    {"1900-02-29T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-02-29T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-04-31T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-00-01T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-13-01T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-01-00T00:00:00Z", PIPIT_EINVAL, 0},
    {"2023-01-01T24:00:00Z", PIPIT_EINVAL, 0},
    {"2023-01-01T00:60:00Z", PIPIT_EINVAL, 0},
    {"2023-01-01T00:00:60Z", PIPIT_EINVAL, 0},
    {"2023-01-01T00:00:00", PIPIT_EINVAL, 0},
    {"2023-01-01 00:00:00Z", PIPIT_EINVAL, 0},
    {"2023x01-01T00:00:00Z", PIPIT_EINVAL, 0},
    {"", PIPIT_EINVAL, 0},
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        int64_t seconds = 0;

        assert_int_equal(pp_date_parse(pp_str_of(dates[i].text), &seconds), dates[i].err);
        assert_int_equal(seconds, dates[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_and_sizes),  cmocka_unit_test(test_reals),
        cmocka_unit_test(test_reals_in_any_locale), cmocka_unit_test(test_reals_read_back),
        cmocka_unit_test(test_reals_out_of_range),  cmocka_unit_test(test_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
