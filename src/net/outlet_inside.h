/* net/outlet_inside.h -- what the files behind outlets and outboxes say to each other.
 *
 * staging.c  what a loop has written for a connection in this turn
 * outlet.c   from there to the socket, or into the outbox
 * outbox.c   what waits until the socket has room
 * gate.c     whether publishers wait for a recipient */
#ifndef PP_NET_OUTLET_INSIDE_H
#define PP_NET_OUTLET_INSIDE_H

#include "net/conn.h"

#include <sys/uio.h>

enum {
    PP_OUTLET_CHUNKS_MAX = 64, /* staged in one outlet; more are sent on the way */
    PP_OUTLET_PIECES_MAX = 2 * PP_OUTLET_REFS_MAX + PP_OUTLET_CHUNKS_MAX + 1,
};

/* Write down how full the last chunk is, before the chunks are walked. */
void pp_outlet_close_chunk(pp_outlet *outlet);

/* Everything staged, in order, as pieces for a send: PP_OUTLET_PIECES_MAX at most. */
size_t pp_outlet_gather(pp_outlet *outlet, struct iovec *iov, size_t *out_bytes);

/* Turn what is staged behind the first `skip` bytes into chunks that own what they hold. False: no
 * memory, and it is still staged. */
bool pp_outlet_take_staged(pp_outlet *outlet, size_t skip, pp_chunk_list *out_list);

/* Forget what is staged: sent, or not wanted any more. */
void pp_outlet_clear(pp_outlet *outlet);

/* The flush ends: the copies that recipients shared are theirs alone. */
void pp_outlet_forget_kept(pp_loop *loop);

/* Give the socket bytes, by way of conn's layers. Called by who has box.sending, without the lock.
 * Less than 0: errno. */
ssize_t pp_outbox_send(pp_loop *loop, pp_conn *conn, const struct iovec *iov, size_t count);

/* Why a send failed. */
pp_close_reason pp_outbox_send_fault(const pp_conn *conn);

/* Layers take as much at once as they like, so a short send does not say that the socket is full:
 * what they hold back does. */
bool pp_outbox_takes_more(const pp_conn *conn);

/* All of these with the outbox's lock. Front: leftovers of a send; back: what came after it. */
void pp_outbox_prepend_locked(pp_outbox *box, pp_chunk_list *list);
void pp_outbox_append_locked(pp_loop *loop, pp_outbox *box, pp_chunk_list *list);

/* Send the queue. Called with box.sending held; gives back sending, keeps the lock. */
void pp_outbox_drain_locked(pp_conn *conn, pp_loop *loop);

/* Give back box.sending. */
void pp_outbox_stop_sending_locked(pp_conn *conn);

/* Watch for room, or stop watching. */
void pp_outbox_set_armed_locked(pp_conn *conn, bool armed);

/* Start the clock by which a recipient must have taken what waits. */
void pp_outbox_watch_locked(pp_conn *conn, pp_loop *loop, bool was_empty);

/* Post a task that holds the connection until it has run. */
void pp_outbox_post_locked(pp_conn *conn, pp_loop *loop, pp_task *task);

/* So much waits: publishers on the outlet's loop wait for conn, if it is too much. */
void pp_gate_close_locked(pp_outlet *outlet);

/* So much waits after a send from loop: publishers may go on, if it is little enough. */
void pp_gate_note_progress_locked(pp_conn *conn, const pp_loop *loop);

#endif
