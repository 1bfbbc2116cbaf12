/* tests/support/check.h -- long scenarios: each in a process of its own, with a deadline.
 *
 * A scenario that crashes, hangs, leaks descriptors or memory takes nothing down but itself, and
 * the next one starts from a clean process. What it requires is checked from any thread. */
#ifndef PIPIT_TESTS_SUPPORT_CHECK_H
#define PIPIT_TESTS_SUPPORT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* How long a test waits for what must happen. Long, for machines that are busy with other work. */
enum { CHECK_WAIT_MS = 60000 };

struct scenario {
    const char *name;
    void (*run)(void);
    unsigned seconds; /* its deadline; three times that under a sanitizer */
};

/**
 * Run the scenarios, or those that are named on the command line, one process each.
 *
 * Prints a line for each and last "N passed, M failed[, K skipped]". With PIPIT_TEST_INLINE set,
 * scenarios run in this process, for a debugger. Returns what main returns: 0, 1, or 77 when all
 * were skipped. Thread: no other threads may exist yet.
 */
int scenarios_run(const struct scenario *scenarios, size_t count, int argc, char **argv);

/* End the scenario as failed, or as skipped. Thread: any. */
_Noreturn void check_fail(const char *file, int line, const char *condition, const char *format,
                          ...) __attribute__((format(printf, 4, 5), cold));
_Noreturn void check_skip(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                               \
    } while (0)

/* A line about the scenario that runs: a figure that was measured. */
void check_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Built with a sanitizer? Then figures of memory and time mean nothing. */
bool check_sanitized(void);

/* A number from the environment; fallback when it is not set. */
uint64_t check_number(const char *variable, uint64_t fallback);

/* Call condition every millisecond until it holds: for counters, which have no event to wait for.
 * what names it in the failure when CHECK_WAIT_MS have passed. */
void check_until(bool (*condition)(void *arg), void *arg, const char *what);

/* Wait so long, or until fd has something to say. fd may be -1. True: it has. */
bool check_poll(int fd, int timeout_ms);

size_t check_open_fds(void);
int64_t check_now_ns(void);

#endif
