#include "t2/cbor.h"

#include <cbor/callbacks.h>
#include <cbor/encoding.h>
#include <cbor/streaming.h>

enum { TAG_BIGNUM = 2 };

/* --- what the decoder reports ------------------------------------------------------------- */

static void set(void *item, pp_cbor_kind kind, uint64_t value)
{
    *(pp_cbor_item *)item = (pp_cbor_item){.kind = kind, .value = value};
}

#define INTEGER(name, type, kind)                                                                  \
    static void name(void *item, type value)                                                       \
    {                                                                                              \
        set(item, kind, value);                                                                    \
    }
INTEGER(on_uint8, uint8_t, PP_CBOR_UINT)
INTEGER(on_uint16, uint16_t, PP_CBOR_UINT)
INTEGER(on_uint32, uint32_t, PP_CBOR_UINT)
INTEGER(on_uint64, uint64_t, PP_CBOR_UINT)
INTEGER(on_negint8, uint8_t, PP_CBOR_NEGATIVE)
INTEGER(on_negint16, uint16_t, PP_CBOR_NEGATIVE)
INTEGER(on_negint32, uint32_t, PP_CBOR_NEGATIVE)
INTEGER(on_negint64, uint64_t, PP_CBOR_NEGATIVE)
INTEGER(on_array, size_t, PP_CBOR_ARRAY)
INTEGER(on_map, size_t, PP_CBOR_MAP)
INTEGER(on_tag, uint64_t, PP_CBOR_TAG)
INTEGER(on_bool, bool, PP_CBOR_BOOL)
#undef INTEGER

#define MARK(name, kind)                                                                           \
    static void name(void *item)                                                                   \
    {                                                                                              \
        set(item, kind, 0);                                                                        \
    }
MARK(on_chunked_bytes, PP_CBOR_CHUNKED_BYTES)
MARK(on_chunked_text, PP_CBOR_CHUNKED_TEXT)
MARK(on_open_array, PP_CBOR_OPEN_ARRAY)
MARK(on_open_map, PP_CBOR_OPEN_MAP)
MARK(on_null, PP_CBOR_NULL)
MARK(on_break, PP_CBOR_BREAK)
#undef MARK

static void on_bytes(void *item, cbor_data bytes, size_t len)
{
    set(item, PP_CBOR_BYTES, 0);
    ((pp_cbor_item *)item)->text = (pp_str){(const char *)bytes, len};
}

static void on_text(void *item, cbor_data bytes, size_t len)
{
    set(item, PP_CBOR_TEXT, 0);
    ((pp_cbor_item *)item)->text = (pp_str){(const char *)bytes, len};
}

static void on_float(void *item, float value)
{
    set(item, PP_CBOR_FLOAT, 0);
    ((pp_cbor_item *)item)->number = (double)value;
}

