/* base/mutex.h -- a lock of four bytes, for what there is very many of: pthread_mutex_t takes
 * forty.
 *
 * For short stretches without I/O. It is neither fair nor recursive, knows no owner, and zeroed it
 * is free; there is nothing to destroy. */
#ifndef PP_BASE_MUTEX_H
#define PP_BASE_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct pp_mutex {
    _Atomic uint32_t state; /* one of enum pp_mutex_state */
} pp_mutex;

enum pp_mutex_state {
    PP_MUTEX_FREE = 0,
    PP_MUTEX_HELD,
    PP_MUTEX_AWAITED, /* held, and somebody may sleep until it is given back */
};

/* The slow parts of the two below. */
void pp_mutex_wait(pp_mutex *mutex);
void pp_mutex_wake(pp_mutex *mutex);

static inline void pp_mutex_lock(pp_mutex *mutex)
{
    uint32_t state = PP_MUTEX_FREE;

    if (__builtin_expect(
            !atomic_compare_exchange_strong_explicit(&mutex->state, &state, PP_MUTEX_HELD,
                                                     memory_order_acquire, memory_order_relaxed),
            0))
        pp_mutex_wait(mutex);
}

static inline void pp_mutex_unlock(pp_mutex *mutex)
{
    uint32_t state = atomic_exchange_explicit(&mutex->state, PP_MUTEX_FREE, memory_order_release);

    if (__builtin_expect(state == PP_MUTEX_AWAITED, 0))
        pp_mutex_wake(mutex);
}

#endif
