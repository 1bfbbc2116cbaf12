/* The size of what a router remembers. */
#include "base/ceiling.h"
#include "core/route.h"

#include "route_world.h"

static void find_range(struct world *w, unsigned from, unsigned to)
{
    char subject[24];

    for (unsigned i = from; i < to; i++) {
        (void)snprintf(subject, sizeof(subject), "s.%u", i);
        assert_true(
            pp_str_eq((pp_str){find(w, subject)->subject, strlen(subject)}, pp_str_of(subject)));
    }
}

static void test_route_cache_grows(void **state)
{
    enum { SUBJECTS = 3000 };
    struct world w;
    size_t sets;
    uint64_t before;

    (void)state;
    world_init(&w);
    sets = w.caches[0]->set_mask;
    find_range(&w, 0, SUBJECTS);
    assert_true(w.caches[0]->set_mask > sets);
    assert_int_equal(w.caches[0]->route_count, SUBJECTS);
    before = misses(&w);
    find_range(&w, 0, SUBJECTS);
    assert_int_equal(misses(&w), before); /* nothing was lost on the way */
    world_fini(&w);
}

static void test_route_cache_stays_without_memory_to_grow(void **state)
{
    struct world w;
    size_t sets;
    unsigned nulls = 0;

    (void)state;
    world_init(&w);
    sets = w.caches[0]->set_mask;
    for (unsigned i = 0; i < 2000; i++) {
        char subject[24];

        (void)snprintf(subject, sizeof(subject), "s.%u", i);
        /* The first allocation of a miss without subscriptions is the route; growing is next. */
        pp_fault_arm_from("alloc", 2);
        nulls += pp_route_find(w.caches[0], pp_str_of(subject)) == NULL;
        (void)pp_fault_disarm();
    }
    assert_int_equal(nulls, 0);
    assert_int_equal(w.caches[0]->set_mask, sets);
    find_range(&w, 0, 2000);
    assert_true(w.caches[0]->set_mask > sets);
    world_fini(&w);
}

static void test_route_cache_keeps_to_its_maximum(void **state)
{
    enum { MAX = 256 };
    struct world w;
    pp_sub *sub;

    (void)state;
    world_init(&w);
    w.routers[0].routes_max = MAX;
    sub = subscribe(&w, 0, "s.*", "", "1");
    for (unsigned i = 0; i < 4000; i++) {
        find_range(&w, i, i + 1);
        assert_true(w.caches[0]->route_count <= MAX);
        /* one goes for one that comes: no message pays for all of them */
        assert_true(i < MAX || w.caches[0]->route_count > MAX / 2);
    }
    assert_int_equal(publish(&w, "s.17"), 1); /* what was put out is asked for again */
    unsubscribe(&w, sub);
    world_fini(&w);
}

/* As many caches as there are views must not keep what each of them needed once. */
static void test_route_cache_gives_back_what_it_grew_by(void **state)
{
    struct world w;
    size_t sets, before;

    (void)state;
    world_init(&w);
    sets = w.caches[0]->set_mask;
    before = w.routers[0].bytes;
    find_range(&w, 0, 2000);
    assert_true(w.caches[0]->set_mask > sets);
    pp_route_cache_clear(w.caches[0]);
    assert_int_equal(w.caches[0]->set_mask, sets);
    assert_int_equal(w.routers[0].bytes, before);
    w.routers[0].bytes_max = 20000; /* no room for more */
    find_range(&w, 0, 2000);
    assert_true(w.routers[0].bytes <= 20000);
    assert_true((w.caches[0]->set_mask + 1) * sizeof(struct pp_route_set) < 20000);
    pp_router_forget(&w.routers[0]);
    assert_int_equal(w.routers[0].bytes, 0);
    w.caches[0] = NULL;
    world_fini(&w);
}

/* Where no more is given out, publishing goes on, and holds one route at a time. */
static void test_route_cache_at_the_memory_ceiling(void **state)
{
    enum { CEILING = 1 << 30 };
    pp_ceiling_claim claim = {0};
    struct world w;
    pp_sub *sub;
    int64_t live;

    (void)state;
    world_init(&w);
    sub = subscribe(&w, 0, "s.*", "", "1");
    pp_ceiling_hold(&claim, CEILING);
    pp_ceiling_pretend(CEILING - (4 << 20));
    assert_null(pp_alloc(1));
    assert_int_equal(publish(&w, "s.first"), 1);
    live = pp_alloc_live();
    for (unsigned i = 0; i < 100; i++) {
        char subject[24];

        (void)snprintf(subject, sizeof(subject), "s.%u", i);
        assert_int_equal(publish(&w, subject), 1);
    }
    assert_int_equal(pp_alloc_live(), live);
    assert_int_equal(w.caches[0]->route_count, 0);
    pp_ceiling_pretend(CEILING + 1);
    assert_null(pp_route_find(w.caches[0], PP_STR("s.last"))); /* there is nothing left at all */
    pp_ceiling_pretend(0);
    pp_ceiling_release(&claim);
    assert_int_equal(publish(&w, "s.last"), 1);
    unsubscribe(&w, sub);
    world_fini(&w);
}

enum { MANY = 30 };

static void subscribe_many(struct world *w, const char *subject, pp_sub *subs[MANY])
{
    for (unsigned i = 0; i < MANY; i++)
        subs[i] = subscribe(w, i % CLIENTS, subject, "", "1");
}

