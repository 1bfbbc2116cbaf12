/* The table of a connection's subscriptions against a plain list, with the ids clients choose. */
#include "proto/nats/sids.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static pp_sub *new_sub(const char *sid)
{
    pp_sub *sub = pp_sub_new(NULL, pp_str_of(sid), PP_STR(""));

    assert_non_null(sub);
    return sub;
}

static void remove_and_free(pp_nats_sids *sids, pp_sub *sub)
{
    pp_nats_sids_remove(sids, sub);
    pp_sub_free(sub); /* at once: nobody may look at it any more */
}

static void test_sids_empty(void **state)
{
    pp_nats_sids sids = {0};
    uint32_t at = 0;

    (void)state;
    assert_null(pp_nats_sids_find(&sids, PP_STR("1")));
    assert_null(pp_nats_sids_any(&sids, &at));
    pp_nats_sids_fini(&sids);
}

/* Ids are bytes, not numbers: none of these is another. */
static void test_sids_are_bytes(void **state)
{
    static const char *const texts[] = {
        "1",         "01",         "001",        "+1",         "-1",
        "1 ",        "1.0",        "10",         "0",          "00",
        "",          "a",          "A",          "aa",         "99999999999999999999",
        "999999999", "9999999990", "1000000000", "0999999999", "18446744073709551617",
        "\x01",      "\xff\xfe",   "64",         "128"};
    pp_nats_sids sids = {0};
    pp_sub *subs[COUNT_OF(texts)];
    int64_t live_before = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        for (size_t j = i; j < COUNT_OF(texts); j++)
            assert_null(pp_nats_sids_find(&sids, pp_str_of(texts[j])));
        subs[i] = new_sub(texts[i]);
        assert_int_equal(pp_nats_sids_add(&sids, subs[i]), PIPIT_OK);
        for (size_t j = 0; j <= i; j++)
            assert_ptr_equal(pp_nats_sids_find(&sids, pp_str_of(texts[j])), subs[j]);
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        remove_and_free(&sids, subs[i]);
        for (size_t j = 0; j < COUNT_OF(texts); j++)
            assert_ptr_equal(pp_nats_sids_find(&sids, pp_str_of(texts[j])), j > i ? subs[j] : NULL);
    }
    assert_int_equal(pp_alloc_live(), live_before); /* empty, it owns nothing */
}

/* --- against a list ----------------------------------------------------------------------- */

enum { SIDS_MAX = 700 };

/* How a client chooses the nth id. */
typedef void make_sid(unsigned n, char out[24]);

static void counted(unsigned n, char out[24])
{
    (void)snprintf(out, 24, "%u", n);
}

static void spread(unsigned n, char out[24])
{
    (void)snprintf(out, 24, "%u", n * 64 % 999999937);
}

static void padded(unsigned n, char out[24])
{
    (void)snprintf(out, 24, "%0*u", 1 + (int)(n % 12), n / 3);
}

static void random_text(unsigned n, char out[24])
{
    (void)snprintf(out, 24, "%016llx", (unsigned long long)n * 0x9E3779B97F4A7C15u);
}

struct list {
    pp_sub *subs[SIDS_MAX];
    size_t count;
};

static pp_sub *list_find(const struct list *list, pp_str sid)
{
    for (size_t i = 0; i < list->count; i++) {
        if (pp_str_eq(pp_sub_sid(list->subs[i]), sid))
            return list->subs[i];
    }
    return NULL;
}

static void check_any(const pp_nats_sids *sids, const struct list *list, uint32_t *at)
{
    pp_sub *any = pp_nats_sids_any(sids, at);

    if (list->count == 0)
        assert_null(any);
    else
        assert_ptr_equal(list_find(list, pp_sub_sid(any)), any);
}

static void run_against_list(make_sid *make, uint64_t random, unsigned range)
{
    static struct list list;
    pp_nats_sids sids = {0};
    uint32_t at = 0;

    list.count = 0;
    for (unsigned step = 0; step < 30000; step++) {
        char sid[24];
        pp_sub *known;
        /* Waves, so that it grows and shrinks. */
        unsigned adds = step / 2500 % 2 ? 20 : 45;

        make(pp_random_below(&random, range), sid);
        known = list_find(&list, pp_str_of(sid));
        assert_ptr_equal(pp_nats_sids_find(&sids, pp_str_of(sid)), known);
        assert_int_equal(sids.count, list.count);
        if (!known && list.count < SIDS_MAX && pp_random_below(&random, 100) < adds) {
            list.subs[list.count] = new_sub(sid);
            assert_int_equal(pp_nats_sids_add(&sids, list.subs[list.count]), PIPIT_OK);
            list.count++;
        } else if (list.count && pp_random_below(&random, 3) == 0) {
            size_t i = pp_random_below(&random, (uint32_t)list.count);

            remove_and_free(&sids, list.subs[i]);
            list.subs[i] = list.subs[--list.count];
            check_any(&sids, &list, &at);
        }
        assert_true(sids.used >= sids.count);
        if (sids.mask)
            assert_true(sids.used <= sids.mask); /* or looking in vain would never end */
    }
    while (list.count) {
        remove_and_free(&sids, list.subs[--list.count]);
        check_any(&sids, &list, &at);
    }
    assert_null(sids.slots);
}

