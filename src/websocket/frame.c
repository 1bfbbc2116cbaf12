#include "websocket/frame.h"

#include "base/assert.h"
#include "websocket/mask.h"

#include <stdio.h>

enum {
    FINAL = 0x80,
    COMPRESSED = 0x40,
    RESERVED = 0x30,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* --- heads -------------------------------------------------------------------------------- */

static pp_ws_fault check_control(uint8_t first, uint8_t length)
{
    if (length > PP_WS_CONTROL_MAX)
        return PP_WS_FAULT_CONTROL_LENGTH;
    if (!(first & FINAL))
        return PP_WS_FAULT_CONTROL_CUT;
    return first & COMPRESSED ? PP_WS_FAULT_CONTROL_COMPRESSED : PP_WS_FAULT_NONE;
}

static pp_ws_fault check_data(const pp_ws_reader *r, uint8_t first)
{
    if ((first & OPCODE) == PP_WS_CONTINUATION)
        return !r->in_message || first & COMPRESSED ? PP_WS_FAULT_CONTINUATION : PP_WS_FAULT_NONE;
    if (r->in_message)
        return PP_WS_FAULT_NEW_MESSAGE;
    return first & COMPRESSED && !r->inflates ? PP_WS_FAULT_COMPRESSED : PP_WS_FAULT_NONE;
}

/* What is wrong with a frame that begins with these two bytes. */
static pp_ws_fault check(const pp_ws_reader *r, uint8_t first, uint8_t second)
{
    if (first & RESERVED)
        return PP_WS_FAULT_RESERVED;
    if (!(second & MASKED) && !r->unmasked)
        return PP_WS_FAULT_NO_MASK;
    switch (first & OPCODE) {
    case PP_WS_CONTINUATION:
    case PP_WS_TEXT:
    case PP_WS_BINARY:
        return check_data(r, first);
    case PP_WS_CLOSE:
    case PP_WS_PING:
    case PP_WS_PONG:
        return check_control(first, second & LENGTH);
    default:
        return PP_WS_FAULT_OPCODE;
    }
}

/* The same, remembered. */
static pipit_err check_start(pp_ws_reader *r, const char *head)
{
    r->fault = (uint8_t)check(r, (uint8_t)head[0], (uint8_t)head[1]);
    if (r->fault == PP_WS_FAULT_OPCODE)
        r->opcode = (uint8_t)head[0] & OPCODE;
    return r->fault ? PIPIT_EPROTO : PIPIT_OK;
}

/* How long is the head whose second byte this is? A peer may send a key where none is needed. */
static size_t head_bytes(uint8_t second)
{
    size_t bytes = 2 + (second & MASKED ? 4 : 0);

    if ((second & LENGTH) == LENGTH_16)
        bytes += 2;
    else if ((second & LENGTH) == LENGTH_64)
        bytes += 8;
    return bytes;
}

static uint64_t read_number(const char *at, size_t bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | (uint8_t)at[i];
    return number;
}

/* A head is complete, and its first two bytes were checked. */
static pipit_err begin_frame(pp_ws_reader *r, const char *head)
{
    uint8_t first = (uint8_t)head[0], second = (uint8_t)head[1];
    const char *at = head + 2;

    r->left = second & LENGTH;
    if (r->left == LENGTH_16) {
        r->left = read_number(at, 2);
        at += 2;
    } else if (r->left == LENGTH_64) {
        r->left = read_number(at, 8);
        at += 8;
    }
    if (r->left >> 63) {
        r->fault = PP_WS_FAULT_LENGTH;
        return PIPIT_EPROTO;
    }
    r->key = 0;
    if (second & MASKED)
        memcpy(&r->key, at, 4);
    r->opcode = first & OPCODE;
    if (r->opcode == PP_WS_TEXT || r->opcode == PP_WS_BINARY) {
        r->in_message = true;
        r->compressed = first & COMPRESSED;
    }
    if (r->opcode <= PP_WS_BINARY)
        r->final = first & FINAL;
    r->in_frame = true;
    r->held = 0;
    return PIPIT_OK;
}

/* Take up a head, whole or in parts. */
static pipit_err read_head(pp_ws_reader *r, pp_str window, size_t *used)
{
    size_t need = 2, got;

    if (r->held == 0 && window.len >= 2) { /* as nearly always: no copy */
        if (check_start(r, window.ptr))
            return PIPIT_EPROTO;
        need = head_bytes((uint8_t)window.ptr[1]);
        if (window.len >= need) {
            *used = need;
            return begin_frame(r, window.ptr);
        }
    }
    for (got = 0; got < window.len; got++) {
        r->hold[r->held++] = window.ptr[got];
        if (r->held == 2 && check_start(r, r->hold))
            return PIPIT_EPROTO;
        if (r->held >= 2 && r->held == head_bytes((uint8_t)r->hold[1])) {
            *used = got + 1;
            return begin_frame(r, r->hold);
        }
    }
    *used = got;
    return PIPIT_EAGAIN;
}

/* --- what frames hold --------------------------------------------------------------------- */

static pipit_err read_control(pp_ws_reader *r, pp_str window, pp_ws_piece *piece, size_t *used)
{
    size_t len = window.len < r->left ? window.len : (size_t)r->left;

    PP_ASSERT(r->held + len <= PP_WS_CONTROL_MAX);
    r->key = pp_ws_mask(r->hold + r->held, window.ptr, len, r->key);
    r->held = (uint8_t)(r->held + len);
    r->left -= len;
    *used += len;
    if (r->left)
        return PIPIT_EAGAIN;
    *piece = (pp_ws_piece){.opcode = r->opcode, .bytes = {r->hold, r->held}};
    r->in_frame = false;
    r->held = 0;
    return PIPIT_OK;
}

static void read_data(pp_ws_reader *r, pp_str window, pp_ws_piece *piece, size_t *used)
{
    size_t len = window.len < r->left ? window.len : (size_t)r->left;

    r->left -= len;
    *used += len;
    *piece = (pp_ws_piece){
        .opcode = PP_WS_BINARY,
        .compressed = r->compressed,
        .last = r->left == 0 && r->final,
        .key = r->key,
        .bytes = {window.ptr, len},
    };
    if (r->left) {
        r->key = pp_ws_key_after(r->key, len);
        return;
    }
    r->in_frame = false;
    if (r->final)
        r->in_message = false;
}

pipit_err pp_ws_read(pp_ws_reader *reader, pp_str window, pp_ws_piece *out_piece, size_t *out_used)
{
    size_t used = 0;
    pipit_err err = PIPIT_OK;

    PP_ASSERT(!reader->fault);
    if (!reader->in_frame)
        err = read_head(reader, window, &used);
    window.ptr += used;
    window.len -= used;
    if (!err && reader->opcode > PP_WS_BINARY)
        err = read_control(reader, window, out_piece, &used);
    else if (!err && reader->left && !window.len)
        err = PIPIT_EAGAIN;
    else if (!err)
        read_data(reader, window, out_piece, &used);
    *out_used = used;
    return err;
}

/* --- words and heads of our own ----------------------------------------------------------- */

size_t pp_ws_complaint(const pp_ws_reader *reader, char out[PP_WS_COMPLAINT_MAX])
{
    static const char *const texts[] = {
        [PP_WS_FAULT_NONE] = "",
        [PP_WS_FAULT_RESERVED] = "RSV2 and RSV3 must be clear",
        [PP_WS_FAULT_NO_MASK] = "mask bit missing",
        [PP_WS_FAULT_CONTROL_LENGTH] =
            "control frame length bigger than maximum allowed of 125 bytes",
        [PP_WS_FAULT_CONTROL_CUT] = "control frame does not have final bit set",
        [PP_WS_FAULT_CONTROL_COMPRESSED] = "control frame must not be compressed",
        [PP_WS_FAULT_COMPRESSED] =
            "compressed frame received without negotiated permessage-deflate",
        [PP_WS_FAULT_CONTINUATION] = "invalid continuation frame",
        [PP_WS_FAULT_NEW_MESSAGE] =
            "new message started before final frame for previous message was received",
        [PP_WS_FAULT_OPCODE] = "unknown opcode",
        [PP_WS_FAULT_LENGTH] = "invalid 64-bit payload length",
    };
    const char *text = texts[reader->fault];

    if (reader->fault == PP_WS_FAULT_OPCODE)
        return (size_t)snprintf(out, PP_WS_COMPLAINT_MAX, "%s %u", text, reader->opcode);
    return (size_t)snprintf(out, PP_WS_COMPLAINT_MAX, "%s", text);
}

size_t pp_ws_head_format(char out[PP_WS_HEAD_UNMASKED_MAX], pp_ws_opcode opcode, bool final,
                         bool compressed, uint64_t len)
{
    size_t at = 2, more = len < LENGTH_16 ? 0 : len <= UINT16_MAX ? 2 : 8;

    out[0] = (char)(opcode | (final ? FINAL : 0) | (compressed ? COMPRESSED : 0));
    out[1] = (char)(more == 0 ? len : more == 2 ? LENGTH_16 : LENGTH_64);
    while (more)
        out[at++] = (char)(len >> 8 * --more);
    return at;
}
