/* A store that syncs now and then says in its records what is on disk, and nothing that is not:
 * also where a segment ends while some of it waits to be written. */
#include "folder.h"

#include "store/record.h"
#include "store/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ROOM = 64 * 1024,  /* of a segment */
    LARGE = 40 * 1000, /* more than half of it */
    SMALL = 10 * 1000,
    RESERVED_ALL = 2, /* calls: the first segment's file, and the next one's */
    WAIT_S = 60,
};

static char payload[LARGE];

/* --- a disk whose writes wait until they are let through ----------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static unsigned reserved, told_reserved, marks, waiting, let_through;
static bool gated;
static struct pp_record_head last_head; /* what the last write of records but marks began with */

static struct pp_disk_ops ops;
static pp_disk disk = {&ops};

/* Under the lock. */
static void await(const unsigned *counter, unsigned least)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    while (*counter < least && pthread_cond_timedwait(&moved, &lock, &until) == 0)
        continue;
    if (*counter < least)
        abort(); /* a thread of the pool cannot fail a test */
}

static void await_locking(const unsigned *counter, unsigned least)
{
    (void)pthread_mutex_lock(&lock);
    await(counter, least);
    (void)pthread_mutex_unlock(&lock);
}

static ssize_t write_gated(pp_disk *any, int fd, const void *from, size_t bytes, uint64_t at)
{
    (void)any;
    (void)pthread_mutex_lock(&lock);
    if (at && bytes > sizeof(last_head))
        memcpy(&last_head, from, sizeof(last_head));
    marks += at && bytes == sizeof(last_head);
    if (gated) {
        waiting++;
        (void)pthread_cond_broadcast(&moved);
        await(&let_through, waiting);
    }
    (void)pthread_mutex_unlock(&lock);
    return pp_disk_real()->ops->write(pp_disk_real(), fd, from, bytes, at);
}

static int reserve_noted(pp_disk *any, int fd, uint64_t bytes)
{
    int err = pp_disk_real()->ops->reserve(pp_disk_real(), fd, bytes);

    (void)any;
    (void)pthread_mutex_lock(&lock);
    reserved++;
    (void)pthread_mutex_unlock(&lock);
    return err;
}

static void on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    told_reserved = reserved;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static void set_gate(bool shut)
{
    (void)pthread_mutex_lock(&lock);
    gated = shut;
    let_through = shut ? waiting : UINT32_MAX;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static void let_one_through(void)
{
    (void)pthread_mutex_lock(&lock);
    let_through++;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static int make_disk(void **state)
{
    ops = *pp_disk_real()->ops;
    ops.write = write_gated;
    ops.reserve = reserve_noted;
    return folder_make(state);
}

/* --- the test ------------------------------------------------------------------------------ */

static pp_store *open_store(pp_store_pool *pool)
{
    struct pp_store_options options = {.disk = &disk,
                                       .pool = pool,
                                       .segment_bytes = ROOM,
                                       .sync_interval_ns = 1, /* it is always due */
                                       .on_progress = on_progress};

    return folder_open("lazy", &options);
}

static void append(pp_store *store, size_t bytes)
{
    const struct pp_store_message message = {.subject = PP_STR("lazy.test"),
                                             .payload = {payload, bytes}};

    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
}

static void test_the_next_segment_says_nothing_of_the_last_one(void **state)
{
    pp_store_pool *pool;
    pp_store *store;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    store = open_store(pool);
    append(store, LARGE);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    await_locking(&told_reserved, RESERVED_ALL);
    await_locking(&marks,
                  1); /* that nothing is going on: there is none again before something is */
    set_gate(true);
    append(store, SMALL); /* it still fits, and is being written while */
    await_locking(&waiting, 1);
    append(store, LARGE); /* the next segment begins */
    let_one_through();
    await_locking(&waiting, 2); /* that one is settled, and the next segment's header on its way */
    append(store, SMALL);
    set_gate(false);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    (void)pthread_mutex_lock(&lock);
    assert_int_equal(last_head.seq, 4);
    assert_int_equal(last_head.durable_at * PP_RECORD_ALIGN, PP_SEGMENT_HEADER_BYTES);
    (void)pthread_mutex_unlock(&lock);
    pp_store_close(store);
    pp_store_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_segment_says_nothing_of_the_last_one),
    };

    return cmocka_run_group_tests(tests, make_disk, folder_remove);
}
