#include "base/biased.h"

#include <sched.h>
#include <time.h>

enum { YIELDS = 100 };

/* The biased thread is inside for moments, unless it has been preempted. */
static void await_outside(pp_biased *lock)
{
    const struct timespec nap = {0, 50000}; /* it may need this core, at a lower priority */

    for (unsigned i = 0; atomic_load_explicit(&lock->inside, memory_order_acquire); i++) {
        if (i < YIELDS)
            (void)sched_yield();
        else
            (void)nanosleep(&nap, NULL);
    }
}

void pp_biased_wait(pp_biased *lock, uintptr_t self)
{
    pp_mutex_lock(&lock->mutex);
    if (atomic_load_explicit(&lock->owner, memory_order_relaxed)) {
        atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
        pp_barrier_heavy(&lock->barrier);
        await_outside(lock);
        lock->in_a_row = 0;
    }
    lock->by_bias = false;
    lock->in_a_row = lock->last == self ? lock->in_a_row + 1 : 0;
    lock->last = self;
}

void pp_biased_leave(pp_biased *lock)
{
    if (lock->in_a_row >= PP_BIAS_AFTER && lock->barrier.lopsided)
        atomic_store_explicit(&lock->owner, lock->last, memory_order_relaxed);
    pp_mutex_unlock(&lock->mutex);
}
