/* Sequences have gaps, messages are gone, their room was given back, and then footers are damaged:
 * the index is made again of what records there are, once. What was gone stays so. */
#include "folder.h"

#include "store/footer.h"
#include "store/store.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    MESSAGES = 2000,
    STEP = 3, /* from one sequence to the next */
    PAYLOAD_BYTES = 300,
    BODY_LOST = 10, /* the message whose body is damaged, */
    HEAD_LOST = 60, /* and the one of whose head nothing is left */
    ERASED = 82,
    HEAD_AND_SUBJECT_BYTES = 48 + 10,
    SECTOR_BYTES = 4096, /* of a disk */
    KEPT = 10,
    WAIT_S = 60,
};

typedef enum footer_part { INDEX, FRONT, FRONT_AND_DELETES } footer_part;

/* --- a disk that knows which files are read as a whole ------------------------------------- */

static struct pp_disk_ops ops;
static pp_disk disk = {&ops};
static unsigned whole_reads, reads;
static ino_t bad_files[2]; /* they cannot be read; 0: none */
static int bad_errno = EIO;

/* A part of a file that cannot be read. */
struct bad_part {
    ino_t file; /* 0: none */
    uint64_t at;
    uint64_t end;
};

static struct bad_part bad_parts[2];

static bool is_bad(ino_t file, uint64_t at, uint64_t end)
{
    bool bad = file == bad_files[0] || file == bad_files[1];

    for (unsigned i = 0; i < 2; i++)
        bad |= file == bad_parts[i].file && at < bad_parts[i].end && end > bad_parts[i].at;
    return bad;
}

static ssize_t read_noted(pp_disk *any, int fd, void *out, size_t bytes, uint64_t at)
{
    struct stat about;

    (void)any;
    if (fstat(fd, &about) < 0 || is_bad(about.st_ino, at, at + bytes))
        return -bad_errno;
    reads++;
    whole_reads += at == 0 && bytes == (size_t)about.st_size;
    return pp_disk_real()->ops->read(pp_disk_real(), fd, out, bytes, at);
}

/* Writes of the pool's thread wait while the gate is shut. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool is_shut;
static bool is_full;                     /* of the disk, which has no room for more files */
static unsigned reserved, told_reserved; /* calls; and those before the last progress */

/* Under the lock. */
static void wait_a_moment(void)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    if (pthread_cond_timedwait(&moved, &lock, &until))
        abort(); /* a thread of the pool cannot fail a test */
}

static ssize_t write_gated(pp_disk *any, int fd, const void *from, size_t bytes, uint64_t at)
{
    (void)any;
    (void)pthread_mutex_lock(&lock);
    while (is_shut)
        wait_a_moment();
    (void)pthread_mutex_unlock(&lock);
    return pp_disk_real()->ops->write(pp_disk_real(), fd, from, bytes, at);
}

static void set_gate(bool shut)
{
    (void)pthread_mutex_lock(&lock);
    is_shut = shut;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static int reserve_noted(pp_disk *any, int fd, uint64_t bytes)
{
    int err;

    (void)any;
    (void)pthread_mutex_lock(&lock);
    err = is_full ? -ENOSPC : pp_disk_real()->ops->reserve(pp_disk_real(), fd, bytes);
    reserved++;
    (void)pthread_mutex_unlock(&lock);
    return err;
}

static unsigned reservations(void)
{
    unsigned so_far;

    (void)pthread_mutex_lock(&lock);
    so_far = reserved;
    (void)pthread_mutex_unlock(&lock);
    return so_far;
}

static void await_reservation(unsigned before)
{
    (void)pthread_mutex_lock(&lock);
    while (reserved == before || told_reserved != reserved)
        wait_a_moment();
    (void)pthread_mutex_unlock(&lock);
}

static void on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    told_reserved = reserved;
    (void)pthread_cond_broadcast(&moved);
    (void)pthread_mutex_unlock(&lock);
}

static int make_disk(void **state)
{
    ops = *pp_disk_real()->ops;
    ops.read = read_noted;
    ops.write = write_gated;
    ops.reserve = reserve_noted;
    return folder_make(state);
}

/* --- a store with holes -------------------------------------------------------------------- */

static pp_store *open_in(const char *name)
{
    struct pp_store_options options = {.disk = &disk, .segment_bytes = 64 * 1024, .index_bytes = 1};

    return folder_open(name, &options);
}

/* Runs that are long enough to be given back, and some that are not. */
static bool is_deleted(unsigned n)
{
    return (n >= 20 && n < 50) || n == 55 || (n >= 62 && n < 80) || n == ERASED ||
           (n >= 400 && n < 440) || n == 445;
}

static void put_payload(unsigned n, char *out)
{
    memset(out, (int)n, PAYLOAD_BYTES);
    (void)snprintf(out, PAYLOAD_BYTES, "message %06u.", n);
}

static pipit_err try_append(pp_store *store, unsigned n)
{
    char payload[PAYLOAD_BYTES];
    const struct pp_store_message message = {.seq = n * STEP,
                                             .time_ns = n,
                                             .subject = PP_STR("holes.test"),
                                             .payload = {payload, sizeof(payload)}};

    put_payload(n, payload);
    return pp_store_append(store, &message, PP_STORE_ANY, NULL);
}

