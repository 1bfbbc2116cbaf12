/* histogram.h -- how often each latency was seen, within 1 % and in constant space. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

/* A power of two is cut into 2^BENCH_HISTOGRAM_BITS equal steps, so that a bucket is at most 1/128
 * of its value wide. Values above the range (18 minutes) are counted in the last bucket. */
#define BENCH_HISTOGRAM_BITS 7
#define BENCH_HISTOGRAM_POWERS 34
#define BENCH_HISTOGRAM_BUCKETS ((BENCH_HISTOGRAM_POWERS + 1) << BENCH_HISTOGRAM_BITS)

typedef struct bench_histogram {
    uint64_t total;
    int64_t max_ns; /* exact, not rounded to a bucket */
    uint64_t counts[BENCH_HISTOGRAM_BUCKETS];
} bench_histogram;

/* A zeroed struct is an empty histogram. Negative values count as 0. */
void bench_histogram_add(bench_histogram *histogram, int64_t value_ns);

/* The value that share of all values does not exceed; share is between 0 and 1. 0 when empty. */
int64_t bench_histogram_quantile(const bench_histogram *histogram, double share);

#endif
