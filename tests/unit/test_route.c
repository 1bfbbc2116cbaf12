/* Subject to targets. */
#include "core/route.h"

#include "route_world.h"
#include "seed.h"

/* --- finding -------------------------------------------------------------------------------- */

static void test_route_is_remembered(void **state)
{
    struct world w;
    pp_sub *sub;
    pp_route *route;

    (void)state;
    world_init(&w);
    sub = subscribe(&w, 0, "a.*", "", "1");
    route = find(&w, "a.b");
    assert_int_equal(route->target_count, 1);
    assert_int_equal(misses(&w), 1);
    assert_ptr_equal(find(&w, "a.b"), route);
    assert_int_equal(find(&w, "a.c")->target_count, 1);
    assert_int_equal(find(&w, "b")->target_count, 0);
    assert_ptr_equal(find(&w, "a.b"), route);
    assert_int_equal(misses(&w), 3); /* an answer of nobody is an answer */
    (void)find(&w, "b");
    assert_int_equal(misses(&w), 3);
    assert_int_equal(atomic_load(&w.clients[0].outlets_asked), 2); /* once for each route */
    unsubscribe(&w, sub);
    world_fini(&w);
}

static unsigned slot_of(const struct world *w, const char *subject)
{
    return (unsigned)(pp_hash(subject, strlen(subject), w->caches[0]->seed) % PP_SUBLIST_SLOTS);
}

/* A literal subject that shares, or does not share, the slot of "a.b". */
static void other_subject(const struct world *w, bool same_slot, char out[16])
{
    for (unsigned i = 0;; i++) {
        (void)snprintf(out, 16, "o.%u", i);
        if ((slot_of(w, out) == slot_of(w, "a.b")) == same_slot)
            return;
    }
}

static void test_route_ends_with_its_generation(void **state)
{
    struct world w;
    pp_sub *first, *second, *far, *near;
    char far_subject[16], near_subject[16];

    (void)state;
    world_init(&w);
    first = subscribe(&w, 0, "a.b", "", "1");
    assert_int_equal(publish(&w, "a.b"), 1);
    second = subscribe(&w, 1, "a.b", "", "2"); /* the same subject */
    assert_int_equal(publish(&w, "a.b"), 2);
    unsubscribe(&w, second);
    assert_int_equal(publish(&w, "a.b"), 1);
    second = subscribe(&w, 1, "*.b", "", "2"); /* a wildcard */
    assert_int_equal(publish(&w, "a.b"), 2);
    unsubscribe(&w, second);
    assert_int_equal(publish(&w, "a.b"), 1);
    assert_int_equal(misses(&w), 5);

    other_subject(&w, false, far_subject);
    other_subject(&w, true, near_subject);
    far = subscribe(&w, 1, far_subject, "", "3"); /* of no concern */
    assert_int_equal(publish(&w, "a.b"), 1);
    assert_int_equal(misses(&w), 5);
    near = subscribe(&w, 1, near_subject, "", "4"); /* perhaps */
    assert_int_equal(publish(&w, "a.b"), 1);
    assert_int_equal(misses(&w), 6);
    pp_sublist_touch(w.account->subs, first);
    assert_int_equal(publish(&w, "a.b"), 1);
    assert_int_equal(misses(&w), 7);
    unsubscribe(&w, far);
    unsubscribe(&w, near);
    unsubscribe(&w, first);
    assert_int_equal(publish(&w, "a.b"), 0);
    world_fini(&w);
}

static struct world *between_world;
static pp_sub *between_sub;

static void subscribe_between(void)
{
    between_sub = subscribe(between_world, 1, "a.b", "", "2");
}

static void unsubscribe_between(void)
{
    pp_sublist_remove(between_world->account->subs, between_sub);
}

/* What changes after the index was asked makes the answer stale, even before it is remembered:
 * here another loop subscribes, or unsubscribes, while the targets are being resolved. */
