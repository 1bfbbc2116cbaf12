/* Shared bytes: freed by the last who holds them, on whatever thread. */
#include "base/body.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_body_is_freed_by_the_last(void **state)
{
    int64_t live_before = pp_alloc_live();
    pp_body *body = pp_body_new(10);

    (void)state;
    assert_non_null(body);
    assert_int_equal(body->len, 10);
    memset(body->bytes, 'x', 10);
    assert_ptr_equal(pp_body_ref(body), body);
    pp_body_unref(body);
    assert_int_equal(pp_alloc_live(), live_before + 1);
    assert_int_equal(body->bytes[9], 'x');
    pp_body_unref(body);
    assert_int_equal(pp_alloc_live(), live_before);
    pp_body_unref(NULL);
}

static void test_body_empty(void **state)
{
    pp_body *body = pp_body_new(0);

    (void)state;
    assert_non_null(body);
    pp_body_unref(body);
}

static void test_body_without_memory(void **state)
{
    (void)state;
    pp_fault_arm("alloc", 1);
    assert_null(pp_body_new(10));
    assert_true(pp_fault_disarm());
}

enum { ROUNDS = 20000, THREADS = 3 };

static void *hold_and_let_go(void *arg)
{
    pp_body *body = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)pp_body_ref(body);
        if (body->bytes[0] != 'x')
            abort();
        pp_body_unref(body);
    }
    pp_body_unref(body);
    return NULL;
}

static void test_body_held_by_threads(void **state)
{
    int64_t live_before = pp_alloc_live();
    pp_body *body = pp_body_new(1);
    pthread_t threads[THREADS];

    (void)state;
    body->bytes[0] = 'x';
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pp_body_ref(body);
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, body), 0);
    }
    pp_body_unref(body);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_is_freed_by_the_last),
        cmocka_unit_test(test_body_empty),
        cmocka_unit_test(test_body_without_memory),
        cmocka_unit_test(test_body_held_by_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
