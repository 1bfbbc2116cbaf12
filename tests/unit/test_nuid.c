#include "server/system/nuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IDS = 20000 };

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_nuid_none_comes_twice(void **state)
{
    char(*ids)[PP_NUID_BYTES + 1] = calloc(IDS, sizeof(*ids));
    pp_nuid a = {0}, b = {0};

    (void)state;
    assert_non_null(ids);
    for (size_t i = 0; i < IDS; i++)
        pp_nuid_next(i % 2 ? &a : &b, ids[i]);
    qsort(ids, IDS, sizeof(*ids), by_text);
    for (size_t i = 0; i < IDS; i++) {
        assert_int_equal(strlen(ids[i]), PP_NUID_BYTES);
        assert_int_equal(strspn(ids[i], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "abcdefghijklmnopqrstuvwxyz"),
                         PP_NUID_BYTES);
        assert_true(i == 0 || strcmp(ids[i - 1], ids[i]) != 0);
    }
    free(ids);
}

static void test_nuid_starts_over_with_another_prefix(void **state)
{
    char before[PP_NUID_BYTES + 1], after[PP_NUID_BYTES + 1];
    pp_nuid nuid = {0};

    (void)state;
    pp_nuid_next(&nuid, before);
    nuid.count = UINT64_C(839299365868340223); /* the last there is */
    pp_nuid_next(&nuid, after);
    assert_memory_not_equal(before, after, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nuid_none_comes_twice),
        cmocka_unit_test(test_nuid_starts_over_with_another_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