static void test_route_change_while_it_is_resolved(void **state)
{
    struct world w;
    pp_sub *sub;

    (void)state;
    world_init(&w);
    between_world = &w;
    sub = subscribe(&w, 0, "a.b", "", "1");
    w.clients[0].on_outlet = subscribe_between;
    assert_int_equal(find(&w, "a.b")->target_count, 1);
    assert_int_equal(find(&w, "a.b")->target_count, 2);
    unsubscribe(&w, sub);
    sub = subscribe(&w, 0, "a.*", "", "1");
    w.clients[0].on_outlet = unsubscribe_between;
    (void)find(&w, "a.b");
    pp_sub_free(between_sub); /* as after a turn */
    assert_int_equal(publish(&w, "a.b"), 1);
    unsubscribe(&w, sub);
    world_fini(&w);
}

/* Whoever keeps a route beside the cache is told by changes when it may be gone. */
static void test_route_changes_tell_of_every_end(void **state)
{
    struct world w;
    uint64_t before;
    char subject[16];

    (void)state;
    world_init(&w);
    (void)find(&w, "a");
    before = w.caches[0]->changes;
    (void)find(&w, "a");
    assert_int_equal(w.caches[0]->changes, before);
    for (unsigned i = 0; i < 3000; i++) {
        before = w.caches[0]->changes;
        (void)snprintf(subject, sizeof(subject), "s.%u", i);
        (void)find(&w, subject); /* may make it grow or put one out */
        assert_int_not_equal(w.caches[0]->changes, before);
    }
    before = w.caches[0]->changes;
    pp_route_cache_clear(w.caches[0]);
    assert_int_not_equal(w.caches[0]->changes, before);
    world_fini(&w);
}

static void test_route_of_each_account_is_its_own(void **state)
{
    struct world w;
    pp_account *other;
    pp_scope other_scope;
    pp_sub *sub;
    pp_route_cache *cache;

    (void)state;
    world_init(&w);
    assert_int_equal(pp_account_new(&other, "B", ROUTERS), PIPIT_OK);
    other_scope = (pp_scope){.account = other, .view = 9};
    sub = subscribe(&w, 0, "a", "", "1");
    cache = pp_router_cache(&w.routers[0], &other_scope);
    assert_non_null(cache);
    assert_ptr_equal(pp_router_cache(&w.routers[0], &other_scope), cache);
    assert_ptr_equal(pp_router_cache(&w.routers[0], &w.scope), w.caches[0]);
    assert_int_equal(pp_route_find(cache, PP_STR("a"))->target_count, 0);
    assert_int_equal(find(&w, "a")->target_count, 1);
    unsubscribe(&w, sub);
    world_fini(&w);
    pp_account_free(other);
}

/* --- delivering ----------------------------------------------------------------------------- */

static void test_route_every_plain_one_gets_a_copy(void **state)
{
    static const char *const patterns[] = {"a.b.c", "a.*.c", "a.>", ">", "*.*.*", "a.b.c"};
    struct world w;
    pp_sub *subs[COUNT_OF(patterns)], *elsewhere;

    (void)state;
    world_init(&w);
    elsewhere = subscribe(&w, 0, "a.b", "", "9");
    for (unsigned i = 0; i < COUNT_OF(patterns); i++)
        subs[i] = subscribe(&w, i % 2, patterns[i], "", (char[]){(char)('1' + i), '\0'});
    for (unsigned round = 1; round < 4; round++) {
        assert_int_equal(publish(&w, "a.b.c"), COUNT_OF(patterns));
        for (unsigned i = 0; i < COUNT_OF(patterns); i++) {
            assert_int_equal(times_taken(subs[i]), 1);
            assert_int_equal(pp_sub_delivered(subs[i]), round);
        }
    }
    assert_int_equal(pp_sub_delivered(elsewhere), 0);
    for (unsigned i = 0; i < COUNT_OF(patterns); i++)
        unsubscribe(&w, subs[i]);
    unsubscribe(&w, elsewhere);
    world_fini(&w);
}

static void test_route_not_taken_is_not_counted(void **state)
{
    struct world w;
    pp_sub *one, *other;

    (void)state;
    world_init(&w);
    one = subscribe(&w, 0, "a", "", "1");
    other = subscribe(&w, 1, "a", "", "1");
    atomic_store(&w.clients[0].refuses, true);
    assert_int_equal(publish(&w, "a"), 1);
    assert_int_equal(pp_sub_delivered(one), 0);
    assert_int_equal(pp_sub_delivered(other), 1);
    unsubscribe(&w, one);
    unsubscribe(&w, other);
    world_fini(&w);
}

