/* Deadlines against a plain list. */
#include "base/timer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/list.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TIMERS = 200 };

struct watched {
    pp_timer timer;
    bool set;    /* as the list knows it */
    int64_t due; /* the same */
    unsigned fired;
};

static struct world {
    pp_timers timers;
    struct watched all[TIMERS];
    int64_t now;
    uint64_t random;
} w;

static void fire(pp_timer *timer);

static void set(struct watched *t, int64_t due)
{
    pp_timer_set(&w.timers, &t->timer, due, fire);
    t->set = true;
    t->due = due;
}

static void cancel(struct watched *t)
{
    pp_timer_cancel(&w.timers, &t->timer);
    t->set = false;
}

/* It is due, it is not over, and nothing that is set should have fired before it. Then it may set
 * itself or others, or cancel some. */
static void fire(pp_timer *timer)
{
    struct watched *t = PP_CONTAINER(timer, struct watched, timer);
    struct watched *other = &w.all[pp_random_below(&w.random, TIMERS)];

    assert_true(t->set && t->due == timer->due_ns && t->due <= w.now);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_false(w.all[i].set && w.all[i].due < t->due);
    t->set = false;
    t->fired++;
    switch (pp_random_below(&w.random, 6)) {
    case 0:
        set(t, w.now + 1 + pp_random_below(&w.random, 50));
        break;
    case 1:
        cancel(other);
        break;
    case 2:
        set(other, w.now + 1 + pp_random_below(&w.random, 50));
        break;
    default:
        break;
    }
}

static int64_t list_next(void)
{
    int64_t next = INT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++) {
        if (w.all[i].set && w.all[i].due < next)
            next = w.all[i].due;
    }
    return next;
}

static void test_timers_fire_as_a_list_says(void **state)
{
    unsigned fired = 0;

    (void)state;
    w = (struct world){.random = test_seed("timer"), .now = 1000};
    assert_int_equal(pp_timers_reserve(&w.timers, TIMERS), PIPIT_OK);
    for (unsigned step = 0; step < 40000; step++) {
        struct watched *t = &w.all[pp_random_below(&w.random, TIMERS)];
        size_t count = 0;

        switch (pp_random_below(&w.random, 4)) {
        case 0:
        case 1:
            set(t, w.now + pp_random_below(&w.random, 100));
            break;
        case 2:
            cancel(t);
            break;
        default:
            w.now += pp_random_below(&w.random, 8);
            pp_timers_run(&w.timers, w.now);
            assert_true(list_next() > w.now);
        }
        for (unsigned i = 0; i < TIMERS; i++) {
            count += w.all[i].set;
            assert_true(w.all[i].set == (w.all[i].timer.place != PP_TIMER_IDLE));
        }
        assert_int_equal(w.timers.count, count);
        assert_true(pp_timers_next_ns(&w.timers) == list_next());
    }
    for (unsigned i = 0; i < TIMERS; i++)
        fired += w.all[i].fired;
    assert_true(fired > 1000);
    pp_timers_fini(&w.timers);
}

static void count_fire(pp_timer *timer)
{
    PP_CONTAINER(timer, struct watched, timer)->fired++;
}

static void test_timer_fires_once_when_due(void **state)
{
    pp_timers timers = {0};
    struct watched t = {0};

    (void)state;
    assert_true(pp_timers_next_ns(&timers) == INT64_MAX);
    pp_timers_run(&timers, INT64_MAX);
    assert_int_equal(pp_timers_reserve(&timers, 1), PIPIT_OK);
    pp_timer_cancel(&timers, &t.timer); /* not set: nothing to do */
    pp_timer_set(&timers, &t.timer, 100, count_fire);
    assert_true(pp_timers_next_ns(&timers) == 100);
    pp_timers_run(&timers, 99);
    assert_int_equal(t.fired, 0);
    pp_timers_run(&timers, 100);
    assert_int_equal(t.fired, 1);
    pp_timers_run(&timers, INT64_MAX);
    assert_int_equal(t.fired, 1);
    pp_timer_set(&timers, &t.timer, 100, count_fire);
    pp_timer_set(&timers, &t.timer, 200, count_fire); /* anew, not twice */
    assert_int_equal(timers.count, 1);
    pp_timers_run(&timers, 150);
    assert_int_equal(t.fired, 1);
    pp_timer_cancel(&timers, &t.timer);
    pp_timer_cancel(&timers, &t.timer);
    pp_timers_run(&timers, 300);
    assert_int_equal(t.fired, 1);
    pp_timers_fini(&timers);
}

static struct watched pair[2];
static pp_timers pair_timers;

static void cancel_other(pp_timer *timer)
{
    struct watched *t = PP_CONTAINER(timer, struct watched, timer);

    t->fired++;
    pp_timer_cancel(&pair_timers, &pair[t == &pair[0]].timer);
}

/* Two are due; whichever comes first cancels the other. */
static void test_timer_cancelled_while_due_does_not_fire(void **state)
{
    (void)state;
    pair_timers = (pp_timers){0};
    pair[0] = pair[1] = (struct watched){0};
    assert_int_equal(pp_timers_reserve(&pair_timers, 2), PIPIT_OK);
    pp_timer_set(&pair_timers, &pair[0].timer, 10, cancel_other);
    pp_timer_set(&pair_timers, &pair[1].timer, 10, cancel_other);
    pp_timers_run(&pair_timers, 20);
    assert_int_equal(pair[0].fired + pair[1].fired, 1);
    assert_int_equal(pair_timers.count, 0);
    pp_timers_fini(&pair_timers);
}

static void test_timers_run_one_at_a_time(void **state)
{
    pp_timers timers = {0};
    struct watched early = {0}, late = {0};

    (void)state;
    assert_int_equal(pp_timers_reserve(&timers, 2), PIPIT_OK);
    pp_timer_set(&timers, &late.timer, 11, count_fire);
    pp_timer_set(&timers, &early.timer, 10, count_fire);
    assert_true(pp_timers_run_one(&timers, 11));
    assert_true(early.fired == 1 && late.fired == 0);
    assert_false(pp_timers_run_one(&timers, 10));
    assert_true(pp_timers_run_one(&timers, 11));
    assert_int_equal(late.fired, 1);
    assert_false(pp_timers_run_one(&timers, 11));
    pp_timers_fini(&timers);
}

static void test_timers_reserve(void **state)
{
    pp_timers timers = {0};
    static struct watched t[40];
    int64_t live_before = pp_alloc_live();

    (void)state;
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_timers_reserve(&timers, 40), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_timers_reserve(&timers, 10), PIPIT_OK);
    for (unsigned i = 0; i < 10; i++)
        pp_timer_set(&timers, &t[i].timer, 100 - i, count_fire);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_timers_reserve(&timers, 40), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(timers.count, 10); /* as they were */
    assert_int_equal(pp_timers_reserve(&timers, 40), PIPIT_OK);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_timers_reserve(&timers, 40), PIPIT_OK); /* there already */
    for (unsigned i = 10; i < 40; i++)
        pp_timer_set(&timers, &t[i].timer, 100 - i, count_fire);
    assert_false(pp_fault_disarm());
    pp_timers_run(&timers, 80);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(t[i].fired, i >= 20);
    pp_timers_fini(&timers);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_as_a_list_says),
        cmocka_unit_test(test_timer_fires_once_when_due),
        cmocka_unit_test(test_timer_cancelled_while_due_does_not_fire),
        cmocka_unit_test(test_timers_run_one_at_a_time),
        cmocka_unit_test(test_timers_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
