/* main.c -- pipit-bench SCENARIO [options]: load on a NATS server, and what it took. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "fatal.h"
#include "options.h"
#include "scenario.h"

static const struct {
    const char *name;
    bool (*run)(const bench_options *options);
    const char *help;
    bool by_websocket; /* it may be */
} scenarios[] = {
    {"publish", bench_run_publish, "publishers, and nobody who listens", true},
    {"deliver", bench_run_deliver, "publishers and subscribers, queue groups, many subjects", true},
    {"request", bench_run_request, "requesters and responders, W requests in flight", true},
    {"paced", bench_run_paced, "latency at a fixed rate, counted from the intended send time",
     false},
    {"announce", bench_run_announce, "one announcer at a fixed rate, many subscribers; or fanout's",
     false},
    {"idle", bench_run_idle, "connections with one subscription each: memory, connect rate", false},
    {"churn", bench_run_churn, "distinct subscriptions on one connection: rates, memory", false},
    {"handshake", bench_run_handshake,
     "connections one after another; with --keep those stay: memory", false},
    {"start", bench_run_start, "start the command after --: time until it accepts, memory", false},
};

static int print_help(void)
{
    (void)printf("usage: pipit-bench SCENARIO [options]\n\nscenarios\n");
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        (void)printf("  %-16s %s\n", scenarios[i].name, scenarios[i].help);
    (void)printf("\noptions\n");
    bench_options_print();
    (void)printf(
        "\nExit status: 0; 1 if the run failed; 2 if messages were lost or out of order.\n");
    return 0;
}

/* Ten thousand connections need more descriptors than the usual soft limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* if it stays low, connecting says so */
}

int main(int argc, char **argv)
{
    bench_options options;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0)
            continue;
        raise_descriptor_limit();
        bench_options_parse(&options, argc - 2, argv + 2);
        if (options.target.websocket && !scenarios[i].by_websocket)
            bench_fatal("%s cannot go by --websocket", argv[1]);
        return scenarios[i].run(&options) ? 0 : 2;
    }
    bench_fatal("unknown scenario %s; --help lists them", argv[1]);
}