static void test_sids_hold_what_a_list_holds(void **state)
{
    static make_sid *const makers[] = {counted, spread, padded, random_text};
    uint64_t seed = test_seed("nats_sids");
    int64_t live_before = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(makers); i++) {
        run_against_list(makers[i], seed + i, 900);
        run_against_list(makers[i], seed ^ i, 40);
    }
    assert_int_equal(pp_alloc_live(), live_before);
}

/* --- size --------------------------------------------------------------------------------- */

static void test_sids_give_memory_back(void **state)
{
    enum { COUNT = 20000 };
    static pp_sub *subs[COUNT];
    pp_nats_sids sids = {0};
    char sid[24];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        counted(i, sid);
        subs[i] = new_sub(sid);
        assert_int_equal(pp_nats_sids_add(&sids, subs[i]), PIPIT_OK);
        assert_true(sids.mask < 8 * (i + 1)); /* slots in proportion */
    }
    for (unsigned i = COUNT; i-- > 10;)
        remove_and_free(&sids, subs[i]);
    assert_true(sids.mask < 512);
    for (unsigned i = 0; i < 10; i++) {
        counted(i, sid);
        assert_ptr_equal(pp_nats_sids_find(&sids, pp_str_of(sid)), subs[i]);
        remove_and_free(&sids, subs[i]);
    }
    assert_null(sids.slots);
}

/* Very many lookups in vain meet slots whose bits of the hash agree, and are not taken in. */
static void test_sids_absent_are_not_found(void **state)
{
    enum { COUNT = 50000, LOOKUPS = 300000 };
    static pp_sub *subs[COUNT];
    pp_nats_sids sids = {0};
    char sid[24];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        (i % 2 ? counted : random_text)(i, sid);
        subs[i] = new_sub(sid);
        assert_int_equal(pp_nats_sids_add(&sids, subs[i]), PIPIT_OK);
    }
    for (unsigned i = COUNT; i < COUNT + LOOKUPS; i++) {
        (i % 2 ? counted : random_text)(i, sid);
        assert_null(pp_nats_sids_find(&sids, pp_str_of(sid)));
    }
    for (unsigned i = 0; i < COUNT; i++)
        remove_and_free(&sids, subs[i]);
}

/* One comes, one goes, for ever: ids are never used again, but slots are. */
static void test_sids_churn_does_not_grow(void **state)
{
    enum { LIVE = 20 };
    pp_sub *subs[LIVE] = {0};
    pp_nats_sids sids = {0};
    char sid[24];

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        unsigned at = i % LIVE;

        if (subs[at])
            remove_and_free(&sids, subs[at]);
        counted(i, sid);
        subs[at] = new_sub(sid);
        assert_int_equal(pp_nats_sids_add(&sids, subs[at]), PIPIT_OK);
        assert_true(sids.mask < 128);
    }
    for (unsigned i = 0; i < LIVE; i++)
        remove_and_free(&sids, subs[i]);
}

/* Taking any, again and again, comes to an end in a number of steps that is in proportion. */
static void test_sids_any_empties_it(void **state)
{
    enum { COUNT = 5000 };
    pp_nats_sids sids = {0};
    uint32_t at = 0;
    char sid[24];
    unsigned taken = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        random_text(i, sid);
        assert_int_equal(pp_nats_sids_add(&sids, new_sub(sid)), PIPIT_OK);
    }
    for (pp_sub *sub; (sub = pp_nats_sids_any(&sids, &at)); taken++)
        remove_and_free(&sids, sub);
    assert_int_equal(taken, COUNT);
}

static void test_sids_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();
    unsigned nth;

    (void)state;
    for (nth = 1;; nth++) {
        pp_nats_sids sids = {0};
        pp_sub *subs[100];
        bool fired;

        for (unsigned i = 0; i < 100; i++) {
            char sid[24];

            counted(i, sid);
            subs[i] = new_sub(sid);
        }
        pp_fault_arm("alloc", nth);
        for (unsigned i = 0; i < 100; i++) {
            if (pp_nats_sids_add(&sids, subs[i]) == PIPIT_OK)
                continue;
            assert_null(pp_nats_sids_find(&sids, pp_sub_sid(subs[i])));
            assert_int_equal(pp_nats_sids_add(&sids, subs[i]), PIPIT_OK); /* once more */
        }
        for (unsigned i = 0; i < 100; i++)
            assert_ptr_equal(pp_nats_sids_find(&sids, pp_sub_sid(subs[i])), subs[i]);
        for (unsigned i = 0; i < 100; i++) /* never fails */
            remove_and_free(&sids, subs[i]);
        fired = pp_fault_disarm();
        assert_null(sids.slots);
        assert_int_equal(pp_alloc_live(), live_before);
        if (!fired)
            break;
    }
    assert_true(nth > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sids_empty),
        cmocka_unit_test(test_sids_are_bytes),
        cmocka_unit_test(test_sids_hold_what_a_list_holds),
        cmocka_unit_test(test_sids_give_memory_back),
        cmocka_unit_test(test_sids_absent_are_not_found),
        cmocka_unit_test(test_sids_churn_does_not_grow),
        cmocka_unit_test(test_sids_any_empties_it),
        cmocka_unit_test(test_sids_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
