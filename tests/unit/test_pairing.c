/* Subjects under two names: there and back again. */
#include "core/pairing.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(pipit_err (*carry)(const pp_pairing *, pp_str, char *, size_t, size_t *),
                  const pp_pairing *pairing, const char *from, const char *to)
{
    char text[256];
    size_t len = 0;

    assert_int_equal(carry(pairing, pp_str_of(from), text, sizeof(text) - 1, &len), PIPIT_OK);
    text[len] = '\0';
    assert_string_equal(text, to);
}

static void test_pairing_goes_there_and_back(void **state)
{
    static const struct {
        const char *there, *local, *here; /* what is said, and what it is */
        const char *subject_there, *subject_here;
    } cases[] = {
        {"a", "a", "a", "a", "a"},
        {"a.>", "a.>", "a.>", "a.b.c", "a.b.c"},
        {"a", "b.c", "b.c", "a", "b.c"},
        {"a.*", "b.$1", "b.*", "a.x", "b.x"},
        {"a.*", "b.*", "b.*", "a.x", "b.x"},
        {"a.*.*", "$2.b.$1", "*.b.*", "a.x.y", "y.b.x"},
        {"*.a.*", "p.*.a.*", "p.*.a.*", "x.a.y", "p.x.a.y"},
        {"a.*.>", "{{wildcard(1)}}.>", "*.>", "a.x.y.z", "x.y.z"},
        {">", "p.>", "p.>", "x.y", "p.x.y"},
        {"$SYS.*", "sys.$1", "sys.*", "$SYS.x", "sys.x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_pairing pairing;

        assert_int_equal(
            pp_pairing_init(&pairing, pp_str_of(cases[i].there), pp_str_of(cases[i].local), NULL),
            PIPIT_OK);
        assert_string_equal(pairing.here, cases[i].here);
        assert_string_equal(pairing.there, cases[i].there);
        check(pp_pairing_inward, &pairing, cases[i].subject_there, cases[i].subject_here);
        check(pp_pairing_outward, &pairing, cases[i].subject_here, cases[i].subject_there);
        pp_pairing_fini(&pairing);
    }
}

static void test_pairing_refuses(void **state)
{
    static const char *const cases[][2] = {
        {"a.*", "b"},
        {"a", "b.*"},
        {"a.*", "b.$2"},
        {"a.*", "b.$1.$1"},
        {"a.*", "b.$1.*"},
        {"a.>", "b"},
        {"a", "b.>"},
        {"a.*", "b.$0"},
        {"a.*", "b.$-1"},
        {"a..b", "c"},
        {"a", "b..c"},
        {"a", ""},
        {"a.*", "b.$999"},
        {"a.*", "{{left(1,2)}}"},
        {"a.*", "{{nonsense(1)}}"},
    };
    pp_buf error;

    (void)state;
    pp_buf_init(&error, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_pairing pairing;

        error.len = 0;
        if (pp_pairing_init(&pairing, pp_str_of(cases[i][0]), pp_str_of(cases[i][1]), &error) !=
            PIPIT_EINVAL)
            fail_msg("%s as %s", cases[i][0], cases[i][1]);
        assert_null(pairing.here);
    }
    pp_buf_fini(&error);
}

static void test_pairing_many_to_one(void **state)
{
    pp_pairing pairing;
    char text[8];
    size_t len;

    (void)state;
    assert_int_equal(pp_pairing_init_many_to_one(&pairing, PP_STR("a"), PP_STR("b.*")), PIPIT_OK);
    check(pp_pairing_outward, &pairing, "b.x", "a");
    assert_int_equal(pp_pairing_inward(&pairing, PP_STR("a"), text, sizeof(text), &len),
                     PIPIT_EINVAL);
    pp_pairing_fini(&pairing);
    assert_int_equal(pp_pairing_init_many_to_one(&pairing, PP_STR("a.*"), PP_STR("b.*")),
                     PIPIT_EINVAL);
}

static void test_pairing_too_long_a_subject(void **state)
{
    pp_pairing pairing;
    char text[4];
    size_t len;

    (void)state;
    assert_int_equal(pp_pairing_init(&pairing, PP_STR("a.*"), PP_STR("long.$1"), NULL), PIPIT_OK);
    assert_int_equal(pp_pairing_inward(&pairing, PP_STR("a.x"), text, sizeof(text), &len),
                     PIPIT_ETOOBIG);
    pp_pairing_fini(&pairing);
}

static void test_pairing_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();

    (void)state;
    for (unsigned nth = 1;; nth++) {
        pp_pairing pairing;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_pairing_init(&pairing, PP_STR("a.*"), PP_STR("b.$1"), NULL);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_pairing_fini(&pairing);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live_before);
    }
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairing_goes_there_and_back),
        cmocka_unit_test(test_pairing_refuses),
        cmocka_unit_test(test_pairing_many_to_one),
        cmocka_unit_test(test_pairing_too_long_a_subject),
        cmocka_unit_test(test_pairing_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
