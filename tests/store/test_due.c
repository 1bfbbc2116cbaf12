/* Messages that go by time, where the disk does not give some of them: the others go, and these do
 * when it gives them again. */
#include "bad_disk.h"
#include "folder.h"
#include "still_clock.h"

#include "store/store.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum {
    MESSAGES = 2000,
    PAYLOAD_BYTES = 300,
    LIFE_NS = 1000, /* of each message */
    NOW_NS = 2 * MESSAGES + LIFE_NS,
    AT_ONCE = 64,
    BLOCK_BYTES = 64 * 1024, /* that are read at once */
    SMALL_BYTES = 256 * 1024,
    LARGE_BYTES = 1024 * 1024, /* of segments */
    SWEEP_NS = 250 * 1000 * 1000,
    PAUSE_S = 60, /* longer than any pause is */
    WAIT_S = 60,
};

/* --- a store --------------------------------------------------------------------------------- */

static pp_store *open_in(const char *name, int64_t age_ns, pp_store_pool *readers)
{
    const struct pp_store_options options = {.disk = &bad_disk()->disk,
                                             .readers = readers,
                                             .segment_bytes = SMALL_BYTES,
                                             .index_bytes = 1,
                                             .on_progress = bad_disk_on_progress,
                                             .limits = {.age_ns = age_ns}};

    return folder_open(name, &options);
}

/* With large segments; what has been loaded of an index stays. */
static pp_store *open_large(const char *name, int64_t age_ns)
{
    const struct pp_store_options options = {
        .disk = &bad_disk()->disk, .segment_bytes = LARGE_BYTES, .limits = {.age_ns = age_ns}};

    return folder_open(name, &options);
}

/* The nth comes at n and goes LIFE_NS later, by age or by its own time. */
static void append_all(pp_store *store, unsigned messages, bool timed)
{
    static const char payload[PAYLOAD_BYTES];

    for (unsigned n = 1; n <= messages; n++) {
        const struct pp_store_message message = {.time_ns = n,
                                                 .expires_ns = timed ? n + LIFE_NS : 0,
                                                 .subject = PP_STR("due.test"),
                                                 .payload = {payload, sizeof(payload)}};

        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (n % 100 == 0)
            pp_store_run(store);
    }
    pp_store_run(store);
}

static void fill(const char *name, bool timed)
{
    pp_store *store = open_in(name, 0, NULL);
    struct pp_store_state told;

    append_all(store, MESSAGES, timed);
    pp_store_state(store, &told);
    assert_true(told.segments > 2);
    pp_store_close(store);
}

static ino_t first_file(const char *name)
{
    char file[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES];
    struct stat about;

    (void)snprintf(file, sizeof(file), "%s/0000000001.seg", name);
    folder_path(file, path);
    assert_int_equal(stat(path, &about), 0);
    return about.st_ino;
}

static uint64_t messages_of(pp_store *store)
{
    struct pp_store_state told;

    pp_store_state(store, &told);
    return told.messages;
}

/* What can go does, with a bounded number of calls. Answers how the last one ended. */
static pipit_err expire(pp_store *store)
{
    struct pp_store_progress progress;
    uint32_t count = AT_ONCE;
    pipit_err err = PIPIT_OK;

    for (unsigned calls = 0; calls < 4 * MESSAGES / AT_ONCE && (count || err == PIPIT_EAGAIN);
         calls++) {
        pp_store_progress(store, &progress);
        err = pp_store_expire(store, NOW_NS, AT_ONCE, &count);
        if (err == PIPIT_EAGAIN)
            bad_disk_await_read(store, progress.reads);
    }
    assert_int_equal(count, 0);
    pp_store_run(store);
    return err;
}

/* The disk gives all again, and all that is there goes. Where others read, they are asked first. */
static void expire_again(pp_store *store)
{
    int64_t until_ns = pp_clock_wall_ns() + WAIT_S * PP_NS_PER_S;

    do {
        assert_true(pp_clock_wall_ns() < until_ns);
        (void)sched_yield();
        still_clock_forward(PAUSE_S * PP_NS_PER_S);
    } while (expire(store));
    assert_int_equal(messages_of(store), 0);
}

