/* test_histogram.c -- quantiles are within a bucket of the truth, whatever the size of the values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"

/* A bucket is at most 1/128 of its value wide, and its middle stands for it. */
static void assert_near(int64_t value, int64_t truth)
{
    int64_t off = llabs(value - truth);

    if (off > truth / 128 + 1)
        fail_msg("%lld is not near %lld", (long long)value, (long long)truth);
}

static void test_histogram_quantiles_are_near(void **state)
{
    static const double shares[] = {0.001, 0.5, 0.9, 0.99, 0.999};
    static bench_histogram histogram;

    (void)state;
    for (int64_t unit = 1; unit <= 1000000; unit *= 10) {
        memset(&histogram, 0, sizeof histogram);
        for (int64_t i = 10000; i >= 1; i--)
            bench_histogram_add(&histogram, i * unit);
        assert_int_equal(histogram.total, 10000);
        for (size_t k = 0; k < sizeof shares / sizeof *shares; k++)
            assert_near(bench_histogram_quantile(&histogram, shares[k]),
                        (int64_t)(shares[k] * 10000 + 0.5) * unit);
        assert_int_equal(histogram.max_ns, 10000 * unit);
        assert_near(bench_histogram_quantile(&histogram, 1), 10000 * unit);
    }
}

static void test_histogram_every_power_has_its_bucket(void **state)
{
    static bench_histogram histogram;

    (void)state;
    for (int power = 0; power < 40; power++) {
        memset(&histogram, 0, sizeof histogram);
        bench_histogram_add(&histogram, (int64_t)1 << power);
        bench_histogram_add(&histogram, INT64_MAX);
        assert_near(bench_histogram_quantile(&histogram, 0.5), (int64_t)1 << power);
    }
}

static void test_histogram_takes_the_extremes(void **state)
{
    static bench_histogram histogram;

    (void)state;
    assert_int_equal(bench_histogram_quantile(&histogram, 0.5), 0);
    bench_histogram_add(&histogram, -5);
    assert_int_equal(bench_histogram_quantile(&histogram, 1), 0);
    bench_histogram_add(&histogram, INT64_MAX);
    assert_int_equal(histogram.max_ns, INT64_MAX);
    assert_int_equal(histogram.total, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_quantiles_are_near),
        cmocka_unit_test(test_histogram_every_power_has_its_bucket),
        cmocka_unit_test(test_histogram_takes_the_extremes),
    };

    return cmocka_run_group_tests_name("bench_histogram", tests, NULL, NULL);
}
