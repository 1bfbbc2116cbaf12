#include "base/reclaim.h"

#include "base/alloc.h"
#include "base/list.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LOOPS = 3 };

struct world {
    pp_reclaim shared;
    pp_reclaimer loops[LOOPS];
};

static void world_init(struct world *world)
{
    assert_int_equal(pp_reclaim_init(&world->shared, LOOPS), PIPIT_OK);
    for (unsigned i = 0; i < LOOPS; i++)
        pp_reclaimer_init(&world->loops[i], &world->shared, i);
}

static void world_fini(struct world *world)
{
    for (unsigned i = 0; i < LOOPS; i++)
        pp_reclaimer_fini(&world->loops[i]);
    pp_reclaim_fini(&world->shared);
}

struct object {
    pp_retired retired;
    int *freed;
    pp_reclaimer *then; /* retire the next one from here when freed */
    struct object *next_object;
};

static void free_object(pp_retired *retired)
{
    struct object *object = PP_CONTAINER(retired, struct object, retired);

    (*object->freed)++;
    if (object->then)
        pp_reclaim_retire(object->then, &object->next_object->retired, free_object);
    pp_free(object);
}

static struct object *new_object(int *freed)
{
    struct object *object = pp_calloc(1, sizeof(*object));

    assert_non_null(object);
    object->freed = freed;
    return object;
}

static void retire(pp_reclaimer *loop, int *freed)
{
    pp_reclaim_retire(loop, &new_object(freed)->retired, free_object);
}

static void test_reclaim_frees_when_nobody_looks(void **state)
{
    int64_t live = pp_alloc_live();
    struct world world;
    int freed = 0;

    (void)state;
    world_init(&world);
    assert_false(pp_reclaim_collect(&world.loops[0])); /* nothing there */
    retire(&world.loops[0], &freed);
    retire(&world.loops[0], &freed);
    assert_int_equal(freed, 0); /* never inside the call that retires */
    assert_false(pp_reclaim_collect(&world.loops[0]));
    assert_int_equal(freed, 2);
    world_fini(&world);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_reclaim_waits_for_who_may_hold_it(void **state)
{
    static const bool by_pass[] = {true, false};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        int freed = 0;

        world_init(&world);
        pp_reclaim_enter(&world.loops[1]); /* both may have found the object */
        pp_reclaim_enter(&world.loops[2]);
        retire(&world.loops[0], &freed);
        assert_true(pp_reclaim_collect(&world.loops[0]));
        assert_true(pp_reclaim_collect(&world.loops[0]));
        assert_int_equal(freed, 0);
        (by_pass[i] ? pp_reclaim_pass : pp_reclaim_leave)(&world.loops[1]);
        assert_true(pp_reclaim_collect(&world.loops[0]));
        assert_int_equal(freed, 0); /* the other one is still at it */
        (by_pass[i] ? pp_reclaim_pass : pp_reclaim_leave)(&world.loops[2]);
        assert_false(pp_reclaim_collect(&world.loops[0]));
        assert_int_equal(freed, 1);
        world_fini(&world);
    }
}

static void test_reclaim_does_not_wait_for_who_came_later(void **state)
{
    struct world world;
    int freed = 0;

    (void)state;
    world_init(&world);
    pp_reclaim_enter(&world.loops[1]);
    retire(&world.loops[0], &freed);
    assert_true(pp_reclaim_collect(&world.loops[0])); /* its era begins */
    pp_reclaim_enter(&world.loops[2]);                /* cannot have found the object */
    pp_reclaim_leave(&world.loops[1]);
    assert_false(pp_reclaim_collect(&world.loops[0]));
    assert_int_equal(freed, 1);
    world_fini(&world);
}

static void test_reclaim_does_not_wait_for_itself(void **state)
{
    struct world world;
    int freed = 0;

    (void)state;
    world_init(&world);
    pp_reclaim_enter(&world.loops[0]);
    retire(&world.loops[0], &freed);
    assert_false(pp_reclaim_collect(&world.loops[0]));
    assert_int_equal(freed, 1);
    world_fini(&world);
}

static void test_reclaim_keeps_later_batches_apart(void **state)
{
    struct world world;
    int first = 0, second = 0;

    (void)state;
    world_init(&world);
    pp_reclaim_enter(&world.loops[1]);
    retire(&world.loops[0], &first);
    assert_true(pp_reclaim_collect(&world.loops[0]));
    pp_reclaim_pass(&world.loops[1]); /* holds nothing of the first, maybe the second */
    retire(&world.loops[0], &second);
    assert_true(pp_reclaim_collect(&world.loops[0]));
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    pp_reclaim_pass(&world.loops[1]);
    assert_false(pp_reclaim_collect(&world.loops[0]));
    assert_int_equal(second, 1);
    world_fini(&world);
}

