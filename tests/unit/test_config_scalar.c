#include "config/scalar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *source;
    bool in_array;
    pp_scalar_kind kind;
    const char *text; /* escapes resolved; NULL: refused */
    const char *rest;
} cases[] = {
    {"abc\n", false, PP_SCALAR_STRING, "abc", "\n"},
    {"", false, PP_SCALAR_STRING, "", ""},
    {";", false, PP_SCALAR_STRING, "", ";"},
    {"a#b c", false, PP_SCALAR_STRING, "a#b", " c"},
    {"a]", false, PP_SCALAR_STRING, "a", "]"},
    {"a\\x20b\\t,", false, PP_SCALAR_STRING, "a b\t", ","},
    {"a'b", false, PP_SCALAR_STRING, "a", "b"},
    {"a\\", false, PP_SCALAR_STRING, NULL, NULL},
    {"'a\\b'c", false, PP_SCALAR_STRING, "a\\b", "c"},
    {"'a", false, PP_SCALAR_STRING, NULL, NULL},
    {"\"a\\\"b\"c", false, PP_SCALAR_STRING, "a\"b", "c"},
    {"\"a\\n\\r\\t\\\\\\x7e\"", false, PP_SCALAR_STRING, "a\n\r\t\\~", ""},
    {"\"a", false, PP_SCALAR_STRING, NULL, NULL},
    {"\"a\\\"", false, PP_SCALAR_STRING, NULL, NULL},
    {"\"\\q\"", false, PP_SCALAR_STRING, NULL, NULL},
    {"\"\\x1\"", false, PP_SCALAR_STRING, NULL, NULL},
    {"\"\\x", false, PP_SCALAR_STRING, NULL, NULL},
    {"(\nab)\n)\nx", false, PP_SCALAR_STRING, "\nab)\n", "\nx"},
    {"(\nab\n)", false, PP_SCALAR_STRING, "\nab\n", ""},
    {"(\nab\n)x", false, PP_SCALAR_STRING, NULL, NULL},
    {"(", false, PP_SCALAR_STRING, NULL, NULL},
    {"true", false, PP_SCALAR_BOOL, "true", ""},
    {"OFF}", false, PP_SCALAR_BOOL, "OFF", "}"},
    {"yes'", false, PP_SCALAR_STRING, "yes", ""},
    {"on\\t", false, PP_SCALAR_STRING, "on\t", ""},
    {"$a.b,", false, PP_SCALAR_VARIABLE, "a.b", ","},
    {"$", false, PP_SCALAR_VARIABLE, "", ""},
    {"$a'", false, PP_SCALAR_STRING, "$a", ""},
    {"12", false, PP_SCALAR_INT, "12", ""},
    {"-12x", false, PP_SCALAR_INT, "-12", "x"},
    {"12]", false, PP_SCALAR_STRING, "12]", ""},
    {"12]", true, PP_SCALAR_INT, "12", "]"},
    {"12a]", true, PP_SCALAR_STRING, "12a", "]"},
    {"12kB ", false, PP_SCALAR_INT, "12kB", " "},
    {"12k]", true, PP_SCALAR_INT, "12k", "]"},
    {"12kx", false, PP_SCALAR_STRING, "12kx", ""},
    {"-1m30s", false, PP_SCALAR_STRING, "-1m30s", ""},
    {"1\\t\\t", false, PP_SCALAR_STRING, "1\\t\t", ""},
    {"1'2", false, PP_SCALAR_STRING, "1'2", ""},
    {"1.5", false, PP_SCALAR_FLOAT, "1.5", ""},
    {"-1.5s", false, PP_SCALAR_FLOAT, "-1.5", "s"},
    {"1.", false, PP_SCALAR_FLOAT, NULL, NULL},
    {".5", false, PP_SCALAR_FLOAT, NULL, NULL},
    {"-.5", false, PP_SCALAR_FLOAT, NULL, NULL},
    {"-x", false, PP_SCALAR_INT, NULL, NULL},
    {"-", false, PP_SCALAR_INT, NULL, NULL},
    {"1.2.3.4:80-90 x", false, PP_SCALAR_STRING, "1.2.3.4:80-90", " x"},
    {"2016-05-04T18:53:41Zx", false, PP_SCALAR_DATE, "2016-05-04T18:53:41Z", "x"},
    {"2016-05-04", false, PP_SCALAR_DATE, NULL, NULL},
    {"2016-05-0xT18:53:41Z", false, PP_SCALAR_DATE, NULL, NULL},
    {"20160-", false, PP_SCALAR_DATE, NULL, NULL},
    {"1-2", false, PP_SCALAR_DATE, NULL, NULL},
    {"\n", false, PP_SCALAR_STRING, NULL, NULL},
};

static void check(size_t i)
{
    pp_config_failure failure = {.text = ""};
    char resolved[64];
    pp_lexer lexer;
    pp_scalar scalar;
    pipit_err err;
    size_t len;

    assert_int_equal(pp_lexer_init(&lexer, "f", pp_str_of(cases[i].source), &failure), PIPIT_OK);
    err = pp_scalar_read(&lexer, cases[i].in_array, &scalar);
    if (!cases[i].text) {
        assert_int_equal(err, PIPIT_EINVAL);
        assert_true(failure.text[0]);
        return;
    }
    assert_int_equal(err, PIPIT_OK);
    assert_int_equal(scalar.kind, cases[i].kind);
    len = scalar.escaped ? scalar.plain : scalar.text.len;
    memcpy(resolved, scalar.text.ptr, len);
    len +=
        pp_scalar_unescape((pp_str){scalar.text.ptr + len, scalar.text.len - len}, resolved + len);
    resolved[len] = '\0';
    assert_string_equal(resolved, cases[i].text);
    assert_int_equal(lexer.end - lexer.at, strlen(cases[i].rest));
    assert_memory_equal(lexer.at, cases[i].rest, strlen(cases[i].rest));
}

static void test_scalars(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check(i);
}

/* Whatever it is cut to, it is read or refused, and nothing behind its end is looked at. */
static void test_scalars_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t len = 0; len <= strlen(cases[i].source); len++) {
            pp_config_failure failure = {.text = ""};
            char *text = test_malloc(len + !len);
            pp_lexer lexer;
            pp_scalar scalar;

            memcpy(text, cases[i].source, len);
            assert_int_equal(pp_lexer_init(&lexer, "f", (pp_str){text, len}, &failure), PIPIT_OK);
            if (pp_scalar_read(&lexer, cases[i].in_array, &scalar) == PIPIT_OK)
                assert_true(lexer.at <= lexer.end);
            test_free(text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_scalars_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
