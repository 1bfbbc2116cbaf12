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

/* Errands wait for loops, and loops for the sweep's lock at its end: so nothing else is locked
 * while that is held. */
void pp_sweep(pipit_server *server, pp_sweep_step step, void *states, size_t state_bytes)
{
    struct sweep sweep = {.step = step};
    struct part parts[PP_WORKERS_MAX];
    unsigned count = 0;

    (void)pthread_mutex_init(&sweep.lock, NULL);
    (void)pthread_cond_init(&sweep.done, NULL);
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (!is_running(server, &server->workers[i]))
            continue;
        parts[count++] = (struct part){
            .task.run = run_part,
            .sweep = &sweep,
            .worker = &server->workers[i],
            .state = (char *)states + i * state_bytes,
        };
    }
    sweep.busy = count; /* before any of them can be through */
    for (unsigned i = 0; i < count; i++)
        pp_loop_post(&parts[i].worker->loop, &parts[i].task);
    (void)pthread_mutex_lock(&sweep.lock);
    while (sweep.busy)
        (void)pthread_cond_wait(&sweep.done, &sweep.lock);
    (void)pthread_mutex_unlock(&sweep.lock);
    (void)pthread_cond_destroy(&sweep.done);
    (void)pthread_mutex_destroy(&sweep.lock);
}
