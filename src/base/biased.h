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
 * Each thread that ever had the bias has an inside of its own, its *seat*: it may have been stopped
 * between looking at the owner and saying that it is inside, for as long as it takes another to get
 * the bias. So there are as many threads that can have it as there are seats, for good.
 *
 * For short stretches without I/O; not recursive. */
#ifndef PP_BASE_BIASED_H
#define PP_BASE_BIASED_H

#include "base/barrier.h"
#include "base/mutex.h"

#include <pthread.h>
#include <stdint.h>

enum {
    PP_BIAS_AFTER = 256, /* times in a row */
    PP_BIAS_SEATS = 4,   /* as many as the low bits of a thread's address can tell apart */
};

typedef struct pp_biased {
    pp_barrier barrier;
    pp_mutex mutex;         /* held by who is inside without the bias */
    atomic_uintptr_t owner; /* the thread with the bias and, in the low bits, its seat; 0: none */
    atomic_bool inside[PP_BIAS_SEATS]; /* it is, or looks whether it may be */
    /* Of who is inside. */
    uint8_t seat; /* PP_BIAS_SEATS: without the bias */
    uint8_t seats_taken;
    uintptr_t seated[PP_BIAS_SEATS];
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
    uintptr_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    unsigned seat = owner % PP_BIAS_SEATS;

    if (__builtin_expect(owner - seat == self, 1)) {
        atomic_store_explicit(&lock->inside[seat], true, memory_order_relaxed);
        pp_barrier_light(&lock->barrier);
        if (__builtin_expect(atomic_load_explicit(&lock->owner, memory_order_relaxed) == owner,
                             1)) {
            lock->seat = (uint8_t)seat;
            return;
        }
        atomic_store_explicit(&lock->inside[seat], false, memory_order_release);
    }
    pp_biased_wait(lock, self);
}

static inline void pp_biased_unlock(pp_biased *lock)
{
    if (__builtin_expect(lock->seat < PP_BIAS_SEATS, 1))
        atomic_store_explicit(&lock->inside[lock->seat], false, memory_order_release);
    else
        pp_biased_leave(lock);
}

#endif
