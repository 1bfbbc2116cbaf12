/* Marks of the memory ceiling, and what they do to allocations. */
#include "base/ceiling.h"

#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { MIB = 1 << 20, CEILING = 1024 * MIB };

/* More than this is never resident here, so figures are the test's own. */
static size_t counted(void)
{
    return (size_t)atomic_load(&pp_ceiling_gauge.counted);
}

static void test_ceiling_none(void **state)
{
    (void)state;
    assert_int_equal(pp_ceiling_bytes(), 0);
    pp_ceiling_pretend((size_t)1 << 40);
    assert_false(pp_ceiling_pressed());
    assert_false(pp_ceiling_refuses((size_t)1 << 40));
    assert_false(pp_ceiling_half_gone());
    assert_int_equal(pp_ceiling_excess(), 0);
    pp_ceiling_pretend(0);
}

/* Threads add up what they know in turn: first what was freed, then what was allocated. */
static void test_ceiling_less_than_nothing_is_counted(void **state)
{
    int64_t before = atomic_load(&pp_ceiling_gauge.counted);
    void *ptr;

    (void)state;
    atomic_store(&pp_ceiling_gauge.counted, -MIB);
    assert_false(pp_ceiling_refuses(1));
    assert_false(pp_ceiling_pressed());
    ptr = pp_alloc(1);
    assert_non_null(ptr);
    pp_free(ptr);
    atomic_store(&pp_ceiling_gauge.counted, before);
}

static void test_ceiling_marks(void **state)
{
    pp_ceiling_claim claim = {0};
    void *ptr;

    (void)state;
    pp_ceiling_hold(&claim, CEILING);
    assert_int_equal(pp_ceiling_bytes(), CEILING);
    pp_ceiling_pretend(counted() + 800u * MIB);
    assert_false(pp_ceiling_pressed());
    assert_true(pp_ceiling_half_gone());
    /* High is 7/8, low 13/16; 1/32 below the ceiling no more is given out. */
    pp_ceiling_pretend(counted() + 897u * MIB - counted());
    assert_true(pp_ceiling_pressed());
    assert_false(pp_ceiling_refuses(16 * MIB));
    pp_ceiling_pretend(850u * MIB);
    assert_true(pp_ceiling_pressed());
    assert_in_range(pp_ceiling_excess(), 17 * MIB, 19 * MIB);
    pp_ceiling_pretend(831u * MIB);
    assert_false(pp_ceiling_pressed());
    pp_ceiling_pretend(850u * MIB);
    assert_false(pp_ceiling_pressed());
    assert_true(pp_ceiling_pressed_by(60u * MIB));

    pp_ceiling_pretend(994u * MIB);
    assert_true(pp_ceiling_pressed());
    assert_null(pp_alloc(1));
    assert_null(pp_calloc(1, 1));
    assert_null(pp_realloc(NULL, 10));
    pp_alloc_urgent_begin();
    ptr = pp_alloc(1);
    assert_non_null(ptr);
    pp_free(ptr);
    assert_null(pp_alloc(31 * MIB)); /* it would not be below the ceiling */
    pp_ceiling_pretend(1025u * MIB);
    assert_null(pp_alloc(1));
    pp_alloc_urgent_end();
    pp_ceiling_pretend(994u * MIB);
    assert_null(pp_alloc(1));
    pp_ceiling_pretend(980u * MIB);
    ptr = pp_alloc(10);
    assert_non_null(ptr);
    assert_null(pp_alloc(30 * MIB));
    assert_null(pp_realloc(ptr, 30 * MIB));
    pp_ceiling_pretend(994u * MIB);
    ptr = pp_realloc(ptr, 1); /* what shrinks is not refused */
    assert_non_null(ptr);
    pp_free(ptr);
    pp_ceiling_pretend(0);
    pp_ceiling_release(&claim);
    assert_false(pp_ceiling_pressed());
}

/* What is given out counts at once, before anybody measures. */
static void test_ceiling_counts_what_is_given_out(void **state)
{
    pp_ceiling_claim claim = {0};
    size_t before;
    void *ptr;

    (void)state;
    pp_ceiling_hold(&claim, CEILING);
    before = pp_ceiling_used();
    ptr = pp_alloc(950u * MIB); /* not touched, so not resident */
    assert_non_null(ptr);
    assert_in_range(pp_ceiling_used() - before, 949u * MIB, 951u * MIB);
    assert_true(pp_ceiling_pressed());
    assert_null(pp_alloc(200u * MIB));
    pp_free(ptr);
    assert_in_range(pp_ceiling_used(), before - MIB, before + MIB);
    pp_ceiling_measure();
    assert_false(pp_ceiling_pressed());
    pp_ceiling_pretend(0);
    pp_ceiling_release(&claim);
}

static void *give_out(void *arg)
{
    *(void **)arg = pp_alloc(40000); /* less than is added up at once */
    return NULL;
}

static void test_ceiling_counts_what_threads_leave(void **state)
{
    enum { THREADS = 64 };
    size_t before = counted();
    void *ptrs[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, give_out, &ptrs[i]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_true(counted() - before >= (size_t)THREADS * 40000);
    for (size_t i = 0; i < THREADS; i++)
        pp_free(ptrs[i]);
}

static void test_ceiling_lowest_claim_holds(void **state)
{
    pp_ceiling_claim one = {0}, two = {0}, three = {0};

    (void)state;
    pp_ceiling_hold(&one, 3000u * MIB);
    pp_ceiling_hold(&two, 1000u * MIB);
    pp_ceiling_hold(&three, 2000u * MIB);
    assert_int_equal(pp_ceiling_bytes(), 1000u * MIB);
    pp_ceiling_release(&two);
    assert_int_equal(pp_ceiling_bytes(), 2000u * MIB);
    pp_ceiling_release(&three);
    pp_ceiling_release(&three);
    assert_int_equal(pp_ceiling_bytes(), 3000u * MIB);
    pp_ceiling_release(&one);
    assert_int_equal(pp_ceiling_bytes(), 0);
}

/* One thread frees what another has not added up yet. */
static void test_ceiling_none_refuses_nothing_below_zero(void **state)
{
    int64_t counted = atomic_load(&pp_ceiling_gauge.counted);

    (void)state;
    atomic_store(&pp_ceiling_gauge.counted, -1000000);
    assert_false(pp_ceiling_refuses(1));
    assert_false(pp_ceiling_pressed());
    atomic_store(&pp_ceiling_gauge.counted, counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ceiling_none_refuses_nothing_below_zero),
        cmocka_unit_test(test_ceiling_none),
        cmocka_unit_test(test_ceiling_less_than_nothing_is_counted),
        cmocka_unit_test(test_ceiling_marks),
        cmocka_unit_test(test_ceiling_counts_what_is_given_out),
        cmocka_unit_test(test_ceiling_counts_what_threads_leave),
        cmocka_unit_test(test_ceiling_lowest_claim_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
