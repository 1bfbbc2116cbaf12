/* Bytes of a store's files are flipped, files are cut, zeroed, missing. What is damaged is not
 * served, all else is, and nothing is removed. PIPIT_STORE_STRIDE: look at one byte in so many
 * (default 61). */
#include "sim_disk.h"
#include "workload.h"

#include "../unit/seed.h"

#include "base/assert.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 60, IN_SEGMENT = 15, FILES = 8, PAYLOAD_MAX = 4000 };

/* What the files are when nothing is wrong with them. */
struct image {
    char path[32];
    char *bytes;
    uint64_t size;
};

static struct sim_disk sim;
static struct image images[FILES];
static unsigned image_count;
static unsigned variant;
static uint64_t looks;

static size_t payload_of(uint64_t seq, char *out)
{
    size_t len = seq % 10 == 0 ? PAYLOAD_MAX : 20 + seq % 50;

    for (size_t i = 0; i < len; i++)
        out[i] = (char)(seq * 31 + i * 7);
    return len;
}

static pp_store *open_store(char *why)
{
    struct pp_store_options options = {
        .dir = "s", .create = true, .disk = &sim.disk, .segment_bytes = 64 * 1024};
    pp_store *store = NULL;

    workload_set_variant(&options, variant);
    *why = '\0';
    return pp_store_open(&options, &store, why) == PIPIT_OK ? store : NULL;
}

static int make_store(void **state)
{
    char why[PP_STORE_WHY_BYTES], payload[PAYLOAD_MAX];
    pp_store *store;

    (void)state;
    sim_init(&sim);
    store = open_store(why);
    for (uint64_t seq = 1; store && seq <= MESSAGES; seq++) {
        struct pp_store_message message = {.time_ns = (int64_t)seq,
                                           .subject = PP_STR("damage.test"),
                                           .payload = {payload, payload_of(seq, payload)}};

        if (pp_store_append(store, &message, PP_STORE_ANY, NULL))
            return -1;
        if (seq % IN_SEGMENT == 0) { /* a new segment, with a footer before it */
            if (pp_store_skip(store, seq + 1) || pp_store_truncate(store, seq))
                return -1;
        }
        pp_store_run(store);
    }
    pp_store_close(store);
    for (unsigned i = 0; i < sim.name_count; i++) {
        struct sim_file *file = sim.names[i].now;
        struct image *image = &images[image_count];

        if (!file || strstr(sim.names[i].path, "lock"))
            continue;
        PP_ASSERT(image_count < FILES);
        image_count++;
        (void)snprintf(image->path, sizeof(image->path), "%.31s", sim.names[i].path);
        image->size = file->size_now;
        image->bytes = malloc(image->size + 1);
        PP_ASSERT(image->bytes);
        memcpy(image->bytes, file->now, image->size);
    }
    return store ? 0 : -1;
}

static int free_store(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++)
        free(images[i].bytes);
    image_count = 0;
    sim_fini(&sim);
    return 0;
}

static void remove_file(const char *path)
{
    (void)sim.disk.ops->remove(&sim.disk, path);
}

static void put_file(const char *path, const char *bytes, uint64_t size)
{
    int fd = sim.disk.ops->open(&sim.disk, path, O_RDWR | O_CREAT);

    PP_ASSERT(fd >= 0);
    sim.disk.ops->close(&sim.disk, fd);
    sim_set(sim_find(&sim, path), bytes, size);
}

/* All files as they should be; none has been removed but by the test. */
static void restore(void)
{
    for (unsigned i = 0; i < image_count; i++) {
        PP_ASSERT(sim_find(&sim, images[i].path));
        sim_set(sim_find(&sim, images[i].path), images[i].bytes, images[i].size);
    }
}

static bool is_segment(const struct image *image)
{
    return strstr(image->path, ".seg") != NULL;
}

/* Open and read all. Answers how many messages are not there; -1: it does not open. */
static int look(const char *what, uint64_t at)
{
    char why[PP_STORE_WHY_BYTES], payload[PAYLOAD_MAX];
    pp_store *store = open_store(why);
    int missing = 0;

    if (!store)
        return -1;
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        struct pp_store_message message;
        pipit_err err = pp_store_read(store, seq, &message);
        size_t len = payload_of(seq, payload);

        if (err && err != PIPIT_EDAMAGED && err != PIPIT_ENOTFOUND)
            fail_msg("%s at %" PRIu64 ": read of %" PRIu64 ": %d", what, at, seq, err);
        missing += err != PIPIT_OK;
        if (!err && (message.seq != seq || message.time_ns != (int64_t)seq ||
                     !pp_str_eq(message.subject, PP_STR("damage.test")) ||
                     !pp_str_eq(message.payload, (pp_str){payload, len})))
            fail_msg("%s at %" PRIu64 ": %" PRIu64 " is served and wrong", what, at, seq);
    }
    pp_store_close(store);
    looks++;
    return missing;
}

/* The files are as they should be, but for one thing. At most so many messages are not there. */
static void expect(const char *what, uint64_t at, int missing_max)
{
    int missing = look(what, at);

    if (missing < 0 || missing > missing_max)
        fail_msg("%s at %" PRIu64 ": %d messages are not there", what, at, missing);
}

