/* publisher.h -- one thread that publishes on several connections as fast as the server reads. */
#ifndef BENCH_PUBLISHER_H
#define BENCH_PUBLISHER_H

#include <stdint.h>

#include "client.h"
#include "options.h"
#include "wire.h"

/* The connections are served in turn, one write each, without ever waiting for one of them while
 * another could go on. Nothing holds a publisher back but its socket, as with real clients. */
typedef struct bench_publishers {
    const bench_options *options;
    unsigned count;
    struct bench_publisher *each;
    bench_wire shared_wire; /* without --verify all publishers write the same bytes */
} bench_publishers;

/* Connect options->publisher_count publishers and render what they will write. */
void bench_publishers_open(bench_publishers *publishers, const bench_options *options);
void bench_publishers_close(bench_publishers *publishers);

/* Publish options->message_count messages, or until options->duration_ns has passed, and return
 * when the server has answered a PING sent after the last. Returns how many were published. */
uint64_t bench_publishers_run(bench_publishers *publishers);

#endif