static void test_reclaim_loops_retire_independently(void **state)
{
    struct world world;
    int freed[LOOPS] = {0};

    (void)state;
    world_init(&world);
    for (unsigned i = 0; i < LOOPS; i++)
        pp_reclaim_enter(&world.loops[i]);
    for (unsigned i = 0; i < LOOPS; i++)
        retire(&world.loops[i], &freed[i]);
    for (unsigned i = 0; i < LOOPS; i++)
        assert_true(pp_reclaim_collect(&world.loops[i]));
    for (unsigned i = 0; i < LOOPS; i++)
        pp_reclaim_pass(&world.loops[i]);
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_false(pp_reclaim_collect(&world.loops[i]));
        assert_int_equal(freed[i], 1);
    }
    world_fini(&world);
}

static void test_reclaim_frees_chains(void **state)
{
    static const bool by_fini[] = {true, false};
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        struct object *first;
        int freed = 0;

        world_init(&world);
        first = new_object(&freed);
        first->then = &world.loops[0]; /* freeing it retires another */
        first->next_object = new_object(&freed);
        pp_reclaim_retire(&world.loops[0], &first->retired, free_object);
        if (!by_fini[i]) {
            while (pp_reclaim_collect(&world.loops[0]))
                continue;
            assert_int_equal(freed, 2);
        }
        world_fini(&world);
        assert_int_equal(freed, 2);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static void test_reclaim_fini_frees_what_waits(void **state)
{
    int64_t live = pp_alloc_live();
    struct world world;
    int freed = 0;

    (void)state;
    world_init(&world);
    pp_reclaim_enter(&world.loops[1]);
    retire(&world.loops[0], &freed);
    assert_true(pp_reclaim_collect(&world.loops[0])); /* one that waits, one that is fresh */
    retire(&world.loops[0], &freed);
    pp_reclaim_leave(&world.loops[1]);
    world_fini(&world);
    assert_int_equal(freed, 2);
    assert_int_equal(pp_alloc_live(), live);
}

/* ---- loops that look at what another one exchanges ---- */

enum { EXCHANGES = 20000, ALIVE = 0x600d, LOOKS_MIN = 1000 };

struct thing {
    pp_retired retired;
    atomic_int alive;
};

struct stage {
    struct world world;
    _Atomic(struct thing *) current;
    atomic_bool done;
    atomic_bool failed;
    atomic_uint looks;
    atomic_uint next_index;
};

static void free_thing(pp_retired *retired)
{
    struct thing *thing = PP_CONTAINER(retired, struct thing, retired);

    atomic_store_explicit(&thing->alive, 0, memory_order_relaxed);
    pp_free(thing);
}

static struct thing *new_thing(void)
{
    struct thing *thing = pp_alloc(sizeof(*thing));

    if (!thing)
        abort();
    atomic_init(&thing->alive, ALIVE);
    return thing;
}

static void *look(void *arg)
{
    struct stage *stage = arg;
    pp_reclaimer *loop = &stage->world.loops[atomic_fetch_add(&stage->next_index, 1)];

    while (!atomic_load(&stage->done)) {
        pp_reclaim_enter(loop);
        for (int turn = 0; turn < 10; turn++) {
            struct thing *thing = atomic_load_explicit(&stage->current, memory_order_acquire);

            for (int use = 0; use < 10; use++) {
                if (atomic_load_explicit(&thing->alive, memory_order_relaxed) != ALIVE)
                    atomic_store(&stage->failed, true);
            }
            pp_reclaim_pass(loop);
        }
        pp_reclaim_leave(loop);
        (void)atomic_fetch_add(&stage->looks, 1);
    }
    return NULL;
}

static void test_reclaim_never_frees_what_is_looked_at(void **state)
{
    int64_t live = pp_alloc_live();
    pthread_t threads[LOOPS - 1];
    static struct stage stage;
    pp_reclaimer *own = &stage.world.loops[0];

    (void)state;
    world_init(&stage.world);
    atomic_store(&stage.next_index, 1);
    atomic_store(&stage.current, new_thing());
    for (int i = 0; i < LOOPS - 1; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look, &stage), 0);
    for (int i = 0; i < EXCHANGES || atomic_load(&stage.looks) < LOOKS_MIN; i++) {
        struct thing *old = atomic_exchange(&stage.current, new_thing());

        pp_reclaim_retire(own, &old->retired, free_thing);
        if (i % 3 == 0 && pp_reclaim_collect(own))
            (void)sched_yield();
    }
    atomic_store(&stage.done, true);
    for (int i = 0; i < LOOPS - 1; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(atomic_load(&stage.failed));
    assert_false(pp_reclaim_collect(own) && pp_reclaim_collect(own)); /* nobody looks any more */
    pp_free(atomic_load(&stage.current));
    world_fini(&stage.world);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reclaim_frees_when_nobody_looks),
        cmocka_unit_test(test_reclaim_waits_for_who_may_hold_it),
        cmocka_unit_test(test_reclaim_does_not_wait_for_who_came_later),
        cmocka_unit_test(test_reclaim_does_not_wait_for_itself),
        cmocka_unit_test(test_reclaim_keeps_later_batches_apart),
        cmocka_unit_test(test_reclaim_loops_retire_independently),
        cmocka_unit_test(test_reclaim_frees_chains),
        cmocka_unit_test(test_reclaim_fini_frees_what_waits),
        cmocka_unit_test(test_reclaim_never_frees_what_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
