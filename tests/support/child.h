/* tests/support/child.h -- a pipit-server process: its port, its log, its memory, its counters. */
#ifndef PIPIT_TESTS_SUPPORT_CHILD_H
#define PIPIT_TESTS_SUPPORT_CHILD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILD_LOG_BYTES = 1 << 20 };

typedef struct child {
    pid_t pid;
    uint16_t port;
    int log_fd;
    pthread_t reader;
    pthread_mutex_t lock; /* for the log */
    pthread_cond_t grown;
    char *log; /* its beginning, closed by NUL */
    size_t log_len;
    bool log_ended;
} child;

/* Start the program that the environment names as PIPIT_SERVER, on a free port of 127.0.0.1, and
 * wait until it is ready. options is closed by NULL, or NULL. */
void child_start(child *c, const char *const *options);
/* The exit status of a process that is leaving; -1: by a signal. Frees. */
int child_await_exit(child *c);
/* SIGTERM; it must exit with 0. */
void child_stop(child *c);

bool child_alive(const child *c);

/* Resident and highest resident memory. */
size_t child_rss_bytes(const child *c);
size_t child_peak_bytes(const child *c);

/* One of the counters of base/counters.h, summed over its loops, by way of its dump signal. */
uint64_t child_counter(child *c, const char *name);
/* Until no connection and no subscription is counted. */
void child_wait_empty(child *c);
/* Until resident memory is below so many bytes; what it was at the end if it never was. */
size_t child_wait_rss_below(const child *c, size_t bytes);

#endif
