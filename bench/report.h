/* report.h -- a run's figures, as aligned text or as one JSON object on one line. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "process.h"

typedef struct bench_report {
    bool json;
    bool empty; /* no figure printed yet */
} bench_report;

/* Figures are printed as they are added; names end with their unit. */
bench_report bench_report_begin(bool json, const char *scenario);
void bench_report_count(bench_report *report, const char *name, uint64_t value);
void bench_report_number(bench_report *report, const char *name, double value);
void bench_report_end(bench_report *report);

/* p50, p90, p99, p99.9 and max as NAME_p50_us and so on. */
void bench_report_latency(bench_report *report, const char *name, const bench_histogram *latencies);

/* Seconds, messages a second and CPU per million messages between two instants; server figures only
 * if pid is not 0. */
void bench_report_rates(bench_report *report, pid_t pid, const bench_instant *from,
                        const bench_instant *to, uint64_t message_count);

/* Resident memory of the server now, and its peak. Nothing if pid is 0. */
void bench_report_memory(bench_report *report, pid_t pid);

#endif
