#include "server/operators/clerk.h"

#include "base/fault.h"

void pp_clerk_init(pp_clerk *clerk, pp_loop *home)
{
    *clerk = (pp_clerk){.home = home};
    (void)pthread_mutex_init(&clerk->lock, NULL);
    (void)pthread_cond_init(&clerk->changed, NULL);
}

void pp_clerk_fini(pp_clerk *clerk)
{
    (void)pthread_cond_destroy(&clerk->changed);
    (void)pthread_mutex_destroy(&clerk->lock);
}

/* The next job; NULL: there will be none. */
static pp_clerk_job *next_job(pp_clerk *clerk)
{
    pp_clerk_job *job;

    (void)pthread_mutex_lock(&clerk->lock);
    while (!clerk->first && !clerk->stopping)
        (void)pthread_cond_wait(&clerk->changed, &clerk->lock);
    job = clerk->stopping ? NULL : clerk->first;
    if (job)
        clerk->first = job->next;
    (void)pthread_mutex_unlock(&clerk->lock);
    return job;
}

static void *run(void *arg)
{
    pp_clerk *clerk = arg;
    pp_clerk_job *job;

    while ((job = next_job(clerk))) {
        job->work(job);
        pp_loop_post(clerk->home, &job->done);
    }
    return NULL;
}

pipit_err pp_clerk_start(pp_clerk *clerk, unsigned threads)
{
    while (clerk->thread_count < threads) {
        if (pp_fault("thread") ||
            pthread_create(&clerk->threads[clerk->thread_count], NULL, run, clerk) != 0)
            return clerk->thread_count ? PIPIT_OK : PIPIT_ELIMIT;
        clerk->thread_count++;
    }
    return PIPIT_OK;
}

static void drop(pp_clerk *clerk, pp_clerk_job *job)
{
    job->dropped = true;
    pp_loop_post(clerk->home, &job->done);
}

void pp_clerk_stop(pp_clerk *clerk)
{
    pp_clerk_job *job;

    atomic_store(&clerk->hurry, true);
    (void)pthread_mutex_lock(&clerk->lock);
    clerk->stopping = true;
    job = clerk->first;
    clerk->first = NULL;
    (void)pthread_cond_broadcast(&clerk->changed);
    (void)pthread_mutex_unlock(&clerk->lock);
    while (job) {
        pp_clerk_job *next = job->next; /* the job may be gone as soon as it is posted */

        drop(clerk, job);
        job = next;
    }
    while (clerk->thread_count)
        (void)pthread_join(clerk->threads[--clerk->thread_count], NULL);
}

void pp_clerk_give(pp_clerk *clerk, pp_clerk_job *job)
{
    bool stopping;

    job->next = NULL;
    (void)pthread_mutex_lock(&clerk->lock);
    stopping = clerk->stopping;
    if (!stopping) {
        if (clerk->first)
            clerk->last->next = job;
        else
            clerk->first = job;
        clerk->last = job;
        (void)pthread_cond_signal(&clerk->changed);
    }
    (void)pthread_mutex_unlock(&clerk->lock);
    if (stopping)
        drop(clerk, job);
}
