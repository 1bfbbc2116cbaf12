/* Do the loops still turn? Each is given a task; who asks again sees whether they have run. */
#include "server/server.h"

void pp_pulse_run(pp_task *task)
{
    pp_worker *worker = PP_CONTAINER(task, pp_worker, pulse);

    atomic_store(&worker->pulse_posted, false);
}

bool pp_server_pulse(pipit_server *server)
{
    bool all = true;

    (void)pthread_mutex_lock(&server->errands);
    for (unsigned i = 0; i < server->worker_count; i++) {
        pp_worker *worker = &server->workers[i];

        if (!worker->running)
            continue;
        if (atomic_exchange(&worker->pulse_posted, true))
            all = false; /* it has not come round to the last one */
        else
            pp_loop_post(&worker->loop, &worker->pulse);
    }
    (void)pthread_mutex_unlock(&server->errands);
    return all;
}
