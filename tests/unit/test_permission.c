#include "core/permission.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RULES_MAX = 8 };

/* "a.b, c.* queue" to rules; NULL: none. */
static size_t parse(const char *text, pp_permission_rule *rules)
{
    size_t count = 0;

    while (text && *text) {
        size_t len = strcspn(text, ",");
        size_t subject = strcspn(text, " ,");

        rules[count].subject = (pp_str){text, subject};
        rules[count].queue =
            subject < len ? (pp_str){text + subject + 1, len - subject - 1} : (pp_str){NULL, 0};
        count++;
        text += len;
        text += strspn(text, ", ");
    }
    return count;
}

struct lists {
    const char *publish_allow, *publish_deny, *subscribe_allow, *subscribe_deny;
};

static pipit_err make(const struct lists *lists, pp_permissions **out)
{
    pp_permission_rule rules[4][RULES_MAX];
    const pp_permission_rules publish = {lists->publish_allow != NULL,          rules[0],
                                         parse(lists->publish_allow, rules[0]), rules[1],
                                         parse(lists->publish_deny, rules[1]),  {0}};
    const pp_permission_rules subscribe = {lists->subscribe_allow != NULL,          rules[2],
                                           parse(lists->subscribe_allow, rules[2]), rules[3],
                                           parse(lists->subscribe_deny, rules[3]),  {0}};

    return pp_permissions_new(out, &publish, &subscribe);
}

static pp_permissions *must_make(struct lists lists)
{
    pp_permissions *permissions;

    assert_int_equal(make(&lists, &permissions), PIPIT_OK);
    return permissions;
}

static void test_permission_responses_close_what_is_not_allowed(void **state)
{
    const pp_permission_rules nothing = {0};
    const pp_permission_rules some = {.responses = {.allowed = true, .max = -1, .ttl_ns = 5}};
    const pp_permission_rules plain = {.responses = {.allowed = true}};
    const pp_permission_rules off = {.responses = {.max = 7, .ttl_ns = 7}};
    pp_permissions *p, *q;

    (void)state;
    assert_int_equal(pp_permissions_new(&p, &plain, &nothing), PIPIT_OK);
    assert_false(pp_permissions_may_publish(p, PP_STR("a")));
    assert_true(pp_permissions_may_subscribe(p, PP_STR("a"), PP_STR("")));
    assert_int_equal(pp_permissions_responses(p)->max, PP_RESPONSES_MAX);
    assert_int_equal(pp_permissions_responses(p)->ttl_ns, PP_RESPONSES_TTL_NS);
    assert_int_equal(pp_permissions_new(&q, &some, &nothing), PIPIT_OK);
    assert_int_equal(pp_permissions_responses(q)->max, -1);
    assert_int_equal(pp_permissions_responses(q)->ttl_ns, 5);
    assert_false(pp_permissions_equal(p, q));
    pp_permissions_free(p);
    assert_int_equal(pp_permissions_new(&p, &off, &nothing), PIPIT_OK);
    assert_null(pp_permissions_responses(p));
    assert_true(pp_permissions_may_publish(p, PP_STR("a")));
    assert_false(pp_permissions_equal(p, q));
    assert_null(pp_permissions_responses(NULL));
    pp_permissions_free(p);
    pp_permissions_free(q);
}

