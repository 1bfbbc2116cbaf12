/* cli/latencies.h -- how often each latency was seen, within 1 % and in constant space: each power
 * of two is cut into 128 steps. */
#ifndef CLI_LATENCIES_H
#define CLI_LATENCIES_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_latencies cli_latencies;

/* Owner: the caller, for cli_latencies_free. */
cli_latencies *cli_latencies_new(void);
void cli_latencies_free(cli_latencies *latencies);

void cli_latencies_add(cli_latencies *latencies, int64_t ns);
void cli_latencies_merge(cli_latencies *into, const cli_latencies *from);

uint64_t cli_latencies_count(const cli_latencies *latencies);
/* The latency that a share of all, 0 to 1, does not exceed; 1: the largest, to the nanosecond. */
int64_t cli_latencies_at(const cli_latencies *latencies, double share);

/* p50, p90, p99, p99.9 and the largest: on one line; as an object of nanoseconds. */
void cli_latencies_show(const cli_latencies *latencies, FILE *out);
json_t *cli_latencies_json(const cli_latencies *latencies);

/* Bars over powers of two. */
void cli_latencies_draw(const cli_latencies *latencies, FILE *out);

/* Lines of "value percentile count 1/(1-percentile)", as programs for HDR histograms read them.
 * Returns the exit status; what is wrong has been said. */
int cli_latencies_store(const cli_latencies *latencies, const char *path);

#endif
