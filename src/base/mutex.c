#include "base/mutex.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who has waited holds it as AWAITED, whether others still wait or not: at worst it wakes nobody.
 */
void pp_mutex_wait(pp_mutex *mutex)
{
    while (atomic_exchange_explicit(&mutex->state, PP_MUTEX_AWAITED, memory_order_acquire) !=
           PP_MUTEX_FREE)
        (void)syscall(SYS_futex, &mutex->state, FUTEX_WAIT_PRIVATE, PP_MUTEX_AWAITED, NULL, NULL,
                      0); /* woken, interrupted, or it has been given back already: look again */
}

/* The mutex may be gone by now; then somebody else wakes for nothing. */
void pp_mutex_wake(pp_mutex *mutex)
{
    (void)syscall(SYS_futex, &mutex->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
