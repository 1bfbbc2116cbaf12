#include "net/layer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/conn.h"
#include "net/socket.h"

#include <errno.h>
#include <string.h>

void pp_layer_init(pp_layer *layer, const pp_layer_ops *ops)
{
    *layer = (pp_layer){.ops = ops};
    pp_buf_init(&layer->held, PP_LAYER_HELD_MAX);
    (void)pthread_mutex_init(&layer->lock, NULL);
}

void pp_layer_fini(pp_layer *layer)
{
    pp_body_unref(layer->early);
    pp_buf_fini(&layer->held);
    (void)pthread_mutex_destroy(&layer->lock);
}

pipit_err pp_layer_set_early(pp_layer *layer, pp_str bytes)
{
    if (bytes.len == 0)
        return PIPIT_OK;
    layer->early = pp_body_new(bytes.len);
    if (!layer->early)
        return PIPIT_ENOMEM;
    memcpy(layer->early->bytes, bytes.ptr, bytes.len);
    return PIPIT_OK;
}

/* --- for layers --------------------------------------------------------------------------- */

static ssize_t take_early(pp_layer *layer, char *to, size_t len)
{
    size_t left = layer->early->len - layer->early_at;
    size_t n = len < left ? len : left;

    memcpy(to, layer->early->bytes + layer->early_at, n);
    layer->early_at += n;
    layer->more = true; /* what stood behind it in the socket has not been asked for */
    if (n == left) {
        pp_body_unref(layer->early);
        layer->early = NULL;
    }
    return (ssize_t)n;
}

ssize_t pp_layers_receive(pp_layer *top, char *to, size_t len)
{
    top->more = false;
    return top->ops->receive(top, to, len);
}

ssize_t pp_layer_receive_below(pp_layer *layer, char *to, size_t len)
{
    if (layer->early)
        return take_early(layer, to, len);
    if (layer->below)
        return pp_layers_receive(layer->below, to, len);
    return pp_socket_receive(layer->conn, to, len);
}

ssize_t pp_layer_send_below(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    if (layer->below)
        return layer->below->ops->send(layer->below, loop, iov, count);
    return pp_socket_send(loop, layer->conn, iov, count);
}

void pp_layer_set_ready(pp_layer *layer)
{
    layer->ready = true;
}

ssize_t pp_layer_fail(pp_layer *layer, uint8_t reason)
{
    atomic_store_explicit(&layer->reason, reason, memory_order_relaxed);
    errno = EPROTO;
    return -1;
}

static size_t held_locked(const pp_layer *layer)
{
    return layer->held.len - layer->held_at;
}

pipit_err pp_layer_hold_locked(pp_layer *layer, pp_str bytes)
{
    size_t held = atomic_load(&layer->held_bytes);
    pipit_err err = PIPIT_ELIMIT;

    if (held <= PP_LAYER_HELD_MAX && bytes.len <= PP_LAYER_HELD_MAX - held)
        err = pp_buf_add(&layer->held, bytes.ptr, bytes.len);
    if (!err)
        (void)atomic_fetch_add(&layer->held_bytes, bytes.len);
    return err == PIPIT_ETOOBIG ? PIPIT_ELIMIT : err;
}

size_t pp_layer_peek_held_locked(const pp_layer *layer, char *to, size_t len)
{
    size_t n = held_locked(layer) < len ? held_locked(layer) : len;

    if (n)
        memcpy(to, layer->held.ptr + layer->held_at, n);
    return n;
}

void pp_layer_drop_held_locked(pp_layer *layer, size_t len)
{
    PP_ASSERT(len <= held_locked(layer));
    layer->held_at += len;
    (void)atomic_fetch_sub(&layer->held_bytes, len);
    if (held_locked(layer) == 0) {
        pp_buf_fini(&layer->held);
        pp_buf_init(&layer->held, PP_LAYER_HELD_MAX);
        layer->held_at = 0;
    }
}

/* Put the rest of a send before what has been held since. */
static bool put_back_locked(pp_layer *layer, pp_str rest)
{
    pp_buf all;

    pp_buf_init(&all, rest.len + held_locked(layer)); /* the limit has been seen to */
    if (pp_buf_reserve(&all, rest.len + held_locked(layer)))
        return false;
    (void)pp_buf_add(&all, rest.ptr, rest.len);
    (void)pp_buf_add(&all, layer->held.ptr + layer->held_at, held_locked(layer));
    all.max = PP_LAYER_HELD_MAX;
    pp_buf_fini(&layer->held);
    layer->held = all;
    layer->held_at = 0;
    return true;
}

