#include "base/timer.h"

#include "base/alloc.h"
#include "base/assert.h"

void pp_timers_fini(pp_timers *timers)
{
    pp_free(timers->heap);
    *timers = (pp_timers){0};
}

pipit_err pp_timers_reserve(pp_timers *timers, size_t count)
{
    size_t cap = timers->cap ? timers->cap : 16;
    pp_timer **grown;

    if (count <= timers->cap)
        return PIPIT_OK;
    while (cap < count)
        cap *= 2;
    grown = pp_realloc(timers->heap, cap * sizeof(pp_timer *));
    if (!grown)
        return PIPIT_ENOMEM;
    timers->heap = grown;
    timers->cap = cap;
    return PIPIT_OK;
}

static void put(pp_timers *timers, size_t at, pp_timer *timer)
{
    timers->heap[at] = timer;
    timer->place = (uint32_t)at + 1;
}

static void sift_up(pp_timers *timers, size_t at, pp_timer *timer)
{
    while (at > 0 && timers->heap[(at - 1) / 2]->due_ns > timer->due_ns) {
        put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(timers, at, timer);
}

static void sift_down(pp_timers *timers, size_t at, pp_timer *timer)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < timers->count &&
            timers->heap[child + 1]->due_ns < timers->heap[child]->due_ns)
            child++;
        if (child >= timers->count || timers->heap[child]->due_ns >= timer->due_ns)
            break;
        put(timers, at, timers->heap[child]);
        at = child;
    }
    put(timers, at, timer);
}

void pp_timer_cancel(pp_timers *timers, pp_timer *timer)
{
    size_t at;
    pp_timer *last;

    if (timer->place == PP_TIMER_IDLE)
        return;
    at = timer->place - 1;
    PP_ASSERT(at < timers->count && timers->heap[at] == timer);
    timer->place = PP_TIMER_IDLE;
    last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (at > 0 && timers->heap[(at - 1) / 2]->due_ns > last->due_ns)
        sift_up(timers, at, last);
    else
        sift_down(timers, at, last);
}

void pp_timer_set(pp_timers *timers, pp_timer *timer, int64_t due_ns, void (*fire)(pp_timer *timer))
{
    pp_timer_cancel(timers, timer);
    PP_ASSERT(timers->count < timers->cap);
    timer->due_ns = due_ns;
    timer->fire = fire;
    sift_up(timers, timers->count++, timer);
}

bool pp_timers_run_one(pp_timers *timers, int64_t now_ns)
{
    pp_timer *timer = timers->count ? timers->heap[0] : NULL;

    if (!timer || timer->due_ns > now_ns)
        return false;
    pp_timer_cancel(timers, timer);
    timer->fire(timer);
    return true;
}

void pp_timers_run(pp_timers *timers, int64_t now_ns)
{
    while (pp_timers_run_one(timers, now_ns))
        continue;
}