static void append(pp_store *store, unsigned n)
{
    assert_int_equal(try_append(store, n), PIPIT_OK);
    if (n % 100 == 0)
        pp_store_run(store);
}

/* Half of what goes does so while there is more to come: other footers tell of it. */
static pp_store *make_store(const char *name)
{
    pp_store *store = open_in(name);

    for (unsigned n = 1; n <= MESSAGES; n++) {
        append(store, n);
        if (n != MESSAGES && n != MESSAGES / 2)
            continue;
        for (unsigned gone = 1; gone <= MESSAGES; gone++)
            if (is_deleted(gone) && gone <= n && (gone < 55) == (n == MESSAGES / 2))
                assert_int_equal(pp_store_delete(store, gone * STEP, gone == ERASED), PIPIT_OK);
        pp_store_run(store);
    }
    return store;
}

/* --- damage -------------------------------------------------------------------------------- */

static void flip(int fd, off_t at)
{
    char byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* The record of a message, if it lies in this file, whose bytes are from. */
static void damage_message(int fd, const char *from, size_t len, unsigned n)
{
    static const char zeros[32];
    char text[32];
    const char *found;
    size_t text_len = (size_t)snprintf(text, sizeof(text), "message %06u.", n);

    found = memmem(from, len, text, text_len);
    if (!found)
        return;
    if (n == BODY_LOST)
        flip(fd, found - from + 20);
    else /* in front of it are its subject and its head */
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), found - from - HEAD_AND_SUBJECT_BYTES),
                         sizeof(zeros));
}

/* What stands between two messages: records of deletes. False: they are not both in it. */
static bool find_between(const char *from, size_t len, unsigned n, size_t *out_at, size_t *out_end)
{
    char text[32];
    const char *first, *second;

    (void)snprintf(text, sizeof(text), "message %06u.", n);
    first = memmem(from, len, text, strlen(text));
    (void)snprintf(text, sizeof(text), "message %06u.", n + 1);
    second = memmem(from, len, text, strlen(text));
    if (!first || !second)
        return false;
    *out_at = (size_t)(first - from) + PAYLOAD_BYTES + 8;
    *out_end = (size_t)(second - from) - HEAD_AND_SUBJECT_BYTES;
    return true;
}

static void lose_between(int fd, const char *from, size_t len, unsigned n)
{
    static const char zeros[4096];
    size_t at, end;

    if (!find_between(from, len, n, &at, &end))
        return;
    assert_true(end > at && end - at < sizeof(zeros));
    assert_int_equal(pwrite(fd, zeros, end - at, (off_t)at), end - at);
}

static char *read_whole(int fd, struct stat *out_about)
{
    char *bytes;

    assert_true(fd >= 0 && fstat(fd, out_about) == 0);
    bytes = malloc((size_t)out_about->st_size);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)out_about->st_size, 0), out_about->st_size);
    return bytes;
}

static void damage_file(const char *path, footer_part part)
{
    struct pp_footer footer;
    int fd = open(path, O_RDWR);
    struct stat about;
    char *bytes = read_whole(fd, &about);

    damage_message(fd, bytes, (size_t)about.st_size, BODY_LOST);
    damage_message(fd, bytes, (size_t)about.st_size, HEAD_LOST);
    if (part == FRONT_AND_DELETES)
        lose_between(fd, bytes, (size_t)about.st_size, MESSAGES / 2);
    memcpy(&footer, bytes + about.st_size - (off_t)sizeof(footer), sizeof(footer));
    if (footer.magic == PP_FOOTER_MAGIC)
        flip(fd, part != INDEX ? (off_t)footer.at : about.st_size - (off_t)sizeof(footer) - 1);
    free(bytes);
    (void)close(fd);
}

static void damage_part(void *ctx, const char *path)
{
    damage_file(path, *(footer_part *)ctx);
}

static void damage(const char *name, footer_part part)
{
    folder_each_segment(name, damage_part, &part);
}

/* --- tests --------------------------------------------------------------------------------- */

static unsigned count_left(void)
{
    unsigned left = 0;

    for (unsigned n = 1; n <= MESSAGES; n++)
        left += !is_deleted(n);
    return left;
}

static uint64_t messages_of(pp_store *store)
{
    struct pp_store_state told;

    pp_store_state(store, &told);
    return told.messages;
}

static void read_all(pp_store *store)
{
    for (unsigned n = 1; n <= MESSAGES; n++) {
        struct pp_store_message message;
        char payload[PAYLOAD_BYTES];
        pipit_err err = pp_store_read(store, n * STEP, &message);

        if (is_deleted(n)) {
            assert_int_equal(err, PIPIT_ENOTFOUND);
        } else if (n == BODY_LOST || n == HEAD_LOST) {
            if (err != PIPIT_EDAMAGED && err != PIPIT_ENOTFOUND)
                fail_msg("message %u: %s", n, pipit_strerror(err));
        } else {
            if (err)
                fail_msg("message %u: %s", n, pipit_strerror(err));
            put_payload(n, payload);
            assert_memory_equal(message.payload.ptr, payload, PAYLOAD_BYTES);
        }
    }
}

