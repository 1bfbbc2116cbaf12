#include "base/buf.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_buf_adds_bytes_behind_each_other(void **state)
{
    int64_t live = pp_alloc_live();
    pp_buf buf;

    (void)state;
    pp_buf_init(&buf, 10000);
    assert_int_equal(pp_buf_str(&buf).len, 0);
    assert_int_equal(pp_buf_add(&buf, NULL, 0), PIPIT_OK);
    assert_int_equal(pp_buf_add(&buf, "ab\0", 3), PIPIT_OK);
    assert_int_equal(pp_buf_add(&buf, "cd", 2), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&buf), PP_STR("ab\0cd")));
    for (int i = 0; i < 999; i++) /* through several moves */
        assert_int_equal(pp_buf_add(&buf, "12345", 5), PIPIT_OK);
    assert_int_equal(buf.len, 5000);
    for (int i = 1; i < 1000; i++)
        assert_memory_equal(buf.ptr + 5 * i, "12345", 5);
    pp_buf_fini(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 10000); /* and can be used again */
    assert_int_equal(pp_buf_add(&buf, "x", 1), PIPIT_OK);
    pp_buf_fini(&buf);
    pp_buf_fini(&buf);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_buf_never_grows_over_its_max(void **state)
{
    static const size_t maxima[] = {0, 1, 255, 256, 257, 300, 512, 1000};
    static const char bytes[1000];

    (void)state;
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        size_t max = maxima[i];
        pp_buf buf;

        pp_buf_init(&buf, max);
        assert_int_equal(pp_buf_add(&buf, bytes, max), PIPIT_OK); /* all of it can be used */
        assert_int_equal(pp_buf_add(&buf, bytes, 1), PIPIT_ETOOBIG);
        assert_int_equal(pp_buf_reserve(&buf, 1), PIPIT_ETOOBIG);
        assert_int_equal(pp_buf_reserve(&buf, SIZE_MAX), PIPIT_ETOOBIG);
        assert_int_equal(pp_buf_reserve(&buf, 0), PIPIT_OK);
        assert_int_equal(buf.len, max);
        pp_buf_fini(&buf);
    }
}

static void test_buf_too_big_comes_before_no_memory(void **state)
{
    pp_buf buf;

    (void)state;
    pp_buf_init(&buf, 10);
    pp_fault_arm_from("*", 1);
    assert_int_equal(pp_buf_reserve(&buf, 11), PIPIT_ETOOBIG);
    assert_int_equal(pp_buf_reserve(&buf, 10), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_buf_reserve(&buf, 10), PIPIT_OK);
    pp_buf_fini(&buf);
}

static void test_buf_reserve_makes_room_once(void **state)
{
    const char *before;
    pp_buf buf;

    (void)state;
    pp_buf_init(&buf, 10000);
    assert_int_equal(pp_buf_reserve(&buf, 5000), PIPIT_OK);
    assert_true(buf.cap >= 5000);
    before = buf.ptr;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pp_buf_add(&buf, "12345", 5), PIPIT_OK);
    assert_ptr_equal(buf.ptr, before);
    pp_buf_fini(&buf);
}

static void test_buf_keeps_its_bytes_when_memory_is_refused(void **state)
{
    static const char bytes[1000];
    pp_buf buf;

    (void)state;
    pp_buf_init(&buf, 10000);
    assert_int_equal(pp_buf_add(&buf, "abc", 3), PIPIT_OK);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_buf_add(&buf, bytes, sizeof(bytes)), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_buf_addf(&buf, "%1000d", 1), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_true(pp_str_eq(pp_buf_str(&buf), PP_STR("abc")));
    pp_buf_fini(&buf);
}

static void test_buf_addf_writes_as_printf_does(void **state)
{
    pp_buf buf;

    (void)state;
    pp_buf_init(&buf, 2000);
    assert_int_equal(pp_buf_addf(&buf, "%s=%d", "a", 1), PIPIT_OK);
    assert_int_equal(pp_buf_addf(&buf, "%s", ""), PIPIT_OK);
    assert_int_equal(pp_buf_addf(&buf, " %.*s;", 2, "bcd"), PIPIT_OK);
    assert_true(pp_str_eq(pp_buf_str(&buf), PP_STR("a=1 bc;")));
    assert_int_equal(pp_buf_addf(&buf, "%900d", 7), PIPIT_OK);
    assert_int_equal(buf.len, 907);
    assert_int_equal(buf.ptr[906], '7');
    assert_int_equal(pp_buf_addf(&buf, "%2000d", 7), PIPIT_ETOOBIG);
    assert_int_equal(buf.len, 907);
    pp_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_adds_bytes_behind_each_other),
        cmocka_unit_test(test_buf_never_grows_over_its_max),
        cmocka_unit_test(test_buf_too_big_comes_before_no_memory),
        cmocka_unit_test(test_buf_reserve_makes_room_once),
        cmocka_unit_test(test_buf_keeps_its_bytes_when_memory_is_refused),
        cmocka_unit_test(test_buf_addf_writes_as_printf_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
