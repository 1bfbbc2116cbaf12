/* Much that waits to be written goes in batches, each settled as soon as it is on disk, and each
 * going there while the rest of it is copied. */
#include "folder.h"

#include "store/store.h"

#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    LARGE = 1024 * 1024, /* a message; its record is somewhat larger */
    GROWN = 64,          /* so many, and segments are as large as they get */
    BACKLOG = 20,
    IN_BATCH = 7, /* of 8 MiB */
    BATCHES = 3,
};

static char payload[LARGE];

/* --- a disk that knows what was asked of it ------------------------------------------------ */

static struct {
    uint64_t end;      /* of the last write */
    uint64_t hastened; /* bytes, since the last sync */
    unsigned writes, pieces, syncs;
    unsigned fail_sync;  /* the so manyth; 0: none */
    unsigned fail_piece; /* of those that are hastened, the same */
    int fail_with;
    bool in_order;       /* each write began where the last one ended */
    bool hastened_early; /* what was not written yet */
} seen;

static struct pp_disk_ops ops;
static pp_disk disk = {&ops};

static ssize_t write_noted(pp_disk *any, int fd, const void *from, size_t bytes, uint64_t at)
{
    (void)any;
    seen.in_order &= seen.writes == 0 || at == seen.end;
    seen.end = at + bytes;
    seen.writes++;
    return pp_disk_real()->ops->write(pp_disk_real(), fd, from, bytes, at);
}

static int hasten_noted(pp_disk *any, int fd, uint64_t at, uint64_t bytes)
{
    (void)any;
    seen.hastened_early |= at + bytes > seen.end;
    seen.hastened += bytes;
    if (++seen.pieces == seen.fail_piece)
        return -seen.fail_with;
    return pp_disk_real()->ops->hasten(pp_disk_real(), fd, at, bytes);
}

/* Nothing here is about power cuts. */
static int sync_noted(pp_disk *any, int fd)
{
    (void)any;
    (void)fd;
    seen.syncs++;
    return seen.syncs == seen.fail_sync ? -EIO : 0;
}

static int make_disk(void **state)
{
    ops = *pp_disk_real()->ops;
    ops.write = write_noted;
    ops.sync = sync_noted;
    return folder_make(state);
}

/* --- a store ------------------------------------------------------------------------------- */

static uint64_t tickets[BATCHES + 1];
static unsigned told;

static void on_progress(void *ctx)
{
    struct pp_store_progress progress;

    pp_store_progress(*(pp_store **)ctx, &progress);
    if (told && tickets[told - 1] == progress.ticket)
        return;
    assert_true(told < BATCHES + 1);
    tickets[told++] = progress.ticket;
}

static void append(pp_store *store, size_t bytes)
{
    const struct pp_store_message message = {.subject = PP_STR("batches.test"),
                                             .payload = {payload, bytes}};

    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
}

