#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static pp_value one = {.kind = PP_VALUE_INT, .integer = 1};
static pp_value two = {.kind = PP_VALUE_INT, .integer = 2};
static pp_value three = {.kind = PP_VALUE_INT, .integer = 3};

static void test_value_find_ignores_case_and_takes_the_last(void **state)
{
    pp_entry entries[] = {
        {.key = PP_STR("Port"), .value = &one},
        {.key = PP_STR("host"), .value = &two},
        {.key = PP_STR("port"), .value = &three},
    };
    pp_value map = {.kind = PP_VALUE_MAP, .map = {entries, 3}};

    (void)state;
    assert_ptr_equal(pp_value_find(&map, "port"), &three);
    assert_ptr_equal(pp_value_find(&map, "PORT"), &three);
    assert_ptr_equal(pp_value_find(&map, "HOST"), &two);
    assert_null(pp_value_find(&map, "por"));
    assert_null(pp_value_find(&map, "ports"));
    assert_null(pp_value_find(&map, ""));
}

static void test_value_find_in_an_empty_map(void **state)
{
    pp_value map = {.kind = PP_VALUE_MAP};

    (void)state;
    assert_null(pp_value_find(&map, "port"));
}

static void test_value_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(pp_value_kind_name(PP_VALUE_MAP), "map");
    assert_string_equal(pp_value_kind_name(PP_VALUE_INT), "integer");
    assert_string_equal(pp_value_kind_name(PP_VALUE_DATE), "date");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_find_ignores_case_and_takes_the_last),
        cmocka_unit_test(test_value_find_in_an_empty_map),
        cmocka_unit_test(test_value_kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
