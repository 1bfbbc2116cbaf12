#include "core/grants.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const pp_permission_responses once = {true, 1, 100}, thrice = {true, 3, 100},
                                     unlimited = {true, -1, -1};

struct fixture {
    pp_grants *grants;
    pp_sub *sub;
};

static int set_up(void **state)
{
    static struct fixture f;

    assert_int_equal(pp_grants_new(&f.grants), PIPIT_OK);
    f.sub = pp_sub_new(NULL, PP_STR("1"), PP_STR(""));
    assert_non_null(f.sub);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pp_grants_free(f->grants);
    pp_sub_free(f->sub);
    assert_int_equal(pp_alloc_live(), 0);
    return 0;
}

static pp_str name(char text[32], unsigned n)
{
    return (pp_str){text, (size_t)snprintf(text, 32, "_INBOX.%u", n)};
}

static void test_grants_count_what_is_taken(void **state)
{
    struct fixture *f = *state;

    assert_false(pp_grants_take(f->grants, PP_STR("a"), &once, 0));
    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    assert_false(pp_grants_take(f->grants, PP_STR("b"), &once, 0));
    assert_false(pp_grants_take(f->grants, PP_STR("a.b"), &once, 0));
    assert_true(pp_grants_take(f->grants, PP_STR("a"), &once, 0));
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &once, 0));
    assert_int_equal(pp_grants_count(f->grants), 0);
    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    for (unsigned i = 0; i < 3; i++)
        assert_true(pp_grants_take(f->grants, PP_STR("a"), &thrice, 0));
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &thrice, 0));
}

static void test_grants_end_in_time(void **state)
{
    struct fixture *f = *state;

    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 1000));
    assert_true(pp_grants_add(f->grants, PP_STR("b"), f->sub, 1000));
    assert_true(pp_grants_take(f->grants, PP_STR("a"), &thrice, 1100));
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &thrice, 1101));
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &thrice, 1000));
    pp_grants_expire(f->grants, &once, 1100);
    assert_int_equal(pp_grants_count(f->grants), 1);
    pp_grants_expire(f->grants, &unlimited, INT64_MAX);
    assert_int_equal(pp_grants_count(f->grants), 1);
    pp_grants_expire(f->grants, &once, 1101);
    assert_int_equal(pp_grants_count(f->grants), 0);
}

static void test_grants_without_limits(void **state)
{
    struct fixture *f = *state;

    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    for (unsigned i = 0; i < 1000; i++)
        assert_true(pp_grants_take(f->grants, PP_STR("a"), &unlimited, INT64_MAX));
}

static void test_grants_begin_anew(void **state)
{
    struct fixture *f = *state;

    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    assert_true(pp_grants_take(f->grants, PP_STR("a"), &thrice, 0));
    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 90));
    assert_int_equal(pp_grants_count(f->grants), 1);
    for (unsigned i = 0; i < 3; i++)
        assert_true(pp_grants_take(f->grants, PP_STR("a"), &thrice, 190));
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &thrice, 190));
}

/* The newest stay, however many there were; and memory has an end. */
static void test_grants_are_bounded(void **state)
{
    struct fixture *f = *state;
    static char longest[PP_GRANTS_SUBJECT_MAX + 1];
    char text[32];
    size_t count;

    for (unsigned i = 0; i < PP_GRANTS_MAX + 100; i++)
        assert_true(pp_grants_add(f->grants, name(text, i), f->sub, i));
    assert_true(pp_grants_count(f->grants) <= PP_GRANTS_MAX);
    assert_false(pp_grants_take(f->grants, name(text, 99), &unlimited, 0));
    for (unsigned i = 0; i < 1000; i++)
        assert_true(pp_grants_take(f->grants, name(text, PP_GRANTS_MAX + 99 - i), &unlimited, 0));
    memset(longest, 'x', sizeof(longest));
    assert_false(pp_grants_add(f->grants, (pp_str){longest, sizeof(longest)}, f->sub, 0));
    for (unsigned i = 0; i < 4096; i++) {
        memcpy(longest, &i, sizeof(i));
        assert_true(pp_grants_add(f->grants, (pp_str){longest, sizeof(longest) - 1}, f->sub, 0));
        assert_true(pp_grants_count(f->grants) <= PP_GRANTS_MAX);
    }
    count = pp_grants_count(f->grants);
    assert_true(count && count * PP_GRANTS_SUBJECT_MAX <= PP_GRANTS_BYTES_MAX);
}

/* What is under way to subscriptions of the former self grants nothing; before, a subscription that
 * has just ended does. */
static void test_grants_of_another_self(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->sub->remaining, PP_SUB_ENDED);
    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    pp_grants_restart(f->grants);
    assert_false(pp_grants_take(f->grants, PP_STR("a"), &once, 0));
    assert_false(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
    atomic_store(&f->sub->remaining, PP_SUB_UNLIMITED);
    assert_true(pp_grants_add(f->grants, PP_STR("a"), f->sub, 0));
}

static void test_grants_without_memory(void **state)
{
    struct fixture *f = *state;
    char text[32];

    for (unsigned i = 0; i < 200; i++)
        assert_true(pp_grants_add(f->grants, name(text, i), f->sub, 0));
    for (unsigned nth = 1;; nth++) {
        bool added;

        pp_fault_arm("*", nth);
        added = pp_grants_add(f->grants, PP_STR("more"), f->sub, 0);
        if (!pp_fault_disarm()) {
            assert_true(added);
            break;
        }
    }
    for (unsigned i = 0; i < 200; i++)
        assert_true(pp_grants_take(f->grants, name(text, i), &once, 0));
    assert_true(pp_grants_take(f->grants, PP_STR("more"), &once, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_grants_count_what_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_end_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_without_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_begin_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_of_another_self, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grants_without_memory, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
