/* Seeds, and the generator for choices. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_random_bytes_fill_all(void **state)
{
    unsigned char bytes[1000], either[1000] = {0};

    (void)state;
    /* Every byte is other than zero at least once in forty fillings. */
    for (unsigned round = 0; round < 40; round++) {
        memset(bytes, 0, sizeof(bytes));
        pp_random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            either[i] |= bytes[i];
    }
    for (size_t i = 0; i < sizeof(either); i++)
        assert_int_not_equal(either[i], 0);
    pp_random_bytes(bytes, 0);
}

static void test_random_seeds_differ(void **state)
{
    uint64_t seeds[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        seeds[i] = pp_random_seed();
        assert_true(seeds[i] != 0); /* the generator would stay there */
        for (unsigned j = 0; j < i; j++)
            assert_true(seeds[i] != seeds[j]);
    }
}

static void test_random_repeats_from_its_seed(void **state)
{
    uint64_t a = 12345, b = 12345, c = 12346;
    unsigned differ = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t next = pp_random_next(&a);

        assert_true(next == pp_random_next(&b));
        differ += next != pp_random_next(&c);
    }
    assert_true(differ > 90);
}

/* In the range, each about as often. */
static void test_random_below_is_uniform(void **state)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 10, 64, 100};
    uint64_t random = 42;

    (void)state;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        enum { PER = 2000 };
        unsigned counts[100] = {0};
        double chi_square = 0, bound = bounds[i];

        for (unsigned n = 0; n < PER * bounds[i]; n++) {
            uint32_t choice = pp_random_below(&random, bounds[i]);

            assert_true(choice < bounds[i]);
            counts[choice]++;
        }
        for (unsigned n = 0; n < bounds[i]; n++)
            chi_square += ((double)counts[n] - PER) * ((double)counts[n] - PER) / PER;
        /* Mean bound - 1, variance twice that; the seed is fixed, so this does not depend on luck.
         */
        assert_true(chi_square <= bound - 1 + 4 * (bound + 10));
    }
    for (unsigned n = 0; n < 1000; n++)
        assert_true(pp_random_below(&random, UINT32_MAX) < UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_bytes_fill_all),
        cmocka_unit_test(test_random_seeds_differ),
        cmocka_unit_test(test_random_repeats_from_its_seed),
        cmocka_unit_test(test_random_below_is_uniform),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