static void test_route_no_echo_leaves_out_the_publisher(void **state)
{
    struct world w;
    pp_sub *own, *own_queue, *other, *other_queue;
    pp_msg msg = message("a");

    (void)state;
    world_init(&w);
    own = subscribe(&w, 0, "a", "", "1");
    own_queue = subscribe(&w, 0, "a", "q", "2");
    other = subscribe(&w, 1, "a", "", "1");
    msg.from = &w.clients[0].client;
    msg.no_echo = true;
    assert_int_equal(pp_route_deliver(w.caches[0], find(&w, "a"), &msg), 1);
    assert_int_equal(times_taken(other), 1);
    other_queue = subscribe(&w, 1, "a", "q", "2");
    for (unsigned i = 0; i < 50; i++) {
        taken.count = 0;
        assert_int_equal(pp_route_deliver(w.caches[0], find(&w, "a"), &msg), 2);
        assert_int_equal(times_taken(other), 1);
        assert_int_equal(times_taken(other_queue), 1);
    }
    assert_int_equal(pp_sub_delivered(own) + pp_sub_delivered(own_queue), 0);
    msg.no_echo = false; /* echo is the rule */
    assert_int_equal(pp_route_deliver(w.caches[0], find(&w, "a"), &msg), 3);
    unsubscribe(&w, own);
    unsubscribe(&w, own_queue);
    unsubscribe(&w, other);
    unsubscribe(&w, other_queue);
    world_fini(&w);
}

/* --- queue groups --------------------------------------------------------------------------- */

/* Groups go by name, whatever patterns their members have; names are bytes, not prefixes. */
static void test_route_one_of_each_group(void **state)
{
    static const struct {
        const char *subject, *queue;
        unsigned group;
    } rows[] = {{"a.b", "q", 0},  {"a.*", "q", 0}, {">", "q", 0},   {"a.b", "qq", 1},
                {"*.b", "qq", 1}, {"a.b", "Q", 2}, {"a.>", "p", 3}, {"a.b", "", 4}};
    struct world w;
    pp_sub *subs[COUNT_OF(rows)];

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        subs[i] = subscribe(&w, i % CLIENTS, rows[i].subject, rows[i].queue, "1");
    assert_int_equal(find(&w, "a.b")->group_count, 4);
    assert_int_equal(find(&w, "a.b")->plain_count, 1);
    for (unsigned round = 0; round < 100; round++) {
        unsigned per_group[5] = {0};

        assert_int_equal(publish(&w, "a.b"), 5);
        for (unsigned i = 0; i < COUNT_OF(rows); i++)
            per_group[rows[i].group] += times_taken(subs[i]);
        for (unsigned group = 0; group < 5; group++)
            assert_int_equal(per_group[group], 1);
    }
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
}