static void test_permission_publish(void **state)
{
    static const struct {
        const char *allow, *deny, *subject;
        bool may;
    } cases[] = {
        {NULL, NULL, "a", true},          {NULL, "a", "a", false},
        {NULL, "a", "a.b", true},         {"", NULL, "a", false},
        {"a.*", NULL, "a.b", true},       {"a.*", NULL, "a.b.c", false},
        {"a.>", "a.b.>", "a.b.c", false}, {"a.>", "a.b.>", "a.b", true},
        {"a, b", NULL, "b", true},        {">", ">", "a", false},
        {"a.*", NULL, "a.*", true},       {"a.b", NULL, "a.*", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_permissions *p = must_make((struct lists){cases[i].allow, cases[i].deny, NULL, NULL});

        assert_int_equal(pp_permissions_may_publish(p, pp_str_of(cases[i].subject)), cases[i].may);
        assert_true(pp_permissions_may_subscribe(p, pp_str_of(cases[i].subject), PP_STR("")));
        pp_permissions_free(p);
    }
    assert_true(pp_permissions_may_publish(NULL, PP_STR("a")));
}

static void test_permission_subscribe(void **state)
{
    static const struct {
        const char *allow, *deny, *subject, *queue;
        bool may;
    } cases[] = {
        {NULL, NULL, ">", "", true},
        {"", NULL, "a", "", false},
        {"a.*", NULL, "a.*", "", true},
        {"a.*", NULL, "a.>", "", false}, /* wider than what is allowed */
        {"a.>", "a.b", "a.>", "", true}, /* overlaps what is denied: filtered later */
        {"a.>", "a.b", "a.b", "", false},
        {"a.>", "a.*", "a.b", "", false},
        {NULL, "a.>", "a.*", "", false},
        {NULL, "a.>", ">", "", true},
        {"a q", NULL, "a", "", false}, /* a rule for a queue does not allow a plain one */
        {"a q", NULL, "a", "q", true},
        {"a q", NULL, "a", "r", false},
        {"a q*, b", NULL, "b", "r", true},
        {"a *", NULL, "a", "r", true},
        {"a *.dev", NULL, "a", "x.dev", true},
        {"a *.dev", NULL, "a", "dev", false},
        {"a.*, a.b q", NULL, "a.b", "r", false}, /* the plain rule does not help a queue here */
        {"a.*, a.b q", NULL, "a.b", "", true},
        {"a.*, a.b q", NULL, "a.c", "r", true},
        {NULL, "a q", "a", "", true},
        {NULL, "a q", "a", "q", false},
        {NULL, "a q", "a", "r", true},
        {NULL, "a", "a", "q", false},
        /* A group may have any name; in doubt a rule denies, and does not allow. */
        {NULL, "a >", "a", "x..y", false},
        {NULL, "a >", "a", ".", false},
        {NULL, "a >", "a", ">", false},
        {NULL, "a x.*", "a", "x.", false},
        {NULL, "a x.*", "a", "x.>", false},
        {NULL, "a x.*", "a", "x", true},
        {NULL, "a x.*", "a", "x.y.z", true},
        {"a >", NULL, "a", "x..y", true},
        {"a x.*", NULL, "a", "x.", false},
        {"a x.*", NULL, "a", "x.>", false},
        {"a *", NULL, "a", ">", false},
        {"a x.*", NULL, "a", "x.*", true},
        {"a x.*", NULL, "a", "x.y", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_permissions *p = must_make((struct lists){NULL, NULL, cases[i].allow, cases[i].deny});

        if (pp_permissions_may_subscribe(p, pp_str_of(cases[i].subject),
                                         pp_str_of(cases[i].queue)) != cases[i].may)
            fail_msg("row %zu", i);
        assert_true(pp_permissions_may_publish(p, pp_str_of("x")));
        pp_permissions_free(p);
    }
}

static void test_permission_hearing(void **state)
{
    pp_permissions *p = must_make((struct lists){NULL, NULL, "a.>", "a.b, a.*.c q"});

    (void)state;
    assert_true(pp_permissions_may_hear(p, PP_STR("a.x"), PP_STR("")));
    assert_false(pp_permissions_may_hear(p, PP_STR("a.b"), PP_STR("")));
    assert_false(pp_permissions_may_hear(p, PP_STR("a.b"), PP_STR("r")));
    assert_true(pp_permissions_may_hear(p, PP_STR("a.b.c"), PP_STR("")));
    assert_true(pp_permissions_may_hear(p, PP_STR("a.b.c"), PP_STR("r")));
    assert_false(pp_permissions_may_hear(p, PP_STR("a.b.c"), PP_STR("q")));
    assert_true(pp_permissions_may_hear(NULL, PP_STR("a.b"), PP_STR("q")));
    pp_permissions_free(p);
}

static void test_permission_equality(void **state)
{
    pp_permissions *a = must_make((struct lists){"a", "b", "c q", "d"});
    pp_permissions *same = must_make((struct lists){"a", "b", "c q", "d"});
    pp_permissions *others[] = {
        must_make((struct lists){"a", "b", "c r", "d"}),
        must_make((struct lists){"a", "b", "c q", NULL}),
        must_make((struct lists){NULL, "b", "c q", "d"}),
        must_make((struct lists){"a, a", "b", "c q", "d"}),
    };

    (void)state;
    assert_true(pp_permissions_equal(a, same));
    assert_true(pp_permissions_equal(NULL, NULL));
    assert_false(pp_permissions_equal(a, NULL));
    for (size_t i = 0; i < 4; i++) {
        assert_false(pp_permissions_equal(a, others[i]));
        pp_permissions_free(others[i]);
    }
    assert_int_equal(pp_permissions_subscribe(a)->allow_count, 1);
    assert_true(pp_str_eq(pp_permissions_subscribe(a)->allow[0].queue, PP_STR("q")));
    pp_permissions_free(a);
    pp_permissions_free(same);
}

static void test_permission_refuses_bad_subjects(void **state)
{
    static const char *const bad[] = {"a..b", ".a", "a.", "a.>.b"};
    pp_permissions *p;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct lists lists = {bad[i], NULL, NULL, NULL};

        assert_int_equal(make(&lists, &p), PIPIT_EINVAL);
        lists = (struct lists){NULL, NULL, NULL, bad[i]};
        assert_int_equal(make(&lists, &p), PIPIT_EINVAL);
    }
}

static void test_permission_fault_sweep(void **state)
{
    const struct lists lists = {"a", "b", "c q", "d"};
    int64_t live = pp_alloc_live();

    (void)state;
    for (unsigned nth = 1;; nth++) {
        pp_permissions *p = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = make(&lists, &p);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_permissions_free(p);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permission_responses_close_what_is_not_allowed),
        cmocka_unit_test(test_permission_publish),
        cmocka_unit_test(test_permission_subscribe),
        cmocka_unit_test(test_permission_hearing),
        cmocka_unit_test(test_permission_equality),
        cmocka_unit_test(test_permission_refuses_bad_subjects),
        cmocka_unit_test(test_permission_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
