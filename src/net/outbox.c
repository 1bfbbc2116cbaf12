#include "net/outlet_inside.h"

#include "base/fault.h"
#include "net/post.h"
#include "net/slow.h"
#include "net/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    JOIN_MAX = 4096, /* bytes that are copied to the end of the last waiting chunk */
    IOV_MAX_QUEUED = 64,
    IOV_MAX_FRAMES = 256,
    DRAIN_ROUNDS = 8, /* sends by one loop while others keep adding */
};

static size_t held(const pp_conn *conn)
{
    return PP_LIKELY(!conn->layer) ? 0 : pp_layers_held(conn->layer);
}

size_t pp_outbox_waiting_locked(const pp_conn *conn)
{
    return conn->box.pending_bytes + held(conn);
}

bool pp_outbox_takes_more(const pp_conn *conn)
{
    return conn->layer && pp_layers_held(conn->layer) == 0;
}

ssize_t pp_outbox_send(pp_loop *loop, pp_conn *conn, const struct iovec *iov, size_t count)
{
    return PP_LIKELY(!conn->layer) ? pp_socket_send(loop, conn, iov, count)
                                   : pp_layers_send(conn->layer, loop, iov, count);
}

pp_close_reason pp_outbox_send_fault(const pp_conn *conn)
{
    if (!conn->layer)
        return PP_CLOSE_WRITE_ERROR;
    return (pp_close_reason)pp_layers_reason(conn->layer, PP_CLOSE_WRITE_ERROR);
}

void pp_outbox_post_locked(pp_conn *conn, pp_loop *loop, pp_task *task)
{
    conn->box.posted++;
    pp_loop_post(loop, task);
}

static void notice_owner_locked(pp_conn *conn)
{
    if (conn->box.noticed)
        return;
    conn->box.noticed = true;
    pp_outbox_post_locked(conn, conn->loop, &conn->notice);
}

void pp_conn_fault_locked(pp_conn *conn, pp_close_reason reason)
{
    pp_outbox *box = &conn->box;

    box->closed = true;
    if (box->fault == PP_CLOSE_NONE)
        box->fault = (uint8_t)reason;
    notice_owner_locked(conn);
}

void pp_outbox_stop_sending_locked(pp_conn *conn)
{
    conn->box.sending = false;
    if (conn->box.owner_waits ||
        (conn->layer && pp_layers_waiting(conn->layer) && !pp_layers_held(conn->layer)))
        notice_owner_locked(conn);
}

void pp_outbox_watch_locked(pp_conn *conn, pp_loop *loop, bool was_empty)
{
    pp_outbox *box = &conn->box;

    if (was_empty) {
        box->mark_ns = loop->now_ns;
        box->mark_bytes = pp_outbox_waiting_locked(conn);
    }
    if (!box->watching)
        notice_owner_locked(conn);
}

/* Asking anew while there is room reports it at once, so a
 * chance that came between a send and this is not lost. */
void pp_outbox_set_armed_locked(pp_conn *conn, bool armed)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (armed ? EPOLLOUT : 0),
        .data.ptr = &conn->source,
    };

    if (pp_fault("epoll_mod") ||
        epoll_ctl(conn->loop->epoll_fd, EPOLL_CTL_MOD, conn->source.fd, &event) < 0) {
        pp_conn_fault_locked(conn, PP_CLOSE_WRITE_ERROR);
        return;
    }
    conn->box.armed = armed;
}

void pp_outbox_prepend_locked(pp_outbox *box, pp_chunk_list *list)
{
    list->last->next = box->first;
    box->first = list->first;
    if (!box->last)
        box->last = list->last;
}

/* Few bytes must not hold a whole chunk each while they wait: they join the last one. Its sender,
 * if one is at work, has noted how much of it to send and is not disturbed. */
static bool join_locked(pp_loop *loop, pp_outbox *box, pp_chunk_list *list)
{
    pp_chunk *last = box->last, *only = list->first;
    char *end;

    if (!last || last->body || only->next || only->body || only->len > JOIN_MAX)
        return false;
    end = last->bytes + (last->ptr - last->bytes) + last->len;
    if ((size_t)(last->bytes + last->cap - end) < only->len)
        return false;
    memcpy(end, only->ptr, only->len);
    last->len += only->len;
    pp_chunk_give(&loop->chunks, only);
    return true;
}

void pp_outbox_append_locked(pp_loop *loop, pp_outbox *box, pp_chunk_list *list)
{
    if (join_locked(loop, box, list))
        return;
    if (box->last)
        box->last->next = list->first;
    else
        box->first = list->first;
    box->last = list->last;
}

