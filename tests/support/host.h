/* tests/support/host.h -- a server inside the test, and what it must leave behind: nothing. */
#ifndef PIPIT_TESTS_SUPPORT_HOST_H
#define PIPIT_TESTS_SUPPORT_HOST_H

#include "pipit/server.h"

typedef struct host {
    pipit_server *server;
    uint16_t port;
    int64_t live_before; /* allocations */
    size_t fds_before;
} host;

/* Start on a free port of 127.0.0.1; options is closed by NULL, or NULL. */
void host_start(host *h, const char *const *options);
/* A free port for one that must come back on the same. It lies below those that the kernel gives:
 * the very client that tries to connect could be given one of these, and be connected to itself. */
uint16_t host_quiet_port(void);
/* Stop and free; allocations and descriptors must be as they were before host_start. */
void host_stop(host *h);
/* The two halves of that, for who keeps descriptors of his own open in between. */
void host_end(host *h);
void host_require_nothing_left(const host *h);

pipit_server_stats host_stats(const host *h);
/* Until no connection and no subscription is counted. */
void host_wait_empty(const host *h);

/* Two clients come, subscribe, hear a small and a large message and the want of responders, go. */
void host_require_serves(const host *h);

#endif
