/* Stores that are encrypted or compressed: what is on the disk tells nothing, keys are asked for,
 * new keys come in front of old ones. */
#include "sim_disk.h"
#include "workload.h"

#include "store/keys.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 400 };

static const char secret[] = "the secret that nobody may read on the disk, however long it looks";
static const struct pp_store_keys first = {1, {"the first key of a ring"}};
static const struct pp_store_keys second = {1, {"the second key of a ring"}};
static const struct pp_store_keys both = {2,
                                          {"the second key of a ring", "the first key of a ring"}};

static struct pp_store_options options_of(struct sim_disk *sim)
{
    return (struct pp_store_options){
        .dir = "s", .create = true, .disk = &sim->disk, .segment_bytes = 64 * 1024};
}

static pipit_err open_with(struct sim_disk *sim, const struct pp_store_keys *keys, bool compress,
                           pp_store **out_store, char *why)
{
    struct pp_store_options options = options_of(sim);

    options.keys = keys;
    options.compress = compress;
    return pp_store_open(&options, out_store, why);
}

static void append_all(pp_store *store, uint64_t count)
{
    struct pp_store_message message = {.time_ns = 1,
                                       .subject = PP_STR("secret.subject"),
                                       .headers = PP_STR("NATS/1.0\r\nsecret: yes\r\n\r\n")};
    char payload[1000];

    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = secret[i % (sizeof(secret) - 1)];
    for (uint64_t i = 0; i < count; i++) {
        message.payload = (pp_str){payload, 500 + i % 500};
        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (i % 20 == 0)
            pp_store_run(store);
    }
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
}

static void read_all(pp_store *store, uint64_t count)
{
    struct pp_store_message message;
    struct pp_store_state state;

    pp_store_state(store, &state);
    assert_int_equal(state.messages, count);
    assert_int_equal(state.lost, 0);
    for (uint64_t seq = 1; seq <= count; seq++) {
        assert_int_equal(pp_store_read(store, seq, &message), PIPIT_OK);
        assert_true(pp_str_eq(message.subject, PP_STR("secret.subject")));
        assert_true(pp_str_eq(message.headers, PP_STR("NATS/1.0\r\nsecret: yes\r\n\r\n")));
        assert_memory_equal(message.payload.ptr, secret, sizeof(secret) - 1);
    }
}

/* How many bytes of files hold data; *out_found: text stands in one of them. */
static uint64_t look_for(struct sim_disk *sim, const char *text, bool *out_found)
{
    uint64_t used = 0;

    *out_found = false;
    for (unsigned i = 0; i < sim->name_count; i++) {
        struct sim_file *file = sim->names[i].now;

        if (!file || !file->size_now)
            continue;
        *out_found |= memmem(file->now, file->size_now, text, strlen(text)) != NULL;
        for (uint64_t at = 0; at < file->size_now; at++)
            used += file->now[at] != 0;
    }
    return used;
}

static void test_nothing_is_to_be_read_on_the_disk(void **state)
{
    struct sim_disk sim;
    pp_store *store;
    bool found;

    (void)state;
    sim_init(&sim);
    assert_int_equal(open_with(&sim, &first, false, &store, NULL), PIPIT_OK);
    append_all(store, MESSAGES);
    read_all(store, MESSAGES);
    pp_store_close(store);
    (void)look_for(&sim, "nobody may read", &found);
    assert_false(found);
    (void)look_for(&sim, "secret.subject", &found);
    assert_false(found);
    assert_int_equal(open_with(&sim, &first, false, &store, NULL), PIPIT_OK);
    read_all(store, MESSAGES);
    pp_store_close(store);
    sim_fini(&sim);
}

static void test_compressed_takes_less(void **state)
{
    uint64_t used[2];
    bool found;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct sim_disk sim;
        pp_store *store;

        sim_init(&sim);
        assert_int_equal(open_with(&sim, NULL, i, &store, NULL), PIPIT_OK);
        append_all(store, MESSAGES);
        pp_store_close(store);
        assert_int_equal(open_with(&sim, NULL, false, &store, NULL), PIPIT_OK);
        read_all(store, MESSAGES);
        pp_store_close(store);
        used[i] = look_for(&sim, "nobody may read", &found);
        assert_true(found);
        sim_fini(&sim);
    }
    assert_true(used[1] < used[0] / 3);
}

