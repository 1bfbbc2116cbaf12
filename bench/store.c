/* pipit-bench-store -- what the store does in a second, beside what the disk below it does.
 *
 *   pipit-bench-store [--dir=DIR] [--seconds=N] [--messages=N] [--rounds=N] [--json]
 *
 * DIR is on the disk that is to be measured (default: the working directory); a folder is made in
 * it, and removed. Rounds of the raw disk and of the store take turns, so that whatever else the
 * machine does hits both; the medians are shown. */
#include "store/store.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SMALL = 256,
    LARGE = 64 * 1024,
    SMALL_RECORD = 320, /* with its head and subject */
    ROUNDS_MAX = 32,
    SUBJECTS = 1000 * 1000,
    RAW_FILE_BYTES = 64 * 1024 * 1024,
};

struct settings {
    const char *dir;
    double seconds;    /* of a round */
    uint64_t messages; /* of the store that is read and opened */
    unsigned rounds;
    bool json;
};

static struct settings settings = {".", 1.0, 10 * 1000 * 1000, 3, false};
static char folder[512];
static pp_store_pool *pool;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

static void must(pipit_err err, const char *what)
{
    if (err)
        fail("%s: %s", what, pipit_strerror(err));
}

static double now_s(void)
{
    return (double)pp_clock_mono_ns() / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

/* --- results ------------------------------------------------------------------------------ */

/* CPU of this process since the last time it was asked for, in seconds. */
static double cpu_s(void)
{
    static double before;
    struct rusage usage;
    double all, since;

    (void)getrusage(RUSAGE_SELF, &usage);
    all = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    since = all - before;
    before = all;
    return since;
}

static double cpu_per_million; /* of the round of appends that was the last */

/* beside: of the disk; 0: there is nothing to compare. target: what it must reach, in the same
 * unit. */
static void show(const char *what, double value, const char *unit, double beside, double target,
                 bool less_is_better)
{
    bool reached = target == 0 || (less_is_better ? value <= target : value >= target);

    if (settings.json) {
        (void)printf("{\"what\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",\"disk\":%.6g,"
                     "\"target\":%.6g,\"reached\":%s,\"cpu_s_per_million\":%.4g}\n",
                     what, value, unit, beside, target, reached ? "true" : "false",
                     cpu_per_million);
        cpu_per_million = 0;
        (void)fflush(stdout);
        return;
    }
    (void)printf("%-52s %12.4g %-8s", what, value, unit);
    if (beside != 0)
        (void)printf("  disk %10.4g (%3.0f %%)", beside, 100 * value / beside);
    else
        (void)printf("  %24s", "");
    if (target != 0)
        (void)printf("  target %10.4g %s", target, reached ? "reached" : "NOT REACHED");
    if (cpu_per_million > 0)
        (void)printf("  CPU %.3g s/M", cpu_per_million);
    cpu_per_million = 0;
    (void)printf("\n");
    (void)fflush(stdout);
}

/* --- the raw disk ------------------------------------------------------------------------- */

/* Write pieces one behind the other into a file whose room was reserved and written before, each
 * followed by fdatasync. Answers pieces a second. */
static double raw_writes(size_t piece, double seconds)
{
    char path[600], *bytes = malloc(piece);
    uint64_t at = 0, count = 0;
    double end;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/raw", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !bytes || fallocate(fd, 0, 0, RAW_FILE_BYTES) < 0 || fsync(fd) < 0)
        fail("%s: %s", path, strerror(errno));
    memset(bytes, 'r', piece);
    end = now_s() + seconds;
    while (now_s() < end) {
        if (at + piece > RAW_FILE_BYTES) { /* fresh room again, as the next segment would have */
            if (ftruncate(fd, 0) < 0 || fallocate(fd, 0, 0, RAW_FILE_BYTES) < 0)
                fail("%s: %s", path, strerror(errno));
            at = 0;
        }
        if (pwrite(fd, bytes, piece, (off_t)at) != (ssize_t)piece || fdatasync(fd) < 0)
            fail("%s: %s", path, strerror(errno));
        at += piece;
        count++;
    }
    (void)close(fd);
    (void)unlink(path);
    free(bytes);
    return (double)count / seconds;
}

/* --- appending ---------------------------------------------------------------------------- */

struct signal {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t turns;
};

static struct signal progress = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&progress.lock);
    progress.turns++;
    (void)pthread_cond_signal(&progress.moved);
    (void)pthread_mutex_unlock(&progress.lock);
}

static void wait_progress(uint64_t *seen)
{
    (void)pthread_mutex_lock(&progress.lock);
    while (progress.turns == *seen)
        (void)pthread_cond_wait(&progress.moved, &progress.lock);
    *seen = progress.turns;
    (void)pthread_mutex_unlock(&progress.lock);
}

static void path_of(const char *name, char out[600])
{
    (void)snprintf(out, 600, "%s/%s", folder, name);
}

static void remove_store(const char *name)
{
    char path[600], command[640];

    path_of(name, path);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", path);
    if (system(command) != 0)
        fail("%s", command);
}