static uint64_t stride_of(uint64_t otherwise)
{
    const char *given = getenv("PIPIT_STORE_STRIDE");

    return given ? (uint64_t)atol(given) : otherwise;
}

static void test_flipped_bits_are_not_served(void **state)
{
    uint64_t stride = stride_of(61);
    uint64_t random = test_seed("flips") | 1;

    (void)state;
    for (unsigned i = 0; i < image_count; i++) {
        uint64_t from = stride > 1 ? pp_random_next(&random) % stride : 0;

        for (uint64_t at = from; at < images[i].size; at += at < 200 ? 1 : stride)
            /* Of headers, heads and trailers every bit. */
            for (unsigned bit = stride == 1 && at >= 200 ? at % 8 : 0; bit < 8;
                 bit += stride == 1 && at < 200 ? 1 : 8) {
                restore();
                sim_find(&sim, images[i].path)->now[at] ^=
                    (char)(1 << (stride == 1 ? bit : at % 8));
                expect(images[i].path, at, 1);
            }
    }
}

static void test_truncated_files_are_survived(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++)
        for (uint64_t size = 0; size < images[i].size; size += stride_of(501)) {
            restore();
            sim_set(sim_find(&sim, images[i].path), images[i].bytes, size);
            expect(images[i].path, size, IN_SEGMENT);
        }
}

static void test_zeroed_sectors_are_survived(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++)
        for (uint64_t at = 0; at + SIM_SECTOR <= images[i].size; at += SIM_SECTOR) {
            restore();
            memset(sim_find(&sim, images[i].path)->now + at, 0, SIM_SECTOR);
            expect(images[i].path, at, IN_SEGMENT);
        }
    restore();
    expect("whole", 0, 0);
}

/* A write that went to the wrong file, or never came and left what the place held for another. */
static void test_stale_sectors_are_not_served(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++)
        for (unsigned j = 0; j < image_count; j++)
            for (uint64_t at = 0;
                 i != j && at + SIM_SECTOR <= images[i].size && at + SIM_SECTOR <= images[j].size;
                 at += SIM_SECTOR) {
                restore();
                memcpy(sim_find(&sim, images[i].path)->now + at, images[j].bytes + at, SIM_SECTOR);
                expect(images[i].path, at, IN_SEGMENT);
            }
    restore();
}

static void test_missing_files_are_survived(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++) {
        restore();
        remove_file(images[i].path);
        expect(images[i].path, 0, is_segment(&images[i]) ? IN_SEGMENT : 0);
        put_file(images[i].path, images[i].bytes, images[i].size);
    }
    restore();
    for (unsigned i = 0; i < image_count; i++) /* all of them: only the manifest is there */
        if (is_segment(&images[i]))
            remove_file(images[i].path);
    expect("no segment", 0, MESSAGES);
    for (unsigned i = 0; i < image_count; i++)
        put_file(images[i].path, images[i].bytes, images[i].size);
    expect("whole", 0, 0);
}

/* A copy under another name is not served; what it is a copy of is. */
static void test_doubled_files_are_left_alone(void **state)
{
    static const char *const names[] = {"s/0000000999.seg", "s/0000000000.seg"};

    (void)state;
    for (unsigned i = 0; i < image_count; i++)
        for (unsigned n = 0; n < 2; n++) {
            restore();
            put_file(names[n], images[i].bytes, images[i].size);
            expect(images[i].path, n, 0);
            PP_ASSERT(sim_find(&sim, names[n]));
            remove_file(names[n]);
        }
}

static void test_renamed_files_are_not_served_as_others(void **state)
{
    (void)state;
    for (unsigned i = 0; i < image_count; i++) {
        if (!is_segment(&images[i]))
            continue;
        restore();
        put_file("s/0000000999.seg", images[i].bytes, images[i].size);
        remove_file(images[i].path);
        expect(images[i].path, 999, IN_SEGMENT);
        remove_file("s/0000000999.seg");
        put_file(images[i].path, images[i].bytes, images[i].size);
        for (unsigned j = 0; j < i; j++) { /* two that changed names */
            if (!is_segment(&images[j]))
                continue;
            restore();
            put_file(images[i].path, images[j].bytes, images[j].size);
            put_file(images[j].path, images[i].bytes, images[i].size);
            expect(images[i].path, j, 2 * IN_SEGMENT);
        }
    }
    restore();
    expect("whole", 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_bits_are_not_served),
        cmocka_unit_test(test_truncated_files_are_survived),
        cmocka_unit_test(test_zeroed_sectors_are_survived),
        cmocka_unit_test(test_stale_sectors_are_not_served),
        cmocka_unit_test(test_missing_files_are_survived),
        cmocka_unit_test(test_doubled_files_are_left_alone),
        cmocka_unit_test(test_renamed_files_are_not_served_as_others),
    };

    int failed = 0;

    for (variant = 0; variant < VARIANTS; variant += 3) { /* plain, both, and both rotated */
        (void)printf("variant %u\n", variant);
        failed += cmocka_run_group_tests(tests, make_store, free_store);
    }
    (void)printf("figure: damaged stores opened: %" PRIu64 "\n", looks);
    return failed;
}
