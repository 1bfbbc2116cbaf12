/* The power is cut at every call that changes the disk, and comes back with whatever of what was
 * not synced a seed leaves. The store must open, hold a state that it went through, and none older
 * than what it said was settled.
 *
 * PIPIT_STORE_STEPS: operations of the trace (default 150); PIPIT_STORE_CUTS: how many random
 * traces besides (default 300). */
#include "sim_disk.h"
#include "workload.h"

#include "../unit/seed.h"

#include "base/assert.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TICKETS_MAX = 100000 };

/* What the model was like after each mutation, by ticket of the store; and before it, where others
 * of its tickets follow: then it is under way. */
struct history {
    uint64_t digests[TICKETS_MAX];
    uint64_t before[TICKETS_MAX];
    uint64_t counts[TICKETS_MAX]; /* to tell what was expected */
    uint64_t lasts[TICKETS_MAX];
    uint64_t count;
};

static struct history history;

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

/* Tickets from the last one to this one lead to this state: a mutation may take several, to say
 * again what would be cut off, and to give room back. */
static void note(const struct workload *load)
{
    uint64_t issued = pp_store_issued(load->store), digest = model_digest(&load->model);
    uint64_t before = history.count ? history.digests[history.count - 1] : digest;

    PP_ASSERT(issued < TICKETS_MAX);
    while (history.count <= issued) {
        history.before[history.count] = history.count < issued ? before : digest;
        history.counts[history.count] = load->model.count;
        history.lasts[history.count] = load->model.last_seq;
        history.digests[history.count++] = digest;
    }
}

/* Play until the power goes or the trace ends. Answers up to which ticket all is settled. */
static uint64_t play(struct workload *load, struct sim_disk *sim, unsigned steps)
{
    struct pp_store_options options = options_of(load, sim);
    struct pp_store_progress progress = {0};

    history.count = 0;
    if (pp_store_open(&options, &load->store, NULL)) {
        load->store = NULL;
        return 0;
    }
    note(load);
    for (unsigned i = 0; i < steps && !sim->dead; i++) {
        (void)workload_step(load);
        note(load);
        if (pp_random_below(&load->random, 3) == 0)
            pp_store_run(load->store);
        if (pp_random_below(&load->random, 25) == 0)
            pp_store_tend(load->store);
    }
    pp_store_progress(load->store, &progress);
    pp_store_close(load->store); /* fails, if the power is gone, and says nothing more */
    return progress.ticket;
}

static void check_state(struct workload *load, struct sim_disk *sim, uint64_t settled,
                        const char *what)
{
    struct pp_store_options options = options_of(load, sim);
    struct pp_store_state state;
    char why[PP_STORE_WHY_BYTES];
    uint64_t digest, ticket;

    if (pp_store_open(&options, &load->store, why))
        fail_msg("%s: it does not open: %s", what, why);
    pp_store_state(load->store, &state);
    digest = store_digest(load->store);
    for (ticket = settled; ticket < history.count && history.digests[ticket] != digest &&
                           history.before[ticket] != digest;)
        ticket++;
    for (uint64_t i = settled; history.count && ticket == history.count && i < history.count; i++)
        (void)fprintf(stderr, "ticket %" PRIu64 ": %" PRIu64 " messages to %" PRIu64 "\n", i,
                      history.counts[i], history.lasts[i]);
    if (history.count && ticket == history.count)
        fail_msg("%s: %" PRIu64 " messages to %" PRIu64 " are no state after ticket %" PRIu64, what,
                 state.messages, state.last_seq, settled);
    if (state.lost)
        fail_msg("%s: %" PRIu64 " lost", what, state.lost);
    pp_store_close(load->store);
}

/* One trace, cut at one place. False: it ended before that. */
static bool cut(uint64_t seed, uint64_t at, uint64_t chance, unsigned how, unsigned steps)
{
    struct workload load;
    struct sim_disk sim;
    uint64_t settled;
    bool was_cut;
    char what[128];

    sim_init(&sim);
    workload_init(&load, seed);
    load.simple = true;
    load.large = 40;
    load.variant = (unsigned)(seed + how) % VARIANTS;
    workload_choose_limits(&load);
    sim.cut_at = at;
    settled = play(&load, &sim, steps);
    was_cut = sim.dead;
    (void)snprintf(what, sizeof(what), "seed %" PRIu64 " cut at %" PRIu64 " chance %" PRIu64 "/%u",
                   seed, at, chance, how);
    sim_power_on(&sim, chance, how);
    check_state(&load, &sim, settled, what);
    check_state(&load, &sim, settled, what); /* and what it did about it lasts */
    workload_fini(&load);
    sim_fini(&sim);
    return was_cut;
}

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *given = getenv(name);

    return given ? (unsigned)atol(given) : otherwise;
}

static void test_power_cut_at_every_call(void **state)
{
    uint64_t seed = test_seed("every call"), at = 1, cuts = 0;
    unsigned steps = number_of("PIPIT_STORE_STEPS", 150);

    (void)state;
    for (unsigned how = 0; how < 4; how++)
        for (at = 1; cut(seed, at, seed + at + how, how, steps); at++)
            cuts++;
    printf("figure: power cuts, each of the places of a trace of %u operations in 4 ways: %" PRIu64
           "\n",
           steps, cuts);
}

static void test_power_cut_at_random(void **state)
{
    uint64_t seed = test_seed("random"), random = seed * 2 + 1;
    unsigned count = number_of("PIPIT_STORE_CUTS", 300);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        (void)cut(seed + i, 1 + pp_random_below(&random, 700), pp_random_next(&random), 2, 300);
    printf("figure: power cuts at random: %u\n", count);
}

/* Something was written behind a write that had failed; a store did not open whose damaged index
 * had gaps; the state before a mutation of several tickets. */
static void test_cuts_that_went_wrong(void **state)
{
    (void)state;
    (void)cut(168436549522446u, 90, 6997891388884466327u, 2, 300);
    (void)cut(168436549522043u, 1169, 168436549523215u, 3, 1000);
    (void)cut(150323291782334u, 146, 18014817853097174112u, 2, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cut_at_every_call),
        cmocka_unit_test(test_power_cut_at_random),
        cmocka_unit_test(test_cuts_that_went_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
