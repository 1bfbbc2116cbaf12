#include "core/sub.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static char client_body;
static struct pp_client *const client = (struct pp_client *)(void *)&client_body;

static void test_sub_keeps_copies_of_its_texts(void **state)
{
    static const struct {
        pp_str sid, queue;
    } cases[] = {
        {{"1", 1}, {NULL, 0}},     {{"1", 1}, {"", 0}},          {{"9999999", 7}, {"workers", 7}},
        {{"s\0d", 3}, {"q\0", 2}}, {{"a.*.>", 5}, {"q.*.>", 5}},
    };
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char sid[16], queue[16];
        pp_sub *sub;

        memcpy(sid, cases[i].sid.ptr, cases[i].sid.len);
        if (cases[i].queue.len)
            memcpy(queue, cases[i].queue.ptr, cases[i].queue.len);
        sub = pp_sub_new(client, (pp_str){sid, cases[i].sid.len},
                         (pp_str){cases[i].queue.ptr ? queue : NULL, cases[i].queue.len});
        memset(sid, 'x', sizeof(sid));
        memset(queue, 'x', sizeof(queue));
        assert_non_null(sub);
        assert_ptr_equal(sub->client, client);
        assert_null(sub->pattern);
        assert_int_equal(atomic_load(&sub->remaining), PP_SUB_UNLIMITED);
        assert_true(pp_str_eq(pp_sub_sid(sub), cases[i].sid));
        assert_true(pp_str_eq(pp_sub_queue(sub), cases[i].queue));
        assert_int_equal(pp_sub_delivered(sub), 0);
        pp_sub_free(sub);
    }
    pp_sub_free(NULL);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_sub_takes_the_longest_texts(void **state)
{
    static char text[UINT16_MAX];
    pp_str longest = {text, sizeof(text)};
    pp_sub *sub;

    (void)state;
    memset(text, 'z', sizeof(text));
    text[0] = 'a';
    text[sizeof(text) - 1] = 'b';
    sub = pp_sub_new(client, longest, longest);
    assert_non_null(sub);
    assert_true(pp_str_eq(pp_sub_sid(sub), longest));
    assert_true(pp_str_eq(pp_sub_queue(sub), longest));
    pp_sub_free(sub);
}

static void test_sub_has_one_tap_for_each_router(void **state)
{
    int64_t live = pp_alloc_live();
    pp_sub *sub = pp_sub_new(client, PP_STR("1"), PP_STR(""));
    pp_tap *taps[20];

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(taps); i++) {
        taps[i] = pp_sub_tap(sub, i);
        assert_non_null(taps[i]);
        assert_int_equal(taps[i]->router_index, i);
        atomic_fetch_add(&taps[i]->delivered, i);
    }
    for (uint32_t i = 0; i < COUNT_OF(taps); i++)
        assert_ptr_equal(pp_sub_tap(sub, i), taps[i]);
    assert_int_equal(pp_alloc_live(), live + 1 + (int64_t)COUNT_OF(taps));
    assert_int_equal(pp_sub_delivered(sub), 19 * 20 / 2);
    pp_sub_free(sub);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_sub_without_memory(void **state)
{
    int64_t live = pp_alloc_live();
    pp_sub *sub;

    (void)state;
    pp_fault_arm("*", 1);
    assert_null(pp_sub_new(client, PP_STR("1"), PP_STR("q")));
    assert_true(pp_fault_disarm());
    assert_int_equal(pp_alloc_live(), live);
    sub = pp_sub_new(client, PP_STR("1"), PP_STR("q"));
    pp_fault_arm("*", 1);
    assert_null(pp_sub_tap(sub, 3));
    assert_true(pp_fault_disarm());
    assert_non_null(pp_sub_tap(sub, 3));
    assert_int_equal(pp_sub_delivered(sub), 0);
    pp_sub_free(sub);
    assert_int_equal(pp_alloc_live(), live);
}

/* ---- loops that come to one subscription at the same time ---- */

enum { LOOPS = 4, ROUNDS = 500 };

struct loop {
    pp_sub *sub;
    uint32_t index;
    pthread_barrier_t *start;
    pp_tap *tap;
    bool failed;
};

static void *deliver(void *arg)
{
    struct loop *loop = arg;

    (void)pthread_barrier_wait(loop->start);
    loop->tap = pp_sub_tap(loop->sub, loop->index);
    for (int i = 0; i < 10 && loop->tap; i++) {
        uint64_t delivered = atomic_load_explicit(&loop->tap->delivered, memory_order_relaxed);

        atomic_store_explicit(&loop->tap->delivered, delivered + 1, memory_order_relaxed);
        loop->failed |= pp_sub_tap(loop->sub, loop->index) != loop->tap;
        loop->failed |= pp_sub_delivered(loop->sub) < delivered + 1;
    }
    loop->failed |= !loop->tap;
    return NULL;
}

static void test_sub_taps_of_many_loops_do_not_get_lost(void **state)
{
    int64_t live = pp_alloc_live();
    pthread_barrier_t start;

    (void)state;
    assert_int_equal(pthread_barrier_init(&start, NULL, LOOPS), 0);
    for (int round = 0; round < ROUNDS; round++) {
        pp_sub *sub = pp_sub_new(client, PP_STR("1"), PP_STR(""));
        struct loop loops[LOOPS];
        pthread_t threads[LOOPS];

        assert_non_null(sub);
        for (uint32_t i = 0; i < LOOPS; i++) {
            loops[i] = (struct loop){.sub = sub, .index = i, .start = &start};
            assert_int_equal(pthread_create(&threads[i], NULL, deliver, &loops[i]), 0);
        }
        for (uint32_t i = 0; i < LOOPS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_false(loops[i].failed);
        }
        assert_int_equal(pp_sub_delivered(sub), 10 * LOOPS);
        pp_sub_free(sub);
    }
    (void)pthread_barrier_destroy(&start);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sub_keeps_copies_of_its_texts),
        cmocka_unit_test(test_sub_takes_the_longest_texts),
        cmocka_unit_test(test_sub_has_one_tap_for_each_router),
        cmocka_unit_test(test_sub_without_memory),
        cmocka_unit_test(test_sub_taps_of_many_loops_do_not_get_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
