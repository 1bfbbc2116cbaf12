/* Pieces of output: pooled, made to measure, copied, or views of a body. */
#include "net/chunk.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_chunk_take_is_empty_and_has_room(void **state)
{
    static const size_t lens[] = {0, 1, 16000, 16384, 16385, 1000000};
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        pp_chunk *chunk = pp_chunk_take(&pool, lens[i]);

        assert_non_null(chunk);
        assert_true(chunk->cap >= lens[i]);
        assert_int_equal(chunk->len, 0);
        assert_ptr_equal(chunk->ptr, chunk->bytes);
        assert_null(chunk->next);
        assert_null(chunk->body);
        memset(chunk->bytes, 'x', chunk->cap + PP_CHUNK_SLACK); /* all of it can be written */
        pp_chunk_give(&pool, chunk);
    }
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live_before);
}

static void test_chunk_pool_takes_back(void **state)
{
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();
    pp_chunk *chunk = pp_chunk_take(&pool, 10), *again, *large;

    (void)state;
    /* As after a part of it was sent. */
    chunk->len = 5;
    chunk->ptr = chunk->bytes + 5;
    chunk->next = chunk;
    pp_chunk_give(&pool, chunk);
    assert_int_equal(pool.count, 1);
    pp_fault_arm("alloc", 1); /* the steady state allocates nothing */
    again = pp_chunk_take(&pool, 100);
    assert_ptr_equal(again, chunk);
    assert_int_equal(again->len, 0);
    assert_ptr_equal(again->ptr, again->bytes);
    assert_null(again->next);
    assert_int_equal(pool.count, 0);
    assert_null(pp_chunk_take(&pool, 100));
    assert_true(pp_fault_disarm());
    large = pp_chunk_take(&pool, 1 << 20);
    pp_chunk_give(&pool, large); /* not worth keeping */
    assert_int_equal(pool.count, 0);
    pp_chunk_give(NULL, again);
    assert_int_equal(pp_alloc_live(), live_before);
    pp_chunk_pool_fini(&pool);
}

static void test_chunk_pool_has_an_end(void **state)
{
    enum { COUNT = PP_CHUNK_POOL_MAX + 50 };
    static pp_chunk *chunks[COUNT];
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        chunks[i] = pp_chunk_take(&pool, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_non_null(chunks[i]);
        pp_chunk_give(&pool, chunks[i]);
    }
    assert_true(pool.count <= PP_CHUNK_POOL_MAX);
    assert_int_equal(pp_alloc_live() - live_before, pool.count);
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live_before);
    assert_int_equal(pool.count, 0);
}

static void test_chunk_small_is_pooled_apart(void **state)
{
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();
    pp_chunk *small = pp_chunk_take_small(&pool, 100), *pooled, *again;

    (void)state;
    assert_true(small->cap >= 100 && small->cap < PP_CHUNK_SMALL_BYTES);
    memset(small->bytes, 'x', small->cap + PP_CHUNK_SLACK);
    pooled = pp_chunk_take_small(&pool, PP_CHUNK_SMALL_BYTES); /* does not fit into a small one */
    assert_true(pooled->cap >= PP_CHUNK_SMALL_BYTES);
    pp_chunk_give(&pool, pooled);
    pp_chunk_give(&pool, small);
    assert_int_equal(pool.count, 1);
    assert_int_equal(pool.small_count, 1);
    assert_int_equal(pp_chunk_pool_bytes(&pool), PP_CHUNK_BYTES + PP_CHUNK_SMALL_BYTES);
    pp_fault_arm("alloc", 1);
    again = pp_chunk_take_small(&pool, 1);
    assert_ptr_equal(again, small);
    (void)pp_fault_disarm();
    pp_chunk_give(&pool, again);
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live_before);
}

