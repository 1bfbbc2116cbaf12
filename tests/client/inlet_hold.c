#include "inlet_hold.h"

#include "server/server.h"
#include "support/check.h"

/* What the loop is asked to do, on the stack of who waits for it. */
struct holding {
    pp_task task;
    pp_inlet *inlet;
    bool hold;
    atomic_bool done;
};

/* As if a recipient lagged. */
static void on_holding(pp_task *task)
{
    struct holding *h = PP_CONTAINER(task, struct holding, task);

    (void)pthread_mutex_lock(&h->inlet->lock);
    h->inlet->posted = true; /* so that nobody else posts it */
    (void)pthread_mutex_unlock(&h->inlet->lock);
    h->inlet->waits = h->hold;
    if (!h->hold)
        pp_loop_post(&h->inlet->worker->loop, &h->inlet->task);
    atomic_store(&h->done, true);
}

static bool is_done(void *arg)
{
    struct holding *h = arg;

    return atomic_load(&h->done);
}

static void ask(pipit_server *server, bool hold)
{
    pp_worker *worker = &server->workers[0];
    struct holding h = {.task.run = on_holding, .inlet = &worker->local.inlet, .hold = hold};

    pp_loop_post(&worker->loop, &h.task);
    check_until(is_done, &h, "the inlet");
}

void inlet_hold(pipit_server *server)
{
    ask(server, true);
}

void inlet_let_go(pipit_server *server)
{
    ask(server, false);
}
