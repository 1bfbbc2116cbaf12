/* churn.c -- a million distinct subscriptions on one connection, and their end.
 *
 * SUBs are written as fast as the server reads and end with PING; the clock stops at PONG, when all
 * of them hold. Then some of the subscriptions are published to, to see that they are there; UNSUBs
 * are timed in the same way, and the same publishes must reach nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "fatal.h"
#include "process.h"
#include "report.h"
#include "scenario.h"

#define LINE_BYTES_MAX 64
#define PROBE_COUNT 1000

typedef struct text {
    char *bytes;
    size_t len;
} text;

/* Subscription i is to orders.<i / 1000>.items.<i % 1000>.* and has the id i + 1. */
static text render_subs(unsigned count)
{
    text out = {.bytes = bench_alloc(count, LINE_BYTES_MAX)};

    for (unsigned i = 0; i < count; i++)
        out.len += (size_t)snprintf(out.bytes + out.len, LINE_BYTES_MAX,
                                    "SUB orders.%u.items.%u.* %u\r\n", i / 1000, i % 1000, i + 1);
    return out;
}

static text render_unsubs(unsigned count)
{
    text out = {.bytes = bench_alloc(count, LINE_BYTES_MAX)};

    for (unsigned i = 0; i < count; i++)
        out.len += (size_t)snprintf(out.bytes + out.len, LINE_BYTES_MAX, "UNSUB %u\r\n", i + 1);
    return out;
}

static text render_probes(unsigned count, unsigned probe_count)
{
    text out = {.bytes = bench_alloc(probe_count, LINE_BYTES_MAX)};

    for (unsigned k = 0; k < probe_count; k++) {
        unsigned i = (unsigned)((uint64_t)k * count / probe_count);

        out.len += (size_t)snprintf(out.bytes + out.len, LINE_BYTES_MAX,
                                    "PUB orders.%u.items.%u.x 0\r\n\r\n", i / 1000, i % 1000);
    }
    return out;
}

/* Publish the probes and count how many come back before the PONG. */
static unsigned probe(bench_client *client, const text *probes)
{
    unsigned delivered = 0;

    bench_client_send(client, probes->bytes, probes->len);
    bench_client_send(client, "PING\r\n", 6);
    for (;;) {
        bench_frame frame = bench_client_next(client);

        if (frame.kind == BENCH_FRAME_PONG)
            return delivered;
        if (frame.kind == BENCH_FRAME_PING)
            bench_client_send(client, "PONG\r\n", 6);
        if (frame.kind == BENCH_FRAME_MSG)
            delivered++;
        if (frame.kind == BENCH_FRAME_NONE && !bench_client_fill(client, 0))
            bench_fatal("no PONG after the probes: %s", client->error);
    }
}

static void settle(const bench_options *options)
{
    const struct timespec pause = {.tv_sec = options->settle_ns / 1000000000,
                                   .tv_nsec = options->settle_ns % 1000000000};

    (void)nanosleep(&pause, NULL); /* no signals are expected; shorter would do */
}

/* Send a text, wait until it has been processed, and report how that went as NAME_... */
static void run_phase(bench_report *report, const bench_options *options, bench_client *client,
                      const char *name, const text *operations)
{
    bench_instant from = bench_instant_take(options->pid);
    bench_instant to;
    char figure[64];

    bench_client_send(client, operations->bytes, operations->len);
    bench_client_flush(client);
    to = bench_instant_take(options->pid);
    (void)snprintf(figure, sizeof figure, "%s_per_s", name);
    bench_report_number(report, figure,
                        options->subscription_count / ((double)(to.time_ns - from.time_ns) / 1e9));
    if (!options->pid)
        return;
    (void)snprintf(figure, sizeof figure, "%s_cpu_s_per_million", name);
    bench_report_number(report, figure,
                        (double)(to.server_cpu_ns - from.server_cpu_ns) / 1e3 /
                            options->subscription_count);
}

static void report_growth(bench_report *report, const bench_options *options, const char *name,
                          const bench_memory *before)
{
    bench_memory after = bench_memory_take(options->pid);

    if (options->pid)
        bench_report_number(report, name,
                            ((double)after.resident_kib - (double)before->resident_kib) * 1024 /
                                options->subscription_count);
}

bool bench_run_churn(const bench_options *options)
{
    unsigned count = options->subscription_count;
    unsigned probe_count = count < PROBE_COUNT ? count : PROBE_COUNT;
    text subs = render_subs(count);
    text unsubs = render_unsubs(count);
    text probes = render_probes(count, probe_count);
    bench_memory before;
    bench_client client;
    bench_report report;
    unsigned live;
    unsigned left;

    bench_client_open(&client, &options->target);
    before = bench_memory_take(options->pid);
    report = bench_report_begin(options->json, "churn");
    bench_report_count(&report, "subscriptions", count);
    run_phase(&report, options, &client, "sub", &subs);
    report_growth(&report, options, "bytes_per_subscription_at_once", &before);
    settle(options);
    report_growth(&report, options, "bytes_per_subscription", &before);
    live = probe(&client, &probes);
    run_phase(&report, options, &client, "unsub", &unsubs);
    left = probe(&client, &probes);
    settle(options);
    report_growth(&report, options, "bytes_per_subscription_left", &before);
    bench_report_count(&report, "lost", probe_count - live);
    bench_report_count(&report, "unexpected", left);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
    bench_client_close(&client);
    free(subs.bytes);
    free(unsubs.bytes);
    free(probes.bytes);
    return live == probe_count && left == 0;
}
