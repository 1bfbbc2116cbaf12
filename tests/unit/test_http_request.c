/* Queries and paths. */
#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct query_case {
    const char *query, *name, *value; /* NULL: absent */
} query_cases[] = {
    {"", "a", NULL},
    {"a=1", "a", "1"},
    {"a=1", "b", NULL},
    {"a=1", "", NULL},
    {"a", "a", ""},
    {"a=", "a", ""},
    {"=1", "", "1"},
    {"ab=1&a=2", "a", "2"},
    {"a=1&ab=2", "ab", "2"},
    {"a=1&a=2", "a", "1"},
    {"&&a=1&", "a", "1"},
    {"a=1&b", "b", ""},
    {"a=b=c", "a", "b=c"},
    {"a=x+y%20z", "a", "x y z"},
    {"a=%2B%26%3D", "a", "+&="},
    {"a=%c3%BC", "a", "\xc3\xbc"},
    {"%61=1", "a", "1"},
    {"a+b=1", "a b", "1"},
    {"A=1", "a", NULL},
    {"a=%", "a", NULL},
    {"a=%2", "a", NULL},
    {"a=%2&a=3", "a", "3"},
    {"a=%zz&a=3", "a", "3"},
    {"%z1=4&a=3", "a", "3"},
    {"a%=4&a=3", "a", "3"},
    {"a;b=1", "a", NULL},
    {"a=1;b=2&a=3", "a", "3"},
    {"a;=2&a=3", "a", "3"},
    {"subs=detail&sort=cid", "sort", "cid"},
};

/* The query in memory of just its length, so that reading behind it is seen. */
static void check_query(const struct query_case *c, size_t out_bytes)
{
    size_t len = strlen(c->query), value_len = 12345;
    char *exact = malloc(len ? len : 1), out[64];
    bool found;

    memcpy(exact, c->query, len);
    found = pp_http_query((pp_str){exact, len}, c->name, out, out_bytes, &value_len);
    free(exact);
    assert_int_equal(found, c->value != NULL);
    if (!found) {
        assert_int_equal(value_len, 12345);
        return;
    }
    assert_int_equal(value_len, strlen(c->value));
    assert_int_equal(strncmp(out, c->value, out_bytes - 1), 0);
    assert_int_equal(strlen(out), value_len < out_bytes ? value_len : out_bytes - 1);
}

static void test_http_query_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(query_cases); i++) {
        for (size_t out_bytes = 64; out_bytes; out_bytes /= 2)
            check_query(&query_cases[i], out_bytes);
    }
}

static void test_http_query_length_is_optional(void **state)
{
    char out[4];

    (void)state;
    assert_true(pp_http_query(PP_STR("a=12345"), "a", out, sizeof(out), NULL));
    assert_string_equal(out, "123");
}

static void test_http_path_decode_table(void **state)
{
    static const struct {
        const char *raw, *path; /* NULL: bad */
    } cases[] = {
        {"/", "/"},         {"/varz", "/varz"}, {"/v%61rz", "/varz"}, {"/a+b", "/a+b"},
        {"/%2F%2f", "///"}, {"", ""},           {"/%", NULL},         {"/%4", NULL},
        {"/%4g", NULL},     {"/%g4", NULL},     {"/%%41", NULL},      {"/%-1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t len = strlen(cases[i].raw), out_len = 0;
        char *raw = malloc(len + 1), *out = malloc(len + 1);

        memcpy(raw, cases[i].raw, len);
        assert_int_equal(pp_http_path_decode((pp_str){raw, len}, out, &out_len),
                         cases[i].path != NULL);
        if (cases[i].path) {
            assert_int_equal(out_len, strlen(cases[i].path));
            assert_memory_equal(out, cases[i].path, out_len);
        }
        free(raw);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_query_table),
        cmocka_unit_test(test_http_query_length_is_optional),
        cmocka_unit_test(test_http_path_decode_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
