/* A lock with a bias: one thread at a time, whoever has the bias, and it moves. */
#include "base/biased.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { THREADS = 3, ROUNDS = 200000, PER_VISIT = 1000 };

struct shared {
    pp_biased lock;
    uint64_t count; /* under the lock, without atomics: losing one shows */
    unsigned pause_every;
};

static void add_one(struct shared *shared, unsigned i)
{
    pp_biased_lock(&shared->lock);
    uint64_t count = shared->count;

    if (shared->pause_every && i % shared->pause_every == 0)
        (void)sched_yield(); /* so that others come while it is held */
    shared->count = count + 1;
    pp_biased_unlock(&shared->lock);
}

static void *add_up(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        add_one(arg, i);
    return NULL;
}

/* Alone for so long that it gets the bias, then away, so that another one does. */
static void *visit(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        add_one(arg, i);
        if (i % PER_VISIT == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void run_all(struct shared *shared, void *(*run)(void *arg))
{
    pthread_t threads[THREADS];

    pp_biased_init(&shared->lock);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, shared), 0);
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(shared->count, (uint64_t)THREADS * ROUNDS);
    assert_int_equal(atomic_load(&shared->lock.mutex.state), PP_MUTEX_FREE);
    for (unsigned i = 0; i < PP_BIAS_SEATS; i++)
        assert_false(atomic_load(&shared->lock.inside[i]));
}

static void test_biased_holds_one_at_a_time(void **state)
{
    struct shared shared = {.pause_every = 64};

    (void)state;
    run_all(&shared, add_up);
}

static void test_biased_holds_while_the_bias_moves(void **state)
{
    struct shared shared = {.pause_every = 2 * PP_BIAS_AFTER};

    (void)state;
    run_all(&shared, visit);
}

static void test_biased_goes_to_who_is_alone(void **state)
{
    struct shared shared = {0};
    pthread_t other;

    (void)state;
    pp_biased_init(&shared.lock);
    for (unsigned i = 0; i < 2 * PP_BIAS_AFTER; i++)
        add_one(&shared, i);
    if (shared.lock.barrier.lopsided) /* or the kernel does not help, and there is no bias */
        assert_int_equal(atomic_load(&shared.lock.owner), (uintptr_t)pthread_self()); /* seat 0 */
    assert_int_equal(pthread_create(&other, NULL, add_up, &shared), 0);
    (void)pthread_join(other, NULL);
    assert_true(atomic_load(&shared.lock.owner) != (uintptr_t)pthread_self());
    assert_int_equal(shared.count, 2 * PP_BIAS_AFTER + ROUNDS);
}

/* One that looked who the owner was before another became it does not disturb that one. */
static void test_biased_has_seats(void **state)
{
    struct shared shared = {0};
    pthread_t other;
    uintptr_t first;

    (void)state;
    pp_biased_init(&shared.lock);
    for (unsigned i = 0; i < 2 * PP_BIAS_AFTER; i++)
        add_one(&shared, i);
    first = atomic_load(&shared.lock.owner);
    assert_int_equal(pthread_create(&other, NULL, add_up, &shared), 0);
    (void)pthread_join(other, NULL);
    if (shared.lock.barrier.lopsided) {
        assert_int_equal(first % PP_BIAS_SEATS, 0);
        assert_int_equal(atomic_load(&shared.lock.owner) % PP_BIAS_SEATS, 1);
    }
    for (unsigned i = 0; i < 2 * PP_BIAS_AFTER; i++)
        add_one(&shared, i);
    assert_int_equal(atomic_load(&shared.lock.owner), first); /* its seat is still its own */
}

/* Who comes when all seats are taken has a mutex. */
static void test_biased_runs_out_of_seats(void **state)
{
    struct shared shared = {0};

    (void)state;
    pp_biased_init(&shared.lock);
    for (unsigned i = 0; i < PP_BIAS_SEATS; i++)
        shared.lock.seated[shared.lock.seats_taken++] = PP_BIAS_SEATS * (i + 1);
    for (unsigned i = 0; i < 2 * PP_BIAS_AFTER; i++)
        add_one(&shared, i);
    assert_int_equal(atomic_load(&shared.lock.owner), 0);
    assert_int_equal(shared.count, 2 * PP_BIAS_AFTER);
}

static void test_biased_without_help_of_the_kernel(void **state)
{
    struct shared shared = {0};

    (void)state;
    for (unsigned i = 0; i < 2 * PP_BIAS_AFTER; i++)
        add_one(&shared, i);
    assert_int_equal(atomic_load(&shared.lock.owner), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_biased_holds_one_at_a_time),
        cmocka_unit_test(test_biased_holds_while_the_bias_moves),
        cmocka_unit_test(test_biased_goes_to_who_is_alone),
        cmocka_unit_test(test_biased_has_seats),
        cmocka_unit_test(test_biased_runs_out_of_seats),
        cmocka_unit_test(test_biased_without_help_of_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