static void check_and_empty(pp_store *store)
{
    const struct pp_store_limits limits = {.messages = KEPT};
    struct pp_store_state told;
    unsigned so_far;

    whole_reads = 0;
    read_all(store);
    so_far = whole_reads;
    assert_true(so_far > 0);
    read_all(store);
    assert_int_equal(whole_reads, so_far); /* each was made again once */
    assert_int_equal(messages_of(store), count_left());
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    pp_store_run(store);
    pp_store_state(store, &told);
    assert_int_equal(told.messages, KEPT);
    assert_int_equal(told.first_seq, (MESSAGES - KEPT + 1) * STEP);
}

/* Indexes that deletes have loaded go for that of the last one. */
static void let_indexes_go(pp_store *store, unsigned from)
{
    struct pp_store_message message;

    for (unsigned n = from; n < from + 400; n += 200)
        assert_int_equal(pp_store_read(store, n * STEP, &message), PIPIT_OK);
}

/* The footers are damaged while the store is open. */
static void damage_open_one(const char *name, footer_part part)
{
    int64_t live = pp_alloc_live();
    pp_store *store = make_store(name);

    assert_int_equal(messages_of(store), count_left());
    pp_store_close(store);
    store = open_in(name); /* nothing of it is in memory */
    let_indexes_go(store, MESSAGES / 2);
    damage(name, part);
    check_and_empty(store);
    pp_store_close(store);
    store = open_in(name);
    assert_int_equal(messages_of(store), KEPT);
    pp_store_close(store);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_an_index_with_holes_is_made_again_once(void **state)
{
    (void)state;
    damage_open_one("index", INDEX);
}

static void test_deletes_are_found_without_footers(void **state)
{
    (void)state;
    damage_open_one("front", FRONT);
}

/* What is dead is not known any more: nothing is served that might be, and it is not tried again.
 */
static void test_what_does_not_fit_is_tried_once(void **state)
{
    struct pp_store_message message;
    pp_store *store = make_store("misfit");
    unsigned so_far;

    (void)state;
    pp_store_close(store);
    store = open_in("misfit");
    let_indexes_go(store, MESSAGES / 2);
    damage("misfit", FRONT_AND_DELETES);
    whole_reads = 0;
    assert_int_equal(pp_store_read(store, STEP, &message), PIPIT_EIO);
    so_far = whole_reads;
    assert_true(so_far > 0);
    assert_int_equal(pp_store_read(store, 20 * STEP, &message), PIPIT_EIO);
    assert_int_equal(whole_reads, so_far);
    assert_int_equal(pp_store_read(store, 300 * STEP, &message), PIPIT_OK);
    assert_int_equal(messages_of(store), count_left());
    pp_store_close(store);
}

static void await_message(pp_store *store, uint64_t seq)
{
    struct pp_store_message message;
    struct timespec now, until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    while (pp_store_read(store, seq, &message) == PIPIT_EIO) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec < until.tv_sec);
        (void)sched_yield();
    }
}

/* The file where the first deletes stand: neither they nor its footer can be read. */
static void hide_deletes(void *ctx, const char *path)
{
    struct pp_footer footer;
    int fd = open(path, O_RDONLY);
    struct stat about;
    char *bytes = read_whole(fd, &about);
    size_t at, end;

    (void)ctx;
    memcpy(&footer, bytes + about.st_size - (off_t)sizeof(footer), sizeof(footer));
    if (find_between(bytes, (size_t)about.st_size, MESSAGES / 2, &at, &end)) {
        assert_true(footer.magic == PP_FOOTER_MAGIC);
        bad_parts[0] = (struct bad_part){about.st_ino, at, end};
        bad_parts[1] = (struct bad_part){about.st_ino, footer.at, (uint64_t)about.st_size};
    }
    free(bytes);
    (void)close(fd);
}

/* What the disk gives of a later segment is not all that it deletes. It is not taken for that, and
 * when the disk gives the rest all is known. */
static void test_deletes_that_cannot_be_read_are_waited_for(void **state)
{
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    pp_store *store = make_store("hidden");

    (void)state;
    pp_store_close(store);
    store = open_in("hidden");
    let_indexes_go(store, MESSAGES / 2);
    folder_path("hidden/0000000001.seg", path);
    damage_file(path, INDEX);
    folder_each_segment("hidden", hide_deletes, NULL);
    assert_true(bad_parts[0].file);
    assert_int_equal(pp_store_read(store, STEP, &message), PIPIT_EIO);
    memset(bad_parts, 0, sizeof(bad_parts));
    await_message(store, STEP);
    read_all(store);
    pp_store_close(store);
}

/* The same file: but for its footer all of it can be read. What it has behind the sector where its
 * records end is the footer, and nothing else. */
