#include "store/squeeze.h"

#include <lz4.h>

enum {
    RAW_MIN = 96,         /* less does not get smaller by what it costs */
    SAVED_PART = 16,      /* one part in so many must be saved */
    RATIO_MAX = 255,      /* no more comes out of a byte of LZ4 */
    RAW_MAX = 0x7e000000, /* what LZ4 takes at a time */
};

bool pp_squeeze(pp_str headers, pp_str payload, pp_buf *out)
{
    size_t raw = headers.len + payload.len, room = raw - raw / SAVED_PART;
    const char *from = payload.ptr;
    int got;

    if (raw < RAW_MIN || raw > RAW_MAX)
        return false;
    out->len = 0;
    if (pp_buf_reserve(out, room + (headers.len ? raw : 0)))
        return false;
    if (headers.len) { /* it wants them in one piece: behind what it makes of them */
        char *joined = out->ptr + room;

        memcpy(joined, headers.ptr, headers.len);
        if (payload.len)
            memcpy(joined + headers.len, payload.ptr, payload.len);
        from = joined;
    }
    got = LZ4_compress_default(from, out->ptr, (int)raw, (int)room);
    if (got <= 0)
        return false;
    out->len = (size_t)got;
    return true;
}

pipit_err pp_unsqueeze(pp_str squeezed, size_t raw_bytes, pp_buf *out)
{
    pipit_err err;

    if (raw_bytes > RAW_MAX || raw_bytes / RATIO_MAX > squeezed.len + 1)
        return PIPIT_EDAMAGED;
    out->len = 0;
    err = pp_buf_reserve(out, raw_bytes);
    if (err)
        return err == PIPIT_ETOOBIG ? PIPIT_EDAMAGED : err;
    if (LZ4_decompress_safe(squeezed.ptr, out->ptr, (int)squeezed.len, (int)raw_bytes) !=
        (int)raw_bytes)
        return PIPIT_EDAMAGED;
    out->len = raw_bytes;
    return PIPIT_OK;
}
