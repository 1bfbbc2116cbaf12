/* base/reclaim.h -- freeing what other loops may still be looking at.
 *
 * Loops read shared objects (subscriptions, connections) without locks or reference counts. An
 * object is first made unreachable for new readers, then retired; it is freed when every loop has
 * passed a point at which it held nothing: the end of a turn, or sleep. Each loop publishes in a
 * line of its own the era in which it last began to look; eras advance when something is retired.
 *
 *   pp_reclaim_enter --> [turn: may hold shared objects] --> pp_reclaim_leave (sleep)
 *                                 ^        |
 *                                 +--------+  pp_reclaim_pass: nothing held, era read anew */
#ifndef PP_BASE_RECLAIM_H
#define PP_BASE_RECLAIM_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pp_reclaim_line {
    _Alignas(64) atomic_uint_fast64_t seen; /* 0: not looking */
};

/* One for all loops of a server. */
typedef struct pp_reclaim {
    _Alignas(64) atomic_uint_fast64_t era;
    unsigned reader_count;
    struct pp_reclaim_line *lines;
} pp_reclaim;

/* Embedded in what is retired. */
typedef struct pp_retired {
    struct pp_retired *next;
    void (*free)(struct pp_retired *self);
} pp_retired;

/* One per loop: what this loop has retired, youngest batch and the batch that waits. */
typedef struct pp_reclaimer {
    pp_reclaim *shared;
    unsigned index;
    pp_retired *fresh;
    pp_retired *waiting;
    uint64_t waiting_era;
} pp_reclaimer;

pipit_err pp_reclaim_init(pp_reclaim *shared, unsigned reader_count);
void pp_reclaim_fini(pp_reclaim *shared);

void pp_reclaimer_init(pp_reclaimer *r, pp_reclaim *shared, unsigned index);
/* Free all that is left. No reader may run any more. */
void pp_reclaimer_fini(pp_reclaimer *r);

/* Begin to look, hold nothing, stop looking. Thread: the loop's. */
void pp_reclaim_enter(pp_reclaimer *r);
void pp_reclaim_pass(pp_reclaimer *r);
void pp_reclaim_leave(pp_reclaimer *r);

/* Give an object, unreachable for new readers, to be freed later. Thread: the loop's. */
void pp_reclaim_retire(pp_reclaimer *r, pp_retired *object, void (*free)(pp_retired *));

/* Free what nobody can hold any more. True if something still waits. Thread: the loop's,
 * between turns (it must hold nothing itself). */
bool pp_reclaim_collect(pp_reclaimer *r);

#endif
