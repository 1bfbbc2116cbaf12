#include "server/monitor/sweep.h"

#include "base/clock.h"
#include "server/server.h"

static const int64_t slice_ns = 150000;

struct sweep {
    pp_sweep_step step;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned busy; /* loops that are not through; under lock */
};

struct part {
    pp_task task;
    struct sweep *sweep;
    pp_worker *worker;
    void *state;
};

static void run_part(pp_task *task)
{
    struct part *part = PP_CONTAINER(task, struct part, task);
    struct sweep *sweep = part->sweep;
    int64_t end_ns = pp_clock_mono_ns() + slice_ns;

    do {
        if (sweep->step(part->worker, part->state)) {
            (void)pthread_mutex_lock(&sweep->lock);
            sweep->busy--;
            (void)pthread_cond_signal(&sweep->done);
            (void)pthread_mutex_unlock(&sweep->lock); /* from here on the sweep is gone */
            return;
        }
    } while (pp_clock_mono_ns() < end_ns);
    pp_loop_post(&part->worker->loop, task);
}

static bool is_running(pipit_server *server, const pp_worker *worker)
{
    bool running;

    (void)pthread_mutex_lock(&server->errands);
    running = worker->running;
    (void)pthread_mutex_unlock(&server->errands);
    return running;
}

/* Let the loop of worker do its part, and wait. Errands wait for loops, and loops for the sweep's
 * lock at its end: so nothing else is locked while that is held. */
static void sweep_one(struct sweep *sweep, pp_worker *worker, void *state)
{
    struct part part = {.task.run = run_part, .sweep = sweep, .worker = worker, .state = state};

    sweep->busy = 1; /* before it can be through */
    pp_loop_post(&worker->loop, &part.task);
    (void)pthread_mutex_lock(&sweep->lock);
    while (sweep->busy)
        (void)pthread_cond_wait(&sweep->done, &sweep->lock);
    (void)pthread_mutex_unlock(&sweep->lock);
}

/* One loop after another: all of them at work at once would take the cores from each other, and
 * from whoever is served meanwhile. */
void pp_sweep(pipit_server *server, pp_sweep_step step, void *states, size_t state_bytes)
{
    struct sweep sweep = {.step = step};

    (void)pthread_mutex_init(&sweep.lock, NULL);
    (void)pthread_cond_init(&sweep.done, NULL);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (is_running(server, &server->workers[i]))
            sweep_one(&sweep, &server->workers[i], (char *)states + i * state_bytes);
    }
    (void)pthread_cond_destroy(&sweep.done);
    (void)pthread_mutex_destroy(&sweep.lock);
}
