#include "auth/hasher.h"

#include "auth/secret.h"
#include "base/alloc.h"
#include "base/fault.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICENESS = 10 };

struct pp_hasher {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    pp_hash_job *first, **last;
    unsigned queued, queue_max;
    unsigned idle; /* threads that wait */
    pthread_t *threads;
    unsigned thread_count, thread_max;
    bool stopped;
};

pipit_err pp_hasher_new(pp_hasher **out_hasher, unsigned thread_max, unsigned queue_max)
{
    pp_hasher *hasher = pp_calloc(1, sizeof(*hasher));

    if (!hasher)
        return PIPIT_ENOMEM;
    hasher->threads = pp_calloc(thread_max, sizeof(*hasher->threads));
    if (!hasher->threads) {
        pp_free(hasher);
        return PIPIT_ENOMEM;
    }
    (void)pthread_mutex_init(&hasher->lock, NULL);
    (void)pthread_cond_init(&hasher->changed, NULL);
    hasher->last = &hasher->first;
    hasher->thread_max = thread_max;
    hasher->queue_max = queue_max;
    *out_hasher = hasher;
    return PIPIT_OK;
}

static bool is_abandoned(const pp_hash_job *job)
{
    return job->abandoned &&
           atomic_load_explicit((atomic_bool *)job->abandoned, memory_order_relaxed);
}

static pp_hash_job *take_locked(pp_hasher *hasher)
{
    pp_hash_job *job = hasher->first;

    hasher->first = job->next;
    if (!hasher->first)
        hasher->last = &hasher->first;
    hasher->queued--;
    return job;
}

static void *run(void *arg)
{
    pp_hasher *hasher = arg;
    void *scratch = pp_alloc(pp_bcrypt_scratch_bytes());

    /* Of this thread alone, on Linux. Without it all works, but less smoothly. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    (void)pthread_mutex_lock(&hasher->lock);
    for (;;) {
        pp_hash_job *job;
        bool stopped;

        while (!hasher->first && !hasher->stopped) {
            hasher->idle++;
            (void)pthread_cond_wait(&hasher->changed, &hasher->lock);
            hasher->idle--;
        }
        if (!hasher->first)
            break;
        job = take_locked(hasher);
        stopped = hasher->stopped;
        (void)pthread_mutex_unlock(&hasher->lock);
        if (!scratch)
            scratch = pp_alloc(pp_bcrypt_scratch_bytes());
        job->fits = scratch && !stopped && !is_abandoned(job) &&
                    pp_bcrypt_fits(job->hash, job->shown, scratch);
        job->done(job);
        (void)pthread_mutex_lock(&hasher->lock);
    }
    (void)pthread_mutex_unlock(&hasher->lock);
    if (scratch)
        sodium_memzero(scratch, pp_bcrypt_scratch_bytes());
    pp_free(scratch);
    return NULL;
}

/* One more, if all are busy. */
static void add_thread_locked(pp_hasher *hasher)
{
    if (hasher->idle > hasher->queued || hasher->thread_count == hasher->thread_max)
        return;
    if (!pp_fault("thread") &&
        pthread_create(&hasher->threads[hasher->thread_count], NULL, run, hasher) == 0)
        hasher->thread_count++;
}

pipit_err pp_hasher_submit(pp_hasher *hasher, pp_hash_job *job)
{
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&hasher->lock);
    if (hasher->stopped)
        err = PIPIT_ECLOSED;
    else
        add_thread_locked(hasher);
    if (!err && (!hasher->thread_count || hasher->queued >= hasher->queue_max))
        err = PIPIT_ELIMIT;
    if (!err) {
        job->fits = false;
        job->next = NULL;
        *hasher->last = job;
        hasher->last = &job->next;
        hasher->queued++;
        (void)pthread_cond_signal(&hasher->changed);
    }
    (void)pthread_mutex_unlock(&hasher->lock);
    return err;
}

void pp_hasher_stop(pp_hasher *hasher)
{
    unsigned count;

    (void)pthread_mutex_lock(&hasher->lock);
    hasher->stopped = true;
    count = hasher->thread_count;
    (void)pthread_cond_broadcast(&hasher->changed);
    (void)pthread_mutex_unlock(&hasher->lock);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(hasher->threads[i], NULL);
    hasher->thread_count = 0;
}

void pp_hasher_free(pp_hasher *hasher)
{
    if (!hasher)
        return;
    pp_hasher_stop(hasher);
    (void)pthread_mutex_destroy(&hasher->lock);
    (void)pthread_cond_destroy(&hasher->changed);
    pp_free(hasher->threads);
    pp_free(hasher);
}