static void test_chunk_grows(void **state)
{
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();
    pp_chunk *chunk = pp_chunk_take_small(&pool, 3), *grown;

    (void)state;
    memcpy(chunk->bytes, "abc", 3);
    chunk->len = 3;
    pp_fault_arm("alloc", 1);
    assert_null(pp_chunk_grow(&pool, chunk, 2000));
    assert_true(pp_fault_disarm());
    assert_int_equal(chunk->len, 3);
    grown = pp_chunk_grow(&pool, chunk, 100000);
    assert_non_null(grown);
    assert_true(grown->cap >= 100003);
    assert_int_equal(grown->len, 3);
    assert_memory_equal(grown->ptr, "abc", 3);
    assert_int_equal(pool.small_count, 1);
    pp_chunk_give(&pool, grown);
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live_before);
}

/* A copy may have just the capacity of pooled chunks, and end in the pool. */
static void test_chunk_in_the_pool_has_slack(void **state)
{
    pp_chunk_pool pool = {0};
    pp_chunk *taken[] = {pp_chunk_take(&pool, 1), pp_chunk_take_small(&pool, 1)};
    int64_t live_before = pp_alloc_live() - 2;
    char *bytes = calloc(1, PP_CHUNK_BYTES);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        size_t cap = taken[i]->cap;
        pp_chunk *copy = pp_chunk_copy(bytes, cap);

        pp_chunk_give(&pool, copy);
        copy = i ? pp_chunk_take_small(&pool, 1) : pp_chunk_take(&pool, 1);
        memset(copy->bytes, 'x', copy->cap + PP_CHUNK_SLACK); /* sanitizers see to it */
        pp_chunk_give(NULL, copy);
        pp_chunk_give(NULL, taken[i]);
    }
    free(bytes);
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live_before);
}

static void test_chunk_copy(void **state)
{
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();
    char bytes[] = "abcdef";
    pp_chunk *chunk = pp_chunk_copy(bytes, 6);

    (void)state;
    assert_non_null(chunk);
    memset(bytes, '?', sizeof(bytes));
    assert_int_equal(chunk->len, 6);
    assert_memory_equal(chunk->ptr, "abcdef", 6);
    pp_chunk_give(&pool, chunk);
    assert_int_equal(pool.count, 0); /* not of the pool's size */
    pp_fault_arm("alloc", 1);
    assert_null(pp_chunk_copy("x", 1));
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_alloc_live(), live_before);
    pp_chunk_pool_fini(&pool);
}

static void test_chunk_view_holds_its_body(void **state)
{
    pp_chunk_pool pool = {0};
    int64_t live_before = pp_alloc_live();
    pp_body *body = pp_body_new(100);
    pp_chunk *first, *second;

    (void)state;
    assert_non_null(body);
    memcpy(body->bytes + 10, "abc", 3);
    pp_fault_arm("alloc", 1);
    assert_null(pp_chunk_view(body, body->bytes, 1));
    assert_true(pp_fault_disarm());
    assert_int_equal(atomic_load(&body->refs), 1); /* no reference lost */
    first = pp_chunk_view(body, body->bytes + 10, 3);
    second = pp_chunk_view(body, body->bytes, 100);
    assert_int_equal(atomic_load(&body->refs), 3);
    pp_body_unref(body);
    pp_chunk_give(&pool, second);
    assert_int_equal(pool.count, 0);
    assert_int_equal(first->len, 3);
    assert_memory_equal(first->ptr, "abc", 3);
    pp_chunk_give(NULL, first);
    assert_int_equal(pp_alloc_live(), live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk_take_is_empty_and_has_room),
        cmocka_unit_test(test_chunk_pool_takes_back),
        cmocka_unit_test(test_chunk_pool_has_an_end),
        cmocka_unit_test(test_chunk_small_is_pooled_apart),
        cmocka_unit_test(test_chunk_grows),
        cmocka_unit_test(test_chunk_in_the_pool_has_slack),
        cmocka_unit_test(test_chunk_copy),
        cmocka_unit_test(test_chunk_view_holds_its_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