/* --- tests ----------------------------------------------------------------------------------- */

/* Nothing of the first file can be read. */
static void lose_segment(const char *name, bool timed, pp_store_pool *readers)
{
    int64_t live = pp_alloc_live();
    struct pp_store_progress progress;
    struct pp_store_message message;
    pp_store *store;
    uint64_t left;
    unsigned reads;

    fill(name, timed);
    store = open_in(name, timed ? 0 : LIFE_NS, readers);
    bad_disk()->files[0] = first_file(name);
    assert_true(pp_store_next_due(store) <= LIFE_NS + 1);
    assert_int_equal(expire(store), PIPIT_EIO);
    left = messages_of(store);
    assert_in_range(left, 1, MESSAGES / 2);
    assert_int_equal(pp_store_next(store, PP_STR(">"), left + 1, &message), PIPIT_ENOTFOUND);
    /* It is asked for again, but not before its time. */
    assert_true(pp_store_next_due(store) < INT64_MAX);
    reads = bad_disk()->bad_reads;
    assert_int_equal(expire(store), PIPIT_EIO);
    assert_int_equal(bad_disk()->bad_reads, reads);
    pp_store_progress(store, &progress);
    still_clock_forward(PAUSE_S * PP_NS_PER_S);
    assert_int_equal(expire(store), PIPIT_EIO);
    if (readers)
        bad_disk_await_read(store, progress.reads);
    assert_true(bad_disk()->bad_reads > reads);
    assert_int_equal(messages_of(store), left);
    bad_disk_lose(0, 0);
    expire_again(store);
    assert_int_equal(pp_store_next_due(store), INT64_MAX);
    pp_store_close(store);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_an_unreadable_segment_does_not_keep_others_from_their_time(void **state)
{
    (void)state;
    lose_segment("timed", true, NULL);
}

static void test_an_unreadable_segment_does_not_keep_others_from_aging(void **state)
{
    (void)state;
    lose_segment("aged", false, NULL);
}

/* The same where others read. */
static void test_owner_does_not_wait_for_an_unreadable_segment(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    lose_segment("timed-hurried", true, readers);
    lose_segment("aged-hurried", false, readers);
    pp_store_pool_free(readers);
}

/* A file could not be read, and a reader is at it again, who gets no answer. What comes meanwhile
 * goes by its time. */
static void hold_segment(const char *name, bool timed, pp_store_pool *readers)
{
    const struct pp_store_message message = {.time_ns = MESSAGES,
                                             .expires_ns = timed ? MESSAGES + LIFE_NS : 0,
                                             .subject = PP_STR("due.test"),
                                             .payload = PP_STR("meanwhile")};
    ino_t file;
    pp_store *store;
    uint32_t count;

    fill(name, timed);
    file = first_file(name);
    store = open_in(name, timed ? 0 : LIFE_NS, readers);
    bad_disk_lose(0, file);
    assert_int_equal(expire(store), PIPIT_EIO);
    bad_disk_hold(file);
    bad_disk_lose(0, 0);
    still_clock_forward(PAUSE_S * PP_NS_PER_S);
    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
    pp_store_run(store);
    assert_int_equal(pp_store_expire(store, NOW_NS, AT_ONCE, &count), PIPIT_EIO);
    assert_int_equal(count, 1); /* to ask for the state of the store is to wait for the disk */
    bad_disk_hold(0);
    expire_again(store);
    pp_store_close(store);
}

static void test_what_is_tried_again_keeps_nothing_from_going(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    hold_segment("timed-held", true, readers);
    hold_segment("aged-held", false, readers);
    pp_store_pool_free(readers);
}

/* A part of the first file cannot be read: what lies there waits, what lies behind it does not. */
static void test_an_unreadable_part_does_not_keep_others_from_aging(void **state)
{
    struct pp_store_message message;
    uint64_t left = 0;
    pp_store *store;

    (void)state;
    fill("part", false);
    store = open_in("part", LIFE_NS, NULL);
    bad_disk()->parts[0] = (struct bad_disk_part){first_file("part"), BLOCK_BYTES, BLOCK_BYTES + 1};
    assert_int_equal(expire(store), PIPIT_EIO);
    assert_int_equal(expire(store), PIPIT_EIO);
    left = messages_of(store);
    assert_in_range(left, BLOCK_BYTES / 500, BLOCK_BYTES / PAYLOAD_BYTES);
    bad_disk()->parts[0].file = 0;
    still_clock_forward(PAUSE_S * PP_NS_PER_S);
    assert_int_equal(pp_store_next(store, PP_STR(">"), 1, &message), PIPIT_OK);
    assert_true(message.seq > 1);
    assert_int_equal(expire(store), PIPIT_OK);
    assert_int_equal(messages_of(store), 0);
    pp_store_close(store);
}

/* With the calls of so many sweeps, as many messages as can go do. */
static void sweep(pp_store *store, int64_t now_ns, unsigned sweeps)
{
    uint32_t count;

    for (unsigned i = 0; i < sweeps; i++) {
        do
            (void)pp_store_expire(store, now_ns, AT_ONCE, &count);
        while (count == AT_ONCE);
        still_clock_forward(SWEEP_NS);
    }
    pp_store_run(store);
}

/* Of a whole file no block can be read, and its index is in memory: one block after another fails.
 * They are not tried again before what lies behind them has gone, and not each one by itself. */
static void test_many_unreadable_blocks_do_not_keep_others_from_aging(void **state)
{
    enum { MANY = 8000, LATE_NS = MANY + LIFE_NS, SWEEPS = 8, FAILURES = 8, PAUSE_SWEEPS = 64 };
    pp_store *store = open_large("many", 0);
    struct pp_store_message message;
    struct pp_store_state told;
    unsigned reads;
    uint64_t left;

    (void)state;
    append_all(store, MANY, false);
    pp_store_close(store);
    store = open_large("many", LIFE_NS);
    assert_int_equal(pp_store_next(store, PP_STR(">"), 1, &message), PIPIT_OK);
    bad_disk()->files[0] = first_file("many");
    reads = bad_disk()->bad_reads;
    sweep(store, LATE_NS, SWEEPS);
    left = messages_of(store);
    assert_in_range(left, LARGE_BYTES / 500, LARGE_BYTES / PAYLOAD_BYTES);
    pp_store_state(store, &told);
    assert_true(told.segments <= 2);
    assert_in_range(bad_disk()->bad_reads - reads, 2, FAILURES);
    bad_disk()->files[0] = 0;
    sweep(store, LATE_NS, PAUSE_SWEEPS);
    assert_int_equal(messages_of(store), 0);
    pp_store_close(store);
}

/* As much again may wait beside a bad part, and no more. */
static void test_what_waits_beside_a_bad_part_is_no_more_than_that(void **state)
{
    enum { MANY = 8000, LATE_NS = MANY + LIFE_NS, SWEEPS = 8, BLOCKS = 4 };
    pp_store *store = open_large("beside", 0);

    (void)state;
    append_all(store, MANY, false);
    pp_store_close(store);
    store = open_large("beside", LIFE_NS);
    bad_disk()->parts[0] =
        (struct bad_disk_part){first_file("beside"), 2 * BLOCK_BYTES, (2 + BLOCKS) * BLOCK_BYTES};
    sweep(store, LATE_NS, SWEEPS);
    assert_in_range(messages_of(store), BLOCKS * BLOCK_BYTES / 500,
                    2 * BLOCKS * BLOCK_BYTES / PAYLOAD_BYTES);
    bad_disk()->parts[0].file = 0;
    pp_store_close(store);
}

/* Whether something can be read does not matter before it is due. */
static void test_what_is_not_due_is_not_passed_over(void **state)
{
    pp_store *store = open_large("early", 0);
    struct pp_store_message message;
    uint32_t count;

    (void)state;
    append_all(store, MESSAGES, false);
    pp_store_close(store);
    store = open_large("early", LIFE_NS);
    assert_int_equal(pp_store_next(store, PP_STR(">"), MESSAGES, &message), PIPIT_OK);
    bad_disk_lose(0, first_file("early"));
    assert_int_equal(pp_store_expire(store, LIFE_NS, AT_ONCE, &count), PIPIT_OK);
    assert_int_equal(pp_store_next_due(store), LIFE_NS + 1);
    assert_int_equal(pp_store_expire(store, LIFE_NS + 1, AT_ONCE, &count), PIPIT_EIO);
    assert_int_equal(messages_of(store), MESSAGES);
    bad_disk_lose(0, 0);
    pp_store_close(store);
}

/* A message that age does not let go is the only one that is left of its segment. It is not that
 * segment that cannot be read, but the next one, of which nothing is due. */
static void test_a_segment_that_is_read_is_not_passed_over(void **state)
{
    const struct pp_store_message stays = {
        .time_ns = 1, .expires_ns = INT64_MAX, .subject = PP_STR("due.test")};
    pp_store *store = open_in("stays", 0, NULL);
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    struct stat about;
    uint64_t seq = 1;
    uint32_t count;
    pipit_err err;

    (void)state;
    assert_int_equal(pp_store_append(store, &stays, PP_STORE_ANY, NULL), PIPIT_OK);
    append_all(store, MESSAGES, false);
    pp_store_close(store);
    store = open_in("stays", LIFE_NS, NULL);
    folder_path("stays/0000000002.seg", path);
    assert_int_equal(stat(path, &about), 0);
    bad_disk_lose(0, about.st_ino);
    while (pp_store_read(store, seq, &message) == PIPIT_OK)
        seq++; /* to the first of the next segment, which comes at seq - 1 */
    assert_in_range(seq, AT_ONCE, MESSAGES);
    err = pp_store_expire(store, (int64_t)seq - 2 + LIFE_NS, MESSAGES, &count);
    assert_int_equal(count, seq - 2);
    assert_int_equal(err, PIPIT_OK);
    bad_disk_lose(0, 0);
    pp_store_close(store);
}

/* What is cut off does not come back to go by its time. */
static void test_what_waits_may_be_cut_off(void **state)
{
    const struct pp_store_message message = {.time_ns = MESSAGES,
                                             .expires_ns = INT64_MAX - 1,
                                             .subject = PP_STR("due.test"),
                                             .payload = PP_STR("again")};
    pp_store *store;
    uint64_t seq;

    (void)state;
    fill("cut", true);
    store = open_in("cut", 0, NULL);
    bad_disk()->files[0] = first_file("cut");
    assert_int_equal(expire(store), PIPIT_EIO);
    bad_disk()->files[0] = 0;
    still_clock_forward(PAUSE_S * PP_NS_PER_S);
    assert_int_equal(pp_store_truncate(store, 0), PIPIT_OK);
    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, &seq), PIPIT_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(pp_store_next_due(store), message.expires_ns);
    assert_int_equal(expire(store), PIPIT_OK);
    assert_int_equal(messages_of(store), 1);
    pp_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unreadable_segment_does_not_keep_others_from_their_time),
        cmocka_unit_test(test_an_unreadable_segment_does_not_keep_others_from_aging),
        cmocka_unit_test(test_owner_does_not_wait_for_an_unreadable_segment),
        cmocka_unit_test(test_what_is_tried_again_keeps_nothing_from_going),
        cmocka_unit_test(test_an_unreadable_part_does_not_keep_others_from_aging),
        cmocka_unit_test(test_many_unreadable_blocks_do_not_keep_others_from_aging),
        cmocka_unit_test(test_what_waits_beside_a_bad_part_is_no_more_than_that),
        cmocka_unit_test(test_what_is_not_due_is_not_passed_over),
        cmocka_unit_test(test_a_segment_that_is_read_is_not_passed_over),
        cmocka_unit_test(test_what_waits_may_be_cut_off),
    };

    return cmocka_run_group_tests(tests, bad_disk_make, folder_remove);
}
