/* base/timer.h -- deadlines, of a loop mostly, in a binary heap. */
#ifndef PP_BASE_TIMER_H
#define PP_BASE_TIMER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PP_TIMER_IDLE = 0 };

/* Embedded in what waits. Zeroed: not set. */
typedef struct pp_timer {
    int64_t due_ns; /* by the clock of whoever runs them */
    void (*fire)(struct pp_timer *timer);
    uint32_t place; /* in the heap, from 1; PP_TIMER_IDLE: not set */
} pp_timer;

typedef struct pp_timers {
    pp_timer **heap;
    size_t count;
    size_t cap;
} pp_timers;

void pp_timers_fini(pp_timers *timers);

/* Make room for count timers in all, so that setting them cannot fail. Errors: PIPIT_ENOMEM. */
pipit_err pp_timers_reserve(pp_timers *timers, size_t count);

/* Set, or set anew. Needs room reserved for it. fire is called once, by pp_timers_run. */
void pp_timer_set(pp_timers *timers, pp_timer *timer, int64_t due_ns,
                  void (*fire)(pp_timer *timer));
void pp_timer_cancel(pp_timers *timers, pp_timer *timer);

/* Fire what is due. A timer may set itself or cancel others while it fires. */
void pp_timers_run(pp_timers *timers, int64_t now_ns);
/* The same for the first of them. False: none is due. */
bool pp_timers_run_one(pp_timers *timers, int64_t now_ns);

/* When the next one is due; INT64_MAX: none set. */
static inline int64_t pp_timers_next_ns(const pp_timers *timers)
{
    return timers->count ? timers->heap[0]->due_ns : INT64_MAX;
}

#endif