static void test_route_members_are_chosen_alike(void **state)
{
    enum { MEMBERS = 7, ROUNDS = 70000, EXPECTED = ROUNDS / MEMBERS };
    static const char *const patterns[] = {"a.b", "a.*", "*.b", "a.>", ">", "*.*", "a.b"};
    struct world w;
    pp_sub *subs[MEMBERS];
    double chi_square = 0;

    (void)state;
    world_init(&w);
    w.routers[0].random = test_seed("route");
    taken.off = true;
    for (unsigned i = 0; i < MEMBERS; i++)
        subs[i] = subscribe(&w, i, patterns[i], "workers", "1");
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(publish(&w, "a.b"), 1);
    for (unsigned i = 0; i < MEMBERS; i++) {
        double off = (double)pp_sub_delivered(subs[i]) - EXPECTED;

        chi_square += off * off / EXPECTED;
    }
    /* Six degrees of freedom: more than this by chance once in some ten million runs. */
    assert_true(chi_square < 43.0);
    for (unsigned i = 0; i < MEMBERS; i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
}

static void test_route_group_asks_the_next_member(void **state)
{
    enum { MEMBERS = 5 };
    struct world w;
    pp_sub *subs[MEMBERS];

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < MEMBERS; i++) {
        subs[i] = subscribe(&w, i, "a", "q", "1");
        atomic_store(&w.clients[i].refuses, i != 3);
    }
    for (unsigned round = 1; round < 30; round++) {
        assert_int_equal(publish(&w, "a"), 1);
        assert_int_equal(times_taken(subs[3]), 1);
    }
    atomic_store(&w.clients[3].refuses, true);
    assert_int_equal(publish(&w, "a"), 0);
    for (unsigned i = 0; i < MEMBERS; i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
}

/* --- when something is refused -------------------------------------------------------------- */

static void test_route_incomplete_is_asked_again(void **state)
{
    struct world w;
    pp_sub *subs[4];
    uint64_t before;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < 4; i++)
        subs[i] = subscribe(&w, i, "a", i < 2 ? "" : "q", "1");
    w.clients[0].no_memory = w.clients[2].no_memory = true;
    for (unsigned round = 0; round < 20; round++) {
        before = misses(&w);
        assert_int_equal(publish(&w, "a"), 2);
        assert_int_equal(times_taken(subs[1]), 1);
        assert_int_equal(times_taken(subs[3]), 1);
        assert_int_equal(misses(&w), before + 1);
    }
    w.clients[3].no_memory = true; /* the whole group */
    assert_int_equal(publish(&w, "a"), 1);
    w.clients[0].no_memory = w.clients[2].no_memory = w.clients[3].no_memory = false;
    assert_int_equal(publish(&w, "a"), 3);
    before = misses(&w);
    assert_int_equal(publish(&w, "a"), 3);
    assert_int_equal(misses(&w), before);
    for (unsigned i = 0; i < 4; i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
}

/* Who is closing is left out, and not asked with every message: its end makes the route stale. */
static void test_route_leaves_out_who_is_closing(void **state)
{
    struct world w;
    pp_sub *subs[4];
    uint64_t before;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < 4; i++)
        subs[i] = subscribe(&w, i, "a", i < 2 ? "" : "q", "1");
    w.clients[0].closing = w.clients[2].closing = true;
    assert_int_equal(publish(&w, "a"), 2);
    before = misses(&w);
    for (unsigned round = 0; round < 20; round++) {
        assert_int_equal(publish(&w, "a"), 2);
        assert_int_equal(times_taken(subs[1]), 1);
        assert_int_equal(times_taken(subs[3]), 1);
    }
    assert_int_equal(misses(&w), before);
    unsubscribe(&w, subs[0]);
    assert_int_equal(publish(&w, "a"), 2);
    assert_int_equal(misses(&w), before + 1);
    for (unsigned i = 1; i < 4; i++)
        unsubscribe(&w, subs[i]);
    world_fini(&w);
}

/* One failure at every place: the message reaches whom it can, the next one reaches all. */
static void test_route_fault_sweep(void **state)
{
    enum { SUBS = 6 };
    int64_t live_before = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        struct world w;
        pp_sub *subs[SUBS];
        pp_account *far;
        pp_scope far_scope;
        pp_route_cache *cache;
        pp_route *route;
        size_t reached = 0;
        pp_msg msg = message("a.b");
        bool fired;

        world_init(&w);
        assert_int_equal(pp_account_new(&far, "far", ROUTERS), PIPIT_OK);
        far_scope = (pp_scope){.account = far, .view = 40};
        for (unsigned i = 0; i < SUBS; i++) {
            subs[i] = pp_sub_new(&w.clients[i].client, PP_STR("1"), pp_str_of(i < 4 ? "" : "q"));
            assert_int_equal(pp_sublist_insert(far->subs, subs[i], PP_STR("a.*")), PIPIT_OK);
        }
        pp_fault_arm("*", nth);
        cache = pp_router_cache(&w.routers[0], &far_scope);
        route = cache ? pp_route_find(cache, msg.subject) : NULL;
        if (route)
            reached = pp_route_deliver(cache, route, &msg);
        fired = pp_fault_disarm();
        assert_true(reached == taken.count && reached <= 5);
        for (unsigned i = 0; i < SUBS; i++)
            assert_true(times_taken(subs[i]) <= 1);
        if (!fired)
            assert_int_equal(reached, 5);

        cache = pp_router_cache(&w.routers[0], &far_scope);
        assert_non_null(cache);
        assert_ptr_equal(pp_router_cache(&w.routers[0], &w.scope), w.caches[0]);
        route = pp_route_find(cache, msg.subject);
        assert_non_null(route);
        assert_true(route->complete);
        assert_int_equal(pp_route_deliver(cache, route, &msg), 5);
        for (unsigned i = 0; i < SUBS; i++) {
            pp_sublist_remove(far->subs, subs[i]);
            pp_sub_free(subs[i]);
        }
        world_fini(&w);
        pp_account_free(far);
        assert_int_equal(pp_alloc_live(), live_before);
        if (!fired)
            break;
    }
    assert_true(nth > 10);
}

