/* tests/support/siege.h -- a pipit-server process under attack, and a client that must not suffer.
 *
 * A probe (a publisher and a subscriber in lockstep) first measures the quiet server, then goes on
 * while the siege lasts. At the end the server lives, it counts no connection and no subscription
 * any more, its memory never went over the limit that the scenario states and has come back, and
 * the probe was never forgotten. How much slower the probe became is printed; only what no noise of
 * a shared machine explains is a failure.
 *
 * With PIPIT_MAX_MEMORY set to a size in MiB every server is started with that --max_memory, and
 * must never have had more than that. */
#ifndef PIPIT_TESTS_SUPPORT_SIEGE_H
#define PIPIT_TESTS_SUPPORT_SIEGE_H

#include "support/child.h"
#include "support/peer.h"

#include <stdatomic.h>

struct probe {
    pthread_t thread;
    peer from, to;
    int64_t *samples_ns;
    atomic_uint count;
    unsigned quiet_count;
    atomic_bool stop;
};

struct siege {
    child child;
    struct probe probe;
    size_t quiet_bytes; /* resident */
    size_t limit_bytes; /* 0: none */
};

/* Start a server with options, closed by NULL, or NULL, and measure it while it is quiet. */
void siege_begin(struct siege *s, const char *const *options);

/* more_bytes: how far memory may have gone up; stay_bytes: how much of that may stay, as what an
 * allocator keeps. */
void siege_end(struct siege *s, size_t more_bytes, size_t stay_bytes);

#endif
