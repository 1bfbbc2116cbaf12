/* Subscriptions that end after so many messages. */
#include "core/route.h"

#include "route_world.h"

#include <pthread.h>

static void limit(struct world *w, pp_sub *sub, int32_t remaining)
{
    atomic_store(&sub->remaining, remaining);
    pp_sublist_touch(w->account->subs, sub);
}

static void test_route_counted_ends_after_its_number(void **state)
{
    struct world w;
    pp_sub *sub;

    (void)state;
    world_init(&w);
    sub = subscribe(&w, 0, "a", "", "1");
    assert_int_equal(publish(&w, "a"), 1);
    limit(&w, sub, 3);
    assert_int_equal(publish(&w, "a"), 1);
    assert_int_equal(publish(&w, "a"), 1);
    assert_int_equal(atomic_load(&w.clients[0].exhausted), 0);
    atomic_store(&w.clients[0].refuses, true); /* not delivered: not counted */
    assert_int_equal(publish(&w, "a"), 0);
    atomic_store(&w.clients[0].refuses, false);
    assert_int_equal(publish(&w, "a"), 1);
    assert_int_equal(atomic_load(&w.clients[0].exhausted), 1);
    assert_int_equal(atomic_load(&w.clients[0].exhausted_on), 0);
    assert_int_equal(publish(&w, "a"), 0);
    assert_int_equal(atomic_load(&w.clients[0].exhausted), 1);
    assert_int_equal(pp_sub_delivered(sub), 4);
    unsubscribe(&w, sub);
    world_fini(&w);
}

/* A member of a group that has had its number is passed over. */
static void test_route_counted_member_leaves_its_group(void **state)
{
    struct world w;
    pp_sub *counted, *other;

    (void)state;
    world_init(&w);
    counted = subscribe(&w, 0, "a", "q", "1");
    other = subscribe(&w, 1, "a", "q", "1");
    limit(&w, counted, 2);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(publish(&w, "a"), 1);
    assert_int_equal(pp_sub_delivered(counted), 2);
    assert_int_equal(pp_sub_delivered(other), 98);
    unsubscribe(&w, counted);
    unsubscribe(&w, other);
    world_fini(&w);
}

struct publisher {
    struct world *w;
    unsigned router;
    unsigned messages;
    pthread_barrier_t *start;
    size_t delivered;
};

static void *publish_many(void *arg)
{
    struct publisher *p = arg;
    pp_msg msg = message("a");

    (void)pthread_barrier_wait(p->start);
    for (unsigned i = 0; i < p->messages; i++) {
        pp_route *route = pp_route_find(p->w->caches[p->router], msg.subject);

        p->delivered += route ? pp_route_deliver(p->w->caches[p->router], route, &msg) : 0;
    }
    return NULL;
}

/* Two loops deliver at once: no more than its number, no fewer, and its end is told once. */
static void test_route_counted_is_exact_under_two_routers(void **state)
{
    enum { ROUNDS = 40, NUMBER = 500 };

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world w;
        struct publisher publishers[ROUTERS];
        pthread_t threads[ROUTERS];
        pthread_barrier_t start;
        pp_sub *sub;
        size_t delivered = 0;

        world_init(&w);
        taken.off = true;
        sub = subscribe(&w, 0, "a", round % 2 ? "q" : "", "1");
        limit(&w, sub, NUMBER);
        atomic_store(&w.clients[0].refusals, round % 4 < 2 ? 0 : 100);
        assert_int_equal(pthread_barrier_init(&start, NULL, ROUTERS), 0);
        for (unsigned i = 0; i < ROUTERS; i++) {
            publishers[i] = (struct publisher){&w, i, NUMBER + 100, &start, 0};
            assert_int_equal(pthread_create(&threads[i], NULL, publish_many, &publishers[i]), 0);
        }
        for (unsigned i = 0; i < ROUTERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            delivered += publishers[i].delivered;
        }
        assert_int_equal(delivered, NUMBER);
        assert_int_equal(atomic_load(&w.clients[0].taken), NUMBER);
        assert_int_equal(pp_sub_delivered(sub), NUMBER);
        assert_int_equal(atomic_load(&sub->remaining), 0);
        assert_int_equal(atomic_load(&w.clients[0].exhausted), 1);
        (void)pthread_barrier_destroy(&start);
        unsubscribe(&w, sub);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_counted_ends_after_its_number),
        cmocka_unit_test(test_route_counted_member_leaves_its_group),
        cmocka_unit_test(test_route_counted_is_exact_under_two_routers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
