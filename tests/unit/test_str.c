#include "base/str.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void test_str_compares_bytes(void **state)
{
    static const struct {
        pp_str a, b;
        bool equal, nocase, starts; /* a starts with b */
    } cases[] = {
        {{NULL, 0}, {"", 0}, true, true, true},
        {{NULL, 0}, {NULL, 0}, true, true, true},
        {{"a", 1}, {NULL, 0}, false, false, true},
        {{"abc", 3}, {"abc", 3}, true, true, true},
        {{"abc", 3}, {"ab", 2}, false, false, true},
        {{"ab", 2}, {"abc", 3}, false, false, false},
        {{"abc", 3}, {"aBc", 3}, false, true, false},
        {{"AZaz", 4}, {"azAZ", 4}, false, true, false},
        {{"a\0b", 3}, {"a\0c", 3}, false, false, false},
        {{"a\0b", 3}, {"A\0B", 3}, false, true, false},
        {{"@", 1}, {"`", 1}, false, false, false}, /* a bit apart as letters are, but none */
        {{"[", 1}, {"{", 1}, false, false, false},
        {{"\xc1", 1}, {"\xe1", 1}, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (pp_str_eq(cases[i].a, cases[i].b) != cases[i].equal ||
            pp_str_eq(cases[i].b, cases[i].a) != cases[i].equal ||
            pp_str_eq_nocase(cases[i].a, cases[i].b) != cases[i].nocase ||
            pp_str_starts(cases[i].a, cases[i].b) != cases[i].starts)
            fail_msg("case %zu", i);
    }
    assert_int_equal(pp_str_of("abc").len, 3);
    assert_int_equal(pp_str_of(NULL).len, 0);
    assert_null(pp_str_of(NULL).ptr);
}

static void test_str_parses_whole_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"007", 10, true, 7},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551620", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"", UINT64_MAX, false, 0},
        {"+1", UINT64_MAX, false, 0},
        {"-1", UINT64_MAX, false, 0},
        {" 1", UINT64_MAX, false, 0},
        {"1 ", UINT64_MAX, false, 0},
        {"1a", UINT64_MAX, false, 0},
        {"0x1", UINT64_MAX, false, 0},
        {"/", UINT64_MAX, false, 0},
        {":", UINT64_MAX, false, 0},
        {"\xb1", UINT64_MAX, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t value = 4711;
        bool good = pp_str_parse_u64(pp_str_of(cases[i].text), cases[i].max, &value);

        if (good != cases[i].good || value != (good ? cases[i].value : 4711))
            fail_msg("'%s' is %d, %" PRIu64, cases[i].text, good, value);
    }
}

static void test_str_parses_durations(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t ns;
    } cases[] = {
        {"0s", true, 0},
        {"1ns", true, 1},
        {"250us", true, 250000},
        {"500ms", true, 500000000},
        {"2s", true, 2000000000},
        {"1m", true, 60000000000},
        {"1h", true, 3600000000000},
        {"1.5s", true, 1500000000},
        {"0.5ms", true, 500000},
        {"0.000000001s", true, 1},
        {"2.25h", true, 8100000000000},
        {"1m30s", true, 90000000000},
        {"1h2m3s4ms5us6ns", true, 3723004005006},
        {"1s1s", true, 2000000000},
        {"", false, 0},
        {"5", false, 0},
        {"s", false, 0},
        {".5s", false, 0},
        {"-1s", false, 0},
        {"+1s", false, 0},
        {" 1s", false, 0},
        {"1s ", false, 0},
        {"1 s", false, 0},
        {"1S", false, 0},
        {"1x", false, 0},
        {"1ss", false, 0},
        {"1m5", false, 0},
        {"1.2.3s", false, 0},
        {"1sm", false, 0},
        {"1000000h", true, 3600000000000000000},
        {"1000000h1000000h", false, 0},
        {"99999999h", false, 0},
        {"99999999999999999999s", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ns = 4711;
        bool good = pp_str_parse_duration(pp_str_of(cases[i].text), &ns);

        if (good != cases[i].good || ns != (good ? cases[i].ns : 4711))
            fail_msg("'%s' is %d, %" PRId64, cases[i].text, good, ns);
    }
}

static void test_str_parses_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {"0", UINT64_MAX, true, 0},
        {"64", UINT64_MAX, true, 64},
        {"64B", UINT64_MAX, true, 64},
        {"64K", UINT64_MAX, true, 65536},
        {"64k", UINT64_MAX, true, 65536},
        {"64KB", UINT64_MAX, true, 65536},
        {"64kb", UINT64_MAX, true, 65536},
        {"64KiB", UINT64_MAX, true, 65536},
        {"1M", UINT64_MAX, true, 1048576},
        {"1MB", UINT64_MAX, true, 1048576},
        {"2GiB", UINT64_MAX, true, 2147483648},
        {"3T", UINT64_MAX, true, 3298534883328},
        {"64K", 65536, true, 65536},
        {"64K", 65535, false, 0},
        {"65537", 65536, false, 0},
        {"18014398509481983K", UINT64_MAX, true, 18446744073709550592u},
        {"18014398509481984K", UINT64_MAX, false, 0},
        {"", UINT64_MAX, false, 0},
        {"K", UINT64_MAX, false, 0},
        {"B", UINT64_MAX, false, 0},
        {"KB", UINT64_MAX, false, 0},
        {"-1", UINT64_MAX, false, 0},
        {"1.5K", UINT64_MAX, false, 0},
        {"1 K", UINT64_MAX, false, 0},
        {"1KK", UINT64_MAX, false, 0},
        {"1BK", UINT64_MAX, false, 0},
        {"1X", UINT64_MAX, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t bytes = 4711;
        bool good = pp_str_parse_size(pp_str_of(cases[i].text), cases[i].max, &bytes);

        if (good != cases[i].good || bytes != (good ? cases[i].bytes : 4711))
            fail_msg("'%s' is %d, %" PRIu64, cases[i].text, good, bytes);
    }
}

static void assert_formats(uint64_t value)
{
    char out[21], expected[21];
    size_t len;

    memset(out, '#', sizeof(out));
    len = pp_u64_format(out, value);
    assert_int_equal(len, snprintf(expected, sizeof(expected), "%" PRIu64, value));
    assert_memory_equal(out, expected, len);
    assert_int_equal(out[len], '#'); /* nothing behind it is touched */
}

static void test_u64_format_writes_decimals(void **state)
{
    (void)state;
    assert_formats(0);
    assert_formats(UINT64_MAX);
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        assert_formats(power - 1);
        assert_formats(power);
        assert_formats(power * 10 - 1);
        assert_formats(power * 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_compares_bytes),
        cmocka_unit_test(test_str_parses_whole_numbers),
        cmocka_unit_test(test_str_parses_durations),
        cmocka_unit_test(test_str_parses_sizes),
        cmocka_unit_test(test_u64_format_writes_decimals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
