#include "base/fault.h"

#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Arrive n times at a point; the failures as bits, the first arrival lowest. */
static unsigned arrive(const char *point, unsigned n)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < n; i++)
        failures |= (unsigned)pp_fault(point) << i;
    return failures;
}

static void test_fault_never_fires_unarmed(void **state)
{
    (void)state;
    assert_int_equal(arrive("a", 10), 0);
    assert_false(atomic_load(&pp_fault_armed));
}

static void test_fault_fires_once_at_the_nth(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        pp_fault_arm("a", nth);
        assert_int_equal(arrive("a", 5), 1u << (nth - 1));
        assert_true(pp_fault_disarm());
        assert_int_equal(arrive("a", 5), 0);
    }
    pp_fault_arm("a", 6);
    assert_int_equal(arrive("a", 5), 0);
    assert_false(pp_fault_disarm());
}

static void test_fault_fires_from_the_nth_on(void **state)
{
    (void)state;
    pp_fault_arm_from("a", 3);
    assert_int_equal(arrive("a", 6), 0x3c);
    assert_true(pp_fault_disarm());
    pp_fault_arm_from("a", 7);
    assert_int_equal(arrive("a", 6), 0);
    assert_false(pp_fault_disarm());
}

static void test_fault_counts_only_its_point(void **state)
{
    (void)state;
    pp_fault_arm("a", 2);
    assert_int_equal(arrive("b", 3), 0);
    assert_int_equal(arrive("ab", 3), 0);
    assert_int_equal(arrive("a", 1), 0);
    assert_int_equal(arrive("b", 1), 0);
    assert_int_equal(arrive("a", 1), 1);
    assert_true(pp_fault_disarm());
    pp_fault_arm("*", 3); /* any point */
    assert_int_equal(arrive("a", 1), 0);
    assert_int_equal(arrive("b", 1), 0);
    assert_int_equal(arrive("c", 2), 1);
    assert_true(pp_fault_disarm());
}

static void test_fault_arming_again_starts_over(void **state)
{
    (void)state;
    pp_fault_arm("a", 2);
    assert_int_equal(arrive("a", 2), 2);
    pp_fault_arm("a", 2);
    assert_int_equal(arrive("a", 1), 0);
    assert_false(pp_fault_disarm());
}

static void test_fault_spares_exempt_threads(void **state)
{
    (void)state;
    pp_fault_arm_from("*", 1);
    pp_fault_exempt_thread(true);
    assert_int_equal(arrive("a", 3), 0);
    pp_fault_exempt_thread(false);
    assert_int_equal(arrive("a", 3), 7);
    assert_true(pp_fault_disarm());
}

enum { THREADS = 4, ARRIVALS = 1000 };

static void *arrive_often(void *arg)
{
    unsigned *failures = arg;

    for (int i = 0; i < ARRIVALS; i++)
        *failures += pp_fault("a");
    return NULL;
}

static void test_fault_counts_arrivals_of_all_threads(void **state)
{
    unsigned failures[THREADS] = {0}, total = 0;
    pthread_t threads[THREADS];

    (void)state;
    pp_fault_arm("a", THREADS * ARRIVALS); /* the very last one */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, arrive_often, &failures[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        total += failures[i];
    }
    assert_true(pp_fault_disarm());
    assert_int_equal(total, 1);
}

static void test_fault_alloc_fails_and_counts_nothing(void **state)
{
    int64_t live = pp_alloc_live();
    void *kept;

    (void)state;
    pp_fault_arm_from("alloc", 1);
    assert_null(pp_alloc(10));
    assert_null(pp_calloc(2, 10));
    assert_null(pp_realloc(NULL, 10));
    assert_null(pp_memdupz("abc", 3));
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_alloc_live(), live);
    kept = pp_alloc(10);
    assert_non_null(kept);
    assert_int_equal(pp_alloc_live(), live + 1);
    pp_fault_arm("alloc", 1);
    assert_null(pp_realloc(kept, 1000)); /* the old block stays */
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_alloc_live(), live + 1);
    pp_free(kept);
    pp_free(NULL);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_never_fires_unarmed),
        cmocka_unit_test(test_fault_fires_once_at_the_nth),
        cmocka_unit_test(test_fault_fires_from_the_nth_on),
        cmocka_unit_test(test_fault_counts_only_its_point),
        cmocka_unit_test(test_fault_arming_again_starts_over),
        cmocka_unit_test(test_fault_spares_exempt_threads),
        cmocka_unit_test(test_fault_counts_arrivals_of_all_threads),
        cmocka_unit_test(test_fault_alloc_fails_and_counts_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
