#include "base/biased.h"

#include <sched.h>
#include <time.h>

enum { YIELDS = 100 };

/* The biased thread is inside for moments, unless it has been preempted. */
static void await_outside(const atomic_bool *inside)
{
    const struct timespec nap = {0, 50000}; /* it may need this core, at a lower priority */

    for (unsigned i = 0; atomic_load_explicit(inside, memory_order_acquire); i++) {
        if (i < YIELDS)
            (void)sched_yield();
        else
            (void)nanosleep(&nap, NULL);
    }
}

void pp_biased_wait(pp_biased *lock, uintptr_t self)
{
    uintptr_t owner;

    pp_mutex_lock(&lock->mutex);
    owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);
    if (owner) {
        atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
        pp_barrier_heavy(&lock->barrier);
        await_outside(&lock->inside[owner % PP_BIAS_SEATS]);
        lock->in_a_row = 0;
    }
    lock->seat = PP_BIAS_SEATS;
    lock->in_a_row = lock->last == self ? lock->in_a_row + 1 : 0;
    lock->last = self;
}

/* The seat of a thread, a new one if there is any left; PP_BIAS_SEATS: none. */
static unsigned seat_of(pp_biased *lock, uintptr_t thread)
{
    unsigned seat = 0;

    if (thread % PP_BIAS_SEATS != 0)
        return PP_BIAS_SEATS;
    while (seat < lock->seats_taken && lock->seated[seat] != thread)
        seat++;
    if (seat < PP_BIAS_SEATS && seat == lock->seats_taken)
        lock->seated[lock->seats_taken++] = thread;
    return seat;
}

void pp_biased_leave(pp_biased *lock)
{
    if (lock->in_a_row >= PP_BIAS_AFTER && lock->barrier.lopsided) {
        unsigned seat = seat_of(lock, lock->last);

        if (seat < PP_BIAS_SEATS)
            atomic_store_explicit(&lock->owner, lock->last + seat, memory_order_relaxed);
    }
    pp_mutex_unlock(&lock->mutex);
}
