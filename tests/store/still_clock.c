#include "still_clock.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static atomic_int_least64_t now_ns = PP_NS_PER_S;

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    int64_t at_ns = atomic_load(&now_ns);

    if (clock != CLOCK_MONOTONIC)
        return __real_clock_gettime(clock, out);
    *out = (struct timespec){at_ns / PP_NS_PER_S, at_ns % PP_NS_PER_S};
    return 0;
}

void still_clock_forward(int64_t by_ns)
{
    atomic_fetch_add(&now_ns, by_ns);
}
