/* base/clock.h -- time. Loops read the clock once a turn and hand the value down. */
#ifndef PP_BASE_CLOCK_H
#define PP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PP_NS_PER_MS 1000000LL
#define PP_NS_PER_S 1000000000LL

/* Never goes back; for deadlines and intervals. */
static inline int64_t pp_clock_mono_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * PP_NS_PER_S + ts.tv_nsec;
}

/* Nanoseconds since the Unix epoch; for people. */
static inline int64_t pp_clock_wall_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * PP_NS_PER_S + ts.tv_nsec;
}

/* When delay_ns will have gone by; INT64_MAX, which is never, for one that may be that long. */
static inline int64_t pp_clock_after(int64_t now_ns, int64_t delay_ns)
{
    return delay_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + delay_ns;
}

#endif
