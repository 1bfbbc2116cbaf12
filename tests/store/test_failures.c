/* Every call to the disk fails once, in each way; then every allocation. Nothing is settled that is
 * not there afterwards, nothing crashes, nothing is leaked. */
#include "sim_disk.h"
#include "workload.h"

#include "../unit/seed.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STEPS = 80, TICKETS_MAX = 10000 };

static uint64_t digests[TICKETS_MAX];
static uint64_t digest_count;

static struct pp_store_options options_of(const struct workload *load, struct sim_disk *sim)
{
    struct pp_store_options options = {.dir = "s",
                                       .create = true,
                                       .disk = &sim->disk,
                                       .segment_bytes = 64 * 1024,
                                       .limits = load->model.limits};

    workload_set_variant(&options, load->variant);
    return options;
}

static void note(const struct workload *load)
{
    while (digest_count <= pp_store_issued(load->store) && digest_count < TICKETS_MAX)
        digests[digest_count++] = model_digest(&load->model);
}

static uint64_t play(struct workload *load, struct sim_disk *sim)
{
    struct pp_store_options options = options_of(load, sim);
    struct pp_store_progress progress = {0};

    digest_count = 0;
    if (pp_store_open(&options, &load->store, NULL))
        return 0;
    note(load);
    for (int i = 0; i < STEPS; i++) {
        (void)workload_step(load);
        note(load);
        if (i % 3 == 0)
            pp_store_run(load->store);
    }
    pp_store_progress(load->store, &progress);
    pp_store_close(load->store);
    return progress.ticket;
}

/* What is on the disk now is what some ticket from the settled one on led to. */
static void check(struct workload *load, struct sim_disk *sim, uint64_t settled, const char *what)
{
    struct pp_store_options options = options_of(load, sim);
    char why[PP_STORE_WHY_BYTES];
    uint64_t digest, ticket = settled;

    if (pp_store_open(&options, &load->store, why))
        fail_msg("%s: it does not open: %s", what, why);
    digest = store_digest(load->store);
    while (ticket < digest_count && digests[ticket] != digest)
        ticket++;
    if (digest_count && ticket == digest_count)
        fail_msg("%s: not a state after ticket %" PRIu64, what, settled);
    pp_store_close(load->store);
}

/* False: the call was never made. */
static bool fail_call(uint64_t seed, unsigned variant, uint64_t nth, int with)
{
    int64_t live = pp_alloc_live();
    struct workload load;
    struct sim_disk sim;
    uint64_t settled;
    bool failed;
    char what[96];

    sim_init(&sim);
    workload_init(&load, seed);
    load.simple = true;
    load.large = 20;
    load.variant = variant;
    sim.fail_at = nth;
    sim.fail_with = with;
    settled = play(&load, &sim);
    failed = sim.failed;
    sim.fail_at = 0;
    sim_power_on(&sim, nth, 0); /* nothing that was not synced stays */
    (void)snprintf(what, sizeof(what), "seed %" PRIu64 " call %" PRIu64 " errno %d", seed, nth,
                   with);
    check(&load, &sim, settled, what);
    assert_int_equal(sim.fds_open, 0);
    workload_fini(&load);
    sim_fini(&sim);
    assert_int_equal(pp_alloc_live(), live);
    return failed;
}

static void test_every_call_fails(void **state)
{
    static const int ways[] = {EIO, ENOSPC, EINTR, 0};
    uint64_t seed = test_seed("calls"), failed_calls = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        for (uint64_t nth = 1;
             fail_call(seed, 2 * (unsigned)i + 1, nth, ways[i]) || fail_call(seed, 0, nth, ways[i]);
             nth++)
            failed_calls += 2;
    printf("figure: calls to the disk that failed: %" PRIu64 "\n", failed_calls);
}

static uint64_t fail_allocations(uint64_t seed, unsigned variant)
{
    bool failed = true;
    uint64_t nth = 1;

    for (; failed; nth++) {
        int64_t live = pp_alloc_live();
        struct workload load;
        struct sim_disk sim;
        uint64_t settled;
        char what[64];

        sim_init(&sim);
        workload_init(&load, seed);
        load.simple = true;
        load.variant = variant;
        pp_fault_arm("alloc", nth);
        settled = play(&load, &sim);
        failed = pp_fault_disarm();
        (void)snprintf(what, sizeof(what), "allocation %" PRIu64, nth);
        check(&load, &sim, settled, what);
        workload_fini(&load);
        sim_fini(&sim);
        assert_int_equal(pp_alloc_live(), live);
    }
    return nth - 1;
}

static void test_every_allocation_fails(void **state)
{
    uint64_t seed = test_seed("allocations");

    (void)state;
    printf("figure: allocations that failed: %" PRIu64 "\n",
           fail_allocations(seed, 0) + fail_allocations(seed, VARIANT_COMPRESSED | VARIANT_SEALED));
}

static void test_full_disk_refuses_and_recovers(void **state)
{
    struct pp_store_message message = {.subject = PP_STR("full")};
    static char payload[8000];
    struct workload load;
    struct sim_disk sim;
    struct pp_store_options options;
    pp_store *store;
    uint64_t settled = 0, count = 0;
    pipit_err err;

    (void)state;
    sim_init(&sim);
    workload_init(&load, 1);
    sim.limit = 300 * 1024;
    options = options_of(&load, &sim);
    assert_int_equal(pp_store_open(&options, &store, NULL), PIPIT_OK);
    message.payload = (pp_str){payload, sizeof(payload)};
    while ((err = pp_store_append(store, &message, PP_STORE_ANY, &settled)) == PIPIT_OK)
        assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    assert_int_equal(err, PIPIT_ENOSPC);
    assert_true(settled > 10);
    /* Room can be made on a full disk, and reads go on. */
    assert_int_equal(pp_store_read(store, settled, &message), PIPIT_OK);
    assert_int_equal(pp_store_purge(store, PP_STR(">"), settled, 0, &count), PIPIT_OK);
    assert_int_equal(count, settled - 1);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    message =
        (struct pp_store_message){.subject = PP_STR("full"), .payload = {payload, sizeof(payload)}};
    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_close(store);
    workload_fini(&load);
    sim_fini(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_full_disk_refuses_and_recovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
