#include "server/system/encoding.h"

#include "base/alloc.h"

#include <string.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 /* zlib: with gzip's header and trailer */, MEMORY_LEVEL = 8 };

static bool contains_nocase(pp_str text, pp_str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (pp_str_eq_nocase((pp_str){text.ptr + i, word.len}, word))
            return true;
    }
    return false;
}

/* Take a line off the front, without its end. */
static pp_str next_line(pp_str *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    pp_str line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t used = end ? line.len + 1 : line.len;

    rest->ptr += used;
    rest->len -= used;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

pp_encoding pp_encoding_wanted(pp_str header)
{
    static const pp_str name = {"Accept-Encoding:", 16};

    while (header.len) {
        pp_str line = next_line(&header);

        if (line.len > name.len && pp_str_eq_nocase((pp_str){line.ptr, name.len}, name)) {
            line.ptr += name.len;
            line.len -= name.len;
            return contains_nocase(line, PP_STR("gzip")) ? PP_ENCODING_GZIP : PP_ENCODING_IDENTITY;
        }
    }
    return PP_ENCODING_UNASKED;
}

static pp_str header_of(pp_encoding encoding)
{
    switch (encoding) {
    case PP_ENCODING_GZIP:
        return PP_STR("NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n");
    case PP_ENCODING_IDENTITY:
        return PP_STR("NATS/1.0\r\nContent-Encoding: identity\r\n\r\n");
    case PP_ENCODING_UNASKED:
        break;
    }
    return (pp_str){NULL, 0};
}

static voidpf take_memory(voidpf opaque, uInt count, uInt bytes)
{
    (void)opaque;
    return pp_calloc(count, bytes);
}

static void give_memory(voidpf opaque, voidpf memory)
{
    (void)opaque;
    pp_free(memory);
}

/* Header and compressed text in a body that may turn out longer than *out_len. */
static pipit_err compress_text(pp_str header, pp_str text, pp_body **out_body, size_t *out_len)
{
    z_stream stream = {.zalloc = take_memory, .zfree = give_memory};
    pp_body *body = NULL;
    pipit_err err = PIPIT_ENOMEM;
    uLong most;

    if (text.len > UINT32_MAX / 2 ||
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return err;
    most = deflateBound(&stream, (uLong)text.len);
    body = pp_body_new(header.len + most + 2);
    if (body) {
        memcpy(body->bytes, header.ptr, header.len);
        stream.next_in = (Bytef *)(uintptr_t)text.ptr; /* zlib only reads it */
        stream.avail_in = (uInt)text.len;
        stream.next_out = (Bytef *)body->bytes + header.len;
        stream.avail_out = (uInt)most;
        if (deflate(&stream, Z_FINISH) == Z_STREAM_END)
            err = PIPIT_OK;
    }
    *out_len = header.len + stream.total_out;
    (void)deflateEnd(&stream);
    if (err)
        pp_body_unref(body);
    else
        *out_body = body;
    return err;
}

pipit_err pp_encoding_apply(pp_encoding encoding, pp_str text, pp_body **out_body, size_t *out_len,
                            size_t *out_header_len)
{
    pp_str header = header_of(encoding);
    pp_body *body;
    size_t len = header.len + text.len;

    if (encoding == PP_ENCODING_GZIP) {
        pipit_err err = compress_text(header, text, &body, &len);

        if (err)
            return err;
    } else {
        body = pp_body_new(len + 2);
        if (!body)
            return PIPIT_ENOMEM;
        if (header.len)
            memcpy(body->bytes, header.ptr, header.len);
        memcpy(body->bytes + header.len, text.ptr, text.len);
    }
    memcpy(body->bytes + len, "\r\n", 2);
    *out_body = body;
    *out_len = len;
    *out_header_len = header.len;
    return PIPIT_OK;
}
