/* Basic authentication. */
#include "http/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool check(pp_http_credentials *credentials, const char *authorization)
{
    size_t len = strlen(authorization);
    char *exact = malloc(len ? len : 1);
    bool ok;

    memcpy(exact, authorization, len);
    ok = pp_http_credentials_check(credentials, (pp_str){exact, len});
    free(exact);
    return ok;
}

static void test_http_credentials_table(void **state)
{
    static const struct {
        const char *authorization;
        bool ok;
    } cases[] = {
        {"Basic dXNlcjpwYXNz", true}, /* user:pass */
        {"basic dXNlcjpwYXNz", true},
        {"BASIC   dXNlcjpwYXNz", true},
        {"", false},
        {"Basic", false},
        {"Basic ", false},
        {"Bearer dXNlcjpwYXNz", false},
        {"BasicdXNlcjpwYXNz", false},
        {"Basic dXNlcjpwYXN", false},
        {"Basic dXNlcjpwYXNzCg==", false}, /* and a line end */
        {"Basic dXNlcjpwYXN6", false},     /* user:pasz */
        {"Basic VXNlcjpwYXNz", false},     /* User:pass */
        {"Basic dXNlcg==", false},         /* user */
        {"Basic dXNlcjo=", false},         /* user: */
        {"Basic OnBhc3M=", false},         /* :pass */
        {"Basic !!!!", false},
        {"Basic dXNlcjpwYXNz dXNlcjpwYXNz", false},
    };
    pp_http_credentials credentials;

    (void)state;
    pp_http_credentials_init(&credentials);
    assert_true(check(&credentials, "")); /* nobody is asked */
    assert_true(check(&credentials, "Basic nonsense"));
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR("user"), PP_STR("pass")),
                     PIPIT_OK);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(check(&credentials, cases[i].authorization), cases[i].ok);
    pp_http_credentials_fini(&credentials);
}

static void test_http_credentials_change(void **state)
{
    pp_http_credentials credentials;

    (void)state;
    pp_http_credentials_init(&credentials);
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR("user"), PP_STR("pass")),
                     PIPIT_OK);
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR("me"), PP_STR("a:b")), PIPIT_OK);
    assert_false(check(&credentials, "Basic dXNlcjpwYXNz"));
    assert_true(check(&credentials, "Basic bWU6YTpi"));
    assert_true(check(&credentials, "Basic bWU6YTpi=")); /* padding is not counted */
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR("me"), PP_STR("")), PIPIT_OK);
    assert_true(check(&credentials, "Basic bWU6"));
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR(""), PP_STR("")), PIPIT_OK);
    assert_true(check(&credentials, ""));
    pp_http_credentials_fini(&credentials);
}

static void test_http_credentials_refuse(void **state)
{
    static char lots[PP_HTTP_SECRET_MAX + 1];
    char *header = malloc(sizeof(lots) * 2);
    pp_http_credentials credentials;

    (void)state;
    memset(lots, 'a', sizeof(lots));
    pp_http_credentials_init(&credentials);
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR("a:b"), PP_STR("c")),
                     PIPIT_EINVAL);
    assert_int_equal(pp_http_credentials_set(&credentials, PP_STR(""), PP_STR("c")), PIPIT_EINVAL);
    assert_int_equal(
        pp_http_credentials_set(&credentials, PP_STR("a"), (pp_str){lots, sizeof(lots)}),
        PIPIT_ETOOBIG);
    assert_int_equal(
        pp_http_credentials_set(&credentials, (pp_str){lots, sizeof(lots) - 1}, PP_STR("")),
        PIPIT_ETOOBIG);
    assert_true(check(&credentials, "")); /* refused means not changed */
    assert_int_equal(
        pp_http_credentials_set(&credentials, (pp_str){lots, sizeof(lots) - 2}, PP_STR("")),
        PIPIT_OK);
    /* More than any secret can be. */
    memset(header, 'a', sizeof(lots) * 2);
    memcpy(header, "Basic ", 6);
    assert_false(pp_http_credentials_check(&credentials, (pp_str){header, sizeof(lots) * 2}));
    free(header);
    pp_http_credentials_fini(&credentials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_credentials_table),
        cmocka_unit_test(test_http_credentials_change),
        cmocka_unit_test(test_http_credentials_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