static void hide_footer(void *ctx, const char *path)
{
    struct pp_footer footer;
    int fd = open(path, O_RDONLY);
    struct stat about;
    char *bytes = read_whole(fd, &about);
    size_t at, end;

    (void)ctx;
    memcpy(&footer, bytes + about.st_size - (off_t)sizeof(footer), sizeof(footer));
    if (find_between(bytes, (size_t)about.st_size, MESSAGES / 2, &at, &end)) {
        at = (size_t)footer.at / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
        assert_true(footer.magic == PP_FOOTER_MAGIC && at < (size_t)about.st_size);
        bad_parts[0] = (struct bad_part){about.st_ino, at, (uint64_t)about.st_size};
    }
    free(bytes);
    (void)close(fd);
}

static void test_deletes_are_known_if_only_a_footer_cannot_be_read(void **state)
{
    char path[FOLDER_PATH_BYTES];
    pp_store *store = make_store("footer");

    (void)state;
    pp_store_close(store);
    store = open_in("footer");
    let_indexes_go(store, MESSAGES / 2);
    folder_path("footer/0000000001.seg", path);
    damage_file(path, INDEX);
    folder_each_segment("footer", hide_footer, NULL);
    assert_true(bad_parts[0].file);
    read_all(store);
    assert_int_equal(messages_of(store), count_left());
    memset(bad_parts, 0, sizeof(bad_parts));
    pp_store_close(store);
}

/* What a truncation takes out deletes messages of segments whose indexes have to be made again when
 * that is to be said again. */
static void test_deletes_are_known_that_are_cut_off(void **state)
{
    enum { LEFT = MESSAGES - 250 };
    pp_store *store = make_store("cut");
    struct pp_store_message message;
    uint64_t left = 0;

    (void)state;
    pp_store_close(store);
    store = open_in("cut");
    let_indexes_go(store, MESSAGES / 2);
    damage("cut", INDEX);
    assert_int_equal(pp_store_truncate(store, LEFT * STEP), PIPIT_OK);
    pp_store_run(store);
    for (unsigned n = 1; n <= LEFT; n++) {
        pipit_err err = pp_store_read(store, n * STEP, &message);

        left += !is_deleted(n);
        if (n != BODY_LOST && n != HEAD_LOST)
            assert_int_equal(err, is_deleted(n) ? PIPIT_ENOTFOUND : PIPIT_OK);
    }
    assert_int_equal(messages_of(store), left);
    pp_store_close(store);
}

/* Messages that the disk does not give, and those among them that are gone, are as many as what is
 * missing: that does not mean that none of the others is. A segment of which it is not known what
 * it deletes itself is served when that is. */
static void test_a_segment_says_itself_what_is_dead(void **state)
{
    enum { GONE = 50, EARLY_SECTOR = 2, FIRST = 100, LAST = 105, SAID = 150 };
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    pp_store *store = open_in("own");
    struct stat about;
    size_t at, end;
    uint64_t count;
    char *bytes;
    int fd;

    (void)state;
    for (unsigned n = 1; n <= MESSAGES; n++) {
        append(store, n);
        for (unsigned gone = FIRST; n == SAID && gone <= LAST; gone++)
            assert_int_equal(pp_store_delete(store, gone * STEP, false), PIPIT_OK);
    }
    assert_int_equal(pp_store_purge(store, PP_STR(">"), GONE * STEP, 0, &count), PIPIT_OK);
    pp_store_close(store);
    store = open_in("own");
    let_indexes_go(store, MESSAGES / 2);
    folder_path("own/0000000001.seg", path);
    fd = open(path, O_RDONLY);
    bytes = read_whole(fd, &about);
    (void)close(fd);
    assert_true(find_between(bytes, (size_t)about.st_size, SAID, &at, &end));
    free(bytes);
    damage_file(path, INDEX);
    bad_parts[0] = (struct bad_part){about.st_ino, at, end};
    bad_parts[1] = (struct bad_part){about.st_ino, EARLY_SECTOR * SECTOR_BYTES,
                                     (EARLY_SECTOR + 1) * SECTOR_BYTES};
    for (unsigned n = FIRST - 1; n <= LAST + 1; n++)
        assert_int_equal(pp_store_read(store, n * STEP, &message), PIPIT_EIO);
    memset(bad_parts, 0, sizeof(bad_parts));
    await_message(store, FIRST * STEP);
    for (unsigned n = FIRST - 1; n <= LAST + 1; n++)
        assert_int_equal(pp_store_read(store, n * STEP, &message),
                         n >= FIRST && n <= LAST ? PIPIT_ENOTFOUND : PIPIT_OK);
    pp_store_close(store);
}

static void test_a_store_with_holes_opens_without_indexes(void **state)
{
    pp_store *store = make_store("closed");

    (void)state;
    pp_store_close(store);
    damage("closed", INDEX);
    whole_reads = 0;
    store = open_in("closed");
    assert_true(whole_reads > 0);
    assert_int_equal(messages_of(store), count_left());
    read_all(store);
    pp_store_close(store);
}

/* --- limits where a segment cannot be read ------------------------------------------------- */

enum { EARLY = 20 };

