/* Segments that are mostly dead are written anew: what it costs, what it leaves, and that nothing
 * that is done meanwhile gets lost. */
#include "sim_disk.h"

#include "store/store.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEGMENT = 64 * 1024, PAYLOAD = 200 };

struct bed {
    struct sim_disk sim;
    pp_store *store;
    struct pp_store_limits limits;
};

static void open_store(struct bed *bed)
{
    struct pp_store_options options = {.dir = "s",
                                       .create = true,
                                       .disk = &bed->sim.disk,
                                       .segment_bytes = SEGMENT,
                                       .limits = bed->limits};
    char why[PP_STORE_WHY_BYTES];

    if (pp_store_open(&options, &bed->store, why))
        fail_msg("open: %s", why);
}

static void begin(struct bed *bed, uint32_t per_subject)
{
    *bed = (struct bed){.limits = {.per_subject = per_subject}};
    sim_init(&bed->sim);
    open_store(bed);
}

static void end(struct bed *bed)
{
    pp_store_close(bed->store);
    sim_fini(&bed->sim);
}

static void append(struct bed *bed, const char *subject, uint64_t n)
{
    char payload[PAYLOAD];
    struct pp_store_message message = {.time_ns = (int64_t)n + 1,
                                       .subject = pp_str_of(subject),
                                       .payload = {payload, sizeof(payload)}};

    memset(payload, 'a' + (int)(n % 26), sizeof(payload));
    assert_int_equal(pp_store_append(bed->store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
}

static void check_last(struct bed *bed, const char *subject, uint64_t n)
{
    struct pp_store_subject told;
    struct pp_store_message message;

    assert_int_equal(pp_store_subject(bed->store, pp_str_of(subject), &told), PIPIT_OK);
    assert_int_equal(told.messages, 1);
    assert_int_equal(pp_store_read(bed->store, told.last_seq, &message), PIPIT_OK);
    assert_int_equal(message.payload.len, PAYLOAD);
    assert_int_equal(message.payload.ptr[PAYLOAD - 1], 'a' + (int)(n % 26));
}

static struct pp_store_state state_of(struct bed *bed)
{
    struct pp_store_state state;

    pp_store_state(bed->store, &state);
    return state;
}

/* A few subjects change all the time; each hundredth message is of one that never does again. All
 * of those would hold a segment each. */
static void overwrite(struct bed *bed, uint64_t first, uint64_t end)
{
    char subject[32];

    for (uint64_t n = first; n < end; n++) {
        if (n % 100 == 0)
            (void)snprintf(subject, sizeof(subject), "cold.%u", (unsigned)(n / 100));
        else
            (void)snprintf(subject, sizeof(subject), "hot.%u", (unsigned)(n % 7));
        append(bed, subject, n);
        if (n % 16 == 0)
            pp_store_run(bed->store);
    }
}

static void check_cold(struct bed *bed, uint64_t end)
{
    char subject[32];

    for (uint64_t n = 0; n < end; n += 100) {
        (void)snprintf(subject, sizeof(subject), "cold.%u", (unsigned)(n / 100));
        check_last(bed, subject, n);
    }
}

static void test_last_values_take_little_of_the_disk(void **state)
{
    enum { COUNT = 40000 };
    struct pp_store_state told;
    struct bed bed;

    (void)state;
    begin(&bed, 1);
    overwrite(&bed, 0, COUNT);
    pp_store_run(bed.store);
    check_cold(&bed, COUNT);
    told = state_of(&bed);
    assert_int_equal(told.messages, COUNT / 100 + 7);
    assert_true(told.rewritten > 10);
    /* 12 MB were written; what is left is 100 KB, with what it lies among */
    assert_true(told.segments <= 16);
    assert_true(told.disk_bytes <= 16 * SEGMENT);
    pp_store_close(bed.store);
    open_store(&bed);
    check_cold(&bed, COUNT);
    assert_int_equal(state_of(&bed).messages, COUNT / 100 + 7);
    assert_true(state_of(&bed).segments <= told.segments);
    end(&bed);
}

/* Go on until a rewriting has begun: its file is there. */
static struct sim_file *reach_copy(struct bed *bed, uint64_t *n)
{
    struct sim_file *file = NULL;

    for (uint64_t max = *n + 20000; !file && *n < max; (*n)++) {
        overwrite(bed, *n, *n + 1);
        pp_store_run(bed->store);
        file = sim_find(&bed->sim, "s/rewritten");
    }
    assert_non_null(file);
    return file;
}

static bool holds(const void *bytes, size_t size, const char *text)
{
    return size && memmem(bytes, size, text, strlen(text));
}

/* In a file that is there, or would be after a power cut. */
static bool is_anywhere(const struct bed *bed, const char *text)
{
    for (unsigned i = 0; i < bed->sim.name_count; i++) {
        const struct sim_file *now = bed->sim.names[i].now, *disk = bed->sim.names[i].disk;

        if ((now && holds(now->now, now->size_now, text)) ||
            (disk && holds(disk->disk, disk->size_disk, text)))
            return true;
    }
    return false;
}

static void test_what_is_erased_is_not_in_a_copy(void **state)
{
    static const char secret[] = "this must not be found";
    struct pp_store_message message = {.subject = PP_STR("secret"),
                                       .payload = {secret, sizeof(secret) - 1}};
    struct bed bed;
    uint64_t n = 0, seq;

    (void)state;
    begin(&bed, 1);
    assert_int_equal(pp_store_append(bed.store, &message, PP_STORE_ANY, &seq), PIPIT_OK);
    (void)reach_copy(&bed, &n);
    assert_true(is_anywhere(&bed, secret));
    assert_int_equal(pp_store_delete(bed.store, seq, true), PIPIT_OK);
    assert_int_equal(pp_store_wait(bed.store, pp_store_issued(bed.store)), PIPIT_OK);
    assert_false(is_anywhere(&bed, secret));
    overwrite(&bed, n, n + 3000);
    assert_false(is_anywhere(&bed, secret));
    assert_int_equal(pp_store_read(bed.store, seq, &message), PIPIT_ENOTFOUND);
    end(&bed);
}

static void test_damage_is_left_to_an_operator(void **state)
{
    struct pp_store_message message;
    struct pp_store_state told;
    struct sim_file *file;
    struct bed bed;
    uint64_t lost = 0;

    (void)state;
    begin(&bed, 1);
    overwrite(&bed, 0, 400);
    pp_store_run(bed.store);
    pp_store_close(bed.store);
    file = sim_find(&bed.sim, "s/0000000001.seg");
    assert_non_null(file);
    /* the body of the first message, which is of a subject that stays */
    memset(file->now + 4096 + 48 + 60, '?', 8);
    memset(file->disk + 4096 + 48 + 60, '?', 8);
    open_store(&bed);
    overwrite(&bed, 400, 8000);
    pp_store_run(bed.store);
    assert_int_equal(pp_store_read(bed.store, 1, &message), PIPIT_EDAMAGED);
    told = state_of(&bed);
    lost = told.lost;
    assert_true(sim_find(&bed.sim, "s/0000000001.seg") == file);
    assert_true(told.rewritten > 0); /* others were */
    assert_true(lost <= 1);
    end(&bed);
}

static void test_one_that_fails_is_given_up(void **state)
{
    struct pp_store_progress progress;
    struct bed bed;
    uint64_t n = 0, used = 0;

    (void)state;
    begin(&bed, 1);
    (void)reach_copy(&bed, &n);
    for (unsigned i = 0; i < bed.sim.name_count; i++)
        used += bed.sim.names[i].now ? bed.sim.names[i].now->size_now : 0;
    bed.sim.limit = used; /* the disk is full */
    for (uint64_t i = 0; i < 50; i++) {
        struct pp_store_message message = {.subject = PP_STR("hot.1"), .payload = PP_STR("x")};

        (void)pp_store_append(bed.store, &message, PP_STORE_ANY, NULL);
        pp_store_run(bed.store);
    }
    bed.sim.limit = 0;
    overwrite(&bed, n, n + 4000);
    pp_store_run(bed.store);
    pp_store_progress(bed.store, &progress);
    assert_int_equal(progress.err, PIPIT_OK);
    assert_true(state_of(&bed).rewritten > 0);
    check_cold(&bed, n + 4000);
    end(&bed);
}

/* Do it again when there is progress, as long as it is asked for. */
static bool again(struct bed *bed, pipit_err err)
{
    if (err != PIPIT_EAGAIN)
        assert_int_equal(err, PIPIT_OK);
    else /* also for the next segment's file, which no ticket is of */
        (void)pp_store_wait(bed->store, pp_store_issued(bed->store));
    return err == PIPIT_EAGAIN;
}

/* On the real disk, written by a pool's thread, with erasures meanwhile. */
static void test_a_pool_rewrites(void **state)
{
    enum { COUNT = 30000, ERASED_EACH = 500 };
    char dir[] = "/tmp/pipit-rewrite-XXXXXX", command[96], why[PP_STORE_WHY_BYTES];
    struct bed bed = {.limits = {.per_subject = 1}};
    struct pp_store_options options = {
        .dir = dir, .create = true, .segment_bytes = SEGMENT, .limits = bed.limits};
    struct pp_store_message message;
    char payload[PAYLOAD], subject[32];
    pp_store_pool *pool;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    options.pool = pool;
    options.sync_interval_ns = 1000000000; /* the test is not about the disk's speed */
    assert_int_equal(pp_store_open(&options, &bed.store, why), PIPIT_OK);
    for (uint64_t n = 0; n < COUNT; n++) {
        if (n % 100 == 0)
            (void)snprintf(subject, sizeof(subject), "cold.%u", (unsigned)(n / 100));
        else
            (void)snprintf(subject, sizeof(subject), "hot.%u", (unsigned)(n % 7));
        memset(payload, 'a' + (int)(n % 26), sizeof(payload));
        message = (struct pp_store_message){.time_ns = (int64_t)n + 1,
                                            .subject = pp_str_of(subject),
                                            .payload = {payload, sizeof(payload)}};
        while (again(&bed, pp_store_append(bed.store, &message, PP_STORE_ANY, NULL)))
            continue;
        while (n % ERASED_EACH == 0 && n && /* the message of cold.(n / 100 - 1) */
               again(&bed, pp_store_delete(bed.store, n - 99, true)))
            continue;
    }
    assert_int_equal(pp_store_wait(bed.store, pp_store_issued(bed.store)), PIPIT_OK);
    assert_true(state_of(&bed).rewritten > 0);
    pp_store_close(bed.store);
    assert_int_equal(pp_store_open(&options, &bed.store, why), PIPIT_OK);
    for (uint64_t n = 0; n < COUNT; n += 100) {
        bool erased = (n + 100) % ERASED_EACH == 0 && n + 100 < COUNT;

        assert_int_equal(pp_store_read(bed.store, n + 1, &message),
                         erased ? PIPIT_ENOTFOUND : PIPIT_OK);
        if (!erased)
            assert_int_equal(message.payload.ptr[0], 'a' + (int)(n % 26));
    }
    pp_store_close(bed.store);
    pp_store_pool_free(pool);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_values_take_little_of_the_disk),
        cmocka_unit_test(test_what_is_erased_is_not_in_a_copy),
        cmocka_unit_test(test_damage_is_left_to_an_operator),
        cmocka_unit_test(test_one_that_fails_is_given_up),
        cmocka_unit_test(test_a_pool_rewrites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
