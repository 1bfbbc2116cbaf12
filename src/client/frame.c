#include "client/frame.h"

#include "base/assert.h"

#include <string.h>

enum { NUMBERS_MAX = 64 }; /* verb, sizes and blanks of a control line */

/* Frames are written in place: room has been made. */
static void put(pp_buf *out, const void *bytes, size_t len)
{
    if (len)
        memcpy(out->ptr + out->len, bytes, len);
    out->len += len;
}

static void put_number(pp_buf *out, uint64_t value)
{
    out->len += pp_u64_format(out->ptr + out->len, value);
}

pipit_err pp_frame_pub(pp_buf *out, const pipit_msg *msg)
{
    size_t texts = msg->subject_bytes + msg->reply_bytes, data;
    pipit_err err;

    data = msg->header_bytes + msg->payload_bytes;
    err = pp_buf_reserve(out, texts + data + NUMBERS_MAX);
    if (err)
        return err;
    put(out, msg->header_bytes ? "HPUB " : "PUB ", msg->header_bytes ? 5 : 4);
    put(out, msg->subject, msg->subject_bytes);
    put(out, " ", 1);
    if (msg->reply_bytes) {
        put(out, msg->reply, msg->reply_bytes);
        put(out, " ", 1);
    }
    if (msg->header_bytes) {
        put_number(out, msg->header_bytes);
        put(out, " ", 1);
    }
    put_number(out, data);
    put(out, "\r\n", 2);
    put(out, msg->header, msg->header_bytes);
    put(out, msg->payload, msg->payload_bytes);
    put(out, "\r\n", 2);
    return PIPIT_OK;
}

pipit_err pp_frame_sub(pp_buf *out, pp_str subject, pp_str queue, uint64_t sid)
{
    pipit_err err = pp_buf_reserve(out, subject.len + queue.len + NUMBERS_MAX);

    if (err)
        return err;
    put(out, "SUB ", 4);
    put(out, subject.ptr, subject.len);
    put(out, " ", 1);
    if (queue.len) {
        put(out, queue.ptr, queue.len);
        put(out, " ", 1);
    }
    put_number(out, sid);
    put(out, "\r\n", 2);
    return PIPIT_OK;
}

pipit_err pp_frame_unsub(pp_buf *out, uint64_t sid, uint64_t max)
{
    pipit_err err = pp_buf_reserve(out, NUMBERS_MAX);

    if (err)
        return err;
    put(out, "UNSUB ", 6);
    put_number(out, sid);
    if (max) {
        put(out, " ", 1);
        put_number(out, max);
    }
    put(out, "\r\n", 2);
    return PIPIT_OK;
}

/* The length of the frame at the front, which is one of ours: a message's last word is the length
 * of what stands behind the line. */
static size_t frame_bytes(pp_str frames, bool *out_is_message)
{
    const char *end = memchr(frames.ptr, '\n', frames.len);
    size_t line, size = 0;

    PP_ASSERT(end != NULL);
    line = (size_t)(end - frames.ptr) + 1;
    *out_is_message = frames.ptr[0] == 'H' || (frames.ptr[0] == 'P' && frames.ptr[1] == 'U');
    if (!*out_is_message)
        return line;
    for (const char *digit = memrchr(frames.ptr, ' ', line) + 1; *digit != '\r'; digit++)
        size = 10 * size + (size_t)(*digit - '0');
    return line + size + 2;
}

size_t pp_frame_salvage(pp_buf *frames, size_t sent)
{
    size_t at = 0, kept = 0, lost = 0;

    while (at < frames->len) {
        bool is_message;
        size_t len = frame_bytes((pp_str){frames->ptr + at, frames->len - at}, &is_message);

        PP_ASSERT(len <= frames->len - at);
        if (is_message && at >= sent) {
            memmove(frames->ptr + kept, frames->ptr + at, len);
            kept += len;
        } else if (is_message && at + len > sent) {
            lost += len;
        }
        at += len;
    }
    frames->len = kept;
    return lost;
}