static void unsubscribe_many(struct world *w, pp_sub *subs[MANY])
{
    for (unsigned i = 0; i < MANY; i++)
        unsubscribe(w, subs[i]);
}

/* All accounts' routes together: bytes, since routes differ much in size. */
static void test_router_keeps_to_its_bytes(void **state)
{
    enum { MAX = 20000 };
    struct world w;
    pp_account *other;
    pp_scope other_scope;
    pp_route_cache *cache;
    pp_sub *subs[MANY];
    size_t most = 0;

    (void)state;
    world_init(&w);
    w.routers[0].bytes_max = MAX;
    assert_int_equal(pp_account_new(&other, "B", ROUTERS), PIPIT_OK);
    other_scope = (pp_scope){.account = other, .view = 1};
    cache = pp_router_cache(&w.routers[0], &other_scope);
    assert_non_null(cache);
    subscribe_many(&w, "s.*", subs);
    for (unsigned i = 0; i < 500; i++) {
        char subject[24];

        (void)snprintf(subject, sizeof(subject), "s.%u", i % 50);
        assert_int_equal(publish(&w, subject), MANY);
        assert_non_null(pp_route_find(cache, pp_str_of(subject)));
        assert_true(w.routers[0].bytes <= MAX);
        most = w.routers[0].bytes > most ? w.routers[0].bytes : most;
    }
    assert_true(most > MAX / 2);
    pp_route_cache_clear(cache);
    pp_route_cache_clear(w.caches[0]);
    assert_int_equal(w.routers[0].bytes, 0);
    unsubscribe_many(&w, subs);
    world_fini(&w);
    pp_account_free(other);
}

/* A route too large to keep among the others is remembered alone, and is no less valid. */
static void test_router_remembers_one_that_is_too_large(void **state)
{
    struct world w;
    pp_sub *subs[MANY], *more;
    uint64_t before;

    (void)state;
    world_init(&w);
    w.routers[0].bytes_max = 1000;
    subscribe_many(&w, "s.*", subs);
    for (unsigned round = 0; round < 3; round++) {
        before = misses(&w);
        assert_int_equal(publish(&w, "s.1"), MANY);
        assert_int_equal(publish(&w, "s.1"), MANY);
        assert_int_equal(misses(&w), before + 1);
        assert_int_equal(publish(&w, "s.2"), MANY); /* takes its place */
        assert_int_equal(misses(&w), before + 2);
        assert_int_equal(w.routers[0].bytes, 0);
    }
    more = subscribe(&w, 0, "s.2", "", "2");
    assert_int_equal(publish(&w, "s.2"), MANY + 1);
    unsubscribe(&w, more);
    assert_int_equal(publish(&w, "s.2"), MANY);
    unsubscribe_many(&w, subs);
    assert_int_equal(publish(&w, "s.2"), 0);
    world_fini(&w);
}

/* Heads that are too many bytes to keep are made for each delivery. */
static void test_route_with_very_long_heads(void **state)
{
    enum { LONG = 60000, SUBS = 300 };
    static char sid[LONG + 1];
    static pp_sub *subs[SUBS];
    struct world w;
    int64_t live_before = pp_alloc_live();

    (void)state;
    world_init(&w);
    memset(sid, 'x', LONG);
    for (unsigned i = 0; i < SUBS; i++)
        subs[i] = subscribe(&w, i % CLIENTS, "a", "", sid + (i ? 0 : 20));
    for (unsigned round = 0; round < 3; round++)
        assert_int_equal(publish(&w, "a"), SUBS); /* each head is looked at */
    for (unsigned i = 0; i < SUBS; i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
    assert_int_equal(pp_alloc_live(), live_before);
}

/* An account's index is given to another when it has gone; what was kept for it must not be. */
static void test_router_inner_is_of_one_account(void **state)
{
    struct world w;
    pp_account *gone, *other;

    (void)state;
    world_init(&w);
    for (unsigned crossed = 0; crossed < 2; crossed++) {
        pp_route_cache *cache;

        assert_int_equal(pp_account_new(&gone, "gone", ROUTERS), PIPIT_OK);
        gone->index = 3;
        gone->serial = 8;
        cache = pp_router_inner(&w.routers[0], gone, crossed);
        assert_ptr_equal(cache->account, gone);
        assert_non_null(pp_route_find(cache, PP_STR("a")));
        assert_int_equal(pp_account_new(&other, "other", ROUTERS), PIPIT_OK);
        other->index = 3;
        other->serial = 9;
        pp_account_free(gone);
        cache = pp_router_inner(&w.routers[0], other, crossed);
        assert_ptr_equal(cache->account, other);
        assert_non_null(pp_route_find(cache, PP_STR("a")));
        pp_router_forget(&w.routers[0]);
        pp_account_free(other);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_cache_grows),
        cmocka_unit_test(test_route_cache_stays_without_memory_to_grow),
        cmocka_unit_test(test_route_cache_keeps_to_its_maximum),
        cmocka_unit_test(test_route_cache_gives_back_what_it_grew_by),
        cmocka_unit_test(test_route_cache_at_the_memory_ceiling),
        cmocka_unit_test(test_router_keeps_to_its_bytes),
        cmocka_unit_test(test_router_remembers_one_that_is_too_large),
        cmocka_unit_test(test_route_with_very_long_heads),
        cmocka_unit_test(test_router_inner_is_of_one_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
