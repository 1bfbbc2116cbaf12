#include "net/conn_inside.h"

#include "base/ceiling.h"

#include <sys/socket.h>

enum {
    BRIEF_NS = 1000000, /* the longest wait for a recipient that keeps up, or nearly */
};

void pp_conn_mark_ready(pp_conn *conn)
{
    pp_list_remove(&conn->link);
    pp_list_append(&conn->loop->ready, &conn->link);
}

void pp_conn_read_again(pp_conn *conn)
{
    conn->readable = true;
    if (!conn->paused && !conn->closing)
        pp_conn_mark_ready(conn);
}

static void resume(pp_conn *conn)
{
    conn->paused = false;
    conn->waits_for = NULL;
    pp_list_remove(&conn->link);
    if (conn->readable)
        pp_conn_mark_ready(conn);
}

void pp_conn_pause(pp_conn *conn, const void *gate, int64_t ns)
{
    if (conn->paused || conn->closing)
        return;
    conn->paused = true;
    conn->waits_for = gate;
    conn->resume_ns = conn->loop->now_ns + ns;
    pp_list_remove(&conn->link);
    pp_list_append(&conn->loop->paused, &conn->link);
    pp_count(&conn->loop->counters->stalls, 1);
    conn->stalls++;
}

void pp_conn_pause_briefly(pp_conn *conn, const void *outlet)
{
    pp_link *link = conn->loop->paused.prev;

    if (conn->paused || conn->closing || !conn->readable)
        return;
    conn->paused = true;
    conn->waits_for = outlet;
    conn->resume_ns = conn->loop->now_ns + BRIEF_NS;
    pp_list_remove(&conn->link);
    while (link != &conn->loop->paused &&
           PP_CONTAINER(link, pp_conn, link)->resume_ns > conn->resume_ns)
        link = link->prev;
    pp_list_append(link->next, &conn->link);
}

void pp_conn_stop_reading(pp_conn *conn)
{
    conn->paused = true;
    pp_list_remove(&conn->link);
}

void pp_conn_start_reading(pp_conn *conn)
{
    if (!conn->closing)
        resume(conn);
}

/* What the kernel seals may wait beside the socket's buffer (tls/offload.c) and would be cut off:
 * not for connections that have been sent much. */
void pp_conn_shut_write(pp_conn *conn)
{
    if (conn->closing)
        return;
    for (pp_layer *layer = conn->layer; layer; layer = layer->below) {
        if (layer->ops->goodbye)
            layer->ops->goodbye(layer, PP_CLOSE_NONE);
        pp_outbox_nudge(conn);
    }
    if (!conn->closing)
        (void)shutdown(conn->source.fd, SHUT_WR); /* fails if the peer has gone: reading tells */
}

void pp_conn_resume_due(pp_loop *loop)
{
    while (!pp_list_empty(&loop->paused)) {
        pp_conn *conn = PP_CONTAINER(loop->paused.next, pp_conn, link);

        if (conn->resume_ns > loop->now_ns)
            break;
        if (PP_UNLIKELY(loop->pressed) && (conn->waits_for || loop->late.conn_id)) {
            /* What it waits for has not come; as long as memory is short it waits on. */
            conn->resume_ns = loop->now_ns + PP_STALL_NS;
            pp_list_remove(&conn->link);
            pp_list_append(&loop->paused, &conn->link);
            continue;
        }
        resume(conn);
    }
}

void pp_conn_resume_for(pp_loop *loop, const void *gate)
{
    for (pp_link *link = loop->paused.next, *next; link != &loop->paused; link = next) {
        pp_conn *conn = PP_CONTAINER(link, pp_conn, link);

        next = link->next;
        if (conn->waits_for == gate)
            resume(conn);
    }
    for (pp_link *link = loop->waiters.next, *next; link != &loop->waiters; link = next) {
        pp_waiter *waiter = PP_CONTAINER(link, pp_waiter, link);

        next = link->next;
        if (waiter->waits_for == gate) {
            pp_list_remove(link);
            waiter->resume(waiter);
        }
    }
}

void pp_conn_on_ungate(pp_task *task)
{
    pp_outlet *outlet = PP_CONTAINER(task, pp_outlet, ungate);

    pp_mutex_lock(&outlet->conn->box.lock);
    outlet->ungate_posted = false;
    outlet->gated = outlet->gate == PP_GATE_LAGS; /* it may lag again already */
    pp_mutex_unlock(&outlet->conn->box.lock);
    if (!outlet->gated)
        pp_conn_resume_for(outlet->loop, outlet);
    pp_conn_unhold(outlet->conn);
}
