/* tests/store/still_clock.h -- the monotonic clock of a test: it stands still but for what it is
 * put forward. Pauses take none of the test's time, and none of them ends because a machine is
 * busy.
 *
 * For programs that are linked with --wrap=clock_gettime. */
#ifndef PIPIT_TESTS_STORE_STILL_CLOCK_H
#define PIPIT_TESTS_STORE_STILL_CLOCK_H

#include <stdint.h>

/* Thread: any. */
void still_clock_forward(int64_t by_ns);

#endif