struct how {
    size_t payload;
    uint64_t in_flight;
    int64_t sync_interval_ns;
    bool compress;
    bool sealed;
    bool memory;
    bool alone; /* the owner writes */
    uint64_t segment_bytes;
};

static pp_store *open_store(const char *name, const struct how *how)
{
    static const struct pp_store_keys keys = {1, {"a key"}};
    struct pp_store_options options = {.kind = how->memory ? PP_STORE_MEMORY : PP_STORE_FILE,
                                       .create = true,
                                       .pool = how->alone || how->memory ? NULL : pool,
                                       .sync_interval_ns = how->sync_interval_ns,
                                       .segment_bytes = how->segment_bytes,
                                       .compress = how->compress,
                                       .keys = how->sealed ? &keys : NULL,
                                       .on_progress = on_progress};
    char path[600], why[PP_STORE_WHY_BYTES];
    pp_store *store;

    path_of(name, path);
    options.dir = path;
    if (pp_store_open(&options, &store, why))
        fail("%s: %s", path, why);
    return store;
}

/* Half of it can be compressed, as JSON can. */
static void fill(char *payload, size_t len)
{
    uint64_t random = 88172645463325252u;

    for (size_t i = 0; i < len; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        payload[i] = (i / 16) % 2 ? (char)random : (char)('a' + i % 16);
    }
}

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
static void bench_one(void)
{
    struct how pooled = {.payload = SMALL, .in_flight = 1};
    struct how alone = {.payload = SMALL, .in_flight = 1, .alone = true};
    double raw[ROUNDS_MAX], store[ROUNDS_MAX], own[ROUNDS_MAX], beside;

    for (unsigned i = 0; i < settings.rounds; i++) {
        raw[i] = raw_writes(SMALL_RECORD, settings.seconds);
        store[i] = appends(&pooled, settings.seconds);
        own[i] = appends(&alone, settings.seconds);
    }
    beside = median(raw, settings.rounds);
    show("256 B, durable, 1 in flight", median(store, settings.rounds), "/s", beside, beside / 1.3,
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

static void bench_appends(void)
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

static void bench_large(void)
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

/* --- reading ------------------------------------------------------------------------------ */

static pp_store *fill_store(const char *name, uint64_t messages, uint64_t subjects,
                            size_t payload_len, uint64_t segment_bytes)
{
    struct how how = {.sync_interval_ns = 10 * PP_NS_PER_S, .segment_bytes = segment_bytes};
    pp_store *store = open_store(name, &how);
    struct pp_store_message message = {0};
    static char payload[LARGE];
    uint64_t seen = 0;
    char subject[32];

    fill(payload, payload_len);
    message.payload = (pp_str){payload, payload_len};
    for (uint64_t i = 0; i < messages; i++) {
        int len = snprintf(subject, sizeof(subject), "bench.%" PRIu64, i % subjects);
        pipit_err err;

        message.time_ns = (int64_t)i;
        message.subject = (pp_str){subject, (size_t)len};
        while ((err = pp_store_append(store, &message, PP_STORE_ANY, NULL)) == PIPIT_EAGAIN)
            wait_progress(&seen);
        must(err, "append");
    }
    must(pp_store_wait(store, pp_store_issued(store)), "wait");
    return store;
}

/* Bytes in memory for each message, while all is loaded. */
static void show_index(pp_store *store)
{
    struct pp_store_state state;

    pp_store_state(store, &state);
    show("index in memory, of a message", (double)state.index_bytes / (double)state.messages, "B",
         0, 0, true);
}

static void bench_reads(void)
{
    uint64_t messages = settings.messages < 2000000 ? settings.messages : 2000000;
    pp_store *store = fill_store("reads", messages, 4, SMALL, 0);
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < settings.rounds; i++) {
        struct pp_store_message message;
        double began = now_s();

        for (uint64_t seq = 1; seq <= messages; seq++)
            must(pp_store_read(store, seq, &message), "read");
        values[i] = (double)messages / (now_s() - began);
    }
    show("256 B, read one after another", median(values, settings.rounds), "/s", 0, 3e6, false);
    for (unsigned i = 0; i < settings.rounds; i++) {
        struct pp_store_message message;
        double began = now_s();
        uint64_t count = 0;

        for (uint64_t seq = 1; pp_store_next(store, PP_STR("bench.*"), seq, &message) == PIPIT_OK;
             seq = message.seq + 1)
            count++;
        values[i] = (double)count / (now_s() - began);
    }
    show("the same, by a filter with a wildcard", median(values, settings.rounds), "/s", 0, 0,
         false);
    show_index(store);
    pp_store_close(store);
    remove_store("reads");
}

static void bench_last(void)
{
    enum { ASKED = 1000 * 1000 };
    pp_store *store = fill_store("last", SUBJECTS, SUBJECTS, 16, 0);
    uint64_t random = 1;
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < settings.rounds; i++) {
        double began = now_s();

        for (unsigned n = 0; n < ASKED; n++) {
            struct pp_store_subject found;
            char subject[32];
            int len;

            random = random * 6364136223846793005u + 1442695040888963407u;
            len = snprintf(subject, sizeof(subject), "bench.%" PRIu64, (random >> 33) % SUBJECTS);
            must(pp_store_subject(store, (pp_str){subject, (size_t)len}, &found), "subject");
        }
        values[i] = (now_s() - began) * 1e6 / ASKED;
    }
    show("the last of a subject, among 1 M, at random", median(values, settings.rounds), "us", 0, 2,
         true);
    pp_store_close(store);
    remove_store("last");
}