/* --- against a list ------------------------------------------------------------------------- */

enum { LIVE_MAX = 60 };

struct live {
    pp_sub *sub;
    char pattern[24];
    char queue[4];
};

static void random_subject(uint64_t *random, bool wildcards, char out[24])
{
    static const char *const tokens[] = {"a", "b", "c", "*"};
    unsigned count = 1 + pp_random_below(random, 3);
    size_t n = 0;

    for (unsigned i = 0; i < count; i++)
        n += (size_t)snprintf(out + n, 24 - n, "%s%s", i ? "." : "",
                              tokens[pp_random_below(random, wildcards ? 4 : 3)]);
    if (wildcards && pp_random_below(random, 6) == 0)
        (void)snprintf(out + n, 24 - n, ".>");
}

static void check_against_list(const struct live *live, size_t count, const char *subject)
{
    for (size_t i = 0; i < count; i++) {
        bool matches = pp_subject_matches(pp_str_of(subject), pp_str_of(live[i].pattern));
        unsigned of_group = 0;

        if (!matches || !live[i].queue[0]) {
            assert_int_equal(times_taken(live[i].sub), matches);
            continue;
        }
        for (size_t j = 0; j < count; j++) {
            if (strcmp(live[j].queue, live[i].queue) == 0)
                of_group += times_taken(live[j].sub);
        }
        assert_int_equal(of_group, 1);
    }
}

static void test_route_reaches_whom_a_list_says(void **state)
{
    static struct live live[LIVE_MAX];
    uint64_t random = test_seed("route");
    struct world w;
    size_t count = 0;

    (void)state;
    world_init(&w);
    w.routers[0].random = random;
    w.routers[0].routes_max = 16;
    w.routers[0].bytes_max = 4000;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned dice = pp_random_below(&random, 10);
        char subject[24];

        if (dice == 0 && count < LIVE_MAX) {
            struct live *l = &live[count++];

            random_subject(&random, true, l->pattern);
            (void)snprintf(l->queue, sizeof(l->queue), "%s",
                           pp_random_below(&random, 2)   ? ""
                           : pp_random_below(&random, 2) ? "q"
                                                         : "p");
            l->sub = subscribe(&w, pp_random_below(&random, CLIENTS), l->pattern, l->queue, "12");
        } else if (dice == 1 && count) {
            size_t i = pp_random_below(&random, (uint32_t)count);

            unsubscribe(&w, live[i].sub);
            live[i] = live[--count];
        } else {
            random_subject(&random, false, subject);
            (void)publish(&w, subject);
            check_against_list(live, count, subject);
        }
    }
    while (count)
        unsubscribe(&w, live[--count].sub);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_is_remembered),
        cmocka_unit_test(test_route_ends_with_its_generation),
        cmocka_unit_test(test_route_change_while_it_is_resolved),
        cmocka_unit_test(test_route_changes_tell_of_every_end),
        cmocka_unit_test(test_route_of_each_account_is_its_own),
        cmocka_unit_test(test_route_every_plain_one_gets_a_copy),
        cmocka_unit_test(test_route_not_taken_is_not_counted),
        cmocka_unit_test(test_route_no_echo_leaves_out_the_publisher),
        cmocka_unit_test(test_route_one_of_each_group),
        cmocka_unit_test(test_route_members_are_chosen_alike),
        cmocka_unit_test(test_route_group_asks_the_next_member),
        cmocka_unit_test(test_route_incomplete_is_asked_again),
        cmocka_unit_test(test_route_leaves_out_who_is_closing),
        cmocka_unit_test(test_route_fault_sweep),
        cmocka_unit_test(test_route_reaches_whom_a_list_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
