/* Opening a store whose files are not in memory. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
void bench_open(void)
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
