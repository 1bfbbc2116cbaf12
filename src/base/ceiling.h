/* base/ceiling.h -- how much memory the process may take, and how near it is.
 *
 * The ceiling is for the resident size of the process, so it is the process' and not a server's:
 * of several claims the lowest holds. What pp_alloc has given out is counted (base/alloc.c); what
 * else is resident, from libraries, stacks and the allocator's own losses, is measured now and
 * then and added:
 *
 *      0 ......... low ........ high ........ refuse . ceiling
 *                   |             |              |
 *                   |             |              +-- pp_alloc answers NULL
 *                   |             +-- from here on memory is short: pp_ceiling_pressed
 *                   +-- until it is below that again
 *
 * Reading is two loads of a line that changes for every 64 KiB allocated. */
#ifndef PP_BASE_CEILING_H
#define PP_BASE_CEILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A mark that is never reached. What is counted may be below zero for a moment, when a thread has
 * freed what another has not added up yet, so there is room beyond it, too. */
#define PP_CEILING_NONE (INT64_MAX / 2)

/* Marks are in bytes counted; PP_CEILING_NONE: no ceiling. */
struct pp_ceiling_gauge {
    _Alignas(64) atomic_int_fast64_t counted;
    atomic_int_fast64_t pressed_at; /* low or high, less what is not counted */
    atomic_int_fast64_t refuse_at;
};
extern struct pp_ceiling_gauge pp_ceiling_gauge;

/* Embedded in whoever asks for a ceiling. Zeroed: no claim. */
typedef struct pp_ceiling_claim {
    struct pp_ceiling_claim *next;
    size_t bytes;
} pp_ceiling_claim;

/* From now on the process stays below bytes, until released. Thread: any. */
void pp_ceiling_hold(pp_ceiling_claim *claim, size_t bytes);
void pp_ceiling_release(pp_ceiling_claim *claim);

/* The ceiling; 0: none. Thread: any. */
size_t pp_ceiling_bytes(void);

/* Bytes of memory in use, as far as is known. Thread: any. */
size_t pp_ceiling_used(void);

/* Bytes to free until memory is not short any more; 0: it is not short. Thread: any. */
size_t pp_ceiling_excess(void);

/* Bytes resident beyond those counted and those that were so when the ceiling came: what the
 * allocator may be able to give back. Thread: any. */
size_t pp_ceiling_slack(void);

/* Measure how much is resident and move the marks. Cheap: pp_alloc does so for each MiB. Thread:
 * any. */
void pp_ceiling_measure(void);
/* For tests: measure, now and from now on, that so much is resident; 0: what really is. */
void pp_ceiling_pretend(size_t resident_bytes);

/* Is memory short? Would it be with so many bytes more? Is it half gone? Thread: any. */
static inline bool pp_ceiling_pressed_by(size_t bytes)
{
    int64_t counted = atomic_load_explicit(&pp_ceiling_gauge.counted, memory_order_relaxed);

    return counted + (int64_t)bytes >
           atomic_load_explicit(&pp_ceiling_gauge.pressed_at, memory_order_relaxed);
}

static inline bool pp_ceiling_pressed(void)
{
    return pp_ceiling_pressed_by(0);
}

bool pp_ceiling_half_gone(void);

/* Would so many bytes still be below the ceiling, though they would be refused? Thread: any. */
bool pp_ceiling_reserves(size_t bytes);

/* Must an allocation of so many bytes be refused? Thread: any. */
static inline bool pp_ceiling_refuses(size_t bytes)
{
    int64_t most = atomic_load_explicit(&pp_ceiling_gauge.refuse_at, memory_order_relaxed);
    int64_t counted = atomic_load_explicit(&pp_ceiling_gauge.counted, memory_order_relaxed);

    /* Below zero while a thread has added up what it freed, and others not what they allocated. */
    return (int64_t)bytes > most - (counted > 0 ? counted : 0);
}

#endif
