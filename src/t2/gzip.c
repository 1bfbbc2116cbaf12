#include "t2/gzip.h"

#include "base/alloc.h"

#include <zlib.h>

enum {
    WINDOW = 15 + 16, /* the largest, as gzip */
    MEMORY = 8,       /* zlib's own default */
    STEP = 4096,
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

/* Have code work on z until the end of its stream, into the room that out has. */
static pipit_err run(z_stream *z, int (*code)(z_stream *z, int flush), int flush, pp_buf *out)
{
    int result = Z_OK;

    while (result == Z_OK) {
        size_t left = out->max - out->len;
        pipit_err err = left ? pp_buf_reserve(out, left < STEP ? left : STEP) : PIPIT_ETOOBIG;

        if (err)
            return err;
        z->next_out = (unsigned char *)out->ptr + out->len;
        z->avail_out = (unsigned)(out->cap - out->len);
        result = code(z, flush);
        out->len = out->cap - z->avail_out;
    }
    if (result == Z_STREAM_END)
        return PIPIT_OK;
    return result == Z_MEM_ERROR ? PIPIT_ENOMEM : PIPIT_EPROTO;
}

pipit_err pp_t2_inflate(pp_str in, pp_buf *out)
{
    z_stream z = {.zalloc = take, .zfree = give};
    pipit_err err;

    if (inflateInit2(&z, WINDOW) != Z_OK)
        return PIPIT_ENOMEM;
    z.next_in = (unsigned char *)in.ptr;
    z.avail_in = (unsigned)in.len;
    err = run(&z, inflate, Z_NO_FLUSH, out);
    (void)inflateEnd(&z);
    return err;
}

pipit_err pp_t2_deflate(pp_str plain, pp_buf *out)
{
    z_stream z = {.zalloc = take, .zfree = give};
    pipit_err err;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW, MEMORY, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return PIPIT_ENOMEM;
    z.next_in = (unsigned char *)plain.ptr;
    z.avail_in = (unsigned)plain.len;
    err = run(&z, deflate, Z_FINISH, out);
    (void)deflateEnd(&z);
    return err;
}
