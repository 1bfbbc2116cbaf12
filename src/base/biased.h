/* base/biased.h -- a lock that one thread takes nearly always.
 *
 * Who has taken it often enough without others in between gets the *bias*: from then on it only
 * notes that it is inside, by plain stores. Another thread that comes takes the bias away, which
 * costs it a heavy barrier, and waits until the first is outside. So two threads that take turns
 * have a mutex, and one that is alone has nothing to pay.
 *
 *   the biased thread             another one, with the mutex
 *   inside = 1                    owner = 0
 *   light barrier                 heavy barrier
 *   owner still me? in it goes    inside? wait
 *
 * For short stretches without I/O; not recursive. */
#ifndef PP_BASE_BIASED_H
#define PP_BASE_BIASED_H

#include "base/barrier.h"
#include "base/mutex.h"

#include <pthread.h>
#include <stdint.h>

enum { PP_BIAS_AFTER = 256 }; /* times in a row */

typedef struct pp_biased {
    pp_barrier barrier;
    pp_mutex mutex;         /* held by who is inside without the bias */
    atomic_uintptr_t owner; /* the thread with the bias; 0: none */
    atomic_bool inside;     /* it is, or looks whether it may be */
    /* Of who is inside. */
    bool by_bias;
    uintptr_t last; /* thread that had the mutex last */
    unsigned in_a_row;
} pp_biased;

/* Zeroed and this: it is free. There is nothing to destroy. */
static inline void pp_biased_init(pp_biased *lock)
{
    pp_barrier_init(&lock->barrier);
}

/* The slow parts of the two below. */
void pp_biased_wait(pp_biased *lock, uintptr_t self);
void pp_biased_leave(pp_biased *lock);

static inline void pp_biased_lock(pp_biased *lock)
{
    uintptr_t self = (uintptr_t)pthread_self();

    if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_relaxed) == self, 1)) {
        atomic_store_explicit(&lock->inside, true, memory_order_relaxed);
        pp_barrier_light(&lock->barrier);
        if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_relaxed) == self, 1)) {
            lock->by_bias = true;
            return;
        }
        atomic_store_explicit(&lock->inside, false, memory_order_release);
    }
    pp_biased_wait(lock, self);
}

static inline void pp_biased_unlock(pp_biased *lock)
{
    if (__builtin_expect(lock->by_bias, 1))
        atomic_store_explicit(&lock->inside, false, memory_order_release);
    else
        pp_biased_leave(lock);
}

#endif
