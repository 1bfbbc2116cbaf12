/* How many messages a second become durable. */
#include "bench.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t settled_of(pp_store *store)
{
    struct pp_store_progress told;

    pp_store_progress(store, &told);
    must(told.err, "write");
    return told.ticket;
}

/* Messages a second that were settled, with at most so many that are not. The clock is not asked
 * for each. */
static double appends(const struct how *how, double seconds)
{
    static char payload[LARGE];
    struct pp_store_message message = {.time_ns = 1, .subject = PP_STR("bench.store")};
    uint64_t settled = 0, count = 0, seen = 0;
    pp_store *store = open_store("appends", how);
    double began = now_s(), end = began + seconds, took;

    (void)cpu_s();
    fill(payload, how->payload);
    message.payload = (pp_str){payload, how->payload};
    while (count % 64 || now_s() < end) {
        pipit_err err;

        if (how->waits) {
            must(pp_store_wait(store, pp_store_issued(store)), "wait");
            settled = pp_store_issued(store);
        }
        while (pp_store_issued(store) - settled >= how->in_flight) {
            if (how->alone)
                pp_store_run(store);
            settled = settled_of(store);
            if (pp_store_issued(store) - settled < how->in_flight)
                break;
            wait_progress(&seen);
        }
        err = pp_store_append(store, &message, PP_STORE_ANY, NULL);
        if (err == PIPIT_EAGAIN) {
            wait_progress(&seen);
            continue;
        }
        must(err, "append");
        count++;
    }
    must(pp_store_wait(store, pp_store_issued(store)), "wait");
    took = now_s() - began;
    cpu_per_million = cpu_s() / (double)count * 1e6;
    pp_store_close(store);
    remove_store("appends");
    return (double)count / took;
}

static double appends_median(const struct how *how)
{
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < settings.rounds; i++)
        values[i] = appends(how, settings.seconds);
    return median(values, settings.rounds);
}

/* One at a time, beside a bare loop of write and fdatasync, in turns. */
void bench_one(void)
{
    struct how waits = {.payload = SMALL, .in_flight = 1, .waits = true};
    struct how told = {.payload = SMALL, .in_flight = 1};
    struct how alone = {.payload = SMALL, .in_flight = 1, .alone = true};
    double raw[ROUNDS_MAX], store[ROUNDS_MAX], woken[ROUNDS_MAX], own[ROUNDS_MAX], beside;

    for (unsigned i = 0; i < settings.rounds; i++) {
        raw[i] = raw_writes(SMALL_RECORD, settings.seconds);
        store[i] = appends(&waits, settings.seconds);
        woken[i] = appends(&told, settings.seconds);
        own[i] = appends(&alone, settings.seconds);
    }
    beside = median(raw, settings.rounds);
    show("256 B, durable, 1 in flight", median(store, settings.rounds), "/s", beside, beside / 1.3,
         false);
    show("the same, the owner is woken", median(woken, settings.rounds), "/s", beside, beside / 1.3,
         false);
    show("the same, written by the owner's thread", median(own, settings.rounds), "/s", beside, 0,
         false);
}

/* With many in flight, beside what the disk can sync in a second: so many messages go with each. */
static void bench_group(uint64_t in_flight, double target)
{
    struct how how = {.payload = SMALL, .in_flight = in_flight};
    double raw[ROUNDS_MAX], store[ROUNDS_MAX], beside, reached;
    char what[80];

    for (unsigned i = 0; i < settings.rounds; i++) {
        raw[i] = raw_writes(SMALL_RECORD * in_flight, settings.seconds);
        store[i] = appends(&how, settings.seconds);
    }
    beside = median(raw, settings.rounds) * (double)in_flight;
    reached = median(store, settings.rounds);
    (void)snprintf(what, sizeof(what), "256 B, durable, %" PRIu64 " in flight", in_flight);
    show(what, reached, "/s", beside, target, false);
}

void bench_appends(void)
{
    struct how how = {.payload = SMALL, .in_flight = 1024};

    bench_group(64, 150e3);
    bench_group(1024, 500e3);
    how.sealed = true;
    show("the same, encrypted", appends_median(&how), "/s", 0, 0, false);
    how.sealed = false;
    how.compress = true;
    show("the same, compressed", appends_median(&how), "/s", 0, 0, false);
    how =
        (struct how){.payload = SMALL, .in_flight = 1 << 20, .sync_interval_ns = 10 * PP_NS_PER_S};
    show("256 B, without sync", appends_median(&how), "/s", 0, 2e6, false);
    how = (struct how){.payload = SMALL, .in_flight = 1 << 20, .memory = true};
    show("256 B, in memory", appends(&how, settings.seconds / 2), "/s", 0, 0, false);
}

void bench_large(void)
{
    enum { PIECE = 4 * 1024 * 1024 };
    struct how how = {.payload = LARGE, .in_flight = 256};
    double raw[ROUNDS_MAX], store[ROUNDS_MAX], beside;

    for (unsigned i = 0; i < settings.rounds; i++) {
        raw[i] = raw_writes(PIECE, settings.seconds) * PIECE / 1e6;
        store[i] = appends(&how, settings.seconds) * LARGE / 1e6;
    }
    beside = median(raw, settings.rounds);
    show("64 KiB, durable, 256 in flight", median(store, settings.rounds), "MB/s", beside,
         beside * 0.8, false);
}