static void on_double(void *item, double value)
{
    set(item, PP_CBOR_FLOAT, 0);
    ((pp_cbor_item *)item)->number = value;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = on_chunked_bytes,
    .byte_string = on_bytes,
    .string_start = on_chunked_text,
    .string = on_text,
    .indef_array_start = on_open_array,
    .array_start = on_array,
    .indef_map_start = on_open_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_null,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

/* --- items -------------------------------------------------------------------------------- */

/* A tag in one byte: libcbor refuses those that were not assigned when it was written. */
static bool take_small_tag(pp_str *rest, pp_cbor_item *out_item)
{
    unsigned char c = (unsigned char)rest->ptr[0];

    if (c < 0xc0 || c > 0xd7)
        return false;
    rest->ptr++;
    rest->len--;
    set(out_item, PP_CBOR_TAG, c & 0x1f);
    return true;
}

pipit_err pp_cbor_next(pp_str *rest, pp_cbor_item *out_item)
{
    do {
        struct cbor_decoder_result result;

        if (rest->len == 0)
            return PIPIT_EPROTO;
        if (take_small_tag(rest, out_item))
            continue;
        result = cbor_stream_decode((cbor_data)rest->ptr, rest->len, &callbacks, out_item);
        if (result.status != CBOR_DECODER_FINISHED || result.read == 0)
            return PIPIT_EPROTO;
        rest->ptr += result.read;
        rest->len -= result.read;
    } while (out_item->kind == PP_CBOR_TAG && out_item->value != TAG_BIGNUM);
    return PIPIT_OK;
}

bool pp_cbor_is_utf8(pp_str text)
{
    while (text.len) {
        size_t n = (unsigned char)text.ptr[0] < 0x80 ? 1 : pp_str_utf8_len(text);

        if (n == 0)
            return false;
        text.ptr += n;
        text.len -= n;
    }
    return true;
}

pipit_err pp_cbor_string(pp_str *rest, const pp_cbor_item *item, bool text, pp_buf *scratch,
                         pp_str *out_text)
{
    const pp_cbor_kind whole = text ? PP_CBOR_TEXT : PP_CBOR_BYTES;
    size_t begin = scratch ? scratch->len : 0;
    pp_cbor_item chunk = *item;
    pipit_err err;

    if (item->kind != whole) {
        if (item->kind != (text ? PP_CBOR_CHUNKED_TEXT : PP_CBOR_CHUNKED_BYTES))
            return PIPIT_EPROTO;
        for (;;) {
            err = pp_cbor_next(rest, &chunk);
            if (err || chunk.kind == PP_CBOR_BREAK)
                break;
            if (chunk.kind != whole || (text && !pp_cbor_is_utf8(chunk.text)))
                return PIPIT_EPROTO;
            err = scratch ? pp_buf_add(scratch, chunk.text.ptr, chunk.text.len) : PIPIT_OK;
            if (err)
                break;
        }
        if (!err)
            *out_text =
                scratch ? (pp_str){scratch->ptr + begin, scratch->len - begin} : (pp_str){NULL, 0};
        return err;
    }
    *out_text = item->text;
    return text && !pp_cbor_is_utf8(item->text) ? PIPIT_EPROTO : PIPIT_OK;
}

/* What is still to come at one depth. */
typedef struct level {
    uint64_t left; /* items; open and in pairs: 1 if one is half done */
    bool open, pairs;
} level;

/* Does item hold others? */
static bool begins(const pp_cbor_item *item, level *out)
{
    bool pairs = item->kind == PP_CBOR_MAP || item->kind == PP_CBOR_OPEN_MAP;

    if (item->kind == PP_CBOR_ARRAY || item->kind == PP_CBOR_MAP) {
        *out = (level){.left = pairs ? item->value * 2 : item->value};
        return true;
    }
    *out = (level){.open = true, .pairs = pairs};
    return item->kind == PP_CBOR_OPEN_ARRAY || item->kind == PP_CBOR_OPEN_MAP;
}

static pipit_err next_untagged(pp_str *rest, pp_cbor_item *out_item)
{
    pipit_err err;

    do {
        err = pp_cbor_next(rest, out_item);
    } while (!err && out_item->kind == PP_CBOR_TAG);
    return err;
}

/* Take one item, whose head is gone from *rest. */
static pipit_err take(pp_str *rest, const pp_cbor_item *item, level *levels, unsigned *depth)
{
    level inner;
    pp_str ignored;

    if (item->kind == PP_CBOR_BREAK) {
        if (*depth == 0 || !levels[*depth - 1].open || levels[*depth - 1].left)
            return PIPIT_EPROTO;
        --*depth;
        return PIPIT_OK;
    }
    if (begins(item, &inner)) {
        /* Each item that is claimed takes a byte at least. */
        if (*depth == PP_CBOR_DEPTH_MAX || (!inner.open && item->value > rest->len))
            return PIPIT_EPROTO;
        levels[(*depth)++] = inner;
        return PIPIT_OK;
    }
    if (item->kind == PP_CBOR_TEXT || item->kind == PP_CBOR_CHUNKED_TEXT)
        return pp_cbor_string(rest, item, true, NULL, &ignored);
    if (item->kind == PP_CBOR_CHUNKED_BYTES)
        return pp_cbor_string(rest, item, false, NULL, &ignored);
    return PIPIT_OK;
}

pipit_err pp_cbor_skip(pp_str *rest, const pp_cbor_item *item)
{
    level levels[PP_CBOR_DEPTH_MAX];
    pp_cbor_item here = *item;
    unsigned depth = 0;
    pipit_err err = here.kind == PP_CBOR_TAG ? next_untagged(rest, &here) : PIPIT_OK;

    while (!err) {
        err = take(rest, &here, levels, &depth);
        if (err)
            break;
        while (depth && !levels[depth - 1].open && levels[depth - 1].left == 0)
            depth--;
        if (depth == 0)
            return PIPIT_OK;
        err = next_untagged(rest, &here);
        if (!levels[depth - 1].open)
            levels[depth - 1].left--;
        else if (levels[depth - 1].pairs && here.kind != PP_CBOR_BREAK)
            levels[depth - 1].left ^= 1;
    }
    return err;
}

static pipit_err read_bignum(pp_str *rest, uint64_t *out_value)
{
    pp_cbor_item item;
    pp_str digits;
    char bytes[64];
    pp_buf joined = {.ptr = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
    uint64_t value = 0;
    pipit_err err = pp_cbor_next(rest, &item);

    if (!err)
        err = pp_cbor_string(rest, &item, false, &joined, &digits);
    if (err)
        return PIPIT_EPROTO; /* too long is wrong, too */
    for (size_t i = 0; i < digits.len; i++) {
        if (value >> 56)
            return PIPIT_EPROTO;
        value = value << 8 | (unsigned char)digits.ptr[i];
    }
    *out_value = value;
    return PIPIT_OK;
}

pipit_err pp_cbor_uint(pp_str *rest, uint64_t max, uint64_t *out_value)
{
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);

    if (!err && item.kind == PP_CBOR_TAG)
        err = read_bignum(rest, &item.value);
    else if (!err && item.kind != PP_CBOR_UINT)
        err = PIPIT_EPROTO;
    if (!err && item.value > max)
        err = PIPIT_EPROTO;
    if (!err)
        *out_value = item.value;
    return err;
}

/* --- writing ------------------------------------------------------------------------------ */

size_t pp_cbor_put_uint(char *out, uint64_t value)
{
    return cbor_encode_uint(value, (unsigned char *)out, PP_CBOR_HEAD_MAX);
}

size_t pp_cbor_put_text_head(char *out, size_t len)
{
    return cbor_encode_string_start(len, (unsigned char *)out, PP_CBOR_HEAD_MAX);
}

size_t pp_cbor_put_array_head(char *out, size_t count)
{
    return cbor_encode_array_start(count, (unsigned char *)out, PP_CBOR_HEAD_MAX);
}

size_t pp_cbor_put_map_head(char *out, size_t count)
{
    return cbor_encode_map_start(count, (unsigned char *)out, PP_CBOR_HEAD_MAX);
}
