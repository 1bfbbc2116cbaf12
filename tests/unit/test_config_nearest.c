#include "config/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const known[] = {"port",        "host",           "max_payload",
                                    "max_pending", "write_deadline", "tls",
                                    "no_tls",      "authorization",  "x"};

static const struct {
    const char *typed, *expected;
} cases[] = {
    {"prot", "port"}, /* swapped */
    {"prtx", NULL},   /* two slips in four letters */
    {"por", "port"},
    {"portt", "port"},
    {"PORT", "port"},
    {"Hosts", "host"},
    {"max_paylod", "max_payload"},
    {"maxpayload", "max_payload"},
    {"max_pendng", "max_pending"},
    {"write_dead_line", "write_deadline"},
    {"authorisation", "authorization"},
    {"tsl", "tls"},
    {"cluster_name", NULL},
    {"abc", NULL},
    {"y", NULL}, /* any one letter is one slip from any other */
    {"", NULL},
};

static void test_nearest_finds_slips(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found =
            pp_nearest(pp_str_of(cases[i].typed), known, sizeof(known) / sizeof(known[0]));

        if (!cases[i].expected)
            assert_null(found);
        else
            assert_string_equal(found ? found : "none", cases[i].expected);
    }
}

static void test_nearest_takes_the_nearest_then_the_first(void **state)
{
    static const char *const words[] = {"abcdef", "abcdeg", "abcdxg"};

    (void)state;
    assert_string_equal(pp_nearest(PP_STR("abcdxg"), words, 3), "abcdxg");
    assert_string_equal(pp_nearest(PP_STR("abcdeh"), words, 3), "abcdef");
}

static void test_nearest_of_texts_too_long_is_none(void **state)
{
    char text[1000];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = 'a';
    assert_null(pp_nearest((pp_str){text, sizeof(text)}, known, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_finds_slips),
        cmocka_unit_test(test_nearest_takes_the_nearest_then_the_first),
        cmocka_unit_test(test_nearest_of_texts_too_long_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
