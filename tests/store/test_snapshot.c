/* Snapshots of stores that change meanwhile, and stores made of them; and damage that is found in
 * the background. */
#include "folder.h"
#include "sim_disk.h"
#include "workload.h"

#include "store/scrub.h"
#include "store/snapshot.h"

#include "../unit/seed.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 300, STREAM_MAX = 1 << 24 };

static unsigned named;

static pp_store *open_source(struct sim_disk *sim, unsigned variant)
{
    struct pp_store_options options = {
        .dir = "s", .create = true, .disk = &sim->disk, .segment_bytes = 64 * 1024};
    pp_store *store = NULL;

    workload_set_variant(&options, variant);
    assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_OK);
    return store;
}

static size_t payload_of(uint64_t seq, char *out)
{
    size_t len = seq % 23 * 40;

    memset(out, (int)('a' + seq % 20), len);
    return len;
}

static void append(pp_store *store, uint64_t seq)
{
    char payload[1024];
    struct pp_store_message message = {.seq = seq,
                                       .time_ns = (int64_t)seq * 10,
                                       .expires_ns = seq % 7 ? 0 : INT64_MAX,
                                       .subject = seq % 2 ? PP_STR("a.b") : PP_STR("a.c"),
                                       .headers = seq % 3 ? PP_STR("") : PP_STR("NATS/1.0\r\n\r\n"),
                                       .payload = {payload, payload_of(seq, payload)}};

    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
    if (seq % 16 == 0)
        pp_store_run(store);
}

static void check(pp_store *store, uint64_t seq)
{
    struct pp_store_message message;
    char payload[1024];
    size_t len = payload_of(seq, payload);

    assert_int_equal(pp_store_read(store, seq, &message), PIPIT_OK);
    assert_int_equal(message.time_ns, (int64_t)seq * 10);
    assert_true(message.expires_ns == (seq % 7 ? 0 : INT64_MAX));
    assert_true(pp_str_eq(message.subject, seq % 2 ? PP_STR("a.b") : PP_STR("a.c")));
    assert_int_equal(message.headers.len, seq % 3 ? 0 : 12);
    assert_true(pp_str_eq(message.payload, (pp_str){payload, len}));
}

/* Every tenth is deleted; two thousand is missing before the last hundred. */
static pp_store *make_source(struct sim_disk *sim, unsigned variant)
{
    pp_store *store = open_source(sim, variant);

    for (uint64_t seq = 5; seq <= MESSAGES; seq++)
        append(store, seq > 200 ? seq + 2000 : seq);
    for (uint64_t seq = 10; seq <= 200; seq += 10)
        assert_int_equal(pp_store_delete(store, seq, false), PIPIT_OK);
    assert_int_equal(pp_store_skip(store, MESSAGES + 2005), PIPIT_OK);
    return store;
}

static void take_all(pp_store *store, size_t piece, bool change, pp_buf *out)
{
    pp_store_snapshot *snapshot;
    bool end = false;
    unsigned turns = 0;

    assert_int_equal(pp_store_snapshot_new(store, &snapshot), PIPIT_OK);
    while (!end) {
        assert_int_equal(pp_store_snapshot_next(snapshot, piece, out, &end), PIPIT_OK);
        if (change && turns < 20) {
            append(store, MESSAGES + 3000 + turns);
            (void)pp_store_delete(store, 5 + turns, false); /* those it has got already */
        }
        turns++;
    }
    assert_true(turns > 5 || piece > 4096);
    assert_int_equal(pp_store_snapshot_messages(snapshot), MESSAGES - 4 - 20);
    pp_store_snapshot_free(snapshot);
}

static struct pp_store_options target(char dir[FOLDER_PATH_BYTES], unsigned variant)
{
    struct pp_store_options options = {.dir = dir, .segment_bytes = 64 * 1024};
    char name[16];

    (void)snprintf(name, sizeof(name), "%u", named++);
    folder_path(name, dir);
    workload_set_variant(&options, variant);
    return options;
}

/* Feed it in pieces. What a restore that failed leaves is in the folder. */
static pipit_err restore_all(const struct pp_store_options *options, pp_str stream,
                             uint64_t *random)
{
    char why[PP_STORE_WHY_BYTES];
    pp_restore *restore = NULL;
    pipit_err err = pp_restore_new(options, &restore, why);

    while (!err && stream.len) {
        size_t len = random ? 1 + pp_random_below(random, 3000) : stream.len;

        len = len < stream.len ? len : stream.len;
        err = pp_restore_add(restore, (pp_str){stream.ptr, len});
        stream.ptr += len;
        stream.len -= len;
    }
    if (!err)
        err = pp_restore_finish(restore);
    pp_restore_free(restore);
    return err;
}

