/* server/operators/clerk.h -- threads for what waits: files, other servers.
 *
 *   [pp_clerk_give]           [work, on a clerk's thread]        [done, on the home loop]
 *  ----------------> queued ------------------------------> done --------------------> gone
 *                      |                                      ^
 *                      +--[pp_clerk_stop]---------------------+  dropped, without work
 *
 * Jobs come back in any order, if there is more than one thread. */
#ifndef PP_SERVER_OPERATORS_CLERK_H
#define PP_SERVER_OPERATORS_CLERK_H

#include "net/loop.h"

#include <pthread.h>

enum { PP_CLERK_THREADS_MAX = 8 };

typedef struct pp_clerk_job {
    struct pp_clerk_job *next;
    void (*work)(struct pp_clerk_job *job);
    pp_task done; /* its run is set by who gives the job */
    bool dropped; /* it was not worked on */
} pp_clerk_job;

typedef struct pp_clerk {
    pthread_mutex_t lock; /* guards first, last, stopping */
    pthread_cond_t changed;
    pp_clerk_job *first, *last;
    bool stopping;
    atomic_bool hurry; /* stopping, for who works and must not wait long */
    pthread_t threads[PP_CLERK_THREADS_MAX];
    unsigned thread_count; /* that run */
    pp_loop *home;
} pp_clerk;

void pp_clerk_init(pp_clerk *clerk, pp_loop *home);
void pp_clerk_fini(pp_clerk *clerk);

/* Start threads. Errors: PIPIT_ELIMIT. */
pipit_err pp_clerk_start(pp_clerk *clerk, unsigned threads);
/* Wait for them, while loops still run; all jobs come back. Later ones are dropped, too. */
void pp_clerk_stop(pp_clerk *clerk);

/* Thread: any. */
void pp_clerk_give(pp_clerk *clerk, pp_clerk_job *job);

#endif
