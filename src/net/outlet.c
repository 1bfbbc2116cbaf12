#include "net/outlet_inside.h"

#include "net/post.h"
#include "net/slow.h"

#include <errno.h>

/* Something was put into the queue, or all of it was dropped: see that it is sent, by somebody. */
static void after_queueing_locked(pp_outlet *outlet, bool mine, bool was_empty)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;

    if (mine) {
        pp_outbox_stop_sending_locked(conn);
        if (!box->armed)
            pp_outbox_set_armed_locked(conn, true);
        else if (box->retry || pp_outbox_takes_more(conn)) {
            box->sending = true;
            pp_outbox_drain_locked(conn, outlet->loop);
        }
    } else if (!box->sending && !box->armed) {
        box->sending = true;
        pp_outbox_drain_locked(conn, outlet->loop);
    }
    if (!pp_outbox_waiting_locked(conn) || box->closed)
        return;
    pp_outbox_watch_locked(conn, outlet->loop, was_empty);
    pp_gate_close_locked(outlet);
}

/* Queue what the socket did not take (mine: we are the sender) or could not be given yet. */
static void queue(pp_outlet *outlet, pp_chunk_list *list, bool mine)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;
    bool was_empty;

    pp_loop_feel_pressure(outlet->loop); /* now that memory has been taken for good */
    pp_mutex_lock(&box->lock);
    if (box->closed) {
        if (mine)
            pp_outbox_stop_sending_locked(conn);
        pp_mutex_unlock(&box->lock);
        pp_chunk_list_free(&outlet->loop->chunks, list);
        return;
    }
    if (box->pending_bytes + list->bytes > pp_conn_pending_max(conn)) {
        if (mine)
            pp_outbox_stop_sending_locked(conn);
        pp_conn_fault_locked(conn, PP_CLOSE_SLOW_PENDING);
        pp_mutex_unlock(&box->lock);
        pp_chunk_list_free(&outlet->loop->chunks, list);
        return;
    }
    was_empty = box->pending_bytes == 0;
    box->pending_bytes += list->bytes;
    if (list->first) {
        if (mine)
            pp_outbox_prepend_locked(box, list);
        else
            pp_outbox_append_locked(outlet->loop, box, list);
    }
    after_queueing_locked(outlet, mine, was_empty);
    pp_mutex_unlock(&box->lock);
}

/* The same for a connection that may miss messages: whole frames, or none of them. */
static void queue_frames(pp_outlet *outlet, size_t sent, bool mine)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;
    struct iovec iov[PP_OUTLET_PIECES_MAX];
    size_t bytes, count = pp_outlet_gather(outlet, iov, &bytes);
    pipit_err err;
    bool was_empty;

    pp_loop_feel_pressure(outlet->loop);
    pp_mutex_lock(&box->lock);
    was_empty = box->pending_bytes == 0;
    err = box->closed ? PIPIT_ECLOSED : pp_slow_keep_locked(outlet, iov, count, sent, mine);
    if (!err) {
        after_queueing_locked(outlet, mine, was_empty);
    } else {
        if (mine)
            pp_outbox_stop_sending_locked(conn);
        if (err != PIPIT_ECLOSED)
            pp_conn_fault_locked(conn,
                                 err == PIPIT_ELIMIT ? PP_CLOSE_SLOW_PENDING : PP_CLOSE_NO_MEMORY);
    }
    pp_mutex_unlock(&box->lock);
    pp_outlet_clear(outlet);
}

void pp_outlet_lead(pp_outlet *outlet)
{
    pp_outbox *box = &outlet->conn->box;

    PP_ASSERT(outlet->first); /* or nothing would be flushed that ends it */
    pp_mutex_lock(&box->lock);
    if (!box->closed && !box->sending && !box->pending_bytes)
        box->sending = outlet->leads = true;
    pp_mutex_unlock(&box->lock);
}