/* Two subjects take turns; a third one has only the first messages. */
static void fill_with_subjects(const char *name)
{
    static const char payload[PAYLOAD_BYTES];
    pp_store *store = open_in(name);

    for (unsigned n = 1; n <= MESSAGES; n++) {
        struct pp_store_message message = {.seq = n * STEP,
                                           .time_ns = n,
                                           .subject = n % 2 ? PP_STR("odd") : PP_STR("even"),
                                           .payload = {payload, sizeof(payload)}};

        if (n <= EARLY)
            message.subject = PP_STR("early");
        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (n % 100 == 0)
            pp_store_run(store);
    }
    pp_store_close(store);
}

/* It has MESSAGES / 2 messages, all but the first ones. */
static void check_half(pp_store *store)
{
    struct pp_store_subject told;
    struct pp_store_state state;

    pp_store_state(store, &state);
    assert_int_equal(state.messages, MESSAGES / 2);
    assert_int_equal(state.first_seq, (MESSAGES / 2 + 1) * STEP);
    assert_int_equal(pp_store_subject(store, PP_STR("early"), &told), PIPIT_ENOTFOUND);
    assert_int_equal(pp_store_subject(store, PP_STR("odd"), &told), PIPIT_OK);
    assert_int_equal(told.messages, MESSAGES / 4);
    assert_int_equal(told.first_seq, (MESSAGES / 2 + 1) * STEP);
    assert_int_equal(pp_store_subject(store, PP_STR("even"), &told), PIPIT_OK);
    assert_int_equal(told.messages, MESSAGES / 4);
    assert_int_equal(told.last_seq, MESSAGES * STEP);
}

static ino_t inode_of(const char *name)
{
    char path[FOLDER_PATH_BYTES];
    struct stat about;

    folder_path(name, path);
    assert_int_equal(stat(path, &about), 0);
    return about.st_ino;
}

/* A file cannot be read: nobody knows which of its messages is the first. It goes when all of it
 * has to, and not before; and no subject loses more than that. */
static void test_a_segment_that_cannot_be_read_goes_whole(void **state)
{
    const struct pp_store_limits few = {.messages = MESSAGES - 100},
                                 half = {.messages = MESSAGES / 2},
                                 each = {.per_subject = MESSAGES / 4};
    char path[FOLDER_PATH_BYTES];
    struct stat about;
    struct pp_store_state before, after;
    pp_store *store;

    (void)state;
    fill_with_subjects("unread");
    folder_path("unread/0000000001.seg", path);
    store = open_in("unread");
    bad_files[0] = inode_of("unread/0000000001.seg");
    assert_int_equal(pp_store_limit(store, &few), PIPIT_EIO);
    assert_int_equal(messages_of(store), MESSAGES);
    assert_int_equal(pp_store_limit(store, &half), PIPIT_OK);
    pp_store_run(store);
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    check_half(store);
    pp_store_state(store, &before);
    pp_store_close(store);
    bad_files[0] = 0;
    assert_int_equal(stat(path, &about), -1); /* its room was given back */
    store = open_in("unread");
    check_half(store);
    pp_store_state(store, &after);
    assert_int_equal(after.bytes, before.bytes);
    pp_store_close(store);
}

/* Whyever a file cannot be read: what it has is not served, and does not keep limits from what is
 * left. Somebody has taken it away, too. */
static void lose_first_file(const char *name, int why)
{
    const struct pp_store_limits half = {.messages = MESSAGES / 2};
    struct pp_store_message message;
    char file[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    (void)snprintf(file, sizeof(file), "%s/0000000001.seg", name);
    store = open_in(name);
    bad_files[0] = inode_of(file);
    bad_errno = why;
    folder_path(file, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pp_store_read(store, STEP, &message), PIPIT_EIO);
    assert_int_equal(pp_store_limit(store, &half), PIPIT_OK);
    pp_store_run(store);
    check_half(store);
    bad_files[0] = 0;
    bad_errno = EIO;
    pp_store_close(store);
    store = open_in(name);
    check_half(store);
    pp_store_close(store);
}

static void test_a_segment_goes_whole_whyever_it_cannot_be_read(void **state)
{
    (void)state;
    lose_first_file("gone", ENOENT);
    lose_first_file("denied", EACCES);
    lose_first_file("late", ETIMEDOUT);
}

/* A segment is deleted of which a truncation takes what tells of it: that is to be said again, but
 * the disk does not give what there is to say. When all of it is dead nobody has to know. */
static void test_what_is_all_dead_need_not_be_read(void **state)
{
    enum { FIRST = 300, MIDDLE = 425, LAST = 600, DELETED = 20, FEW = 1000 };
    const struct pp_store_limits few = {.messages = FEW};
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    struct stat about;
    pp_store *store;

    (void)state;
    fill_with_subjects("dead");
    store = open_in("dead");
    for (unsigned n = MESSAGES + 1; n <= MESSAGES + 400; n++) {
        append(store, n);
        if (n == MESSAGES + 200)
            assert_int_equal(pp_store_delete(store, DELETED * STEP, false), PIPIT_OK);
    }
    pp_store_close(store);
    store = open_in("dead");
    let_indexes_go(store, MESSAGES / 2);
    bad_files[0] = inode_of("dead/0000000001.seg");
    assert_int_equal(pp_store_truncate(store, MESSAGES * STEP), PIPIT_OK);
    for (unsigned n = FIRST; n <= LAST; n++)
        assert_int_equal(pp_store_delete(store, n * STEP, false), PIPIT_OK);
    pp_store_run(store);
    let_indexes_go(store, MESSAGES / 2);
    bad_files[1] = inode_of("dead/0000000003.seg");
    assert_int_equal(pp_store_read(store, MIDDLE * STEP, &message), PIPIT_ENOTFOUND);
    bad_files[1] = 0;
    assert_int_equal(pp_store_limit(store, &few), PIPIT_OK);
    pp_store_run(store);
    folder_path("dead/0000000001.seg", path);
    assert_int_equal(stat(path, &about), -1);
    bad_files[0] = 0;
    pp_store_close(store);
    store = open_in("dead");
    assert_int_equal(messages_of(store), FEW);
    pp_store_close(store);
}

static uint64_t append_to(pp_store *store, pp_str subject)
{
    const struct pp_store_message message = {.subject = subject, .payload = PP_STR("x")};
    uint64_t seq;

    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, &seq), PIPIT_OK);
    return seq;
}

