#include "base/barrier.h"

#include <linux/membarrier.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void pp_barrier_init(pp_barrier *barrier)
{
    barrier->lopsided =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void pp_barrier_heavy(pp_barrier *barrier)
{
    const struct timespec while_caches_settle = {0, 1000000};

    (void)atomic_fetch_add(&barrier->fence, 1);
    if (!barrier->lopsided || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return;
    /* The program has forbidden itself the call since. No core keeps what it has written to itself
     * for so long. */
    (void)nanosleep(&while_caches_settle, NULL);
}
