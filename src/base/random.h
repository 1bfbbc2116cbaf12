/* base/random.h -- seeds from the system, and a fast generator for choices that need no secrecy. */
#ifndef PP_BASE_RANDOM_H
#define PP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fill with bytes from the kernel. Aborts if the kernel has none, which Linux promises not to. */
void pp_random_bytes(void *out, size_t len);
uint64_t pp_random_seed(void);

/* xorshift64*: one state per owner, never zero. */
static inline uint64_t pp_random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Du;
}

/* A number in [0, bound), close enough to uniform for choosing a queue member. */
static inline uint32_t pp_random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(((pp_random_next(state) >> 32) * bound) >> 32);
}

#endif
