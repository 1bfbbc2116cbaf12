/* Output: the bytes of an outbox as messages. */
#include "websocket/batch.h"
#include "websocket/session.h"

#include "base/assert.h"

#include <errno.h>

enum { DEFLATE_MIN = 64 }; /* what is no longer goes plain. Source: as section 5 says */

pipit_err pp_ws_hold_control(pp_ws_layer *ws, pp_ws_opcode opcode, pp_str bytes)
{
    char frame[PP_WS_HEAD_UNMASKED_MAX + PP_WS_CONTROL_MAX];
    size_t len = pp_ws_head_format(frame, opcode, true, false, bytes.len);
    pipit_err err;

    PP_ASSERT(bytes.len <= PP_WS_CONTROL_MAX);
    if (bytes.len)
        memcpy(frame + len, bytes.ptr, bytes.len);
    (void)pthread_mutex_lock(&ws->layer.lock);
    err = pp_layer_hold_locked(&ws->layer, (pp_str){frame, len + bytes.len});
    (void)pthread_mutex_unlock(&ws->layer.lock);
    return err;
}

static size_t total(const struct iovec *iov, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

static char *room_of(pp_ws_layer *ws, const pp_loop *loop)
{
    return pp_ws_codec_room(&ws->host->lanes[loop->index].codec);
}

/* --- as it is ----------------------------------------------------------------------------- */

/* Nothing is held. A frame that below takes a part of is held back to its end. */
static ssize_t send_plain(pp_ws_layer *ws, pp_loop *loop, const struct iovec *iov, size_t count)
{
    pp_ws_batch batch;
    size_t taken, rest;
    ssize_t sent;
    char *room;

    pp_ws_batch_cut(&batch, iov, count, ws->browser ? PP_WS_BROWSER_MAX : PP_WS_MESSAGE_MAX);
    sent = pp_layer_send_below(&ws->layer, loop, batch.pieces, batch.piece_count);
    if (sent <= 0)
        return -1;
    if ((size_t)sent == batch.wire_bytes)
        return (ssize_t)pp_ws_batch_sent(&batch, batch.wire_bytes, NULL, &rest);
    room = room_of(ws, loop);
    if (!room) {
        errno = ENOMEM; /* a frame that stops in the middle is the end */
        return -1;
    }
    taken = pp_ws_batch_sent(&batch, (size_t)sent, room, &rest);
    (void)pthread_mutex_lock(&ws->layer.lock);
    return pp_layer_end_send(&ws->layer, loop, (pp_str){room, rest}) ? (ssize_t)taken : -1;
}

/* --- compressed --------------------------------------------------------------------------- */

/* The front of iov, of at most PP_WS_MESSAGE_MAX bytes. */
static size_t cut(struct iovec *iov, size_t count, size_t *out_bytes)
{
    size_t left = PP_WS_MESSAGE_MAX, i;

    for (i = 0; i < count && left; i++) {
        if (iov[i].iov_len > left)
            iov[i].iov_len = left;
        left -= iov[i].iov_len;
    }
    *out_bytes = PP_WS_MESSAGE_MAX - left;
    return i;
}

/* Give len compressed bytes at the front of room their heads: one message in frames of frame_max.
 * From the last to the first, since each moves towards the end. Returns how many bytes it is. */
static size_t frame_packed(char *room, size_t len, size_t frame_max)
{
    size_t frames = len ? (len + frame_max - 1) / frame_max : 1;
    char head[PP_WS_HEAD_UNMASKED_MAX];
    size_t full = pp_ws_head_format(head, PP_WS_BINARY, false, true, frame_max);
    size_t whole = 0;

    for (size_t i = frames; i-- > 0;) {
        bool last = i + 1 == frames;
        size_t n = last ? len - i * frame_max : frame_max;
        size_t head_len =
            pp_ws_head_format(head, i ? PP_WS_CONTINUATION : PP_WS_BINARY, last, i == 0, n);
        char *to = room + i * (frame_max + full);

        memmove(to + head_len, room + i * frame_max, n);
        memcpy(to, head, head_len);
        whole = last ? (size_t)(to - room) + head_len + n : whole;
    }
    return whole;
}

/* Compress one message's worth. *out: what goes on the wire; empty: it does not get shorter. */
static bool pack(pp_ws_layer *ws, pp_loop *loop, const struct iovec *iov, size_t count,
                 size_t bytes, pp_str *out)
{
    pp_ws_codec *codec = &ws->host->lanes[loop->index].codec;
    pp_ws_deflater *deflater = pp_ws_codec_deflater(codec);
    char *room = pp_ws_codec_room(codec);
    size_t frame_max = ws->browser && !ws->safari ? PP_WS_BROWSER_MAX : PP_WS_MESSAGE_MAX;
    size_t len;

    if (!deflater || !room)
        return false;
    len = pp_ws_deflate(deflater, iov, count, room, bytes);
    *out = (pp_str){room, len ? frame_packed(room, len, frame_max) : 0};
    return true;
}

/* Nothing is held, and the lock is: a message at a time, until below takes no more. */
static ssize_t send_packed(pp_ws_layer *ws, pp_loop *loop, const struct iovec *iov, size_t count)
{
    struct iovec pieces[PP_WS_BATCH_PIECES];
    size_t bytes;
    pp_str packed;
    bool fine;

    count = count < PP_WS_BATCH_PIECES ? count : PP_WS_BATCH_PIECES;
    memcpy(pieces, iov, count * sizeof(*iov));
    count = cut(pieces, count, &bytes);
    fine = pack(ws, loop, pieces, count, bytes, &packed);
    if (!fine || !packed.len) {
        (void)pthread_mutex_unlock(&ws->layer.lock);
        return send_plain(ws, loop, pieces, count);
    }
    return pp_layer_end_send(&ws->layer, loop, packed) ? (ssize_t)bytes : -1;
}

/* --- either ------------------------------------------------------------------------------- */

static ssize_t send_some(pp_ws_layer *ws, pp_loop *loop, const struct iovec *iov, size_t count)
{
    if (!pp_layer_begin_send(&ws->layer, loop))
        return -1;
    if (count == 0 || !ws->open || ws->refused || atomic_load(&ws->left)) {
        (void)pthread_mutex_unlock(&ws->layer.lock);
        if (count && atomic_load(&ws->left))
            return (ssize_t)total(iov, count); /* nobody is to hear it */
        errno = EAGAIN;
        return count ? -1 : 0;
    }
    if (ws->deflates && total(iov, count) > DEFLATE_MIN)
        return send_packed(ws, loop, iov, count);
    (void)pthread_mutex_unlock(&ws->layer.lock);
    return send_plain(ws, loop, iov, count);
}

/* Take `taken` bytes off the front of pieces; returns how many pieces are gone. */
static size_t advance(struct iovec *iov, size_t count, size_t taken)
{
    size_t i;

    for (i = 0; i < count && taken >= iov[i].iov_len; i++)
        taken -= iov[i].iov_len;
    if (i < count) {
        iov[i].iov_base = (char *)iov[i].iov_base + taken;
        iov[i].iov_len -= taken;
    }
    return i;
}

/* More than one message may be needed for all that there is. */
ssize_t pp_ws_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    pp_ws_layer *ws = pp_ws_layer_of(layer);
    ssize_t sent = send_some(ws, loop, iov, count);
    size_t taken = sent > 0 ? (size_t)sent : 0, bytes = total(iov, count);
    struct iovec left[PP_WS_BATCH_PIECES];

    if (sent <= 0 || taken == bytes || count > PP_WS_BATCH_PIECES)
        return sent;
    memcpy(left, iov, count * sizeof(*iov));
    iov = left;
    while (sent > 0 && taken < bytes && atomic_load(&layer->held_bytes) == 0) {
        size_t gone = advance(left + (iov - left), count, (size_t)sent);

        iov += gone;
        count -= gone;
        sent = send_some(ws, loop, iov, count);
        taken += sent > 0 ? (size_t)sent : 0;
    }
    return sent < 0 && errno != EAGAIN ? -1 : (ssize_t)taken;
}