static uint64_t messages_on(pp_store *store, pp_str subject)
{
    struct pp_store_subject told;

    assert_int_equal(pp_store_subject(store, subject, &told), PIPIT_OK);
    return told.messages;
}

static void take_messages(void *ctx, pp_str subject, uint64_t messages)
{
    (void)subject;
    *(uint64_t *)ctx = messages;
}

/* As far as it could be counted: which is the first is not known then. */
static uint64_t messages_counted(pp_store *store, pp_str subject)
{
    uint64_t messages = 0;

    pp_store_subjects(store, subject, take_messages, &messages);
    return messages;
}

static void append_and_delete(pp_store *store, pp_str subject, unsigned count)
{
    uint64_t seqs[8];

    for (unsigned i = 0; i < count; i++)
        seqs[i] = append_to(store, subject);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pp_store_delete(store, seqs[i], false), PIPIT_OK);
    pp_store_run(store);
}

/* Two files cannot be read, and the first of them goes. */
static pp_store *lose_two(const char *name)
{
    struct pp_store_limits limits = {.messages = MESSAGES};
    char path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    store = open_in(name);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/000000000%u.seg", name, i + 1);
        bad_files[i] = inode_of(path);
    }
    do
        limits.messages--;
    while (pp_store_limit(store, &limits) == PIPIT_EIO);
    assert_int_equal(messages_of(store), limits.messages);
    assert_true(limits.messages > MESSAGES * 3 / 4);
    return store;
}

/* Messages are not held up by counting, as long as it does not matter. */
static void test_subjects_are_counted_when_it_matters(void **state)
{
    struct pp_store_limits limits = {.messages = MESSAGES / 2, .per_subject = MESSAGES};
    pp_store *store;

    (void)state;
    fill_with_subjects("counted");
    store = open_in("counted");
    bad_files[0] = inode_of("counted/0000000001.seg");
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    bad_files[0] = 0;
    assert_int_equal(pp_store_delete(store, MESSAGES * STEP, false), PIPIT_OK);
    reads = 0;
    (void)append_to(store, PP_STR("odd"));
    assert_int_equal(reads, 0);
    assert_int_equal(messages_counted(store, PP_STR("odd")), MESSAGES / 4 + 1);
    limits.per_subject = MESSAGES / 4;
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    assert_int_equal(messages_on(store, PP_STR("odd")), MESSAGES / 4);
    assert_int_equal(messages_on(store, PP_STR("even")), MESSAGES / 4 - 1);
    pp_store_close(store);
}

/* What of a subject could not be counted is no matter of subjects that came later. */
static void test_later_subjects_are_counted(void **state)
{
    enum { UNIQUE = 1000 };
    const struct pp_store_limits one = {.per_subject = 1}, three = {.per_subject = 3};
    struct pp_store_state before, after;
    char subject[16];
    pp_store *store = lose_two("later");

    (void)state;
    assert_int_equal(pp_store_limit(store, &one), PIPIT_EIO); /* some has more in the second one */
    append_and_delete(store, PP_STR("new"), 1);
    (void)append_to(store, PP_STR("new"));
    pp_store_state(store, &before);
    for (unsigned i = 0; i < UNIQUE; i++) {
        int len = snprintf(subject, sizeof(subject), "u%u", i);

        append_and_delete(store, (pp_str){subject, (size_t)len}, 1);
    }
    pp_store_state(store, &after);
    assert_int_equal(after.subjects, before.subjects);
    assert_int_equal(pp_store_limit(store, &three), PIPIT_EIO);
    append_and_delete(store, PP_STR("three"), 3);
    for (unsigned i = 0; i < 3; i++)
        (void)append_to(store, PP_STR("three"));
    assert_int_equal(messages_on(store, PP_STR("three")), 3);
    assert_int_equal(messages_on(store, PP_STR("new")), 1);
    pp_store_close(store);
    bad_files[0] = bad_files[1] = 0;
}