/* Every byte of every file, as a number. */
static uint64_t digest(struct sim_disk *sim)
{
    uint64_t hash = 14695981039346656037u;

    for (unsigned i = 0; i < sim->name_count; i++) {
        struct sim_file *file = sim->names[i].now;

        for (uint64_t at = 0; file && at < file->size_now; at++)
            hash = (hash ^ (unsigned char)file->now[at]) * 1099511628211u;
    }
    return hash;
}

static void test_without_its_key_it_is_refused_untouched(void **state)
{
    char why[PP_STORE_WHY_BYTES];
    struct sim_disk sim;
    pp_store *store;
    uint64_t before;

    (void)state;
    sim_init(&sim);
    assert_int_equal(open_with(&sim, &first, false, &store, NULL), PIPIT_OK);
    append_all(store, MESSAGES);
    pp_store_close(store);
    before = digest(&sim);
    assert_int_equal(open_with(&sim, NULL, false, &store, why), PIPIT_EDENIED);
    assert_non_null(strstr(why, "encrypted"));
    assert_int_equal(open_with(&sim, &second, false, &store, why), PIPIT_EDENIED);
    assert_non_null(strstr(why, "none of the keys"));
    assert_true(digest(&sim) == before);
    assert_int_equal(open_with(&sim, &both, false, &store, why), PIPIT_OK);
    read_all(store, MESSAGES);
    pp_store_close(store);
    assert_int_equal(sim.fds_open, 0);
    sim_fini(&sim);
}

static void test_a_new_key_comes_in_front(void **state)
{
    char why[PP_STORE_WHY_BYTES];
    struct sim_disk sim;
    pp_store *store;
    uint64_t count;

    (void)state;
    sim_init(&sim);
    assert_int_equal(open_with(&sim, NULL, false, &store, why), PIPIT_OK);
    append_all(store, 50);
    pp_store_close(store);
    assert_int_equal(open_with(&sim, &first, true, &store, why), PIPIT_OK);
    append_all(store, 50);
    read_all(store, 100);
    pp_store_close(store);
    assert_int_equal(open_with(&sim, &both, false, &store, why), PIPIT_OK);
    append_all(store, 50);
    read_all(store, 150);
    pp_store_close(store);
    assert_int_equal(open_with(&sim, &second, false, &store, why), PIPIT_EDENIED);
    assert_int_equal(open_with(&sim, &both, false, &store, why), PIPIT_OK);
    read_all(store, 150);
    /* When nothing of the old key is left the new one is enough. */
    assert_int_equal(pp_store_purge(store, PP_STR(">"), 101, 0, &count), PIPIT_OK);
    assert_int_equal(count, 100);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_close(store);
    assert_int_equal(open_with(&sim, &second, false, &store, why), PIPIT_OK);
    pp_store_close(store);
    sim_fini(&sim);
}

static void test_keys_are_read(void **state)
{
    static const char hex[] = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
    char why[PP_STORE_KEYS_WHY_BYTES], text[512];
    struct pp_store_keys keys;

    (void)state;
    (void)snprintf(text, sizeof(text), "# new\n%s\n  %s # old\n,", hex, hex);
    assert_int_equal(pp_store_keys_parse(pp_str_of(text), &keys, why), PIPIT_OK);
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.keys[1][1], 0x11);
    assert_int_equal(keys.keys[1][16], 0xff);
    assert_int_equal(pp_store_keys_parse(PP_STR(""), &keys, why), PIPIT_EINVAL);
    assert_int_equal(pp_store_keys_parse(PP_STR("# none"), &keys, why), PIPIT_EINVAL);
    assert_int_equal(pp_store_keys_parse(PP_STR("0011"), &keys, why), PIPIT_EINVAL);
    text[6] = 'x';
    assert_int_equal(pp_store_keys_parse(pp_str_of(text), &keys, why), PIPIT_EINVAL);
    assert_null(strstr(why, "0112"));
    assert_int_equal(pp_store_keys_read("/nonexistent", &keys, why), PIPIT_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_to_be_read_on_the_disk),
        cmocka_unit_test(test_compressed_takes_less),
        cmocka_unit_test(test_without_its_key_it_is_refused_untouched),
        cmocka_unit_test(test_a_new_key_comes_in_front),
        cmocka_unit_test(test_keys_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
