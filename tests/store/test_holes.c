/* Sequences have gaps, messages are gone, their room was given back, and then footers are damaged:
 * the index is made again of what records there are, once. What was gone stays so. */
#include "bad_disk.h"
#include "folder.h"
#include "holey.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KEPT = 10 };

static void check_and_empty(pp_store *store)
{
    const struct pp_store_limits limits = {.messages = KEPT};
    struct pp_store_state told;
    unsigned so_far;

    bad_disk()->whole_reads = 0;
    holey_read_all(store);
    so_far = bad_disk()->whole_reads;
    assert_true(so_far > 0);
    holey_read_all(store);
    assert_int_equal(bad_disk()->whole_reads, so_far); /* each was made again once */
    assert_int_equal(holey_messages_of(store), holey_count_left());
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    pp_store_run(store);
    pp_store_state(store, &told);
    assert_int_equal(told.messages, KEPT);
    assert_int_equal(told.first_seq, (HOLEY_MESSAGES - KEPT + 1) * HOLEY_STEP);
}

/* The footers are damaged while the store is open. */
static void damage_open_one(const char *name, holey_part part)
{
    int64_t live = pp_alloc_live();
    pp_store *store = holey_make(name);

    assert_int_equal(holey_messages_of(store), holey_count_left());
    pp_store_close(store);
    store = holey_open(name); /* nothing of it is in memory */
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    holey_damage(name, part);
    check_and_empty(store);
    pp_store_close(store);
    store = holey_open(name);
    assert_int_equal(holey_messages_of(store), KEPT);
    pp_store_close(store);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_an_index_with_holes_is_made_again_once(void **state)
{
    (void)state;
    damage_open_one("index", HOLEY_INDEX);
}

static void test_deletes_are_found_without_footers(void **state)
{
    (void)state;
    damage_open_one("front", HOLEY_FRONT);
}

/* What is dead is not known any more: nothing is served that might be, and it is not tried again.
 */
static void test_what_does_not_fit_is_tried_once(void **state)
{
    struct pp_store_message message;
    pp_store *store = holey_make("misfit");
    unsigned so_far;

    (void)state;
    pp_store_close(store);
    store = holey_open("misfit");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    holey_damage("misfit", HOLEY_FRONT_AND_DELETES);
    bad_disk()->whole_reads = 0;
    assert_int_equal(pp_store_read(store, HOLEY_STEP, &message), PIPIT_EIO);
    so_far = bad_disk()->whole_reads;
    assert_true(so_far > 0);
    assert_int_equal(pp_store_read(store, 20 * HOLEY_STEP, &message), PIPIT_EIO);
    assert_int_equal(bad_disk()->whole_reads, so_far);
    assert_int_equal(pp_store_read(store, 300 * HOLEY_STEP, &message), PIPIT_OK);
    assert_int_equal(holey_messages_of(store), holey_count_left());
    pp_store_close(store);
}

static void test_a_store_with_holes_opens_without_indexes(void **state)
{
    pp_store *store = holey_make("closed");

    (void)state;
    pp_store_close(store);
    holey_damage("closed", HOLEY_INDEX);
    bad_disk()->whole_reads = 0;
    store = holey_open("closed");
    assert_true(bad_disk()->whole_reads > 0);
    assert_int_equal(holey_messages_of(store), holey_count_left());
    holey_read_all(store);
    pp_store_close(store);
}

/* --- footers under way ---------------------------------------------------------------------- */

/* Append until the last segment is full and the file of the next one is there. Answers the message
 * that begins it. */
static unsigned fill_with_pool(pp_store *store, unsigned from, unsigned least)
{
    for (unsigned n = from;; n++) {
        unsigned before = bad_disk_reservations();
        pipit_err err = holey_try_append(store, n);

        if (err == PIPIT_EAGAIN) {
            bad_disk_await_reservation(before);
            assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
            if (n > least)
                return n;
            err = holey_try_append(store, n);
        }
        assert_int_equal(err, PIPIT_OK);
    }
}

/* A segment is full and has its footer only in memory when an index is made again of what it
 * deletes: that is not forgotten. */
static void test_deletes_are_known_while_their_footer_is_written(void **state)
{
    enum { FIRST = 20, LAST = 39, LOOKED_AT = 140 };
    struct pp_store_options options = {.disk = &bad_disk()->disk,
                                       .segment_bytes = 64 * 1024,
                                       .index_bytes = 1,
                                       .on_progress = bad_disk_on_progress};
    struct pp_store_message message;
    pp_store *store;
    unsigned n;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &options.pool), PIPIT_OK);
    store = folder_open("pending", &options);
    n = fill_with_pool(store, 1, HOLEY_MESSAGES / 2);
    pp_store_close(store);
    store = folder_open("pending", &options); /* no index is in memory */
    n = fill_with_pool(store, n, n);
    bad_disk_shut(true);
    for (unsigned gone = FIRST; gone <= LAST; gone++)
        assert_int_equal(pp_store_delete(store, gone * HOLEY_STEP, false), PIPIT_OK);
    assert_int_equal(holey_try_append(store, n), PIPIT_OK);
    holey_let_indexes_go(store, HOLEY_MESSAGES / 4);
    holey_damage("pending", HOLEY_INDEX);
    bad_disk()->whole_reads = 0;
    for (n = 1; n <= LOOKED_AT; n++) {
        pipit_err err = pp_store_read(store, n * HOLEY_STEP, &message);

        if (n >= FIRST && n <= LAST)
            assert_int_equal(err, PIPIT_ENOTFOUND);
        else if (n != HOLEY_BODY_LOST && n != HOLEY_HEAD_LOST)
            assert_int_equal(err, PIPIT_OK);
    }
    assert_int_equal(bad_disk()->whole_reads, 1); /* what the last ones delete is in memory */
    bad_disk_shut(false);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_close(store);
    pp_store_pool_free(options.pool);
}

