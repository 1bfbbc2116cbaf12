/* Reads that the owner does not wait for: its thread makes none of files that have been written
 * long ago, and what it gets is what is there. */
#include "folder.h"

#include "store/scrub.h"
#include "store/store.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    MESSAGES = 5000,
    LARGE_EVERY = 100,
    LARGE_BYTES = 150 * 1000,
    SMALL_BYTES = 300,
    TRAILER_BYTES = 152,   /* of a footer, */
    TRAILER_AT_BYTES = 24, /* where in it stands where the footer begins, */
    SECTOR_BYTES = 4096,   /* and of the disk */
    WAIT_S = 60
};

/* --- a disk that knows whose reads those are ----------------------------------------------- */

static struct pp_disk_ops ops;
static pp_disk disk = {&ops};
static pthread_t owner;
static atomic_int owner_reads, other_reads;
static atomic_bool others_fail, footers_fail, all_fail;

/* A disk that takes its time before it fails takes none of the test's: the clock is put forward. */
static atomic_int_least64_t forward_ns;
static atomic_int slow_ns; /* each read of others that fails */

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    int err = __real_clock_gettime(clock, out);

    if (clock == CLOCK_MONOTONIC) {
        int64_t ns = out->tv_nsec + atomic_load(&forward_ns);

        out->tv_sec += ns / PP_NS_PER_S;
        out->tv_nsec = ns % PP_NS_PER_S;
    }
    return err;
}

/* Does a sealed segment's footer begin before? A sector that holds records, too, is not of it. */
static bool reaches_footer(int fd, uint64_t end)
{
    struct stat about;
    uint64_t at;

    if (fstat(fd, &about) < 0 || about.st_size < TRAILER_BYTES ||
        pread(fd, &at, sizeof(at), about.st_size - TRAILER_BYTES + TRAILER_AT_BYTES) != sizeof(at))
        return false;
    return at && at < (uint64_t)about.st_size &&
           end > at / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
}

static ssize_t read_noted(pp_disk *any, int fd, void *out, size_t bytes, uint64_t at)
{
    bool is_owner = pthread_equal(pthread_self(), owner);

    (void)any;
    atomic_fetch_add(is_owner ? &owner_reads : &other_reads, 1);
    if (atomic_load(&all_fail) && !is_owner)
        atomic_fetch_add(&forward_ns, atomic_load(&slow_ns));
    if (atomic_load(&all_fail) ||
        (!is_owner && atomic_load(&others_fail) && !reaches_footer(fd, at + bytes)))
        return -EIO;
    if (atomic_load(&footers_fail) && reaches_footer(fd, at + bytes))
        return -EIO;
    return pp_disk_real()->ops->read(pp_disk_real(), fd, out, bytes, at);
}

static int make_disk(void **state)
{
    owner = pthread_self();
    ops = *pp_disk_real()->ops;
    ops.read = read_noted;
    ops.read_now = NULL; /* nothing is in memory */
    return folder_make(state);
}

/* --- a store and who waits for it ---------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static unsigned turns; /* of progress */

static void on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    turns++;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static uint64_t reads_of(pp_store *store)
{
    struct pp_store_progress progress;

    pp_store_progress(store, &progress);
    return progress.reads;
}

static void await_reads(pp_store *store, uint64_t before)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&lock);
    while (reads_of(store) == before)
        assert_int_equal(pthread_cond_timedwait(&moved, &lock, &until), 0);
    (void)pthread_mutex_unlock(&lock);
}

static struct pp_store_options options_of(pp_store_pool *pool, pp_store_pool *readers,
                                          const struct pp_store_keys *keys)
{
    return (struct pp_store_options){.pool = pool,
                                     .readers = readers,
                                     .disk = &disk,
                                     .segment_bytes = 1024 * 1024,
                                     .keys = keys,
                                     .on_progress = on_progress};
}

static pp_store *open_in(const char *name, pp_store_pool *pool, pp_store_pool *readers,
                         const struct pp_store_keys *keys)
{
    const struct pp_store_options options = options_of(pool, readers, keys);

    return folder_open(name, &options);
}

