#include "net/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_turns_fall_into_buckets(void **state)
{
    static const struct {
        uint64_t ns;
        unsigned bucket;
    } cases[] = {
        {0, 0},
        {1, 0},
        {1024, 0},
        {1025, 1},
        {2048, 1},
        {2049, 2},
        {1 << 20, 10},
        {(1 << 20) + 1, 11},
        {UINT64_C(1) << 30, 20},
        {(UINT64_C(1) << 30) + 1, 21},
        {UINT64_MAX / 2, 21},
    };
    pp_turns turns = {0};
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t before = atomic_load(&turns.counts[cases[i].bucket]);

        pp_turns_note(&turns, cases[i].ns);
        assert_int_equal(atomic_load(&turns.counts[cases[i].bucket]), before + 1);
        if (cases[i].bucket < PP_TURN_BUCKETS - 1)
            assert_true(cases[i].ns <= pp_turns_bound_ns(cases[i].bucket));
        if (cases[i].bucket)
            assert_true(cases[i].ns > pp_turns_bound_ns(cases[i].bucket - 1));
        sum += cases[i].ns;
    }
    assert_int_equal(atomic_load(&turns.sum_ns), sum);
    assert_int_equal(atomic_load(&turns.longest_ns), UINT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns_fall_into_buckets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