/* Send what is in hand; the rest of it goes back. The lock is held, and given up meanwhile. */
static bool send_held_locked(pp_layer *layer, pp_loop *loop)
{
    pp_buf hand = layer->held;
    size_t at = layer->held_at;
    struct iovec iov = {hand.ptr + at, hand.len - at};
    bool whole, kept = true;
    ssize_t n;
    int error;

    pp_buf_init(&layer->held, PP_LAYER_HELD_MAX);
    layer->held_at = 0;
    (void)pthread_mutex_unlock(&layer->lock);
    n = pp_layer_send_below(layer, loop, &iov, 1);
    error = n < 0 ? errno : EAGAIN;
    (void)pthread_mutex_lock(&layer->lock);
    at += n > 0 ? (size_t)n : 0;
    (void)atomic_fetch_sub(&layer->held_bytes, n > 0 ? (size_t)n : 0);
    whole = at == hand.len;
    if (!whole && layer->held.len == 0) {
        layer->held = hand;
        layer->held_at = at;
        hand = (pp_buf){0};
    } else if (!whole) {
        kept = put_back_locked(layer, (pp_str){hand.ptr + at, hand.len - at});
    }
    pp_buf_fini(&hand);
    errno = kept ? error : ENOMEM; /* a stream with a hole in it is of no use */
    return whole;
}

bool pp_layer_begin_send(pp_layer *layer, pp_loop *loop)
{
    (void)pthread_mutex_lock(&layer->lock);
    while (held_locked(layer)) {
        if (!send_held_locked(layer, loop)) {
            (void)pthread_mutex_unlock(&layer->lock);
            return false;
        }
    }
    return true;
}

bool pp_layer_end_send(pp_layer *layer, pp_loop *loop, pp_str bytes)
{
    struct iovec iov = {(char *)bytes.ptr, bytes.len};
    bool kept = true;
    ssize_t n;

    (void)pthread_mutex_unlock(&layer->lock);
    if (bytes.len == 0)
        return true;
    n = pp_layer_send_below(layer, loop, &iov, 1);
    if (n < 0 && errno != EAGAIN)
        return false;
    if (n == (ssize_t)bytes.len)
        return true;
    bytes.ptr += n > 0 ? n : 0;
    bytes.len -= n > 0 ? (size_t)n : 0;
    (void)pthread_mutex_lock(&layer->lock);
    kept = put_back_locked(layer, bytes);
    if (kept)
        (void)atomic_fetch_add(&layer->held_bytes, bytes.len);
    (void)pthread_mutex_unlock(&layer->lock);
    if (!kept)
        errno = ENOMEM;
    return kept;
}

/* --- for connections ---------------------------------------------------------------------- */

/* The lowest first, so that there is room for what those above hold. */
static ssize_t send_all_held(pp_layer *layer, pp_loop *loop)
{
    if (layer->below && send_all_held(layer->below, loop) < 0)
        return -1;
    if (atomic_load(&layer->held_bytes) == 0)
        return 0;
    return layer->ops->send(layer, loop, NULL, 0);
}

ssize_t pp_layers_send(pp_layer *top, pp_loop *loop, const struct iovec *iov, size_t count)
{
    return count ? top->ops->send(top, loop, iov, count) : send_all_held(top, loop);
}

size_t pp_layers_held(const pp_layer *top)
{
    size_t held = 0;

    for (const pp_layer *layer = top; layer; layer = layer->below)
        held += atomic_load(&layer->held_bytes);
    return held;
}

bool pp_layers_more(const pp_layer *top)
{
    bool more = false;

    for (const pp_layer *layer = top; layer; layer = layer->below)
        more |= layer->more || layer->early;
    return more;
}

bool pp_layers_waiting(pp_layer *top)
{
    bool waiting = false;

    for (pp_layer *layer = top; layer; layer = layer->below)
        waiting |= atomic_load(&layer->receives_when_sent);
    return waiting;
}

bool pp_layers_take_waiting(pp_layer *top)
{
    bool waiting = false;

    for (pp_layer *layer = top; layer; layer = layer->below)
        waiting |= atomic_exchange(&layer->receives_when_sent, false);
    return waiting;
}

uint8_t pp_layers_reason(const pp_layer *top, uint8_t usual)
{
    for (const pp_layer *layer = top; layer; layer = layer->below) {
        uint8_t reason = atomic_load_explicit(&layer->reason, memory_order_relaxed);

        if (reason)
            return reason;
    }
    return usual;
}

void pp_layers_free(pp_layer *top)
{
    while (top) {
        pp_layer *below = top->below;

        top->ops->free(top);
        top = below;
    }
}
