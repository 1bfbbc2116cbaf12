#include "server/stop_guard.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>

static void *watch(void *arg)
{
    pp_stop_guard *guard = arg;
    struct timespec until = {.tv_sec = guard->deadline_ns / PP_NS_PER_S,
                             .tv_nsec = guard->deadline_ns % PP_NS_PER_S};
    bool late;

    (void)pthread_mutex_lock(&guard->lock);
    while (!guard->is_over &&
           pthread_cond_timedwait(&guard->over, &guard->lock, &until) != ETIMEDOUT)
        continue;
    late = !guard->is_over;
    (void)pthread_mutex_unlock(&guard->lock);
    if (late)
        guard->on_late(guard->context);
    return NULL;
}

static void destroy(pp_stop_guard *guard)
{
    (void)pthread_cond_destroy(&guard->over);
    (void)pthread_mutex_destroy(&guard->lock);
}

pipit_err pp_stop_guard_start(pp_stop_guard *guard, unsigned ms, void (*on_late)(void *context),
                              void *context)
{
    pthread_condattr_t monotonic;

    *guard = (pp_stop_guard){
        .deadline_ns = pp_clock_mono_ns() + ms * PP_NS_PER_MS,
        .on_late = on_late,
        .context = context,
    };
    (void)pthread_mutex_init(&guard->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&guard->over, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (!pp_fault("thread") && pthread_create(&guard->thread, NULL, watch, guard) == 0)
        return PIPIT_OK;
    destroy(guard);
    return PIPIT_ELIMIT;
}

void pp_stop_guard_stop(pp_stop_guard *guard)
{
    (void)pthread_mutex_lock(&guard->lock);
    guard->is_over = true;
    (void)pthread_cond_signal(&guard->over);
    (void)pthread_mutex_unlock(&guard->lock);
    (void)pthread_join(guard->thread, NULL);
    destroy(guard);
}
