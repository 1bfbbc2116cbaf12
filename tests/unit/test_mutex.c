/* A lock of four bytes: one thread at a time, and nobody sleeps for ever. */
#include "base/mutex.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 50000 };

struct shared {
    pp_mutex mutex;
    unsigned count; /* under the mutex, without atomics: losing one shows */
};

static void *add_up(void *arg)
{
    struct shared *shared = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        pp_mutex_lock(&shared->mutex);
        unsigned count = shared->count;

        if (i % 64 == 0)
            (void)sched_yield(); /* so that others come while it is held */
        shared->count = count + 1;
        pp_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

static void test_mutex_holds_one_at_a_time(void **state)
{
    struct shared shared = {0};
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_up, &shared), 0);
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(shared.count, THREADS * ROUNDS);
    assert_int_equal(atomic_load(&shared.mutex.state), PP_MUTEX_FREE);
}

static void *lock_and_give_back(void *arg)
{
    pp_mutex *mutex = arg;

    pp_mutex_lock(mutex);
    pp_mutex_unlock(mutex);
    return NULL;
}

static void test_mutex_wakes_who_sleeps(void **state)
{
    pp_mutex mutex = {0};
    pthread_t sleeper;

    (void)state;
    pp_mutex_lock(&mutex);
    assert_int_equal(pthread_create(&sleeper, NULL, lock_and_give_back, &mutex), 0);
    while (atomic_load(&mutex.state) != PP_MUTEX_AWAITED)
        (void)sched_yield();
    pp_mutex_unlock(&mutex);
    (void)pthread_join(sleeper, NULL);
    assert_int_equal(atomic_load(&mutex.state), PP_MUTEX_FREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutex_holds_one_at_a_time),
        cmocka_unit_test(test_mutex_wakes_who_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
