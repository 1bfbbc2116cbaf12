/* base/barrier.h -- order between two threads of which one has no time.
 *
 * Where each of two threads writes a word and then reads the other's, one of them at least must see
 * what the other wrote. With a fence on both sides each pays, and a fence waits for all that its
 * core has written before. Here the one that comes by millions of times a second pays nothing: the
 * other has the kernel put a fence into every running thread of the process (membarrier), at some
 * microseconds.
 *
 *   often    word = 1; pp_barrier_light(b); look at other
 *   seldom   other = 1; pp_barrier_heavy(b); look at word
 *
 * Where the kernel does not offer that, both are fences. */
#ifndef PP_BASE_BARRIER_H
#define PP_BASE_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct pp_barrier {
    bool lopsided; /* set once, before others see it */
    atomic_uint
        fence; /* both sides touch it where it is not; ThreadSanitizer knows no other fence */
} pp_barrier;

/* The process's first one takes some milliseconds if it has threads already. */
void pp_barrier_init(pp_barrier *barrier);

static inline void pp_barrier_light(pp_barrier *barrier)
{
    if (__builtin_expect(barrier->lopsided, 1))
        atomic_signal_fence(memory_order_seq_cst);
    else
        (void)atomic_fetch_add(&barrier->fence, 1);
}

void pp_barrier_heavy(pp_barrier *barrier);

#endif
