/* base/cores.h -- processors that this process may use: fewer than the machine has where it is
 * bound to some of them (taskset, a container's cpuset). */
#ifndef PP_BASE_CORES_H
#define PP_BASE_CORES_H

#include <sched.h>
#include <unistd.h>

/* At least 1. Thread: any. */
static inline unsigned pp_cores(void)
{
    cpu_set_t may;
    long online;

    if (sched_getaffinity(0, sizeof(may), &may) == 0) /* it fails on machines with more than 1024 */
        return (unsigned)CPU_COUNT(&may);
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

#endif
