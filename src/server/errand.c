#include "server/server.h"

struct errand {
    pp_task task;
    pp_worker *worker;
    void (*run)(pp_worker *worker);
};

static void run_errand(pp_task *task)
{
    struct errand *errand = PP_CONTAINER(task, struct errand, task);
    pipit_server *server = errand->worker->server;

    errand->run(errand->worker);
    (void)pthread_mutex_lock(&server->lock);
    server->busy--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->lock); /* from here on the errand is gone */
}

void pp_server_on_all(pipit_server *server, void (*run)(pp_worker *worker))
{
    (void)pthread_mutex_lock(&server->errands);
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct errand errand = {.task.run = run_errand, .worker = &server->workers[i], .run = run};

        if (!errand.worker->running)
            continue;
        (void)pthread_mutex_lock(&server->lock);
        server->busy++;
        pp_loop_post(&errand.worker->loop, &errand.task);
        while (server->busy)
            (void)pthread_cond_wait(&server->changed, &server->lock);
        (void)pthread_mutex_unlock(&server->lock);
    }
    (void)pthread_mutex_unlock(&server->errands);
}