/* When the disk gives it again it is counted, and what is over a limit goes. */
static void test_what_could_not_be_counted_is_counted_later(void **state)
{
    struct pp_store_limits each = {.per_subject = MESSAGES};
    pp_store *store = lose_two("healed");
    uint64_t few, all;
    bool more;

    (void)state;
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    few = messages_counted(store, PP_STR("odd"));
    each.per_subject = (uint32_t)few;
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    bad_files[0] = bad_files[1] = 0;
    await_message(store, MESSAGES / 8 * STEP);
    all = messages_on(store, PP_STR("odd"));
    assert_true(all > few + MESSAGES / 40);
    assert_int_equal(messages_on(store, PP_STR("even")) + all, messages_of(store));
    assert_int_equal(pp_store_evict(store, &more), PIPIT_OK);
    assert_int_equal(messages_on(store, PP_STR("odd")), few);
    pp_store_close(store);
}

static void await_read(pp_store *store, uint64_t before)
{
    struct pp_store_progress progress;

    (void)pthread_mutex_lock(&lock);
    pp_store_progress(store, &progress);
    while (progress.reads == before) {
        wait_a_moment();
        pp_store_progress(store, &progress);
    }
    (void)pthread_mutex_unlock(&lock);
}

/* All that can go now. */
static pipit_err evict_all(pp_store *store)
{
    struct pp_store_progress progress;
    pipit_err err;
    bool more;

    do {
        pp_store_progress(store, &progress);
        err = pp_store_evict(store, &more);
        if (err == PIPIT_EAGAIN)
            await_read(store, progress.reads);
    } while (err == PIPIT_EAGAIN || more);
    return err;
}

/* One subject is known, of the others the disk does not give the first messages: they are passed
 * over, and shrink when it does, without anybody setting limits again. */
static void shrink_later(const char *name, pp_store_pool *readers)
{
    const struct pp_store_limits few = {.per_subject = KEPT};
    const struct pp_store_options options = {
        .disk = &disk, .segment_bytes = 64 * 1024, .readers = readers, .on_progress = on_progress};
    struct timespec now, until;
    char path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    store = folder_open(name, &options);
    for (unsigned i = 0; i < MESSAGES / 2; i++) /* more than go with one call */
        (void)append_to(store, PP_STR("late"));
    (void)snprintf(path, sizeof(path), "%s/0000000001.seg", name);
    bad_files[0] = inode_of(path);
    assert_int_equal(pp_store_limit(store, &few), readers ? PIPIT_OK : PIPIT_EIO);
    assert_int_equal(evict_all(store), PIPIT_EIO);
    assert_int_equal(messages_on(store, PP_STR("late")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("early")), EARLY);
    assert_int_equal(evict_all(store), PIPIT_EIO); /* it is not forgotten */
    bad_files[0] = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    while (evict_all(store)) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        assert_true(now.tv_sec < until.tv_sec);
        (void)sched_yield();
    }
    assert_int_equal(messages_on(store, PP_STR("early")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("odd")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("even")), KEPT);
    assert_int_equal(messages_of(store), 4 * KEPT);
    pp_store_close(store);
}

static void test_subjects_that_were_passed_over_shrink_later(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    shrink_later("passed", NULL);
    shrink_later("passed-hurried", readers);
    pp_store_pool_free(readers);
}

/* --- limits and a full disk ----------------------------------------------------------------- */

static void set_full(bool full)
{
    (void)pthread_mutex_lock(&lock);
    is_full = full;
    (void)pthread_mutex_unlock(&lock);
}

/* What subjects have too much cannot go, since there is no room to say so. When there is it goes.
 */
static void shrink_on_a_full_disk(const char *name, pp_store_pool *readers)
{
    const struct pp_store_limits few = {.per_subject = KEPT};
    const struct pp_store_options options = {
        .disk = &disk, .segment_bytes = 64 * 1024, .readers = readers, .on_progress = on_progress};
    unsigned n = MESSAGES + 1;
    pp_store *store;
    pipit_err err;

    fill_with_subjects(name);
    store = folder_open(name, &options);
    set_full(true);
    while ((err = try_append(store, n)) == PIPIT_OK)
        n++;
    assert_int_equal(err, PIPIT_ENOSPC);
    err = pp_store_limit(store, &few);
    assert_true(err == PIPIT_ENOSPC || readers);
    assert_int_equal(evict_all(store), PIPIT_ENOSPC);
    set_full(false);
    assert_int_equal(evict_all(store), PIPIT_OK);
    pp_store_run(store);
    assert_int_equal(messages_on(store, PP_STR("odd")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("even")), KEPT);
    pp_store_close(store);
}

static void test_subjects_shrink_when_a_disk_has_room_again(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    shrink_on_a_full_disk("full", NULL);
    shrink_on_a_full_disk("full-hurried", readers);
    pp_store_pool_free(readers);
}