static size_t size_of(uint64_t seq)
{
    return seq % LARGE_EVERY == 0 ? LARGE_BYTES : SMALL_BYTES;
}

static void fill(const char *name, pp_store_pool *pool, const struct pp_store_keys *keys)
{
    pp_store *store = open_in(name, pool, NULL, keys);
    char *payload = malloc(LARGE_BYTES);

    assert_non_null(payload);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        struct pp_store_message message = {.subject = PP_STR("ahead.test"),
                                           .payload = {payload, size_of(seq)}};
        pipit_err err;

        memset(payload, (int)seq, size_of(seq));
        while ((err = pp_store_append(store, &message, PP_STORE_ANY, NULL)) == PIPIT_EAGAIN)
            assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
        assert_int_equal(err, PIPIT_OK);
    }
    free(payload);
    pp_store_close(store);
}

static void check(const struct pp_store_message *message, uint64_t seq)
{
    assert_int_equal(message->seq, seq);
    assert_int_equal(message->payload.len, size_of(seq));
    assert_int_equal((unsigned char)message->payload.ptr[0], seq & 0xff);
    assert_int_equal((unsigned char)message->payload.ptr[size_of(seq) - 1], seq & 0xff);
}

/* The message that seq has, however often it has to be asked for. Answers how often. */
static unsigned get(pp_store *store, uint64_t seq, bool next)
{
    struct pp_store_message message;
    unsigned waits = 0;
    pipit_err err;

    for (;; waits++) {
        uint64_t before = reads_of(store);

        err = next ? pp_store_try_next(store, PP_STR(">"), seq, &message)
                   : pp_store_try_read(store, seq, &message);
        if (err != PIPIT_EAGAIN)
            break;
        await_reads(store, before);
    }
    assert_int_equal(err, PIPIT_OK);
    check(&message, seq);
    return waits;
}

/* --- tests --------------------------------------------------------------------------------- */

static void replay(const char *name, const struct pp_store_keys *keys)
{
    int64_t live = pp_alloc_live();
    pp_store_pool *pool, *readers;
    struct pp_store_state told;
    unsigned waits = 0;
    pp_store *store;

    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    fill(name, pool, keys);
    store = open_in(name, pool, readers, keys);
    pp_store_state(store, &told);
    assert_true(told.segments > 4);
    atomic_store(&owner_reads, 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        waits += get(store, seq, seq % 2);
    assert_true(waits > 20);
    /* The end of what is written is all that it may read by itself. */
    assert_true(atomic_load(&owner_reads) <= 4);
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_owner_makes_no_reads(void **state)
{
    (void)state;
    replay("plain", NULL);
}

static void test_owner_makes_none_of_sealed_ones(void **state)
{
    const struct pp_store_keys keys = {.count = 1, .keys = {{1, 2, 3}}};

    (void)state;
    replay("sealed", &keys);
}

static void test_far_apart_all_come_to_their_turn(void **state)
{
    enum { READERS = 24, EACH = 20 };
    pp_store_pool *pool, *readers;
    pp_store *store;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(2, &readers), PIPIT_OK);
    store = open_in("plain", pool, readers, NULL);
    for (uint64_t n = 1; n < EACH; n++)
        for (uint64_t reader = 0; reader < READERS; reader++)
            (void)get(store, reader * (MESSAGES / READERS) + n, true);
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
}

static void test_a_read_that_fails_is_made_by_the_owner(void **state)
{
    pp_store_pool *pool, *readers;
    pp_store *store;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    store = open_in("plain", pool, readers, NULL);
    atomic_store(&others_fail, true);
    for (uint64_t seq = 1; seq <= 500; seq++)
        (void)get(store, seq, true);
    atomic_store(&others_fail, false);
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
}

/* Ask until it is known. */
static pipit_err try_read(pp_store *store, uint64_t seq)
{
    struct pp_store_message message;
    pipit_err err;

    for (;;) {
        uint64_t before = reads_of(store);

        err = pp_store_try_read(store, seq, &message);
        if (err != PIPIT_EAGAIN)
            return err;
        await_reads(store, before);
    }
}

/* What the disk does not give is not asked for by everybody who wants something of it. When it
 * gives it again all is there. */
static void stay_away_from_a_bad_disk(bool by_others)
{
    pp_store_pool *pool, *readers = NULL;
    struct timespec now, until;
    pp_store *store;
    int reads;

    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    if (by_others)
        assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    store = open_in("plain", pool, readers, NULL);
    atomic_store(&owner_reads, 0);
    atomic_store(&all_fail, true);
    assert_int_equal(try_read(store, 1), PIPIT_EIO);
    assert_true((atomic_load(&owner_reads) == 0) == by_others);
    reads = atomic_load(&owner_reads) + atomic_load(&other_reads);
    for (uint64_t seq = 1; seq <= 100; seq++)
        assert_int_equal(try_read(store, seq), PIPIT_EIO);
    assert_int_equal(atomic_load(&owner_reads) + atomic_load(&other_reads), reads);
    atomic_store(&all_fail, false);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    while (try_read(store, 1) == PIPIT_EIO) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec < until.tv_sec);
        (void)sched_yield();
    }
    for (uint64_t seq = 1; seq <= 100; seq++)
        (void)get(store, seq, false);
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
}