static void test_what_is_restored_is_what_was_there(void **state)
{
    uint64_t random = test_seed("pieces") | 1;
    int64_t live = pp_alloc_live();

    (void)state;
    for (unsigned variant = 0; variant < VARIANTS; variant++) {
        struct pp_store_options options;
        struct pp_store_state told;
        struct sim_disk sim;
        pp_store *store;
        char dir[FOLDER_PATH_BYTES];
        pp_buf stream;

        sim_init(&sim);
        pp_buf_init(&stream, STREAM_MAX);
        store = make_source(&sim, variant);
        take_all(store, 2000, true, &stream);
        pp_store_close(store);
        options = target(dir, (variant + 3) % VARIANTS);
        assert_int_equal(restore_all(&options, pp_buf_str(&stream), &random), PIPIT_OK);
        assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_OK);
        pp_store_state(store, &told);
        assert_int_equal(told.messages, MESSAGES - 4 - 20);
        assert_int_equal(told.first_seq, 5);
        assert_int_equal(told.last_seq, MESSAGES + 2005);
        assert_int_equal(told.lost, 0);
        for (uint64_t seq = 5; seq <= MESSAGES; seq++)
            if (seq > 200)
                check(store, seq + 2000);
            else if (seq % 10)
                check(store, seq);
        pp_store_close(store);
        pp_buf_fini(&stream);
        sim_fini(&sim);
        assert_int_equal(pp_alloc_live(), live);
    }
}

static void test_an_empty_store_is_restored(void **state)
{
    struct pp_store_options options;
    struct pp_store_state told;
    pp_store_snapshot *snapshot;
    struct sim_disk sim;
    bool end = false;
    pp_store *store;
    char dir[FOLDER_PATH_BYTES];
    pp_buf stream;

    (void)state;
    sim_init(&sim);
    pp_buf_init(&stream, STREAM_MAX);
    store = open_source(&sim, 0);
    assert_int_equal(pp_store_skip(store, 77), PIPIT_OK);
    assert_int_equal(pp_store_snapshot_new(store, &snapshot), PIPIT_OK);
    assert_int_equal(pp_store_snapshot_next(snapshot, 100, &stream, &end), PIPIT_OK);
    assert_true(end);
    pp_store_snapshot_free(snapshot);
    pp_store_close(store);
    options = target(dir, 0);
    assert_int_equal(restore_all(&options, pp_buf_str(&stream), NULL), PIPIT_OK);
    assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_OK);
    pp_store_state(store, &told);
    assert_int_equal(told.messages, 0);
    assert_int_equal(told.last_seq, 77);
    pp_store_close(store);
    pp_buf_fini(&stream);
    sim_fini(&sim);
}

static void test_a_damaged_snapshot_is_no_store(void **state)
{
    struct pp_store_options options;
    struct sim_disk sim;
    pp_store *store;
    char dir[FOLDER_PATH_BYTES];
    pp_buf stream;

    (void)state;
    sim_init(&sim);
    pp_buf_init(&stream, STREAM_MAX);
    store = make_source(&sim, 0);
    take_all(store, 1 << 20, false, &stream);
    pp_store_close(store);
    for (size_t at = 0; at < stream.len; at += at < 100 ? 1 : 4001) {
        pipit_err err;

        stream.ptr[at] ^= 4;
        options = target(dir, 0);
        err = restore_all(&options, pp_buf_str(&stream), NULL);
        assert_int_equal(err, PIPIT_EDAMAGED);
        assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_ENOTFOUND);
        stream.ptr[at] ^= 4;
    }
    for (size_t len = 0; len < stream.len; len += 9973) {
        options = target(dir, 0);
        assert_int_equal(restore_all(&options, (pp_str){stream.ptr, len}, NULL), PIPIT_EDAMAGED);
    }
    options = target(dir, 0);
    assert_int_equal(restore_all(&options, pp_buf_str(&stream), NULL), PIPIT_OK);
    assert_int_equal(restore_all(&options, pp_buf_str(&stream), NULL), PIPIT_EEXIST);
    pp_buf_fini(&stream);
    sim_fini(&sim);
}

static void test_a_truncation_ends_a_snapshot(void **state)
{
    pp_store_snapshot *snapshot;
    struct sim_disk sim;
    pp_store *store;
    bool end = false;
    pp_buf stream;

    (void)state;
    sim_init(&sim);
    pp_buf_init(&stream, STREAM_MAX);
    store = make_source(&sim, 0);
    assert_int_equal(pp_store_snapshot_new(store, &snapshot), PIPIT_OK);
    assert_int_equal(pp_store_snapshot_next(snapshot, 100, &stream, &end), PIPIT_OK);
    assert_int_equal(pp_store_truncate(store, 100), PIPIT_OK);
    assert_int_equal(pp_store_snapshot_next(snapshot, 100, &stream, &end), PIPIT_ECLOSED);
    pp_store_snapshot_free(snapshot);
    pp_store_close(store);
    pp_buf_fini(&stream);
    sim_fini(&sim);
}

