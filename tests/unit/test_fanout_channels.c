/* The channels that exist, and the subscriptions of one client, against plain arrays. */
#include "proto/fanout/channels.h"
#include "proto/fanout/subs.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NAMES = 300, STEPS = 20000 };

static pp_str name_of(unsigned n, char text[32])
{
    return (pp_str){text, (size_t)snprintf(text, 32, "%0*u", (int)(1 + n % 7), n)};
}

static void test_channels_are_counted_once(void **state)
{
    unsigned held[NAMES] = {0}, there = 0;
    uint64_t random = 7;
    pp_fanout_channels channels;
    int64_t live = pp_alloc_live();
    char text[32];

    (void)state;
    pp_fanout_channels_init(&channels);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = pp_random_below(&random, NAMES);
        bool leaves = held[n] && pp_random_below(&random, 2);

        if (leaves) {
            pp_fanout_channels_leave(&channels, name_of(n, text));
            there -= --held[n] == 0;
        } else {
            assert_int_equal(pp_fanout_channels_enter(&channels, name_of(n, text), NAMES), 0);
            there += held[n]++ == 0;
        }
        assert_int_equal(atomic_load(&channels.count), there);
    }
    for (unsigned n = 0; n < NAMES; n++) {
        while (held[n]--)
            pp_fanout_channels_leave(&channels, name_of(n, text));
    }
    pp_fanout_channels_fini(&channels);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_channels_have_a_limit(void **state)
{
    pp_fanout_channels channels;

    (void)state;
    pp_fanout_channels_init(&channels);
    assert_int_equal(pp_fanout_channels_enter(&channels, PP_STR("a"), 1), PIPIT_OK);
    assert_int_equal(pp_fanout_channels_enter(&channels, PP_STR("b"), 1), PIPIT_ELIMIT);
    assert_int_equal(pp_fanout_channels_enter(&channels, PP_STR("a"), 1), PIPIT_OK);
    pp_fanout_channels_leave(&channels, PP_STR("a"));
    pp_fanout_channels_leave(&channels, PP_STR("a"));
    assert_int_equal(pp_fanout_channels_enter(&channels, PP_STR("b"), 1), PIPIT_OK);
    pp_fanout_channels_leave(&channels, PP_STR("b"));
    pp_fanout_channels_fini(&channels);
}

static void test_channels_survive_without_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_fanout_channels channels;
        int64_t live = pp_alloc_live();
        pipit_err err;
        bool fired;

        pp_fanout_channels_init(&channels);
        pp_fault_arm("*", nth);
        err = pp_fanout_channels_enter(&channels, PP_STR("a"), 10);
        fired = pp_fault_disarm();
        assert_int_equal(err, fired ? PIPIT_ENOMEM : PIPIT_OK);
        if (!err)
            pp_fanout_channels_leave(&channels, PP_STR("a"));
        pp_fanout_channels_fini(&channels);
        assert_int_equal(pp_alloc_live(), live);
        if (!fired)
            break;
    }
}

static void test_subs_are_found_by_channel(void **state)
{
    pp_sub *made[NAMES] = {NULL};
    pp_fanout_subs subs = {0};
    uint64_t random = 11;
    char text[32];

    (void)state;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = pp_random_below(&random, NAMES);

        assert_ptr_equal(pp_fanout_subs_find(&subs, name_of(n, text)), made[n]);
        if (made[n]) {
            pp_fanout_subs_remove(&subs, made[n]);
            pp_sub_free(made[n]);
            made[n] = NULL;
        } else {
            made[n] = pp_sub_new(NULL, name_of(n, text), PP_STR(""));
            assert_non_null(made[n]);
            assert_int_equal(pp_fanout_subs_add(&subs, made[n]), PIPIT_OK);
        }
    }
    while (subs.count) {
        pp_sub *last = subs.row[subs.count - 1];

        pp_fanout_subs_remove(&subs, last);
        pp_sub_free(last);
    }
    pp_fanout_subs_fini(&subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_are_counted_once),
        cmocka_unit_test(test_channels_have_a_limit),
        cmocka_unit_test(test_channels_survive_without_memory),
        cmocka_unit_test(test_subs_are_found_by_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