/* Become the sender if nobody is and nothing waits. False: queue instead, or closed. */
static bool begin_send(pp_outlet *outlet, bool *out_closed)
{
    pp_outbox *box = &outlet->conn->box;
    bool mine;

    pp_mutex_lock(&box->lock);
    if (outlet->msgs)
        box->out_time = (uint32_t)(outlet->loop->now_ns >> PP_OUT_TIME_SHIFT);
    box->out_msgs += outlet->msgs;
    box->out_bytes += outlet->bytes;
    mine = !box->closed &&
           (outlet->leads || (!box->sending && !pp_outbox_waiting_locked(outlet->conn)));
    if (mine) {
        box->sending = true;
        box->retry = false;
    } else if (outlet->leads) {
        pp_outbox_stop_sending_locked(outlet->conn);
    }
    outlet->leads = false;
    *out_closed = box->closed;
    pp_mutex_unlock(&box->lock);
    pp_count(&outlet->loop->counters->out_msgs, outlet->msgs);
    pp_count(&outlet->loop->counters->out_bytes, outlet->bytes);
    outlet->msgs = outlet->bytes = 0;
    return mine;
}

/* All of it went; send also what others have queued meanwhile. */
static void end_send(pp_outlet *outlet)
{
    pp_conn *conn = outlet->conn;
    pp_outbox *box = &conn->box;

    pp_mutex_lock(&box->lock);
    if (pp_outbox_waiting_locked(conn) && !box->closed) {
        pp_outbox_drain_locked(conn, outlet->loop);
        if (pp_outbox_waiting_locked(conn) && !box->closed)
            pp_outbox_watch_locked(conn, outlet->loop, true);
    } else {
        pp_outbox_stop_sending_locked(conn);
    }
    pp_mutex_unlock(&box->lock);
}

static void fail(pp_outlet *outlet, bool mine, pp_close_reason reason)
{
    pp_outbox *box = &outlet->conn->box;

    pp_mutex_lock(&box->lock);
    if (mine)
        pp_outbox_stop_sending_locked(outlet->conn);
    pp_conn_fault_locked(outlet->conn, reason);
    pp_mutex_unlock(&box->lock);
    pp_outlet_clear(outlet);
}

void pp_outlet_flush(pp_outlet *outlet)
{
    pp_chunk_list list;
    size_t bytes = 0, sent = 0;
    bool closed, mine;

    if (!outlet->first)
        return;
    pp_outlet_close_chunk(outlet);
    mine = begin_send(outlet, &closed);
    if (closed) {
        pp_outlet_clear(outlet);
        return;
    }
    if (mine) {
        struct iovec iov[PP_OUTLET_PIECES_MAX];
        size_t count = pp_outlet_gather(outlet, iov, &bytes);
        ssize_t n = count ? pp_outbox_send(outlet->loop, outlet->conn, iov, count) : 0;

        if (n < 0 && errno != EAGAIN) {
            fail(outlet, true, pp_outbox_send_fault(outlet->conn));
            return;
        }
        sent = n > 0 ? (size_t)n : 0;
        if (sent == bytes) {
            pp_outlet_clear(outlet);
            end_send(outlet);
            return;
        }
    }
    if (atomic_load_explicit(&outlet->conn->box.framed, memory_order_relaxed)) {
        queue_frames(outlet, sent, mine);
        return;
    }
    /* A stream with a hole in it is of no use to anybody. */
    if (!pp_outlet_take_staged(outlet, sent, &list)) {
        fail(outlet, mine, PP_CLOSE_NO_MEMORY);
        return;
    }
    queue(outlet, &list, mine);
}

/* Those with answers after the others: who gets a PONG may tell somebody that what it published
 * before has been passed on. */
void pp_loop_flush(pp_loop *loop)
{
    pp_post_hand_over(loop);
    while (loop->dirty) {
        pp_outlet *outlet = loop->dirty, *answers = NULL, **answers_end = &answers;

        loop->shares = outlet->next_dirty != NULL;
        loop->dirty = loop->dirty_last = NULL;
        while (outlet) {
            pp_outlet *next = outlet->next_dirty;

            outlet->dirty = false;
            if (outlet->has_answer) {
                outlet->has_answer = false;
                *answers_end = outlet;
                answers_end = &outlet->next_dirty;
            } else {
                pp_outlet_flush(outlet);
            }
            outlet = next;
        }
        *answers_end = NULL;
        while (answers) {
            pp_outlet *next = answers->next_dirty;

            pp_outlet_flush(answers);
            answers = next;
        }
    }
    loop->shares = false;
    if (loop->kept)
        pp_outlet_forget_kept(loop);
    loop->staged_bytes = 0;
    loop->staged_chunks = 0;
    loop->borrowed = false;
    if (loop->refused && loop->lender && !atomic_load(&loop->lender->door->limits.no_stall))
        pp_conn_pause_briefly(loop->lender, loop->refused);
    loop->refused = NULL;
    loop->lender = NULL;
}