/* n bytes of the chunks have been sent. */
static void pop_locked(pp_conn *conn, pp_loop *loop, size_t n)
{
    pp_outbox *box = &conn->box;

    box->pending_bytes -= n;
    while (n) {
        pp_chunk *chunk = box->first;

        if (n < chunk->len) {
            chunk->ptr += n;
            chunk->len -= n;
            break;
        }
        n -= chunk->len;
        box->first = chunk->next;
        if (!box->first)
            box->last = NULL;
        pp_chunk_give(&loop->chunks, chunk);
    }
}

/* n bytes fewer wait, sent from here. */
static void note_progress_locked(pp_conn *conn, pp_loop *loop, size_t n)
{
    pp_outbox *box = &conn->box;

    if (box->policy != PP_SLOW_DISCONNECT || box->mark_bytes <= n) {
        box->mark_bytes = pp_outbox_waiting_locked(conn);
        box->mark_ns = loop->now_ns;
    } else {
        box->mark_bytes -= n;
    }
    pp_gate_note_progress_locked(conn, loop);
}

/* The first of what waits, as pieces for a send: chunks come before the backlog. */
static size_t gather_queued_locked(pp_outbox *box, struct iovec *iov, size_t *out_bytes)
{
    size_t count = 0, bytes = 0;

    if (!box->first)
        return pp_backlog_gather(box->backlog, iov, IOV_MAX_FRAMES, out_bytes);
    for (pp_chunk *c = box->first; c && count < IOV_MAX_QUEUED; c = c->next) {
        iov[count++] = (struct iovec){(char *)c->ptr, c->len};
        bytes += c->len;
    }
    *out_bytes = bytes;
    return count;
}

void pp_outbox_drain_locked(pp_conn *conn, pp_loop *loop)
{
    pp_outbox *box = &conn->box;
    unsigned rounds = 0;

    while (pp_outbox_waiting_locked(conn) && !box->closed) {
        struct iovec iov[IOV_MAX_FRAMES];
        bool chunks = box->first != NULL, frames = !chunks && box->pending_bytes;
        size_t count = 0, bytes = 0, before = held(conn), after;
        ssize_t sent;

        if (++rounds > DRAIN_ROUNDS) {
            pp_outbox_set_armed_locked(conn, true);
            break;
        }
        if (box->pending_bytes)
            count = gather_queued_locked(box, iov, &bytes);
        box->retry = false;
        pp_mutex_unlock(&box->lock);
        sent = pp_outbox_send(loop, conn, iov, count);
        pp_mutex_lock(&box->lock);
        if (frames)
            pp_slow_sent_locked(conn, loop, sent > 0 ? (size_t)sent : 0);
        if (sent < 0 && errno != EAGAIN) {
            pp_conn_fault_locked(conn, pp_outbox_send_fault(conn));
            break;
        }
        if (sent > 0 && chunks)
            pop_locked(conn, loop, (size_t)sent);
        after = held(conn);
        before += sent > 0 ? (size_t)sent : 0;
        if (before > after)
            note_progress_locked(conn, loop, before - after);
        if (sent >= 0 && pp_outbox_takes_more(conn))
            continue;
        if (sent < 0 || (size_t)sent < bytes || after) {
            if (!box->armed)
                pp_outbox_set_armed_locked(conn, true);
            else if (box->retry)
                continue;
            break;
        }
    }
    pp_outbox_stop_sending_locked(conn);
}

void pp_outbox_on_writable(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    if (box->sending) {
        box->retry = true; /* the sender may have missed it */
    } else if (!box->closed) {
        box->sending = true;
        pp_outbox_drain_locked(conn, conn->loop);
        if (!pp_outbox_waiting_locked(conn) && box->armed && !box->closed)
            pp_outbox_set_armed_locked(conn, false);
    }
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_nudge(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_outbox_on_writable(conn);
    pp_mutex_lock(&box->lock);
    if (pp_outbox_waiting_locked(conn) && !box->closed && !box->watching)
        pp_outbox_watch_locked(conn, conn->loop, true);
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_notify_sent(pp_conn *conn)
{
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    box->owner_waits = true;
    notice_owner_locked(conn);
    pp_mutex_unlock(&box->lock);
}

void pp_outbox_shut(pp_conn *conn)
{
    pp_outbox *box = &conn->box;
    pp_chunk_list list;

    pp_mutex_lock(&box->lock);
    box->closed = true;
    pp_outbox_open_gate_locked(conn);
    list = (pp_chunk_list){box->first, box->last, 0};
    if (box->sending) {
        list.first = NULL; /* another loop is sending from it: freed with the connection */
    } else {
        box->first = box->last = NULL;
        if (box->backlog)
            pp_backlog_clear(box->backlog);
    }
    list.bytes = box->pending_bytes;
    pp_mutex_unlock(&box->lock);
    pp_loop_note_litter(conn->loop, list.bytes);
    pp_chunk_list_free(&conn->loop->chunks, &list);
}
