/* net/layer.h -- what lies between a connection's socket and its door: TLS, WebSocket.
 *
 *      door            bytes of the protocol
 *      layer (top)     conn->layer
 *      layer           layer->below
 *      socket          below NULL
 *
 * A connection without layers talks to its socket directly. A layer turns what comes from below
 * into what is above, and the other way round:
 *
 *   receive   on the connection's loop only.
 *   send      by whichever loop holds the outbox's `sending`, so by one at a time; it may run while
 *             the owner receives. What both touch is guarded by the layer's lock.
 *
 * Bytes that a layer has taken from above, or has to say itself (a pong, an alert), and that below
 * does not take yet, are *held* back: sending is not complete before they went. They are kept here,
 * in order, so that layers need not. No send is made under the lock. */
#ifndef PP_NET_LAYER_H
#define PP_NET_LAYER_H

#include "base/body.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct pp_conn;
struct pp_loop;

/* The most that a layer may hold back: one batch of output and some words of its own. Who has more
 * to say than that and is not listened to fails. */
enum { PP_LAYER_HELD_MAX = 256 * 1024 };

typedef struct pp_layer pp_layer;

typedef struct pp_layer_ops {
    const char *name; /* in logs */
    /* Like recv: up to len bytes of what is above; 0: the end; -1: errno tells, EAGAIN that there
     * is nothing now. Fewer than len: below has nothing left, or layer->more is set. Work for one
     * call is bounded; a layer that has had its share sets more. Thread: the connection's loop. */
    ssize_t (*receive)(pp_layer *layer, char *to, size_t len);
    /* Like sendmsg: how many of the bytes were taken, held back or not; fewer than there are does
     * not mean that below is full. -1: none were; EAGAIN: since below takes nothing, or it is too
     * early. What is held goes first; count 0: nothing else is to be sent. Thread: who holds the
     * outbox's `sending`, on loop. */
    ssize_t (*send)(pp_layer *layer, struct pp_loop *loop, const struct iovec *iov, size_t count);
    /* The connection ends, all that was to be sent is: hold last words, if there are any.
     * reason: a pp_close_reason. Thread: the connection's loop. NULL: it has none. */
    void (*goodbye)(pp_layer *layer, uint8_t reason);
    void (*free)(pp_layer *layer);
} pp_layer_ops;

/* Begins what a layer keeps for a connection. */
struct pp_layer {
    const pp_layer_ops *ops;
    struct pp_conn *conn;
    pp_layer *below;
    pp_body *early; /* bytes from below that were read before the layer was pushed; or NULL */
    size_t early_at;
    pthread_mutex_t lock;
    pp_buf held; /* guarded by lock, as held_at: bytes before it have gone */
    size_t held_at;
    atomic_size_t held_bytes; /* all of them, also those that a send has in hand */
    /* The connection's loop only: */
    bool more;  /* the last receive had more to give without the socket becoming readable */
    bool ready; /* see pp_layer_set_ready */
    bool ready_told;
    /* receive waits until nothing is held: it is called again then, and set by it if so. */
    atomic_bool receives_when_sent;
    _Atomic uint8_t reason; /* pp_close_reason why it failed; 0: the usual */
};

/* Complete a layer of which nothing is set; it belongs to no connection yet. */
void pp_layer_init(pp_layer *layer, const pp_layer_ops *ops);
/* Free what the layer's base holds; for its ops->free. */
void pp_layer_fini(pp_layer *layer);

/* Free a layer that was not pushed. */
static inline void pp_layer_free(pp_layer *layer)
{
    if (layer)
        layer->ops->free(layer);
}

/* --- for layers --------------------------------------------------------------------------- */

/* Like receive and send, of what is below. */
ssize_t pp_layer_receive_below(pp_layer *layer, char *to, size_t len);
ssize_t pp_layer_send_below(pp_layer *layer, struct pp_loop *loop, const struct iovec *iov,
                            size_t count);

/* Say that the layer can carry from now on: the door is told (pp_proto_ops.on_layer) and what waits
 * is sent. From receive; layers that can from the beginning need not. */
void pp_layer_set_ready(pp_layer *layer);

/* Fail: receive or send returns this, and the connection ends for that reason. */
ssize_t pp_layer_fail(pp_layer *layer, uint8_t reason);

/* Put bytes behind those held back; who has called receive sees to it that they go. The lock is
 * held. Errors: PIPIT_ELIMIT; PIPIT_ENOMEM. */
pipit_err pp_layer_hold_locked(pp_layer *layer, pp_str bytes);

/* What is held back and does not go down as it is, but in a way of the layer's own: copy the first
 * of it, up to len bytes, and when they have gone forget them. Returns how many there were. The
 * lock is held. Thread: send's. */
size_t pp_layer_peek_held_locked(const pp_layer *layer, char *to, size_t len);
void pp_layer_drop_held_locked(pp_layer *layer, size_t len);

/* Begin a send: let what is held back go. True: all of it has, and the lock is held, so that what
 * is made of the bytes from above follows. False: return -1. Thread: send's. */
bool pp_layer_begin_send(pp_layer *layer, struct pp_loop *loop);

/* Send bytes, made under the lock that pp_layer_begin_send took and that is given back, and hold
 * what below does not take. False: return -1. Thread: send's. */
bool pp_layer_end_send(pp_layer *layer, struct pp_loop *loop, pp_str bytes);

/* --- for connections ---------------------------------------------------------------------- */

/* Give early bytes to a layer that is to be pushed. Errors: PIPIT_ENOMEM. */
pipit_err pp_layer_set_early(pp_layer *layer, pp_str bytes);

/* ops->receive of the top. */
ssize_t pp_layers_receive(pp_layer *top, char *to, size_t len);

/* As ops->send of the top, but that count 0 sends what any layer holds. */
ssize_t pp_layers_send(pp_layer *top, struct pp_loop *loop, const struct iovec *iov, size_t count);

/* Bytes that they hold back. Thread: any. */
size_t pp_layers_held(const pp_layer *top);

/* Have they input without the socket becoming readable? */
bool pp_layers_more(const pp_layer *top);

/* Does one wait until all is sent, to receive again? take: true once. Thread: any. */
bool pp_layers_waiting(pp_layer *top);
bool pp_layers_take_waiting(pp_layer *top);

/* Why one has failed; otherwise usual. Thread: any. */
uint8_t pp_layers_reason(const pp_layer *top, uint8_t usual);

void pp_layers_free(pp_layer *top);

#endif
