#include "net/conn_inside.h"

enum {
    DROPPING_PATIENCE = 6,
};

void pp_conn_close_slow(pp_conn *conn, pp_close_reason reason)
{
    if (conn->closing)
        return;
    pp_count(&conn->loop->counters->slow_consumers, !conn->door->aside);
    pp_conn_close(conn, reason, false);
}

bool pp_conn_set_policy(pp_conn *conn, pp_slow_policy policy)
{
    pp_outbox *box = &conn->box;

    if (policy != PP_SLOW_DISCONNECT && !conn->door->proto->frame)
        return false;
    pp_mutex_lock(&box->lock);
    box->policy = (uint8_t)policy;
    box->mark_ns = conn->loop->now_ns; /* its meaning changes */
    box->mark_bytes = box->pending_bytes;
    if (policy != PP_SLOW_DISCONNECT) {
        /* For good: with frames in the backlog nothing may be queued before them again. */
        atomic_store_explicit(&box->framed, true, memory_order_relaxed);
        pp_outbox_open_gate_locked(conn);
    }
    pp_mutex_unlock(&box->lock);
    return true;
}

bool pp_conn_may_miss(pp_conn *conn)
{
    bool may;

    pp_mutex_lock(&conn->box.lock);
    may = conn->box.policy != PP_SLOW_DISCONNECT;
    pp_mutex_unlock(&conn->box.lock);
    return may;
}

uint64_t pp_conn_dropped(pp_conn *conn)
{
    uint64_t dropped;

    pp_mutex_lock(&conn->box.lock);
    dropped = conn->box.backlog ? pp_backlog_dropped(conn->box.backlog) : 0;
    pp_mutex_unlock(&conn->box.lock);
    return dropped;
}

/* How long what waits may wait. Who misses messages instead of being closed must only be there: it
 * is closed when its socket has taken nothing at all for several times as long. */
static int64_t patience_ns_locked(const pp_conn *conn)
{
    int64_t ns = pp_conn_write_deadline(conn);

    if (conn->box.policy == PP_SLOW_DISCONNECT)
        return ns;
    return ns < INT64_MAX / 2 / DROPPING_PATIENCE ? ns * DROPPING_PATIENCE : INT64_MAX / 2;
}

static void on_write_watch(pp_timer *timer)
{
    pp_conn *conn = PP_CONTAINER(timer, pp_conn, write_timer);
    pp_outbox *box = &conn->box;
    int64_t due_ns;
    bool watching, late;

    pp_mutex_lock(&box->lock);
    watching = pp_outbox_waiting_locked(conn) != 0;
    box->watching = watching;
    due_ns = box->mark_ns + patience_ns_locked(conn);
    late = watching && due_ns <= conn->loop->now_ns;
    pp_mutex_unlock(&box->lock);
    if (late)
        pp_conn_close_slow(conn, PP_CLOSE_SLOW_DEADLINE);
    else if (watching)
        pp_timer_set(&conn->loop->timers, timer, due_ns, on_write_watch);
}

/* Has everything gone: what was staged here, queued, and in the hands of a sender? */
static bool take_sent(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    bool sent;

    if (!conn->asks_sent || conn->own.first)
        return false; /* the flush to come ends with a notice */
    pp_mutex_lock(&box->lock);
    sent = !pp_outbox_waiting_locked(conn) && !box->sending && !box->closed;
    box->owner_waits = !sent;
    pp_mutex_unlock(&box->lock);
    conn->asks_sent = !sent;
    return sent;
}

void pp_conn_ask_sent(pp_conn *conn)
{
    if (conn->closing)
        return;
    conn->asks_sent = true;
    pp_outbox_notify_sent(conn);
}

/* Output has gone: what waited for that goes on. */
static void on_progress(pp_conn *conn)
{
    if (conn->layer && pp_layers_take_waiting(conn->layer))
        pp_conn_read_again(conn);
    if (!take_sent(conn))
        return;
    if (conn->next)
        pp_conn_enter_layer(conn);
    else
        conn->door->proto->on_sent(conn->session);
}

/* Another loop, or the socket, has something to tell the owner. */
void pp_conn_on_notice(pp_task *task)
{
    pp_conn *conn = PP_CONTAINER(task, pp_conn, notice);
    pp_outbox *box = &conn->box;
    pp_close_reason fault;
    bool watch;

    pp_mutex_lock(&box->lock);
    box->posted--;
    box->noticed = false;
    fault = (pp_close_reason)box->fault;
    watch = pp_outbox_waiting_locked(conn) && !box->watching && !box->closed && !conn->closing;
    box->watching |= watch;
    pp_mutex_unlock(&box->lock);
    if (conn->closed)
        return;
    if (conn->closing)
        pp_conn_look_at_closing(conn);
    else if (fault == PP_CLOSE_SLOW_PENDING)
        pp_conn_close_slow(conn, fault);
    else if (fault != PP_CLOSE_NONE)
        pp_conn_close(conn, fault, false);
    else if (watch)
        pp_timer_set(&conn->loop->timers, &conn->write_timer,
                     conn->loop->now_ns + pp_conn_write_deadline(conn), on_write_watch);
    else
        on_progress(conn);
}
