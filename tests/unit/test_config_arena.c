#include "config/arena.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_arena_pieces_are_aligned_and_apart(void **state)
{
    pp_arena arena;
    char *last = NULL;
    int64_t live = pp_alloc_live();

    (void)state;
    pp_arena_init(&arena, 1 << 20);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        void *piece;

        assert_int_equal(pp_arena_take(&arena, bytes, &piece), PIPIT_OK);
        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        memset(piece, 0x55, bytes);
        if (last && bytes > 1)
            assert_int_equal(last[0], 0x55);
        last = piece;
    }
    pp_arena_fini(&arena);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_arena_takes_pieces_larger_than_a_chunk(void **state)
{
    pp_arena arena;
    void *piece;

    (void)state;
    pp_arena_init(&arena, 16 << 20);
    assert_int_equal(pp_arena_take(&arena, 5 << 20, &piece), PIPIT_OK);
    memset(piece, 1, 5 << 20);
    assert_int_equal(pp_arena_take(&arena, 1, &piece), PIPIT_OK);
    pp_arena_fini(&arena);
}

static void test_arena_is_bounded(void **state)
{
    pp_arena arena;
    void *piece;
    size_t taken = 0;
    int64_t live = pp_alloc_live();

    (void)state;
    pp_arena_init(&arena, 10000);
    assert_int_equal(pp_arena_take(&arena, SIZE_MAX, &piece), PIPIT_ETOOBIG);
    assert_int_equal(pp_arena_take(&arena, 10001, &piece), PIPIT_ETOOBIG);
    assert_int_equal(pp_alloc_live(), live); /* refused before anything is allocated */
    while (pp_arena_take(&arena, 100, &piece) == PIPIT_OK)
        taken += 100;
    assert_in_range(taken, 8000, 10000);
    assert_true(arena.used_bytes <= 10000);
    pp_arena_fini(&arena);
}

static void test_arena_copies_end_with_nul(void **state)
{
    pp_arena arena;
    pp_str copy;

    (void)state;
    pp_arena_init(&arena, 1000);
    assert_int_equal(pp_arena_copy(&arena, (pp_str){"a\0bc", 3}, &copy), PIPIT_OK);
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b\0", 4);
    assert_int_equal(pp_arena_copy(&arena, (pp_str){NULL, 0}, &copy), PIPIT_OK);
    assert_string_equal(copy.ptr, "");
    pp_arena_fini(&arena);
}

static void test_arena_survives_failed_allocations(void **state)
{
    pp_arena arena;
    void *piece;

    (void)state;
    pp_arena_init(&arena, 1 << 20);
    pp_fault_arm("alloc", 1);
    assert_int_equal(pp_arena_take(&arena, 10, &piece), PIPIT_ENOMEM);
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_arena_take(&arena, 10, &piece), PIPIT_OK);
    pp_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_arena_takes_pieces_larger_than_a_chunk),
        cmocka_unit_test(test_arena_is_bounded),
        cmocka_unit_test(test_arena_copies_end_with_nul),
        cmocka_unit_test(test_arena_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