static pp_store *open_in(const char *name, void (*progress)(void *), pp_store **ctx)
{
    struct pp_store_options options = {.disk = &disk, .on_progress = progress, .ctx = ctx};

    return folder_open(name, &options);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

/* One whose last segment has room for the backlog; nothing waits. */
static void grow(const char *name)
{
    pp_store *store = open_in(name, ignore, &store);

    for (unsigned i = 0; i < GROWN; i++) {
        append(store, LARGE);
        pp_store_run(store);
    }
    pp_store_close(store);
}

static void fill(pp_store *store)
{
    for (unsigned i = 0; i < BACKLOG; i++)
        append(store, LARGE);
    memset(&seen, 0, sizeof(seen));
    seen.in_order = true;
    told = 0;
}

/* --- tests --------------------------------------------------------------------------------- */

static void write_backlog(const char *name)
{
    struct pp_store_message message;
    pp_store *store;

    grow(name);
    store = open_in(name, on_progress, &store);
    fill(store);
    pp_store_run(store);
    assert_int_equal(told, BATCHES);
    assert_int_equal(tickets[0], IN_BATCH);
    assert_int_equal(tickets[1], 2 * IN_BATCH);
    assert_int_equal(tickets[2], BACKLOG);
    assert_int_equal(seen.syncs, BATCHES);
    assert_true(seen.in_order);
    for (uint64_t seq = GROWN + 1; seq <= GROWN + BACKLOG; seq++) {
        assert_int_equal(pp_store_read(store, seq, &message), PIPIT_OK);
        assert_memory_equal(message.payload.ptr, payload, LARGE);
    }
    pp_store_close(store);
}

static void test_a_backlog_is_settled_in_batches(void **state)
{
    (void)state;
    ops.hasten = NULL;
    write_backlog("plain");
    assert_int_equal(seen.pieces, 0);
}

static void test_the_disk_is_busy_while_the_rest_is_copied(void **state)
{
    (void)state;
    ops.hasten = hasten_noted;
    write_backlog("hastened");
    assert_int_equal(seen.pieces, BATCHES);
    assert_false(seen.hastened_early);
    assert_true(seen.writes >= 2 * BATCHES);
}

static void test_what_failed_takes_nothing_of_what_was_settled(void **state)
{
    struct pp_store_progress progress;
    pp_store *store;

    (void)state;
    grow("failing");
    store = open_in("failing", ignore, &store);
    fill(store);
    seen.fail_sync = 2;
    pp_store_run(store);
    pp_store_progress(store, &progress);
    assert_int_equal(progress.err, PIPIT_EIO);
    assert_int_equal(progress.ticket, IN_BATCH);
    assert_int_equal(progress.seq, GROWN + IN_BATCH);
    pp_store_close(store);
}

/* A piece of the second batch is refused by the disk when it is to go there early: that is a write
 * that failed. Nothing more is written, what was settled is there, and is there when it is opened
 * again. */
static void hasten_in_vain(const char *name, int with)
{
    const struct pp_store_message message = {.subject = PP_STR("batches.test")};
    struct pp_store_message read;
    struct pp_store_progress progress;
    unsigned writes, syncs;
    pp_store *store;

    ops.hasten = hasten_noted;
    grow(name);
    store = open_in(name, ignore, &store);
    fill(store);
    seen.fail_piece = 2;
    seen.fail_with = with;
    pp_store_run(store);
    assert_int_equal(seen.pieces, 2);
    pp_store_progress(store, &progress);
    assert_int_equal(progress.err, PIPIT_EIO);
    assert_int_equal(progress.ticket, IN_BATCH);
    assert_int_equal(progress.seq, GROWN + IN_BATCH);
    writes = seen.writes;
    syncs = seen.syncs;
    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_EIO);
    assert_int_equal(pp_store_wait(store, progress.ticket), PIPIT_OK);
    assert_int_equal(pp_store_wait(store, progress.ticket + 1), PIPIT_EIO);
    assert_int_equal(pp_store_read(store, progress.seq, &read), PIPIT_OK);
    assert_memory_equal(read.payload.ptr, payload, LARGE);
    pp_store_close(store);
    assert_int_equal(seen.writes, writes);
    assert_int_equal(seen.syncs, syncs);
    memset(&seen, 0, sizeof(seen));
    store = open_in(name, ignore, &store);
    assert_int_equal(pp_store_read(store, progress.seq, &read), PIPIT_OK);
    pp_store_progress(store, &progress);
    assert_int_equal(progress.err, PIPIT_OK);
    append(store, LARGE);
    pp_store_run(store);
    pp_store_close(store);
}

static void test_bytes_that_cannot_go_early_are_a_write_that_failed(void **state)
{
    (void)state;
    hasten_in_vain("early-eio", EIO);
    hasten_in_vain("early-full", ENOSPC);
}

static void test_a_frozen_store_keeps_no_batch(void **state)
{
    pp_store *store;
    int64_t live;

    (void)state;
    store = open_in("frozen", ignore, &store);
    append(store, 1000);
    pp_store_run(store);
    live = pp_alloc_live(); /* with a batch that serves again */
    memset(&seen, 0, sizeof(seen));
    seen.fail_sync = 1;
    append(store, 1000);
    pp_store_run(store);
    assert_true(pp_alloc_live() < live);
    pp_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_backlog_is_settled_in_batches),
        cmocka_unit_test(test_the_disk_is_busy_while_the_rest_is_copied),
        cmocka_unit_test(test_what_failed_takes_nothing_of_what_was_settled),
        cmocka_unit_test(test_bytes_that_cannot_go_early_are_a_write_that_failed),
        cmocka_unit_test(test_a_frozen_store_keeps_no_batch),
    };

    for (size_t i = 0; i < LARGE; i++)
        payload[i] = (char)(i * 7 + i / 4096);
    return cmocka_run_group_tests(tests, make_disk, folder_remove);
}
