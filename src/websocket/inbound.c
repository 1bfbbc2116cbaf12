/* Input: what frames hold, moved to where the door wants it. */
#include "websocket/close.h"
#include "websocket/mask.h"
#include "websocket/session.h"

#include "base/assert.h"

#include <errno.h>

/* With the rest of a message that may be held before them. */
enum { PONGS_HELD_MAX = PP_WS_ROOM + 4096 };

/* Input that is being decoded, and where to. in is ours to scribble on; out lies before it, or
 * apart from it. */
struct work {
    pp_str in;
    char *out;
    size_t room;
    size_t made;
};

/* --- ends --------------------------------------------------------------------------------- */

static void end(pp_ws_layer *ws, pp_close_reason why)
{
    ws->ended = true;
    ws->why = (uint8_t)why;
}

static void end_with(pp_ws_layer *ws, pp_close_reason why, pp_ws_status status, pp_str text)
{
    char body[PP_WS_CONTROL_MAX];

    pp_ws_set_answer(ws, body, pp_ws_close_format(body, status, text));
    end(ws, why);
}

static void complain(pp_ws_layer *ws)
{
    char text[PP_WS_COMPLAINT_MAX];
    size_t len = pp_ws_complaint(&ws->reader, text);

    end_with(ws, PP_CLOSE_PROTOCOL, PP_WS_PROTOCOL_ERROR, (pp_str){text, len});
}

/* --- control frames ----------------------------------------------------------------------- */

static void on_control(pp_ws_layer *ws, const pp_ws_piece *piece)
{
    char body[PP_WS_CONTROL_MAX];

    if (piece->opcode == PP_WS_CLOSE) {
        pp_ws_set_answer(ws, body, pp_ws_close_answer(body, piece->bytes));
        end(ws, PP_CLOSE_NONE);
        return;
    }
    /* Who asks and asks and does not listen is not answered each time. */
    if (piece->opcode != PP_WS_PING || atomic_load(&ws->layer.held_bytes) > PONGS_HELD_MAX)
        return;
    if (pp_ws_hold_control(ws, PP_WS_PONG, piece->bytes) == PIPIT_ENOMEM)
        end(ws, PP_CLOSE_NO_MEMORY);
}

/* --- compressed messages ------------------------------------------------------------------ */

static pp_ws_codec *codec_of(pp_ws_layer *ws)
{
    return &ws->host->lanes[ws->layer.conn->loop->index].codec;
}

static void end_message(pp_ws_layer *ws)
{
    pp_ws_codec_give_inflater(codec_of(ws), ws->inflater);
    ws->inflater = NULL;
}

static void on_inflate_error(pp_ws_layer *ws, pipit_err err)
{
    if (err == PIPIT_ETOOBIG)
        end_with(ws, PP_CLOSE_PAYLOAD, PP_WS_TOO_BIG, PP_STR("compressed message is too big"));
    else if (err == PIPIT_EPROTO)
        end_with(ws, PP_CLOSE_PROTOCOL, PP_WS_INVALID_DATA, PP_STR("invalid compressed data"));
    else
        end(ws, PP_CLOSE_NO_MEMORY);
}

/* Inflate on what begins w->in: piece_left bytes of it. */
static void inflate_piece(pp_ws_layer *ws, struct work *w)
{
    pp_str piece = {w->in.ptr, ws->piece_left};
    size_t made = 0;
    pipit_err err = pp_ws_inflate(ws->inflater, &piece, ws->piece_last, w->out + w->made,
                                  w->room - w->made, &made);

    w->in.ptr += ws->piece_left - piece.len;
    w->in.len -= ws->piece_left - piece.len;
    ws->piece_left = piece.len;
    ws->piece_open = err == PIPIT_EAGAIN;
    if (!err || err == PIPIT_EAGAIN)
        w->made += made;
    else
        on_inflate_error(ws, err);
    if (!err && ws->piece_last)
        end_message(ws);
}

static void begin_piece(pp_ws_layer *ws, const pp_ws_piece *piece, struct work *w)
{
    size_t max = atomic_load_explicit(&ws->host->inflated_max, memory_order_relaxed);

    if (!ws->inflater) {
        ws->inflater = pp_ws_codec_take_inflater(codec_of(ws));
        if (!ws->inflater) {
            end(ws, PP_CLOSE_NO_MEMORY);
            return;
        }
        pp_ws_inflater_begin(ws->inflater, max);
        ws->packed_bytes = 0;
    }
    ws->packed_bytes += piece->bytes.len;
    if (ws->packed_bytes > max) {
        on_inflate_error(ws, PIPIT_ETOOBIG);
        return;
    }
    (void)pp_ws_mask((char *)piece->bytes.ptr, piece->bytes.ptr, piece->bytes.len, piece->key);
    w->in.ptr -= piece->bytes.len; /* to take up what has been read over */
    w->in.len += piece->bytes.len;
    ws->piece_left = piece->bytes.len;
    ws->piece_last = piece->last;
    inflate_piece(ws, w);
}