/* Where the payload of a message stands in a segment's file. */
static char *find_payload(struct sim_disk *sim, uint64_t seq)
{
    struct sim_file *file = sim_find(sim, "s/0000000001.seg");
    char payload[1024];
    size_t len = payload_of(seq, payload);

    return memmem(file->now, file->size_now, payload, len);
}

static void test_scrub_finds_damage_at_its_rate(void **state)
{
    enum { RATE = 64 * 1024 }; /* a turn a second */
    int64_t now = 1000 * PP_NS_PER_S, due = 0, began = now;
    struct pp_store_message message;
    struct pp_scrub scrub;
    struct sim_disk sim;
    unsigned turns = 0;
    pp_store *store;

    (void)state;
    sim_init(&sim);
    store = make_source(&sim, 0);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_close(store);
    find_payload(&sim, 22)[100] ^= 1;
    store = open_source(&sim, 0);
    pp_scrub_init(&scrub, RATE, 10 * PP_NS_PER_S);
    while (scrub.passes < 3) {
        assert_int_equal(pp_scrub_turn(&scrub, store, now, &due), PIPIT_OK);
        assert_true(due > now);
        assert_int_equal(pp_scrub_turn(&scrub, store, due - 1, &due), PIPIT_OK); /* not yet */
        now = due;
        turns++;
    }
    assert_true(turns >= 6);
    assert_true(now - began >= (int64_t)turns * PP_NS_PER_S + 30 * PP_NS_PER_S);
    assert_true(scrub.bad <= 1);
    assert_int_equal(pp_store_read(store, 22, &message), PIPIT_EDAMAGED);
    assert_int_equal(pp_store_read(store, 23, &message), PIPIT_OK);
    pp_scrub_init(&scrub, 0, 0);
    assert_int_equal(pp_scrub_turn(&scrub, store, now, &due), PIPIT_OK);
    assert_true(due == INT64_MAX);
    pp_store_close(store);
    sim_fini(&sim);
}

/* It was read before, and is in memory as it was then. */
static void test_scrub_reads_the_disk(void **state)
{
    struct pp_store_message message;
    uint64_t seq = 1, bad = 0;
    struct sim_disk sim;
    pp_store *store;

    (void)state;
    sim_init(&sim);
    store = make_source(&sim, 0);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    assert_int_equal(pp_store_read(store, 22, &message), PIPIT_OK);
    find_payload(&sim, 22)[100] ^= 1;
    assert_int_equal(pp_store_read(store, 22, &message), PIPIT_OK);
    while (seq)
        assert_int_equal(pp_store_scrub(store, &seq, 4096, &bad), PIPIT_OK);
    assert_int_equal(bad, 1);
    assert_int_equal(pp_store_read(store, 22, &message), PIPIT_EDAMAGED);
    assert_int_equal(pp_store_read(store, 23, &message), PIPIT_OK);
    pp_store_close(store);
    sim_fini(&sim);
}

/* One message is read in one piece, however large it is; then it takes the time of all of it. */
static void test_scrub_keeps_its_rate_with_large_messages(void **state)
{
    enum { RATE = 64 * 1024, LARGE = 1024 * 1024, COUNT = 3 };
    const struct pp_store_options options = {.kind = PP_STORE_MEMORY};
    struct pp_store_message message = {.subject = PP_STR("large"), .payload = {NULL, LARGE}};
    int64_t now = 1000 * PP_NS_PER_S, due = 0, began = now;
    char *payload = calloc(1, LARGE);
    struct pp_scrub scrub;
    pp_store *store;

    (void)state;
    message.payload.ptr = payload;
    assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
    pp_scrub_init(&scrub, RATE, 0);
    while (scrub.passes < 1) {
        assert_int_equal(pp_scrub_turn(&scrub, store, now, &due), PIPIT_OK);
        now = due;
    }
    assert_true(now - began >= (int64_t)COUNT * (LARGE / RATE) * PP_NS_PER_S);
    pp_store_close(store);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_restored_is_what_was_there),
        cmocka_unit_test(test_an_empty_store_is_restored),
        cmocka_unit_test(test_a_damaged_snapshot_is_no_store),
        cmocka_unit_test(test_a_truncation_ends_a_snapshot),
        cmocka_unit_test(test_scrub_finds_damage_at_its_rate),
        cmocka_unit_test(test_scrub_reads_the_disk),
        cmocka_unit_test(test_scrub_keeps_its_rate_with_large_messages),
    };

    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