static void test_what_the_disk_does_not_give_is_let_be(void **state)
{
    (void)state;
    stay_away_from_a_bad_disk(true);
    stay_away_from_a_bad_disk(false);
}

/* The longer it takes to learn that the disk does not give it, the longer it is let be, also if it
 * is others who wait for the disk. */
static void test_a_slow_disk_is_let_be_for_longer(void **state)
{
    enum { SLOW_NS = 10 * 1000 * 1000, TIMES = 8 };
    pp_store_pool *pool, *readers;
    int64_t took_ns;
    pp_store *store;
    int reads;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    store = open_in("plain", pool, readers, NULL);
    atomic_store(&slow_ns, SLOW_NS);
    atomic_store(&all_fail, true);
    took_ns = atomic_load(&forward_ns);
    assert_int_equal(try_read(store, 1), PIPIT_EIO);
    took_ns = atomic_load(&forward_ns) - took_ns;
    assert_true(took_ns > PP_NS_PER_S); /* each sector was tried */
    reads = atomic_load(&other_reads);
    for (unsigned i = 0; i < TIMES; i++) {
        assert_int_equal(try_read(store, 1), PIPIT_EIO);
        atomic_fetch_add(&forward_ns, took_ns);
    }
    assert_int_equal(try_read(store, 1), PIPIT_EIO);
    assert_int_equal(atomic_load(&other_reads), reads);
    atomic_store(&all_fail, false);
    atomic_fetch_add(&forward_ns, WAIT_S * TIMES * PP_NS_PER_S);
    (void)get(store, 1, false);
    atomic_store(&slow_ns, 0);
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
}

static void test_what_was_asked_for_may_go(void **state)
{
    pp_store_pool *pool, *readers;
    struct pp_store_message message;
    uint64_t count, before;
    pp_store *store;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    store = open_in("plain", pool, readers, NULL);
    before = reads_of(store);
    assert_int_equal(pp_store_try_read(store, 1, &message), PIPIT_EAGAIN);
    assert_int_equal(pp_store_purge(store, PP_STR(">"), 3000, 0, &count), PIPIT_OK);
    await_reads(store, before);
    assert_int_equal(pp_store_try_read(store, 1, &message), PIPIT_ENOTFOUND);
    (void)get(store, 3000, false);
    (void)pp_store_try_read(store, 4000, &message); /* nobody comes for it */
    pp_store_close(store);
    pp_store_pool_free(readers);
    pp_store_pool_free(pool);
}

/* --- what goes because it must -------------------------------------------------------------- */

