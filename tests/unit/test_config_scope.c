#include "config/scope.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { MANY = 5000 };

static char names[MANY][16];
static pp_config_node nodes[2 * MANY];

static pp_str name_of(size_t i)
{
    return (pp_str){names[i], (size_t)snprintf(names[i], sizeof(names[i]), "key%zu", i)};
}

static pipit_err set(pp_config_scope *scope, size_t key, size_t node)
{
    pp_entry entry = {.key = name_of(key), .value = &nodes[node].value};

    return pp_config_scope_set(scope, entry);
}

static void test_scope_keeps_order_and_the_last_of_equal_keys(void **state)
{
    static const size_t counts[] = {0, 1, 3, 8, 9, 17, 100, MANY};
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        size_t count = counts[c], again = count / 2;
        pp_config_scope_pile pile;
        pp_config_scope scope;
        pp_arena arena;
        pp_config_node map = {.height = 0};

        pp_config_scope_pile_init(&pile);
        pp_arena_init(&arena, 1 << 24);
        pp_config_scope_init(&scope, NULL, &pile);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(set(&scope, i, i), PIPIT_OK);
        for (size_t i = 0; i < again; i++)
            assert_int_equal(set(&scope, i, MANY + i), PIPIT_OK);
        for (size_t i = 0; i < count; i++)
            assert_ptr_equal(pp_config_scope_find(&scope, name_of(i))->value,
                             &nodes[i < again ? MANY + i : i].value);
        assert_null(pp_config_scope_find(&scope, PP_STR("key")));
        assert_int_equal(pp_config_scope_close(&scope, &arena, &map), PIPIT_OK);
        assert_int_equal(map.value.map.count, count);
        for (size_t i = 0; i < count; i++) { /* those set again have moved to the end */
            size_t key = (again + i) % (count ? count : 1);

            assert_true(pp_str_eq(map.value.map.entries[i].key, name_of(key)));
        }
        pp_config_scope_fini(&scope);
        pp_config_scope_pile_fini(&pile);
        pp_arena_fini(&arena);
    }
    assert_int_equal(pp_alloc_live(), live);
}

static void test_scope_of_one_key_set_again_and_again(void **state)
{
    pp_config_scope_pile pile;
    pp_config_scope scope;
    pp_arena arena;
    pp_config_node map = {.height = 0};

    (void)state;
    pp_config_scope_pile_init(&pile);
    pp_arena_init(&arena, 1 << 20);
    pp_config_scope_init(&scope, NULL, &pile);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(set(&scope, i % 2, i), PIPIT_OK);
    assert_int_equal(pp_config_scope_close(&scope, &arena, &map), PIPIT_OK);
    assert_int_equal(map.value.map.count, 2);
    assert_ptr_equal(map.value.map.entries[1].value, &nodes[MANY - 1].value);
    pp_config_scope_fini(&scope);
    pp_config_scope_pile_fini(&pile);
    pp_arena_fini(&arena);
}

static void test_scopes_inside_each_other_share_the_pile(void **state)
{
    pp_config_scope_pile pile;
    pp_config_scope outer, inner;
    pp_arena arena;
    pp_config_node map = {.height = 0};

    (void)state;
    pp_config_scope_pile_init(&pile);
    pp_arena_init(&arena, 1 << 20);
    pp_config_scope_init(&outer, NULL, &pile);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(set(&outer, i, i), PIPIT_OK);
    pp_config_scope_init(&inner, &outer, &pile);
    for (size_t i = 10; i < 30; i++)
        assert_int_equal(set(&inner, i, MANY + i), PIPIT_OK);
    assert_null(pp_config_scope_find(&inner, name_of(5)));
    assert_ptr_equal(pp_config_scope_find(&inner, name_of(15))->value, &nodes[MANY + 15].value);
    assert_ptr_equal(pp_config_scope_find(&outer, name_of(15))->value, &nodes[15].value);
    assert_int_equal(pp_config_scope_close(&inner, &arena, &map), PIPIT_OK);
    pp_config_scope_fini(&inner);
    assert_int_equal(set(&outer, 30, 30), PIPIT_OK);
    assert_ptr_equal(pp_config_scope_find(&outer, name_of(30))->value, &nodes[30].value);
    pp_config_scope_fini(&outer);
    pp_config_scope_pile_fini(&pile);
    pp_arena_fini(&arena);
}

static void test_scope_set_survives_failed_allocations(void **state)
{
    int64_t live = pp_alloc_live();
    pp_config_scope_pile pile;
    pp_config_scope scope;

    (void)state;
    pp_config_scope_pile_init(&pile);
    pp_config_scope_init(&scope, NULL, &pile);
    for (size_t i = 0; i < 200; i++) {
        pipit_err err;

        pp_fault_arm("alloc", 1);
        err = set(&scope, i, i);
        if (pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_ENOMEM);
            assert_null(pp_config_scope_find(&scope, name_of(i)));
            err = set(&scope, i, i);
        }
        assert_int_equal(err, PIPIT_OK);
        for (size_t k = 0; k <= i; k++)
            assert_ptr_equal(pp_config_scope_find(&scope, name_of(k))->value, &nodes[k].value);
    }
    pp_config_scope_fini(&scope);
    pp_config_scope_pile_fini(&pile);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope_keeps_order_and_the_last_of_equal_keys),
        cmocka_unit_test(test_scope_of_one_key_set_again_and_again),
        cmocka_unit_test(test_scopes_inside_each_other_share_the_pile),
        cmocka_unit_test(test_scope_set_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
