#include "websocket/deflate.h"

#include "base/alloc.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

enum {
    TAIL_BYTES = 4, /* that each compressed message ends with, and which is left out */
    MEMORY_LEVEL = 8,
};

static const char tail[TAIL_BYTES] = {0, 0, '\xff', '\xff'};

struct pp_ws_inflater {
    z_stream z;
    size_t left;      /* bytes that may still come out */
    size_t tail_used; /* of the tail, when the message has come to its end */
    bool between;     /* one block has ended and none begun */
    bool ended;       /* a block said that it was the last: what follows is passed over */
};

struct pp_ws_deflater {
    z_stream z;
};

static void *take(void *opaque, unsigned count, unsigned bytes)
{
    (void)opaque;
    return pp_calloc(count, bytes);
}

static void give(void *opaque, void *memory)
{
    (void)opaque;
    pp_free(memory);
}

/* --- inflating ---------------------------------------------------------------------------- */

pipit_err pp_ws_inflater_new(pp_ws_inflater **out_inflater)
{
    pp_ws_inflater *inflater = pp_calloc(1, sizeof(*inflater));

    if (!inflater)
        return PIPIT_ENOMEM;
    inflater->z.zalloc = take;
    inflater->z.zfree = give;
    if (inflateInit2(&inflater->z, -MAX_WBITS) != Z_OK) {
        pp_free(inflater);
        return PIPIT_ENOMEM;
    }
    *out_inflater = inflater;
    return PIPIT_OK;
}

void pp_ws_inflater_free(pp_ws_inflater *inflater)
{
    if (!inflater)
        return;
    (void)inflateEnd(&inflater->z);
    pp_free(inflater);
}

void pp_ws_inflater_begin(pp_ws_inflater *inflater, size_t max_bytes)
{
    (void)inflateReset(&inflater->z);
    inflater->left = max_bytes;
    inflater->tail_used = 0;
    inflater->between = inflater->ended = false;
}

static unsigned as_unsigned(size_t n)
{
    return n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

/* One call of the library, for as much of in, or behind it of the tail, as it takes. */
static int step(pp_ws_inflater *inflater, pp_str *in, bool last, char *out, size_t room,
                size_t *len)
{
    pp_str rest = {tail + inflater->tail_used, last ? TAIL_BYTES - inflater->tail_used : 0};
    pp_str *from = in->len ? in : &rest;
    z_stream *z = &inflater->z;
    size_t used, made;
    int result;

    z->next_in = (Bytef *)from->ptr;
    z->avail_in = as_unsigned(from->len);
    z->next_out = (Bytef *)out + *len;
    z->avail_out = as_unsigned(room - *len);
    result = inflate(z, Z_SYNC_FLUSH);
    used = (size_t)(z->next_in - (const Bytef *)from->ptr);
    from->ptr += used;
    from->len -= used;
    if (from == &rest)
        inflater->tail_used += used;
    made = (size_t)(z->next_out - (Bytef *)out) - *len;
    *len += made;
    inflater->left -= made < inflater->left ? made : inflater->left;
    if (used || made) /* a call that does nothing forgets where it stands */
        inflater->between = z->data_type & 128;
    return result;
}

pipit_err pp_ws_inflate(pp_ws_inflater *inflater, pp_str *in, bool last, char *out, size_t room,
                        size_t *out_len)
{
    size_t len = 0;
    size_t most = inflater->left;

    if (room > most)
        room = most + 1; /* to see that there is more */
    while (!inflater->ended) {
        int result = step(inflater, in, last, out, room, &len);

        if (result == Z_MEM_ERROR)
            return PIPIT_ENOMEM;
        if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
            return PIPIT_EPROTO;
        if (len > most)
            return PIPIT_ETOOBIG;
        inflater->ended = result == Z_STREAM_END;
        *out_len = len;
        if (len == room && !inflater->ended)
            return PIPIT_EAGAIN; /* there may be more in the library's hands */
        if (in->len == 0 && (!last || inflater->tail_used == TAIL_BYTES))
            break;
    }
    if (inflater->ended)
        in->len = 0;
    else if (last && !inflater->between)
        return PIPIT_EPROTO; /* it stops within a block */
    *out_len = len;
    return PIPIT_OK;
}

/* --- deflating ---------------------------------------------------------------------------- */

pipit_err pp_ws_deflater_new(pp_ws_deflater **out_deflater)
{
    pp_ws_deflater *deflater = pp_calloc(1, sizeof(*deflater));

    if (!deflater)
        return PIPIT_ENOMEM;
    deflater->z.zalloc = take;
    deflater->z.zfree = give;
    if (deflateInit2(&deflater->z, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        pp_free(deflater);
        return PIPIT_ENOMEM;
    }
    *out_deflater = deflater;
    return PIPIT_OK;
}

void pp_ws_deflater_free(pp_ws_deflater *deflater)
{
    if (!deflater)
        return;
    (void)deflateEnd(&deflater->z);
    pp_free(deflater);
}

size_t pp_ws_deflate(pp_ws_deflater *deflater, const struct iovec *pieces, size_t count, char *out,
                     size_t room)
{
    z_stream *z = &deflater->z;
    size_t len;

    (void)deflateReset(z);
    z->next_out = (Bytef *)out;
    z->avail_out = as_unsigned(room);
    for (size_t i = 0; i < count; i++) {
        int flush = i + 1 < count ? Z_NO_FLUSH : Z_SYNC_FLUSH;

        if (flush == Z_NO_FLUSH && pieces[i].iov_len == 0)
            continue;
        z->next_in = pieces[i].iov_base;
        z->avail_in = as_unsigned(pieces[i].iov_len);
        if (deflate(z, flush) != Z_OK || z->avail_in || z->avail_out == 0)
            return 0;
    }
    len = (size_t)(z->next_out - (Bytef *)out);
    return len > TAIL_BYTES && memcmp(out + len - TAIL_BYTES, tail, TAIL_BYTES) == 0
               ? len - TAIL_BYTES
               : 0;
}