static unsigned turns_of_progress(void)
{
    unsigned so_far;

    (void)pthread_mutex_lock(&lock);
    so_far = turns;
    (void)pthread_mutex_unlock(&lock);
    return so_far;
}

static void await_progress(unsigned before)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&lock);
    while (turns == before)
        assert_int_equal(pthread_cond_timedwait(&moved, &lock, &until), 0);
    (void)pthread_mutex_unlock(&lock);
}

/* Call something that may have to be called again after progress. Answers how often it was. */
static unsigned persist(pp_store *store, pipit_err (*try)(pp_store *store))
{
    unsigned waits = 0;
    pipit_err err;

    for (;; waits++) {
        unsigned before = turns_of_progress();

        err = try(store);
        if (err != PIPIT_EAGAIN)
            break;
        await_progress(before);
    }
    assert_int_equal(err, PIPIT_OK);
    return waits;
}

static pipit_err evict(pp_store *store)
{
    pipit_err err;
    bool more;

    do
        err = pp_store_evict(store, &more);
    while (!err && more);
    return err;
}

static pipit_err expire(pp_store *store)
{
    uint32_t count;
    pipit_err err;

    do
        err = pp_store_expire(store, 1000, 10, &count);
    while (!err && count);
    return err;
}

static struct pp_store_state state_of(pp_store *store)
{
    struct pp_store_state told;

    pp_store_state(store, &told);
    return told;
}

struct users {
    pp_store_pool *pool, *readers;
    pp_store *store;
};

/* One whose messages lie in files that nobody has looked at. */
static struct users begin(const char *name)
{
    struct users users;

    assert_int_equal(pp_store_pool_new(1, &users.pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &users.readers), PIPIT_OK);
    fill(name, users.pool, NULL);
    users.store = open_in(name, users.pool, users.readers, NULL);
    assert_true(state_of(users.store).segments > 4);
    atomic_store(&owner_reads, 0);
    return users;
}

static void end(struct users *users)
{
    pp_store_close(users->store);
    pp_store_pool_free(users->readers);
    pp_store_pool_free(users->pool);
}

static void test_owner_waits_for_no_eviction(void **state)
{
    enum { KEPT = 1000 };
    const struct pp_store_limits limits = {.messages = KEPT};
    struct users users = begin("evicted");

    (void)state;
    assert_int_equal(pp_store_limit(users.store, &limits), PIPIT_OK);
    assert_int_equal(atomic_load(&owner_reads), 0);
    assert_true(state_of(users.store).messages > KEPT);
    atomic_store(&owner_reads, 0); /* it tells the time of the first, too */
    assert_true(persist(users.store, evict) > 10);
    assert_true(atomic_load(&owner_reads) <= 4);
    assert_int_equal(state_of(users.store).messages, KEPT);
    assert_int_equal(state_of(users.store).first_seq, MESSAGES - KEPT + 1);
    end(&users);
}

static void test_owner_waits_for_no_eviction_by_subject(void **state)
{
    enum { KEPT = 700 };
    const struct pp_store_limits limits = {.per_subject = KEPT};
    struct users users = begin("by-subject");

    (void)state;
    assert_int_equal(pp_store_limit(users.store, &limits), PIPIT_OK);
    assert_int_equal(atomic_load(&owner_reads), 0);
    assert_true(persist(users.store, evict) > 10);
    assert_true(atomic_load(&owner_reads) <= 4);
    assert_int_equal(state_of(users.store).messages, KEPT);
    assert_int_equal(state_of(users.store).first_seq, MESSAGES - KEPT + 1);
    end(&users);
}

static pipit_err append_one(pp_store *store)
{
    const struct pp_store_message message = {.subject = PP_STR("ahead.test"),
                                             .payload = PP_STR("x")};

    return pp_store_append(store, &message, PP_STORE_ANY, NULL);
}