/* --- footers under way ---------------------------------------------------------------------- */

/* Append until the last segment is full and the file of the next one is there. Answers the message
 * that begins it. */
static unsigned fill_with_pool(pp_store *store, unsigned from, unsigned least)
{
    for (unsigned n = from;; n++) {
        unsigned before = reservations();
        pipit_err err = try_append(store, n);

        if (err == PIPIT_EAGAIN) {
            await_reservation(before);
            assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
            if (n > least)
                return n;
            err = try_append(store, n);
        }
        assert_int_equal(err, PIPIT_OK);
    }
}

/* A segment is full and has its footer only in memory when an index is made again of what it
 * deletes: that is not forgotten. */
static void test_deletes_are_known_while_their_footer_is_written(void **state)
{
    enum { FIRST = 20, LAST = 39, LOOKED_AT = 140 };
    struct pp_store_options options = {
        .disk = &disk, .segment_bytes = 64 * 1024, .index_bytes = 1, .on_progress = on_progress};
    struct pp_store_message message;
    pp_store *store;
    unsigned n;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &options.pool), PIPIT_OK);
    store = folder_open("pending", &options);
    n = fill_with_pool(store, 1, MESSAGES / 2);
    pp_store_close(store);
    store = folder_open("pending", &options); /* no index is in memory */
    n = fill_with_pool(store, n, n);
    set_gate(true);
    for (unsigned gone = FIRST; gone <= LAST; gone++)
        assert_int_equal(pp_store_delete(store, gone * STEP, false), PIPIT_OK);
    assert_int_equal(try_append(store, n), PIPIT_OK);
    let_indexes_go(store, MESSAGES / 4);
    damage("pending", INDEX);
    whole_reads = 0;
    for (n = 1; n <= LOOKED_AT; n++) {
        pipit_err err = pp_store_read(store, n * STEP, &message);

        if (n >= FIRST && n <= LAST)
            assert_int_equal(err, PIPIT_ENOTFOUND);
        else if (n != BODY_LOST && n != HEAD_LOST)
            assert_int_equal(err, PIPIT_OK);
    }
    assert_int_equal(whole_reads, 1); /* what the last ones delete is in memory */
    set_gate(false);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_close(store);
    pp_store_pool_free(options.pool);
}

/* Of one subject only one message is left, and the others were gone before their segments ended. */
static void dead_before_the_end(const char *name, unsigned step)
{
    struct pp_store_message message = {.payload = PP_STR("x")};
    struct pp_store_subject told;
    pp_store *store = open_in(name);
    unsigned live = MESSAGES / 2 + 1;

    for (unsigned n = 1; n <= MESSAGES; n++) {
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
    damage(name, INDEX);
    whole_reads = 0;
    store = open_in(name);
    assert_true(whole_reads > 0);
    assert_int_equal(pp_store_subject(store, PP_STR("rare"), &told), PIPIT_OK);
    assert_int_equal(told.messages, 1);
    assert_int_equal(pp_store_subject(store, PP_STR("often"), &told), PIPIT_OK);
    assert_int_equal(told.messages, MESSAGES / 4 * 3);
    assert_int_equal(messages_of(store), MESSAGES / 4 * 3 + 1);
    assert_int_equal(pp_store_next(store, PP_STR("rare"), 0, &message), PIPIT_OK);
    assert_int_equal(message.seq, live * step);
    pp_store_close(store);
}

static void test_what_was_dead_before_the_end_is_counted_once(void **state)
{
    (void)state;
    dead_before_the_end("dense", 1);
    dead_before_the_end("gaps", STEP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_index_with_holes_is_made_again_once),
        cmocka_unit_test(test_deletes_are_found_without_footers),
        cmocka_unit_test(test_what_does_not_fit_is_tried_once),
        cmocka_unit_test(test_deletes_that_cannot_be_read_are_waited_for),
        cmocka_unit_test(test_deletes_are_known_if_only_a_footer_cannot_be_read),
        cmocka_unit_test(test_deletes_are_known_that_are_cut_off),
        cmocka_unit_test(test_a_segment_says_itself_what_is_dead),
        cmocka_unit_test(test_a_store_with_holes_opens_without_indexes),
        cmocka_unit_test(test_a_segment_that_cannot_be_read_goes_whole),
        cmocka_unit_test(test_a_segment_goes_whole_whyever_it_cannot_be_read),
        cmocka_unit_test(test_what_is_all_dead_need_not_be_read),
        cmocka_unit_test(test_subjects_are_counted_when_it_matters),
        cmocka_unit_test(test_later_subjects_are_counted),
        cmocka_unit_test(test_what_could_not_be_counted_is_counted_later),
        cmocka_unit_test(test_subjects_that_were_passed_over_shrink_later),
        cmocka_unit_test(test_subjects_shrink_when_a_disk_has_room_again),
        cmocka_unit_test(test_deletes_are_known_while_their_footer_is_written),
        cmocka_unit_test(test_what_was_dead_before_the_end_is_counted_once),
    };

    return cmocka_run_group_tests(tests, make_disk, folder_remove);
}
