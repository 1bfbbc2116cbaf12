#include "core/view.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "core/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { MANY = 1000 };

struct world {
    pp_views views;
    pp_account *one, *two;
};

static int world_init(void **state)
{
    static struct world w;

    pp_views_init(&w.views);
    assert_int_equal(pp_account_new(&w.one, "ONE", 1), PIPIT_OK);
    assert_int_equal(pp_account_new(&w.two, "TWO", 1), PIPIT_OK);
    *state = &w;
    return 0;
}

static int world_fini(void **state)
{
    struct world *w = *state;

    pp_views_fini(&w->views);
    pp_account_free(w->one);
    pp_account_free(w->two);
    return 0;
}

static pp_permissions *only(const char *subject)
{
    const pp_permission_rule rule = {.subject = pp_str_of(subject)};
    const pp_permission_rules publish = {.has_allow = true, .allow = &rule, .allow_count = 1};
    const pp_permission_rules subscribe = {0};
    pp_permissions *permissions;

    assert_int_equal(pp_permissions_new(&permissions, &publish, &subscribe), PIPIT_OK);
    return permissions;
}

static pp_view *take(struct world *w, pp_account *account, const char *subject)
{
    pp_permissions *permissions = subject ? only(subject) : NULL;
    pp_view *view;

    assert_int_equal(pp_view_take(&w->views, account, permissions, &view), PIPIT_OK);
    pp_permissions_free(permissions); /* it has a copy */
    return view;
}

static void test_view_is_shared_by_equals_only(void **state)
{
    struct world *w = *state;
    pp_view *a = take(w, w->one, "a"), *same = take(w, w->one, "a");
    pp_view *b = take(w, w->one, "b"), *all = take(w, w->one, NULL), *other = take(w, w->two, "a");

    assert_ptr_equal(a, same);
    assert_int_not_equal(a->number, b->number);
    assert_int_not_equal(a->number, all->number);
    assert_int_not_equal(a->number, other->number);
    assert_null(all->permissions);
    pp_view_let_go(&w->views, a);
    assert_int_equal(w->views.count, 4); /* same holds it */
    pp_view_let_go(&w->views, same);
    pp_view_let_go(&w->views, b);
    pp_view_let_go(&w->views, all);
    pp_view_let_go(&w->views, other);
    assert_int_equal(w->views.count, 0);
}

static void test_view_numbers_are_dense(void **state)
{
    struct world *w = *state;
    static pp_view *views[MANY];
    char subject[16];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(subject, sizeof(subject), "s.%d", i);
            views[i] = take(w, w->one, subject);
            assert_true(views[i]->number < MANY);
        }
        for (int i = 0; i < MANY; i++)
            pp_view_let_go(&w->views, views[i]);
    }
    assert_int_equal(w->views.next_number, MANY);
}

/* A loop that has not heard of it must not answer from what it remembers of a view that is gone. */
static void test_view_number_used_again_brings_no_old_routes(void **state)
{
    struct world *w = *state;
    pp_counters counters = {0};
    pp_router router;
    pp_view *view = take(w, w->one, "a");
    pp_scope scope = pp_view_scope(view);
    uint32_t number = view->number;
    pp_route_cache *cache;

    pp_router_init(&router, 0, &counters);
    cache = pp_router_cache(&router, &scope);
    assert_non_null(cache);
    assert_int_equal(pp_route_find(cache, PP_STR("b"))->kind, PP_ROUTE_DENIED);
    pp_view_let_go(&w->views, view);
    view = take(w, w->one, "b");
    assert_int_equal(view->number, number);
    scope = pp_view_scope(view);
    cache = pp_router_cache(&router, &scope);
    assert_int_equal(pp_route_find(cache, PP_STR("b"))->kind, PP_ROUTE_PLAIN);
    assert_int_equal(pp_route_find(cache, PP_STR("a"))->kind, PP_ROUTE_DENIED);
    assert_ptr_equal(pp_router_cache(&router, &scope), cache);
    pp_router_fini(&router);
    pp_view_let_go(&w->views, view);
}

static void test_view_fault_sweep(void **state)
{
    struct world *w = *state;
    pp_permissions *permissions = only("never.before");

    for (unsigned nth = 1;; nth++) {
        int64_t live = pp_alloc_live();
        pp_view *view = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_view_take(&w->views, w->two, permissions, &view);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_view_let_go(&w->views, view);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(view);
        assert_int_equal(pp_alloc_live(), live);
        assert_int_equal(w->views.count, 0);
    }
    pp_permissions_free(permissions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_is_shared_by_equals_only),
        cmocka_unit_test(test_view_numbers_are_dense),
        cmocka_unit_test(test_view_number_used_again_brings_no_old_routes),
        cmocka_unit_test(test_view_fault_sweep),
    };

    return cmocka_run_group_tests(tests, world_init, world_fini);
}
