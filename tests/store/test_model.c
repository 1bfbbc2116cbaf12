/* Random operations on stores of both kinds, compared with a naive model, with reopening at random
 * points. PIPIT_STORE_SEQUENCES: how many sequences of operations (default 300). */
#include "sim_disk.h"
#include "workload.h"

#include "../unit/seed.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEPS = 200, STEPS_OF_MOST = 100 };

static struct pp_store_options options_of(struct workload *load, struct sim_disk *sim)
{
    struct pp_store_options options = {
        .kind = load->model.memory ? PP_STORE_MEMORY : PP_STORE_FILE,
        .dir = "s",
        .create = true,
        .disk = &sim->disk,
        .segment_bytes = 64 * 1024,
        .cache_bytes = 128 * 1024,
        .index_bytes = pp_random_below(&load->random, 2) ? 1 : 0,
        .limits = load->model.limits,
    };
    unsigned variant = pp_random_below(&load->random, VARIANTS) & ~(unsigned)VARIANT_SEALED;

    workload_set_variant(&options, variant | (load->sealed ? VARIANT_SEALED : 0));
    return options;
}

static void open_store(struct workload *load, struct sim_disk *sim)
{
    struct pp_store_options options = options_of(load, sim);
    char why[PP_STORE_WHY_BYTES];
    pipit_err err = pp_store_open(&options, &load->store, why);

    if (err)
        fail_msg("open: %s", why);
}

/* What one kind of store has been through. */
struct played {
    uint64_t operations;
    uint64_t opened;
    uint64_t rewritten; /* segments, by stores that were looked at in time */
};

static void close_store(struct workload *load, struct played *played)
{
    struct pp_store_state state;

    pp_store_state(load->store, &state);
    played->rewritten += state.rewritten;
    played->opened++;
    pp_store_close(load->store);
}

static void play(uint64_t seed, bool memory, struct played *played)
{
    struct workload load;
    struct sim_disk sim;
    unsigned steps;

    sim_init(&sim);
    workload_init(&load, seed);
    load.model.memory = memory;
    /* Some are long, and fill segments. */
    steps =
        pp_random_below(&load.random, 4) ? 1 + pp_random_below(&load.random, STEPS_OF_MOST) : STEPS;
    load.large = steps == STEPS ? 30 : 100;
    load.sealed = seed & 1;
    workload_choose_limits(&load);
    open_store(&load, &sim);
    for (unsigned i = 0; i < steps; i++) {
        (void)workload_step(&load);
        if (!memory && pp_random_below(&load.random, 4) == 0)
            pp_store_run(load.store);
        if (pp_random_below(&load.random, 20) == 0)
            workload_compare(&load);
        if (!memory && pp_random_below(&load.random, 30) == 0) {
            close_store(&load, played);
            open_store(&load, &sim);
            workload_compare(&load);
        }
        if (pp_random_below(&load.random, 100) == 0) {
            workload_choose_limits(&load);
            if (load.model.limits.per_subject == 0) { /* which the model does not do at once */
                assert_int_equal(pp_store_limit(load.store, &load.model.limits), PIPIT_OK);
                while (load.model.count &&
                       ((load.model.limits.messages &&
                         load.model.count > load.model.limits.messages) ||
                        (load.model.limits.bytes && load.model.bytes > load.model.limits.bytes))) {
                    load.model.bytes -= load.model.items[0].counted;
                    load.model.count--;
                    memmove(load.model.items, load.model.items + 1,
                            load.model.count * sizeof(*load.model.items));
                }
            } else {
                load.model.limits = (struct pp_store_limits){0};
                assert_int_equal(pp_store_limit(load.store, &load.model.limits), PIPIT_OK);
            }
        }
    }
    workload_compare(&load);
    close_store(&load, played);
    played->operations += steps;
    assert_int_equal(sim.fds_open, 0);
    workload_fini(&load);
    sim_fini(&sim);
}

static void play_all(const char *name, bool memory)
{
    const char *given = getenv("PIPIT_STORE_SEQUENCES");
    long count = given ? atol(given) : 300;
    uint64_t seed = test_seed(name);
    int64_t live = pp_alloc_live();
    struct played played = {0};

    for (long i = 0; i < count; i++) {
        if (getenv("PIPIT_VERBOSE"))
            (void)fprintf(stderr, "%s: seed %llu\n", name,
                          (unsigned long long)(seed + (uint64_t)i));
        play(seed + (uint64_t)i, memory, &played);
        assert_int_equal(pp_alloc_live(), live);
    }
    printf("figure: sequences, %s: %ld\n", name, count);
    printf("figure: operations, %s: %" PRIu64 "\n", name, played.operations);
    if (memory)
        return;
    printf("figure: times a store was opened: %" PRIu64 "\n", played.opened);
    printf("figure: segments written anew: %" PRIu64 "\n", played.rewritten);
    if (count >= 300) /* or nothing is proven of them */
        assert_true(played.rewritten > 0);
}

static void test_file_store_is_as_the_model(void **state)
{
    (void)state;
    play_all("file", false);
}

static void test_memory_store_is_as_the_model(void **state)
{
    (void)state;
    play_all("memory", true);
}

/* Sequences that have found something: deletions above a cut that were said again behind it, of a
 * segment that was dead and whose index was not loaded, took a message that came there later. */
static void test_what_went_wrong_once_does_not_again(void **state)
{
    static const uint64_t seeds[] = {20261379404};
    struct played played = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
        play(seeds[i], false, &played);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_store_is_as_the_model),
        cmocka_unit_test(test_file_store_is_as_the_model),
        cmocka_unit_test(test_what_went_wrong_once_does_not_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