/* --- what was dead before its segment ended -------------------------------------------------- */

/* Of one subject only one message is left, and the others were gone before their segments ended. */
static void dead_before_the_end(const char *name, unsigned step)
{
    struct pp_store_message message = {.payload = PP_STR("x")};
    struct pp_store_subject told;
    pp_store *store = holey_open(name);
    unsigned live = HOLEY_MESSAGES / 2 + 1;

    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++) {
        bool rare = n % 4 == live % 4;

        message = (struct pp_store_message){.seq = n * step,
                                            .time_ns = n,
                                            .subject = rare ? PP_STR("rare") : PP_STR("often"),
                                            .payload = PP_STR("some bytes that fill a segment")};
        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (rare && n != live)
            assert_int_equal(pp_store_delete(store, n * step, false), PIPIT_OK);
        if (n % 50 == 0)
            pp_store_run(store);
    }
    pp_store_close(store);
    holey_damage(name, HOLEY_INDEX);
    bad_disk()->whole_reads = 0;
    store = holey_open(name);
    assert_true(bad_disk()->whole_reads > 0);
    assert_int_equal(pp_store_subject(store, PP_STR("rare"), &told), PIPIT_OK);
    assert_int_equal(told.messages, 1);
    assert_int_equal(pp_store_subject(store, PP_STR("often"), &told), PIPIT_OK);
    assert_int_equal(told.messages, HOLEY_MESSAGES / 4 * 3);
    assert_int_equal(holey_messages_of(store), HOLEY_MESSAGES / 4 * 3 + 1);
    assert_int_equal(pp_store_next(store, PP_STR("rare"), 0, &message), PIPIT_OK);
    assert_int_equal(message.seq, live * step);
    pp_store_close(store);
}

static void test_what_was_dead_before_the_end_is_counted_once(void **state)
{
    (void)state;
    dead_before_the_end("dense", 1);
    dead_before_the_end("gaps", HOLEY_STEP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_index_with_holes_is_made_again_once),
        cmocka_unit_test(test_deletes_are_found_without_footers),
        cmocka_unit_test(test_what_does_not_fit_is_tried_once),
        cmocka_unit_test(test_a_store_with_holes_opens_without_indexes),
        cmocka_unit_test(test_deletes_are_known_while_their_footer_is_written),
        cmocka_unit_test(test_what_was_dead_before_the_end_is_counted_once),
    };

    return cmocka_run_group_tests(tests, bad_disk_make, folder_remove);
}
