/* bench/store/bench.h -- what the parts of pipit-bench-store share. */
#ifndef BENCH_STORE_BENCH_H
#define BENCH_STORE_BENCH_H

#include "store/store.h"

enum {
    SMALL = 256,
    LARGE = 64 * 1024,
    SMALL_RECORD = 320, /* with its head and subject */
    ROUNDS_MAX = 32,
};

struct settings {
    const char *dir;
    double seconds;    /* of a round */
    uint64_t messages; /* of the store that is read and opened */
    unsigned rounds;
    bool json;
    const char *only;
};

extern struct settings settings;
extern char folder[512];
extern pp_store_pool *pool;

/* main.c */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void must(pipit_err err, const char *what);
double now_s(void);

/* report.c */
double median(double *values, unsigned count);
/* CPU of this process since the last time it was asked for, in seconds. */
double cpu_s(void);
/* Of the round of appends that was the last; shown once. */
extern double cpu_per_million;
/* beside: of the disk; 0: there is nothing to compare. target: what it must reach, in the same
 * unit. */
void show(const char *what, double value, const char *unit, double beside, double target,
          bool less_is_better);

/* disk.c: write pieces one behind the other into a file whose room was reserved and written before,
 * each followed by fdatasync. Answers pieces a second. */
double raw_writes(size_t piece, double seconds);

/* stream.c: a store in the folder. */
struct how {
    size_t payload;
    uint64_t in_flight;
    int64_t sync_interval_ns;
    bool compress;
    bool sealed;
    bool memory;
    bool alone; /* the owner writes */
    bool waits; /* for each: it has nothing else to do */
    uint64_t segment_bytes;
    uint32_t per_subject;
};
pp_store *open_store(const char *name, const struct how *how);
void remove_store(const char *name);
void path_of(const char *name, char out[600]);
/* Half of it can be compressed, as JSON can. */
void fill(char *payload, size_t len);
/* Append, and wait while the store asks for that. */
void append(pp_store *store, const struct pp_store_message *message, uint64_t *seen);
/* Wait until something has been settled since *seen. */
void wait_progress(uint64_t *seen);
/* One with so many messages of so many subjects. */
pp_store *fill_store(const char *name, uint64_t messages, uint64_t subjects, size_t payload_len,
                     uint64_t segment_bytes);

/* appends.c, reads.c, opening.c, values.c */
void bench_one(void);
void bench_appends(void);
void bench_large(void);
void bench_reads(void);
void bench_last(void);
void bench_open(void);
void bench_last_values(void);

#endif
