/* pipit latency -- how long messages take from one connection to another, at a steady rate. */
#include "cli/bench.h"

#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SIZE_LEAST = 16, SIZE_MOST = 64 * 1024 * 1024 };

typedef struct latency_options {
    const char *server_b, *histogram, *plot;
    int64_t size, duration_ns;
    double rate;
    bool no_progress;
} latency_options;

/* A subject that nobody else uses. */
static char *own_subject(void)
{
    uint64_t random[2] = {0};

    (void)!getrandom(random, sizeof(random), 0); /* small requests are always served */
    return cli_format("pipit.latency.%016llx%016llx", (unsigned long long)random[0],
                      (unsigned long long)random[1]);
}

static int show(const cli_call *call, const bench_result *result, const cli_latencies *latencies)
{
    const latency_options *o = call->options;
    int status = CLI_DONE;

    if (call->globals->json) {
        status = bench_report_json(result);
    } else {
        bench_report_show(result);
        (void)putchar('\n');
        cli_latencies_draw(latencies, stdout);
    }
    if (!status && o->histogram)
        status = cli_latencies_store(latencies, o->histogram);
    if (!status && o->plot)
        status = bench_plot_store(result, o->plot);
    return status;
}

static int latency(const cli_call *call)
{
    const latency_options *o = call->options;
    char *subject = own_subject();
    double msgs = o->rate * (double)o->duration_ns / 1e9;
    const bench_plan plan = {
        .what = "latency",
        .subject = subject,
        .clients[BENCH_PUB] = 1,
        .clients[BENCH_SUB] = 1,
        .msgs = msgs < 1 ? 1 : (int64_t)msgs,
        .size = o->size,
        .rate = o->rate,
        .server_b = o->server_b,
        .progress = !o->no_progress && !call->globals->json,
    };
    cli_latencies *latencies;
    bench_result result;
    int status;

    if (o->rate <= 0 || msgs > 1e12) {
        free(subject);
        return cli_fail(CLI_USAGE, "--rate is messages per second, such as 1000");
    }
    status = bench_run(call, &plan, &result);
    latencies = bench_latencies_of(&result);
    if (!status && latencies)
        status = show(call, &result, latencies);
    else if (!status)
        status = cli_fail(CLI_NO_ANSWER, "no message has arrived%s",
                          o->server_b ? ": are the two servers in one cluster?" : "");
    cli_latencies_free(latencies);
    bench_result_free(&result);
    free(subject);
    return status;
}

#define AT(member) offsetof(latency_options, member)

static const cli_flag flags[] = {
    {"server-b", 0, CLI_TEXT, "URL", "Server to subscribe at; if not given, the one to publish at",
     AT(server_b)},
    {"size", 0, CLI_SIZE, "SIZE", "Size of a message", AT(size), .fallback = "16",
     .min = SIZE_LEAST, .max = SIZE_MOST},
    {"rate", 0, CLI_REAL, "N", "Messages per second", AT(rate), .fallback = "1000"},
    {"duration", 0, CLI_DURATION, "DURATION", "How long to measure", AT(duration_ns),
     .fallback = "5s", .min = 1000000},
    {"histogram", 0, CLI_FILE, "FILE", "Write the latencies by percentile", AT(histogram)},
    {"plot", 0, CLI_FILE, "FILE", "Draw them, as SVG", AT(plot)},
    {"no-progress", 0, CLI_SWITCH, NULL, "Show no bar", AT(no_progress)},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit latency --duration 2s", "What do 1000 messages a second take?"},
    {"pipit latency --rate 10k --duration 2s --json", "At ten times that rate, for scripts"},
    {NULL, NULL},
};

const cli_command cli_latency_command = {
    .name = "latency",
    .help = "Measure how long messages take, at a steady rate",
    .text = "Open loop: each message has its time, and its latency counts from then until it is "
            "heard, so that a server that stalls is not flattered by waiting for it.",
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(latency_options),
    .run = latency,
};
