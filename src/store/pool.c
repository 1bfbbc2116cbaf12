#include "store/pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "store/pool_seat.h"

#include <pthread.h>

enum { THREADS_MAX = 64 };

struct pp_store_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_cond_t served; /* some seat is not served any more */
    pp_link queued;
    pp_link timed; /* by due_ns */
    bool stopping;
    unsigned thread_count;
    pthread_t threads[THREADS_MAX];
};

void pp_pool_seat_init(pp_pool_seat *seat, int64_t (*serve)(pp_pool_seat *seat, bool due))
{
    *seat = (pp_pool_seat){.serve = serve};
    pp_list_init(&seat->link);
}

static void queue_locked(pp_store_pool *pool, pp_pool_seat *seat)
{
    pp_list_remove(&seat->link);
    pp_list_append(&pool->queued, &seat->link);
    seat->place = PP_POOL_QUEUED;
    (void)pthread_cond_signal(&pool->work);
}

static void time_locked(pp_store_pool *pool, pp_pool_seat *seat, int64_t due_ns)
{
    pp_link *before = pool->timed.prev;

    seat->due_ns = due_ns;
    seat->place = PP_POOL_TIMED;
    while (before != &pool->timed && PP_CONTAINER(before, pp_pool_seat, link)->due_ns > due_ns)
        before = before->prev;
    pp_list_append(before->next, &seat->link); /* in front of what comes after */
}

void pp_pool_push(pp_store_pool *pool, pp_pool_seat *seat)
{
    (void)pthread_mutex_lock(&pool->lock);
    if (seat->place == PP_POOL_SERVED)
        seat->again = true;
    else if (seat->place != PP_POOL_QUEUED)
        queue_locked(pool, seat);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void serve_locked(pp_store_pool *pool, pp_pool_seat *seat, bool due)
{
    int64_t next_ns;

    pp_list_remove(&seat->link);
    seat->place = PP_POOL_SERVED;
    seat->again = false;
    (void)pthread_mutex_unlock(&pool->lock);
    next_ns = seat->serve(seat, due);
    (void)pthread_mutex_lock(&pool->lock);
    seat->place = PP_POOL_OUT;
    if (seat->again)
        queue_locked(pool, seat);
    else if (next_ns != INT64_MAX)
        time_locked(pool, seat, next_ns);
    (void)pthread_cond_broadcast(&pool->served);
}

bool pp_pool_serve_here(pp_store_pool *pool, pp_pool_seat *seat)
{
    bool is_ours;

    (void)pthread_mutex_lock(&pool->lock);
    is_ours = seat->place == PP_POOL_QUEUED;
    if (is_ours) {
        serve_locked(pool, seat, false);
        (void)pthread_cond_signal(&pool->work); /* of a time that no thread knows of */
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_ours;
}

void pp_pool_leave(pp_store_pool *pool, pp_pool_seat *seat)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (seat->place == PP_POOL_SERVED)
        (void)pthread_cond_wait(&pool->served, &pool->lock);
    pp_list_remove(&seat->link);
    seat->place = PP_POOL_OUT;
    (void)pthread_mutex_unlock(&pool->lock);
}

/* The next seat to serve; NULL after having waited. */
static pp_pool_seat *take_locked(pp_store_pool *pool, bool *out_due)
{
    pp_pool_seat *seat = NULL;
    struct timespec until;

    *out_due = false;
    if (!pp_list_empty(&pool->queued))
        return PP_CONTAINER(pool->queued.next, pp_pool_seat, link);
    if (pp_list_empty(&pool->timed)) {
        (void)pthread_cond_wait(&pool->work, &pool->lock);
        return NULL;
    }
    seat = PP_CONTAINER(pool->timed.next, pp_pool_seat, link);
    if (seat->due_ns <= pp_clock_mono_ns()) {
        *out_due = true;
        return seat;
    }
    until.tv_sec = seat->due_ns / PP_NS_PER_S;
    until.tv_nsec = seat->due_ns % PP_NS_PER_S;
    (void)pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    return NULL;
}

static void *serve_all(void *any)
{
    pp_store_pool *pool = any;
    pp_pool_seat *seat;
    bool due;

    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        seat = take_locked(pool, &due);
        if (seat)
            serve_locked(pool, seat, due);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

pipit_err pp_store_pool_new(unsigned threads, pp_store_pool **out_pool)
{
    pp_store_pool *pool;
    pthread_condattr_t monotonic;

    if (threads == 0 || threads > THREADS_MAX)
        return PIPIT_EINVAL;
    pool = pp_calloc(1, sizeof(*pool));
    if (!pool)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->work, &monotonic);
    (void)pthread_cond_init(&pool->served, NULL);
    (void)pthread_condattr_destroy(&monotonic);
    pp_list_init(&pool->queued);
    pp_list_init(&pool->timed);
    for (; pool->thread_count < threads; pool->thread_count++)
        if (pp_fault("thread") ||
            pthread_create(&pool->threads[pool->thread_count], NULL, serve_all, pool) != 0) {
            pp_store_pool_free(pool);
            return PIPIT_ELIMIT;
        }
    *out_pool = pool;
    return PIPIT_OK;
}

void pp_store_pool_free(pp_store_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    PP_ASSERT(pp_list_empty(&pool->queued) && pp_list_empty(&pool->timed));
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->served);
    (void)pthread_mutex_destroy(&pool->lock);
    pp_free(pool);
}
