#include "holey.h"

#include "bad_disk.h"
#include "folder.h"

#include "store/footer.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ERASED = 82, HEAD_AND_SUBJECT_BYTES = 48 + 10, WAIT_S = 60 };

pp_store *holey_open(const char *name)
{
    struct pp_store_options options = {
        .disk = &bad_disk()->disk, .segment_bytes = 64 * 1024, .index_bytes = 1};

    return folder_open(name, &options);
}

/* Runs that are long enough to be given back, and some that are not. */
bool holey_is_deleted(unsigned n)
{
    return (n >= 20 && n < 50) || n == 55 || (n >= 62 && n < 80) || n == ERASED ||
           (n >= 400 && n < 440) || n == 445;
}

static void put_payload(unsigned n, char *out)
{
    memset(out, (int)n, HOLEY_PAYLOAD_BYTES);
    (void)snprintf(out, HOLEY_PAYLOAD_BYTES, "message %06u.", n);
}

pipit_err holey_try_append(pp_store *store, unsigned n)
{
    char payload[HOLEY_PAYLOAD_BYTES];
    const struct pp_store_message message = {.seq = n * HOLEY_STEP,
                                             .time_ns = n,
                                             .subject = PP_STR("holes.test"),
                                             .payload = {payload, sizeof(payload)}};

    put_payload(n, payload);
    return pp_store_append(store, &message, PP_STORE_ANY, NULL);
}

void holey_append(pp_store *store, unsigned n)
{
    assert_int_equal(holey_try_append(store, n), PIPIT_OK);
    if (n % 100 == 0)
        pp_store_run(store);
}

/* Half of what goes does so while there is more to come: other footers tell of it. */
pp_store *holey_make(const char *name)
{
    pp_store *store = holey_open(name);

    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++) {
        holey_append(store, n);
        if (n != HOLEY_MESSAGES && n != HOLEY_MESSAGES / 2)
            continue;
        for (unsigned gone = 1; gone <= HOLEY_MESSAGES; gone++)
            if (holey_is_deleted(gone) && gone <= n && (gone < 55) == (n == HOLEY_MESSAGES / 2))
                assert_int_equal(pp_store_delete(store, gone * HOLEY_STEP, gone == ERASED),
                                 PIPIT_OK);
        pp_store_run(store);
    }
    return store;
}

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
    if (n == HOLEY_BODY_LOST)
        flip(fd, found - from + 20);
    else /* in front of it are its subject and its head */
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), found - from - HEAD_AND_SUBJECT_BYTES),
                         sizeof(zeros));
}

/* What stands between two messages: records of deletes. False: they are not both in it. */
bool holey_find_between(const char *from, size_t len, unsigned n, size_t *out_at, size_t *out_end)
{
    char text[32];
    const char *first, *second;

    (void)snprintf(text, sizeof(text), "message %06u.", n);
    first = memmem(from, len, text, strlen(text));
    (void)snprintf(text, sizeof(text), "message %06u.", n + 1);
    second = memmem(from, len, text, strlen(text));
    if (!first || !second)
        return false;
    *out_at = (size_t)(first - from) + HOLEY_PAYLOAD_BYTES + 8;
    *out_end = (size_t)(second - from) - HEAD_AND_SUBJECT_BYTES;
    return true;
}

static void lose_between(int fd, const char *from, size_t len, unsigned n)
{
    static const char zeros[4096];
    size_t at, end;

    if (!holey_find_between(from, len, n, &at, &end))
        return;
    assert_true(end > at && end - at < sizeof(zeros));
    assert_int_equal(pwrite(fd, zeros, end - at, (off_t)at), end - at);
}

char *holey_read_whole(int fd, struct stat *out_about)
{
    char *bytes;

    assert_true(fd >= 0 && fstat(fd, out_about) == 0);
    bytes = malloc((size_t)out_about->st_size);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)out_about->st_size, 0), out_about->st_size);
    return bytes;
}

void holey_damage_file(const char *path, holey_part part)
{
    struct pp_footer footer;
    int fd = open(path, O_RDWR);
    struct stat about;
    char *bytes = holey_read_whole(fd, &about);

    damage_message(fd, bytes, (size_t)about.st_size, HOLEY_BODY_LOST);
    damage_message(fd, bytes, (size_t)about.st_size, HOLEY_HEAD_LOST);
    if (part == HOLEY_FRONT_AND_DELETES)
        lose_between(fd, bytes, (size_t)about.st_size, HOLEY_MESSAGES / 2);
    memcpy(&footer, bytes + about.st_size - (off_t)sizeof(footer), sizeof(footer));
    if (footer.magic == PP_FOOTER_MAGIC)
        flip(fd,
             part != HOLEY_INDEX ? (off_t)footer.at : about.st_size - (off_t)sizeof(footer) - 1);
    free(bytes);
    (void)close(fd);
}

static void damage_part(void *ctx, const char *path)
{
    holey_damage_file(path, *(holey_part *)ctx);
}

void holey_damage(const char *name, holey_part part)
{
    folder_each_segment(name, damage_part, &part);
}

unsigned holey_count_left(void)
{
    unsigned left = 0;

    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++)
        left += !holey_is_deleted(n);
    return left;
}

uint64_t holey_messages_of(pp_store *store)
{
    struct pp_store_state told;

    pp_store_state(store, &told);
    return told.messages;
}

void holey_read_all(pp_store *store)
{
    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++) {
        struct pp_store_message message;
        char payload[HOLEY_PAYLOAD_BYTES];
        pipit_err err = pp_store_read(store, n * HOLEY_STEP, &message);

        if (holey_is_deleted(n)) {
            assert_int_equal(err, PIPIT_ENOTFOUND);
        } else if (n == HOLEY_BODY_LOST || n == HOLEY_HEAD_LOST) {
            if (err != PIPIT_EDAMAGED && err != PIPIT_ENOTFOUND)
                fail_msg("message %u: %s", n, pipit_strerror(err));
        } else {
            if (err)
                fail_msg("message %u: %s", n, pipit_strerror(err));
            put_payload(n, payload);
            assert_memory_equal(message.payload.ptr, payload, HOLEY_PAYLOAD_BYTES);
        }
    }
}

/* Indexes that deletes have loaded go for that of the last one. */
void holey_let_indexes_go(pp_store *store, unsigned from)
{
    struct pp_store_message message;

    for (unsigned n = from; n < from + 400; n += 200)
        assert_int_equal(pp_store_read(store, n * HOLEY_STEP, &message), PIPIT_OK);
}

void holey_await(pp_store *store, uint64_t seq)
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
