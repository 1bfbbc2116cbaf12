#include "config/diagnostics.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const pp_config_position at = {"a.conf", 3, 7};
static const pp_config_position file_only = {"a.conf", 0, 0};
static const pp_config_position nowhere = {NULL, 0, 0};

static void assert_formatted(const pp_diagnostics *d, const char *expected)
{
    pp_buf out;

    pp_buf_init(&out, 1 << 20);
    assert_int_equal(pp_diagnostics_format(d, &out), PIPIT_OK);
    assert_int_equal(pp_buf_add(&out, "", 1), PIPIT_OK);
    assert_string_equal(out.ptr, expected);
    pp_buf_fini(&out);
}

static void test_diagnostics_are_lines_with_warnings_first(void **state)
{
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    assert_formatted(&d, "");
    pp_diagnostics_error(&d, at, "unknown field \"%s\"", "prot");
    pp_diagnostics_warn(&d, file_only, "config has no values or is empty");
    pp_diagnostics_error(&d, nowhere, "open x: no such file or directory");
    assert_int_equal(pp_diagnostics_error_count(&d), 2);
    assert_int_equal(pp_diagnostics_warning_count(&d), 1);
    assert_formatted(&d, "a.conf: config has no values or is empty\n"
                         "a.conf:3:7: unknown field \"prot\"\n"
                         "open x: no such file or directory\n");
    pp_diagnostics_fini(&d);
}

static void test_diagnostics_stay_one_line_each(void **state)
{
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    pp_diagnostics_error(&d, (pp_config_position){"a\nb", 1, 1}, "key \"%s\"", "x\ny\x1b[0m");
    assert_formatted(&d, "a?b:1:1: key \"x?y?[0m\"\n");
    pp_diagnostics_fini(&d);
}

static void test_diagnostics_are_bounded(void **state)
{
    static char text[3 * PP_DIAGNOSTIC_TEXT_MAX];
    pp_diagnostics d;
    pp_buf out;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    pp_diagnostics_init(&d);
    for (int i = 0; i < PP_DIAGNOSTICS_KEPT + 5; i++)
        pp_diagnostics_error(&d, at, "e%d", i);
    pp_diagnostics_warn(&d, at, "%s", text);
    assert_int_equal(pp_diagnostics_error_count(&d), PP_DIAGNOSTICS_KEPT + 5);
    pp_buf_init(&out, 1 << 20);
    assert_int_equal(pp_diagnostics_format(&d, &out), PIPIT_OK);
    assert_true(out.len < PP_DIAGNOSTIC_TEXT_MAX + PP_DIAGNOSTICS_KEPT * 32);
    assert_non_null(memmem(out.ptr, out.len, "\n5 more errors not shown\n", 25));
    pp_buf_fini(&out);
    pp_diagnostics_fini(&d);
}

static void test_diagnostics_count_what_memory_is_refused_for(void **state)
{
    int64_t live = pp_alloc_live();
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        pp_fault_arm("alloc", nth);
        pp_diagnostics_error(&d, at, "something of some length");
        (void)pp_fault_disarm();
        assert_int_equal(pp_diagnostics_error_count(&d), nth);
    }
    assert_true(d.errors.kept < 4);
    pp_diagnostics_fini(&d);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diagnostics_are_lines_with_warnings_first),
        cmocka_unit_test(test_diagnostics_stay_one_line_each),
        cmocka_unit_test(test_diagnostics_are_bounded),
        cmocka_unit_test(test_diagnostics_count_what_memory_is_refused_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
