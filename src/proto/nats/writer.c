#include "proto/nats/writer.h"

#include "core/route.h"
#include "net/conn.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    REFER_MIN = 2048, /* bytes from which a reference is cheaper than a copy */
    SIZES_MAX = 2 * 20 + 4,
};

/* Copies in whole steps may touch bytes behind both ends; these are how far that is allowed. */
static_assert(PP_ROUTE_HEAD_SLACK >= 16, "heads are copied in steps of 16");
static_assert(PP_WINDOW_SLACK >= 16, "windows are copied from in steps of 16");
static_assert(PP_CHUNK_SLACK >= 16, "chunks are copied to in steps of 16");

/* Copy n bytes, few as a rule, in steps of 16: up to 15 bytes behind from are read and behind to
 * are written. */
static inline void copy_steps(char *to, const char *from, size_t n)
{
#if defined(__SSE2__)
    if (n <= 128) {
        for (size_t i = 0; i < n; i += 16)
            _mm_storeu_si128((__m128i *)(void *)(to + i),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
        return;
    }
#endif
    memcpy(to, from, n);
}

size_t pp_nats_head(const pp_sub *sub, pp_str subject, char *out)
{
    pp_str sid = pp_sub_sid(sub);

    if (out) {
        memcpy(out, "HMSG ", 5);
        memcpy(out + 5, subject.ptr, subject.len);
        out[5 + subject.len] = ' ';
        memcpy(out + 6 + subject.len, sid.ptr, sid.len);
        out[6 + subject.len + sid.len] = ' ';
    }
    return 7 + subject.len + sid.len;
}

/* Head and line in one piece, then data and CR LF referred to where they lie. */
static bool write_referring(pp_outlet *outlet, pp_str head, pp_str line, pp_str data, pp_body *body)
{
    char *room;

    room = pp_outlet_room(outlet, head.len + line.len); /* first: it may send what is there */
    if (!room || !pp_outlet_reserve_ref(outlet))
        return false;
    memcpy(room, head.ptr, head.len);
    memcpy(room + head.len, line.ptr, line.len);
    pp_outlet_wrote(outlet, head.len + line.len);
    return pp_outlet_refer(outlet, (pp_str){data.ptr, data.len + 2}, body);
}

/* A frame whose line must be made: another form of blanks, a door of another kind, or a header
 * block that the recipient does not want. */
static bool write_made(pp_outlet *outlet, pp_str head, const pp_msg *msg, pp_str data,
                       size_t header_len)
{
    char sizes[SIZES_MAX], *room;
    size_t n = 0, line;

    if (header_len) {
        n = pp_u64_format(sizes, header_len);
        sizes[n++] = ' ';
    }
    n += pp_u64_format(sizes + n, data.len);
    sizes[n++] = '\r';
    sizes[n++] = '\n';
    line = head.len + (msg->reply.len ? msg->reply.len + 1 : 0) + n;
    /* Data that goes with the call is copied whole; it may be too long for one chunk only when it
     * lies in a body or in the loop's own buffer, with CR LF behind it. */
    room = pp_outlet_room(outlet, line + (data.len >= REFER_MIN ? 0 : data.len + 2));
    if (!room || (data.len >= REFER_MIN && !pp_outlet_reserve_ref(outlet)))
        return false;
    memcpy(room, head.ptr, head.len);
    room += head.len;
    if (msg->reply.len) {
        memcpy(room, msg->reply.ptr, msg->reply.len);
        room[msg->reply.len] = ' ';
        room += msg->reply.len + 1;
    }
    memcpy(room, sizes, n);
    pp_outlet_wrote(outlet, line);
    if (data.len >= REFER_MIN)
        return pp_outlet_refer(outlet, (pp_str){data.ptr, data.len + 2}, msg->body);
    memcpy(room + n, data.ptr, data.len);
    memcpy(room + n + data.len, "\r\n", 2);
    pp_outlet_wrote(outlet, data.len + 2);
    return true;
}

bool pp_nats_write_msg(pp_outlet *outlet, pp_str head, const pp_msg *msg, bool headers)
{
    size_t header_len = headers ? msg->header_len : 0;
    pp_str data = headers ? msg->data : pp_msg_payload(msg);
    bool staged;

    if (header_len == 0) {
        head.ptr++;
        head.len--;
    }
    if (PP_LIKELY(msg->wire.len && header_len == msg->header_len)) {
        size_t tail_len = msg->wire.len + data.len + 2;

        if (PP_LIKELY(data.len < REFER_MIN)) {
            char *room = pp_outlet_room(outlet, head.len + tail_len);

            staged = room != NULL;
            if (PP_LIKELY(staged)) {
                copy_steps(room, head.ptr, head.len);
                copy_steps(room + head.len, msg->wire.ptr, tail_len);
                pp_outlet_wrote(outlet, head.len + tail_len);
            }
        } else {
            staged = write_referring(outlet, head, msg->wire, data, msg->body);
        }
    } else {
        staged = write_made(outlet, head, msg, data, header_len);
    }
    outlet->msgs += staged;
    outlet->bytes += staged ? data.len : 0;
    return staged;
}
