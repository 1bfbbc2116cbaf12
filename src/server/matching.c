/* pipit_server_publish_matching: a walk of the index on a loop, for which the caller waits. */
#include "core/matching.h"

#include "server/server.h"

#include <string.h>

typedef struct errand {
    pp_task task;
    pp_worker *worker;
    const pipit_msg *msg;
    pp_body *body;
    size_t taken;
    pipit_err err;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* under the lock */
} errand;

/* Header and payload in one piece, with CR LF behind them. NULL: no memory. */
static pp_body *join(const pipit_msg *msg)
{
    size_t len = msg->header_bytes + msg->payload_bytes;
    pp_body *body = pp_body_new(len + 2);

    if (!body)
        return NULL;
    if (msg->header_bytes)
        memcpy(body->bytes, msg->header, msg->header_bytes);
    if (msg->payload_bytes)
        memcpy(body->bytes + msg->header_bytes, msg->payload, msg->payload_bytes);
    memcpy(body->bytes + len, "\r\n", 2);
    return body;
}

static void publish(errand *e)
{
    const pipit_msg *m = e->msg;
    const size_t len = m->header_bytes + m->payload_bytes;
    const pp_msg msg = {
        .subject = {m->subject, m->subject_bytes},
        .reply = {m->reply, m->reply_bytes},
        .data = {e->body->bytes, len},
        .header_len = (uint32_t)m->header_bytes,
        .body = len >= PP_MSG_REFER_MIN ? e->body : NULL,
    };
    pp_worker *worker = e->worker;

    if (!atomic_load_explicit(&worker->server->open, memory_order_acquire)) {
        e->err = PIPIT_ECLOSED;
        return;
    }
    pp_count(&worker->counters.in_msgs, 1);
    pp_count(&worker->counters.in_bytes, len);
    e->err = pp_router_publish_matching(&worker->router, worker->server->global, &msg, &e->taken);
    pp_count(&worker->counters.out_msgs, e->taken);
    pp_count(&worker->counters.out_bytes, e->taken * len);
    worker->loop.gate = NULL; /* who waits for the answer has waited enough */
    if (worker->loop.staged_bytes > worker->loop.staged_max)
        pp_loop_flush(&worker->loop);
}

static void on_errand(pp_task *task)
{
    errand *e = PP_CONTAINER(task, errand, task);

    publish(e);
    (void)pthread_mutex_lock(&e->lock);
    e->done = true;
    (void)pthread_cond_signal(&e->changed);
    (void)pthread_mutex_unlock(&e->lock);
}

/* Not for a loop's own thread. */
static void send_and_wait(errand *e)
{
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_cond_init(&e->changed, NULL);
    e->task.run = on_errand;
    pp_loop_post(&e->worker->loop, &e->task);
    (void)pthread_mutex_lock(&e->lock);
    while (!e->done)
        (void)pthread_cond_wait(&e->changed, &e->lock);
    (void)pthread_mutex_unlock(&e->lock);
    (void)pthread_cond_destroy(&e->changed);
    (void)pthread_mutex_destroy(&e->lock);
}

pipit_err pipit_server_publish_matching(pipit_server *server, const pipit_msg *msg,
                                        size_t *out_recipients)
{
    errand e = {.msg = msg};
    pipit_err err = pp_inlet_check(server, msg, true);

    if (!atomic_load_explicit(&server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    if (err)
        return err;
    e.body = join(msg);
    if (!e.body)
        return PIPIT_ENOMEM;
    e.worker = pp_inlet_choose(server)->worker;
    if (pp_loop_current() == &e.worker->loop) {
        publish(&e);
    } else {
        (void)atomic_fetch_add(&server->visitors, 1);
        if (atomic_load(&server->open))
            send_and_wait(&e);
        else
            e.err = PIPIT_ECLOSED;
        (void)atomic_fetch_sub(&server->visitors, 1);
    }
    pp_body_unref(e.body);
    if (!e.err && out_recipients)
        *out_recipients = e.taken;
    return e.err;
}