/* --- opening ------------------------------------------------------------------------------ */

/* Let the system forget what it has of the files. */
static void cool(const char *name)
{
    char path[600], command[800];

    path_of(name, path);
    (void)snprintf(command, sizeof(command),
                   "sync; for f in '%s'/*; do dd if=\"$f\" iflag=nocache count=0 2>/dev/null; done",
                   path);
    if (system(command) != 0)
        fail("%s", command);
}

struct opened {
    double took_s;
    double bytes;
    unsigned segments;
};

enum { SMALL_SEGMENT = 2 * 1024 * 1024 };

/* empty_tail: the last segment holds nothing, so that only footers are read; of many segments. */
static struct opened time_open(uint64_t messages, bool empty_tail)
{
    pp_store *store = fill_store("open", messages, 1000, 40, empty_tail ? SMALL_SEGMENT : 0);
    struct how how = {.alone = true};
    struct pp_store_state state;
    double values[ROUNDS_MAX];

    if (empty_tail) { /* what is cut off ends a segment */
        pipit_err err;

        while ((err = pp_store_truncate(store, messages - 1)) == PIPIT_EAGAIN)
            (void)usleep(100); /* its file is being made */
        must(err, "truncate");
    }
    pp_store_state(store, &state);
    pp_store_close(store);
    for (unsigned i = 0; i < settings.rounds; i++) {
        double began;

        cool("open");
        began = now_s();
        store = open_store("open", &how);
        values[i] = now_s() - began;
        pp_store_close(store);
    }
    remove_store("open");
    return (struct opened){median(values, settings.rounds), (double)state.bytes, state.segments};
}

/* 10 GB are 100 M messages of 100 bytes. Opening reads footers, and the records of the last segment
 * only: so what a segment takes is measured with two sizes and no tail, and what a full tail takes.
 */
static void bench_open(void)
{
    enum { RECORD = 104, SEGMENT = 64 * 1024 * 1024, ALL = 150 }; /* 100 M records in segments */
    struct opened small = time_open(settings.messages / 4, true);
    struct opened large = time_open(settings.messages, true);
    struct opened tail = time_open(9 * (uint64_t)(SEGMENT / RECORD) / 10 + 1, false);
    double slope = (large.took_s - small.took_s) /
                   (large.segments > small.segments ? large.segments - small.segments : 1);
    char what[100];

    if (slope < 0)
        slope = 0; /* it is less than what the clock and the machine vary by */
    (void)snprintf(what, sizeof(what), "open %.3g M messages, %u segments, nothing in the last",
                   (double)settings.messages / 1e6, large.segments);
    show(what, large.took_s * 1e3, "ms", 0, 0, true);
    show("of these, for each segment", slope * 1e3, "ms", 0, 0, true);
    (void)snprintf(what, sizeof(what), "open %u segments, the last one full", tail.segments);
    show(what, tail.took_s * 1e3, "ms", 0, 0, true);
    show("open 10 GB, extrapolated: 150 segments, the last full", slope * ALL + tail.took_s, "s", 0,
         2, true);
}

static void take_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},      {"seconds", required_argument, NULL, 's'},
        {"messages", required_argument, NULL, 'm'}, {"rounds", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},           {0},
    };
    int code;

    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (code == 'd')
            settings.dir = optarg;
        else if (code == 's')
            settings.seconds = strtod(optarg, NULL);
        else if (code == 'm')
            settings.messages = strtoull(optarg, NULL, 10);
        else if (code == 'r')
            settings.rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (code == 'j')
            settings.json = true;
        else
            exit(2);
    }
    if (optind != argc || settings.rounds == 0 || settings.rounds > ROUNDS_MAX ||
        settings.messages < 1000 || settings.seconds <= 0)
        fail("usage: %s [--dir=DIR] [--seconds=N] [--messages=N] [--rounds=N] [--json]", argv[0]);
}

int main(int argc, char **argv)
{
    take_options(argc, argv);
    (void)snprintf(folder, sizeof(folder), "%.400s/pipit-bench-store-XXXXXX", settings.dir);
    if (!mkdtemp(folder))
        fail("%s: %s", folder, strerror(errno));
    must(pp_store_pool_new(1, &pool), "threads");
    bench_one();
    bench_appends();
    bench_large();
    bench_reads();
    bench_last();
    bench_open();
    pp_store_pool_free(pool);
    if (rmdir(folder) < 0)
        fail("%s: %s", folder, strerror(errno));
    return 0;
}