/* Messages that come are not held up, but do not get far beyond the limit. */
static void test_limits_hold_while_what_goes_is_read(void **state)
{
    enum { MORE = 4000, FAR = MESSAGES / 16 + 1024 };
    const struct pp_store_limits limits = {.messages = MESSAGES};
    struct users users = begin("limited");
    uint64_t most = 0;

    (void)state;
    assert_int_equal(pp_store_limit(users.store, &limits), PIPIT_OK);
    for (unsigned i = 0; i < MORE; i++) {
        struct pp_store_state told;

        (void)persist(users.store, append_one);
        told = state_of(users.store);
        most = told.messages > most ? told.messages : most;
    }
    (void)persist(users.store, evict);
    assert_true(most <= MESSAGES + FAR + 1);
    assert_int_equal(state_of(users.store).messages, MESSAGES);
    assert_int_equal(state_of(users.store).first_seq, MORE + 1);
    end(&users);
}

static void test_owner_waits_for_no_expiry(void **state)
{
    const struct pp_store_limits limits = {.age_ns = 10};
    struct users users = begin("expired");

    (void)state;
    assert_int_equal(pp_store_limit(users.store, &limits), PIPIT_OK);
    assert_true(persist(users.store, expire) > 10);
    assert_true(atomic_load(&owner_reads) <= 4);
    assert_int_equal(state_of(users.store).messages, 0);
    end(&users);
}

/* The last byte in front of the footer's trailer is another one. */
static void damage_footer(void *ctx, const char *path)
{
    int fd = open(path, O_RDWR);
    struct stat about;
    char byte;

    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    assert_int_equal(pread(fd, &byte, 1, about.st_size - TRAILER_BYTES - 1), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, about.st_size - TRAILER_BYTES - 1), 1);
    (void)close(fd);
    ++*(unsigned *)ctx;
}

/* Answers how many. */
static unsigned damage_footers(const char *name)
{
    unsigned damaged = 0;

    folder_each_segment(name, damage_footer, &damaged);
    return damaged;
}

static void test_an_index_is_made_again_by_others(void **state)
{
    struct users users = begin("damaged");

    (void)state;
    pp_store_close(users.store);
    assert_true(damage_footers("damaged") > 4);
    users.store = open_in("damaged", users.pool, users.readers, NULL);
    atomic_store(&owner_reads, 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        (void)get(users.store, seq, true);
    assert_true(atomic_load(&owner_reads) <= 8);
    end(&users);
}

/* Sequences with gaps. Segments delete messages of those before, and the first ones erase some of
 * their own, so that there are records that cannot be read again. */
enum { GAPPED = 8000, STEP = 3, GAPPED_BYTES = 1000 };

static bool is_erased(uint64_t n)
{
    return n % 400 == 3 && n <= GAPPED / 2;
}

static bool is_deleted(uint64_t n)
{
    return n % 10 == 0 && n <= GAPPED / 2;
}

static pipit_err append_gapped(pp_store *store, uint64_t n)
{
    static char payload[GAPPED_BYTES];
    const struct pp_store_message message = {
        .seq = n * STEP, .subject = PP_STR("ahead.test"), .payload = {payload, sizeof(payload)}};

    return pp_store_append(store, &message, PP_STORE_ANY, NULL);
}

static void fill_gapped(const char *name, pp_store_pool *pool)
{
    pp_store *store = open_in(name, pool, NULL, NULL);

    for (uint64_t n = 1; n <= GAPPED; n++) {
        pipit_err err;

        while ((err = append_gapped(store, n)) == PIPIT_EAGAIN)
            assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
        if (!err && is_erased(n))
            err = pp_store_delete(store, n * STEP, true);
        if (!err && n % 20 == 0 && is_deleted(n / 2))
            err = pp_store_delete(store, n / 2 * STEP, false);
        assert_int_equal(err, PIPIT_OK);
    }
    pp_store_close(store);
}

/* To know what is dead in a segment with gaps, those behind it have to be looked at. */
static void test_what_later_segments_delete_is_read_by_others(void **state)
{
    struct pp_store_options options;
    struct pp_store_message message;
    struct users users;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &users.pool), PIPIT_OK);
    assert_int_equal(pp_store_pool_new(1, &users.readers), PIPIT_OK);
    fill_gapped("gapped", users.pool);
    options = options_of(users.pool, users.readers, NULL);
    options.index_bytes = 1;
    users.store = folder_open("gapped", &options);
    /* What was dead was looked at when it was opened; those indexes go for another. */
    assert_int_equal(pp_store_read(users.store, GAPPED * 3 / 4 * STEP, &message), PIPIT_OK);
    assert_true(state_of(users.store).segments > 6);
    assert_true(damage_footers("gapped") > 6);
    atomic_store(&owner_reads, 0);
    for (uint64_t n = 1; n <= GAPPED; n++)
        assert_int_equal(try_read(users.store, n * STEP),
                         is_erased(n) || is_deleted(n) ? PIPIT_ENOTFOUND : PIPIT_OK);
    assert_true(atomic_load(&owner_reads) <= 8);
    end(&users);
}

