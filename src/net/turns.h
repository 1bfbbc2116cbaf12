/* net/turns.h -- how long the turns of a loop take: a histogram that its loop writes, anyone reads.
 *
 * A bucket holds the turns of up to twice the time of the one before it, from 1024 ns on; the last
 * has no end. */
#ifndef PP_NET_TURNS_H
#define PP_NET_TURNS_H

#include "base/counters.h"

enum {
    PP_TURN_BUCKETS = 22, /* the last but one ends at 1.07 s */
    PP_TURN_SHIFT = 10,
};

typedef struct pp_turns {
    atomic_uint_fast64_t counts[PP_TURN_BUCKETS];
    atomic_uint_fast64_t sum_ns;
    atomic_uint_fast64_t longest_ns;
} pp_turns;

/* The end of a bucket but the last, inclusive. */
static inline uint64_t pp_turns_bound_ns(unsigned bucket)
{
    return UINT64_C(1) << (PP_TURN_SHIFT + bucket);
}

/* Thread: the loop's. */
static inline void pp_turns_note(pp_turns *turns, uint64_t ns)
{
    uint64_t units = ns ? (ns - 1) >> PP_TURN_SHIFT : 0;
    unsigned bucket = units ? 64 - (unsigned)__builtin_clzll(units) : 0;

    pp_count(&turns->counts[bucket < PP_TURN_BUCKETS ? bucket : PP_TURN_BUCKETS - 1], 1);
    pp_count(&turns->sum_ns, ns);
    if (ns > atomic_load_explicit(&turns->longest_ns, memory_order_relaxed))
        atomic_store_explicit(&turns->longest_ns, ns, memory_order_relaxed);
}

#endif