/* --- frames ------------------------------------------------------------------------------- */

/* Decode one piece. A piece is never longer than the room there is. False: more input is needed. */
static bool decode_piece(pp_ws_layer *ws, struct work *w)
{
    size_t room = w->room - w->made, used;
    pp_str window = {w->in.ptr, w->in.len < room ? w->in.len : room};
    pp_ws_piece piece;
    pipit_err err = pp_ws_read(&ws->reader, window, &piece, &used);

    w->in.ptr += used;
    w->in.len -= used;
    if (err == PIPIT_EAGAIN)
        return w->in.len > 0;
    if (err)
        complain(ws);
    else if (piece.opcode != PP_WS_BINARY)
        on_control(ws, &piece);
    else if (piece.compressed)
        begin_piece(ws, &piece, w);
    else {
        char *to = w->out + w->made;

        if (piece.key || to != piece.bytes.ptr)
            (void)pp_ws_mask(to, piece.bytes.ptr, piece.bytes.len, piece.key);
        w->made += piece.bytes.len;
    }
    return true;
}

static void decode(pp_ws_layer *ws, struct work *w)
{
    while (!ws->ended && w->made < w->room) {
        if (ws->piece_open)
            inflate_piece(ws, w);
        else if (!w->in.len || !decode_piece(ws, w))
            break;
    }
}

/* --- the two ways ------------------------------------------------------------------------- */

/* Say how it went. What has been made comes before the end. */
static ssize_t result(pp_ws_layer *ws, size_t made, bool more)
{
    ws->layer.more = more || (made && ws->ended);
    if (made)
        return (ssize_t)made;
    if (ws->ended)
        return ws->why ? pp_layer_fail(&ws->layer, ws->why) : 0;
    errno = EAGAIN;
    return -1;
}

/* Decode where it was read: what frames hold is shorter than they are. */
static ssize_t receive_in_place(pp_ws_layer *ws, char *to, size_t len)
{
    ssize_t n = pp_layer_receive_below(&ws->layer, to, len);
    struct work w;

    if (n <= 0)
        return n;
    w = (struct work){.in = {to, (size_t)n}, .out = to, .room = len};
    decode(ws, &w);
    return result(ws, w.made, (size_t)n == len);
}

/* Keep what there was no room for. */
static void keep_rest(pp_ws_layer *ws, pp_str in)
{
    pp_body *rest;

    if (in.len == 0 || ws->ended)
        return;
    rest = pp_body_new(in.len);
    if (!rest) {
        end(ws, PP_CLOSE_NO_MEMORY);
        return;
    }
    memcpy(rest->bytes, in.ptr, in.len);
    ws->rest = rest;
    ws->rest_at = 0;
}

static ssize_t decode_rest(pp_ws_layer *ws, char *to, size_t len)
{
    struct work w = {.out = to, .room = len};

    if (ws->rest)
        w.in = (pp_str){ws->rest->bytes + ws->rest_at, ws->rest->len - ws->rest_at};
    decode(ws, &w);
    if (ws->rest && (w.in.len == 0 || ws->ended)) {
        pp_body_unref(ws->rest);
        ws->rest = NULL;
    } else if (ws->rest) {
        ws->rest_at = ws->rest->len - w.in.len;
    }
    return result(ws, w.made, true); /* below may have more */
}

/* What comes out may be longer than what goes in, so that has a room of its own. */
static ssize_t receive_packed(pp_ws_layer *ws, char *to, size_t len)
{
    char *room = pp_ws_codec_room(codec_of(ws));
    struct work w = {.out = to, .room = len};
    ssize_t n;

    if (!room)
        return pp_layer_fail(&ws->layer, PP_CLOSE_NO_MEMORY);
    n = pp_layer_receive_below(&ws->layer, room, PP_WS_INPUT_MAX);
    if (n <= 0)
        return n;
    w.in = (pp_str){room, (size_t)n};
    decode(ws, &w);
    keep_rest(ws, w.in);
    return result(ws, w.made, n == PP_WS_INPUT_MAX || ws->rest || ws->piece_open);
}

ssize_t pp_ws_receive(pp_ws_layer *ws, char *to, size_t len)
{
    ws->layer.more = false;
    if (ws->ended)
        return result(ws, 0, false);
    if (ws->rest || ws->piece_open)
        return decode_rest(ws, to, len);
    return ws->deflates ? receive_packed(ws, to, len) : receive_in_place(ws, to, len);
}