/* The disk gives the records and not the footers: limits hold there, and what is left is served.
 * Without readers the owner makes the index again. */
static void keep_limits_without_footers(const char *name, bool by_others)
{
    enum { KEPT = 1000 };
    const struct pp_store_limits limits = {.messages = KEPT};
    struct users users = begin(name);

    if (!by_others) {
        pp_store_close(users.store);
        users.store = open_in(name, users.pool, NULL, NULL);
    }
    atomic_store(&footers_fail, true);
    assert_int_equal(pp_store_limit(users.store, &limits), PIPIT_OK);
    (void)persist(users.store, evict);
    assert_int_equal(state_of(users.store).messages, KEPT);
    assert_int_equal(state_of(users.store).first_seq, MESSAGES - KEPT + 1);
    for (uint64_t seq = MESSAGES - KEPT + 1; seq <= MESSAGES; seq++)
        (void)get(users.store, seq, true);
    atomic_store(&footers_fail, false);
    end(&users);
}

static void test_limits_hold_where_footers_cannot_be_read(void **state)
{
    (void)state;
    keep_limits_without_footers("unread", true);
    keep_limits_without_footers("unread-alone", false);
}

static void test_owner_reads_nothing_that_is_scrubbed(void **state)
{
    struct users users = begin("scrubbed");
    struct pp_scrub scrub;
    int64_t now_ns = 1, due_ns;

    (void)state;
    pp_scrub_init(&scrub, 1 << 30, 0);
    while (scrub.passes == 0) {
        unsigned before = turns_of_progress();
        pipit_err err = pp_scrub_turn(&scrub, users.store, now_ns, &due_ns);

        now_ns = due_ns;
        if (err == PIPIT_EAGAIN && scrub.passes == 0)
            await_progress(before);
        else
            assert_int_equal(err, PIPIT_OK);
    }
    assert_int_equal(scrub.bad, 0);
    assert_true(atomic_load(&owner_reads) <= 4);
    end(&users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_makes_no_reads),
        cmocka_unit_test(test_owner_makes_none_of_sealed_ones),
        cmocka_unit_test(test_far_apart_all_come_to_their_turn),
        cmocka_unit_test(test_a_read_that_fails_is_made_by_the_owner),
        cmocka_unit_test(test_what_the_disk_does_not_give_is_let_be),
        cmocka_unit_test(test_a_slow_disk_is_let_be_for_longer),
        cmocka_unit_test(test_what_was_asked_for_may_go),
        cmocka_unit_test(test_owner_waits_for_no_eviction),
        cmocka_unit_test(test_owner_waits_for_no_eviction_by_subject),
        cmocka_unit_test(test_limits_hold_while_what_goes_is_read),
        cmocka_unit_test(test_owner_waits_for_no_expiry),
        cmocka_unit_test(test_an_index_is_made_again_by_others),
        cmocka_unit_test(test_what_later_segments_delete_is_read_by_others),
        cmocka_unit_test(test_limits_hold_where_footers_cannot_be_read),
        cmocka_unit_test(test_owner_reads_nothing_that_is_scrubbed),
    };

    return cmocka_run_group_tests(tests, make_disk, folder_remove);
}
