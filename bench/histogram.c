/* histogram.c -- log-linear buckets: values below 2^BITS have a bucket each, every further power of
 * two has 2^BITS buckets. The bucket number is monotonic in the value. */
#include "histogram.h"

#define STEPS (1u << BENCH_HISTOGRAM_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned power;
    unsigned bucket;

    if (value < STEPS)
        return (unsigned)value;
    power = 63u - (unsigned)__builtin_clzll(value) - BENCH_HISTOGRAM_BITS;
    bucket = ((power + 1) << BENCH_HISTOGRAM_BITS) + (unsigned)((value >> power) - STEPS);
    return bucket < BENCH_HISTOGRAM_BUCKETS ? bucket : BENCH_HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket, which halves the error of either edge. */
static int64_t value_of(unsigned bucket)
{
    unsigned power;
    uint64_t low;

    if (bucket < STEPS)
        return bucket;
    power = (bucket >> BENCH_HISTOGRAM_BITS) - 1;
    low = (uint64_t)((bucket & (STEPS - 1)) + STEPS) << power;
    return (int64_t)(low + ((1ull << power) >> 1));
}

void bench_histogram_add(bench_histogram *histogram, int64_t value_ns)
{
    if (value_ns < 0)
        value_ns = 0;
    histogram->counts[bucket_of((uint64_t)value_ns)]++;
    histogram->total++;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

int64_t bench_histogram_quantile(const bench_histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5);
    uint64_t seen = 0;

    if (wanted < 1)
        wanted = 1;
    for (unsigned bucket = 0; bucket < BENCH_HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted) {
            int64_t value = value_of(bucket);
            return value < histogram->max_ns ? value : histogram->max_ns;
        }
    }
    return 0;
}
