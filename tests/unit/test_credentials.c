#include "auth/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NONE PP_STR("")

static void test_credentials_none_let_everybody_in(void **state)
{
    struct pp_credentials c;

    (void)state;
    assert_int_equal(pp_credentials_init(&c, NONE, NONE, NONE), PIPIT_OK);
    assert_false(pp_credentials_required(&c));
    assert_true(pp_credentials_check(&c, NONE, NONE, NONE));
    assert_true(pp_credentials_check(&c, (pp_str){0}, (pp_str){0}, (pp_str){0}));
    assert_true(pp_credentials_check(&c, PP_STR("u"), PP_STR("p"), PP_STR("t")));
    pp_credentials_fini(&c);
}

static const struct {
    const char *user, *pass, *token;       /* configured */
    const char *by_user, *by_pass, *by_token; /* presented */
    bool allowed;
} cases[] = {
    {"joe", "secret", "", "joe", "secret", "", true},
    {"joe", "secret", "", "joe", "secret", "whatever", true},
    {"joe", "secret", "", "", "", "", false},
    {"joe", "secret", "", "joe", "", "", false},
    {"joe", "secret", "", "joe", "Secret", "", false},
    {"joe", "secret", "", "joe", "secre", "", false},
    {"joe", "secret", "", "joe", "secrets", "", false},
    {"joe", "secret", "", "jo", "secret", "", false},
    {"joe", "secret", "", "joe ", "secret", "", false},
    {"joe", "secret", "", "", "secret", "", false},
    {"joe", "secret", "", "secret", "joe", "", false},
    {"joe", "secret", "", "", "", "secret", false},
    {"joe", "", "", "joe", "", "", true},
    {"joe", "", "", "joe", "x", "", false},
    {"joe", "", "", "", "", "", false},
    {"", "", "tok", "", "", "tok", true},
    {"", "", "tok", "joe", "x", "tok", true},
    {"", "", "tok", "", "", "", false},
    {"", "", "tok", "", "", "to", false},
    {"", "", "tok", "tok", "tok", "", false},
    {"joe", "secret", "tok", "joe", "secret", "", false}, /* the token counts */
    {"joe", "secret", "tok", "", "", "tok", true},
};

static void test_credentials_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pp_credentials c;

        assert_int_equal(pp_credentials_init(&c, pp_str_of(cases[i].user),
                                             pp_str_of(cases[i].pass), pp_str_of(cases[i].token)),
                         PIPIT_OK);
        assert_true(pp_credentials_required(&c));
        if (pp_credentials_check(&c, pp_str_of(cases[i].by_user), pp_str_of(cases[i].by_pass),
                                 pp_str_of(cases[i].by_token)) != cases[i].allowed)
            fail_msg("case %zu", i);
        pp_credentials_fini(&c);
    }
}

static void test_credentials_compare_whole_slices(void **state)
{
    struct pp_credentials c;

    (void)state;
    assert_int_equal(
        pp_credentials_init(&c, PP_STR("u"), PP_STR("a\0b"), NONE), PIPIT_OK);
    assert_true(pp_credentials_check(&c, PP_STR("u"), PP_STR("a\0b"), NONE));
    assert_false(pp_credentials_check(&c, PP_STR("u"), PP_STR("a"), NONE));
    assert_false(pp_credentials_check(&c, PP_STR("u"), PP_STR("a\0c"), NONE));
    pp_credentials_fini(&c);
}

static void test_credentials_keep_no_text(void **state)
{
    struct pp_credentials c, again;

    (void)state;
    assert_int_equal(pp_credentials_init(&c, PP_STR("joe"), PP_STR("secret"), NONE), PIPIT_OK);
    assert_int_equal(pp_credentials_init(&again, PP_STR("joe"), PP_STR("secret"), NONE), PIPIT_OK);
    assert_null(memmem(&c, sizeof(c), "secret", 6));
    assert_memory_not_equal(c.pass_hash, again.pass_hash, sizeof(c.pass_hash)); /* own key each */
    pp_credentials_fini(&c);
    pp_credentials_fini(&again);
}

static void test_credentials_refuse_what_cannot_be_checked(void **state)
{
    static const char bcrypt[] = "$2a$11$PWIFAL8RsWyGI3jVZtO9Nu8.6jOxzxfZo7c/W0eLk017hjgUKWrhy";
    struct pp_credentials c;

    (void)state;
    assert_int_equal(pp_credentials_init(&c, PP_STR("u"), pp_str_of(bcrypt), NONE), PIPIT_EINVAL);
    assert_int_equal(pp_credentials_init(&c, NONE, NONE, pp_str_of(bcrypt)), PIPIT_EINVAL);
    assert_int_equal(pp_credentials_init(&c, NONE, PP_STR("p"), NONE), PIPIT_EINVAL);
    assert_int_equal(pp_credentials_init(&c, NONE, PP_STR("p"), PP_STR("t")), PIPIT_EINVAL);
}

static void test_credentials_know_bcrypt(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } texts[] = {
        {"$2a$11$x", true},  {"$2b$04$", true},   {"$2x$99$", true},  {"$2y$10$abc", true},
        {"", false},         {"$2", false},       {"$2a$11", false},  {"$2c$11$x", false},
        {"$1a$11$x", false}, {"$2a$1$xxx", false}, {"$2a$1x$x", false}, {"x$2a$11$x", false},
        {"$2a-11$x", false}, {"$2a$11-x", false}, {"$2A$11$x", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(pp_credentials_is_bcrypt(pp_str_of(texts[i].text)), texts[i].is);
    assert_false(pp_credentials_is_bcrypt((pp_str){"$2\0$11$x", 8}));
    assert_false(pp_credentials_is_bcrypt((pp_str){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials_none_let_everybody_in),
        cmocka_unit_test(test_credentials_check),
        cmocka_unit_test(test_credentials_compare_whole_slices),
        cmocka_unit_test(test_credentials_keep_no_text),
        cmocka_unit_test(test_credentials_refuse_what_cannot_be_checked),
        cmocka_unit_test(test_credentials_know_bcrypt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
