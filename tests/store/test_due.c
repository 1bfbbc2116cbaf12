/* Messages that go by time, where the disk does not give some of them: the others go, and these do
 * when it gives them again. */
#include "folder.h"

#include "store/store.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

enum {
    MESSAGES = 2000,
    PAYLOAD_BYTES = 300,
    LIFE_NS = 1000, /* of each message */
    NOW_NS = 2 * MESSAGES + LIFE_NS,
    AT_ONCE = 64,
    BLOCK_BYTES = 64 * 1024, /* that are read at once */
};

/* --- a disk and a clock ---------------------------------------------------------------------- */

static struct pp_disk_ops ops;
static pp_disk disk = {&ops};
static ino_t bad_file; /* these bytes of it cannot be read; 0: none */
static uint64_t bad_at, bad_end;
static unsigned bad_reads;

static ssize_t read_or_fail(pp_disk *any, int fd, void *out, size_t bytes, uint64_t at)
{
    struct stat about;

    (void)any;
    if (bad_file && fstat(fd, &about) == 0 && about.st_ino == bad_file && at < bad_end &&
        at + bytes > bad_at) {
        bad_reads++;
        return -EIO;
    }
    return pp_disk_real()->ops->read(pp_disk_real(), fd, out, bytes, at);
}

/* Pauses take none of the test's time: the clock is put forward. */
static int64_t forward_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    int err = __real_clock_gettime(clock, out);

    if (clock == CLOCK_MONOTONIC)
        out->tv_sec += forward_ns / PP_NS_PER_S;
    return err;
}

static int make_disk(void **state)
{
    ops = *pp_disk_real()->ops;
    ops.read = read_or_fail;
    return folder_make(state);
}

/* --- a store --------------------------------------------------------------------------------- */

static pp_store *open_in(const char *name, int64_t age_ns)
{
    const struct pp_store_options options = {
        .disk = &disk, .segment_bytes = 256 * 1024, .index_bytes = 1, .limits = {.age_ns = age_ns}};

    return folder_open(name, &options);
}

/* The nth comes at n and goes LIFE_NS later, by age or by its own time. */
static void fill(const char *name, bool timed)
{
    static const char payload[PAYLOAD_BYTES];
    pp_store *store = open_in(name, 0);
    struct pp_store_state told;

    for (unsigned n = 1; n <= MESSAGES; n++) {
        const struct pp_store_message message = {.time_ns = n,
                                                 .expires_ns = timed ? n + LIFE_NS : 0,
                                                 .subject = PP_STR("due.test"),
                                                 .payload = {payload, sizeof(payload)}};

        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (n % 100 == 0)
            pp_store_run(store);
    }
    pp_store_state(store, &told);
    assert_true(told.segments > 2);
    pp_store_close(store);
}

static void lose(const char *name, uint64_t at, uint64_t end)
{
    char file[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES];
    struct stat about;

    (void)snprintf(file, sizeof(file), "%s/0000000001.seg", name);
    folder_path(file, path);
    assert_int_equal(stat(path, &about), 0);
    bad_at = at;
    bad_end = end;
    bad_file = about.st_ino;
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
    uint32_t count = AT_ONCE;
    pipit_err err = PIPIT_OK;

    for (unsigned calls = 0; calls < 2 * MESSAGES / AT_ONCE && count; calls++)
        err = pp_store_expire(store, NOW_NS, AT_ONCE, &count);
    assert_int_equal(count, 0);
    pp_store_run(store);
    return err;
}

/* --- tests ----------------------------------------------------------------------------------- */

/* Nothing of the first file can be read. */
static void lose_segment(const char *name, bool timed)
{
    int64_t live = pp_alloc_live();
    struct pp_store_message message;
    pp_store *store;
    uint64_t left;
    unsigned reads;

    fill(name, timed);
    store = open_in(name, timed ? 0 : LIFE_NS);
    lose(name, 0, UINT64_MAX);
    assert_true(pp_store_next_due(store) <= LIFE_NS + 1);
    assert_int_equal(expire(store), PIPIT_EIO);
    left = messages_of(store);
    assert_in_range(left, 1, MESSAGES / 2);
    assert_int_equal(pp_store_next(store, PP_STR(">"), left + 1, &message), PIPIT_ENOTFOUND);
    /* It is asked for again, but not before its time. */
    assert_true(pp_store_next_due(store) < INT64_MAX);
    reads = bad_reads;
    assert_int_equal(expire(store), PIPIT_EIO);
    assert_int_equal(bad_reads, reads);
    forward_ns += 60 * PP_NS_PER_S;
    assert_int_equal(expire(store), PIPIT_EIO);
    assert_true(bad_reads > reads);
    assert_int_equal(messages_of(store), left);
    bad_file = 0;
    forward_ns += 60 * PP_NS_PER_S;
    assert_int_equal(expire(store), PIPIT_OK);
    assert_int_equal(messages_of(store), 0);
    assert_int_equal(pp_store_next_due(store), INT64_MAX);
    pp_store_close(store);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_an_unreadable_segment_does_not_keep_others_from_their_time(void **state)
{
    (void)state;
    lose_segment("timed", true);
}

static void test_an_unreadable_segment_does_not_keep_others_from_aging(void **state)
{
    (void)state;
    lose_segment("aged", false);
}

/* A part of the first file cannot be read: what lies there waits, what lies behind it does not. */
static void test_an_unreadable_part_does_not_keep_others_from_aging(void **state)
{
    struct pp_store_message message;
    uint64_t left = 0;
    pp_store *store;

    (void)state;
    fill("part", false);
    store = open_in("part", LIFE_NS);
    lose("part", BLOCK_BYTES, BLOCK_BYTES + 1);
    assert_int_equal(expire(store), PIPIT_EIO);
    assert_int_equal(expire(store), PIPIT_EIO);
    left = messages_of(store);
    assert_in_range(left, BLOCK_BYTES / 500, BLOCK_BYTES / PAYLOAD_BYTES);
    bad_file = 0;
    forward_ns += 60 * PP_NS_PER_S;
    assert_int_equal(pp_store_next(store, PP_STR(">"), 1, &message), PIPIT_OK);
    assert_true(message.seq > 1);
    assert_int_equal(expire(store), PIPIT_OK);
    assert_int_equal(messages_of(store), 0);
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
    store = open_in("cut", 0);
    lose("cut", 0, UINT64_MAX);
    assert_int_equal(expire(store), PIPIT_EIO);
    bad_file = 0;
    forward_ns += 60 * PP_NS_PER_S;
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
        cmocka_unit_test(test_an_unreadable_part_does_not_keep_others_from_aging),
        cmocka_unit_test(test_what_waits_may_be_cut_off),
    };

    return cmocka_run_group_tests(tests, make_disk, folder_remove);
}
