/* options.h -- the command line of pipit-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client.h"

typedef struct bench_options {
    bench_target target;
    pid_t pid; /* of the server; 0: its CPU and memory are not reported */
    size_t payload_bytes;
    uint64_t message_count; /* in all; 0: run for duration_ns */
    int64_t duration_ns;
    int64_t warmup_ns;   /* latencies of this long a beginning are not counted */
    int64_t patience_ns; /* without progress for this long, what is missing is lost */
    int64_t settle_ns;   /* between a change and the reading of memory */
    unsigned publisher_count;
    unsigned subscriber_count;
    unsigned subject_count;
    unsigned group_count; /* queue groups the subscribers are spread over; 0: none */
    unsigned in_flight;   /* requests per requester */
    unsigned connection_count;
    unsigned subscription_count;
    unsigned stalled_count; /* subscribers that do not read */
    bool fanout;            /* speak its protocol */
    double rate;            /* paced messages a second, all publishers together */
    bool wildcard;          /* subscribe to the subjects with one pattern */
    bool verify;
    bool keep;
    bool tickets; /* ask for them */
    bool json;
    char **command; /* what follows "--": the server to start */
} bench_options;

/* Fill *out_options from the arguments after the scenario's name. Ends the program on an unknown or
 * malformed option. Owner: strings are borrowed from argv. */
void bench_options_parse(bench_options *out_options, int argc, char **argv);

/* One line per option, for the help text. */
void bench_options_print(void);

#endif
