/* t2/cbor.h -- CBOR items off the front of bytes, and the few that are written.
 *
 * libcbor's stateless decoder tells what an item is; it allocates nothing, and neither does this:
 * what an item claims to hold is never believed beyond the bytes that are there. */
#ifndef PP_T2_CBOR_H
#define PP_T2_CBOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum {
    PP_CBOR_DEPTH_MAX = 64,
    PP_CBOR_HEAD_MAX = 9, /* bytes of an item without its content */
};

typedef enum pp_cbor_kind {
    PP_CBOR_UINT,
    PP_CBOR_NEGATIVE,
    PP_CBOR_BYTES, /* of definite length: text holds them */
    PP_CBOR_TEXT,
    PP_CBOR_ARRAY, /* value: how many items follow */
    PP_CBOR_MAP,   /* value: how many pairs */
    PP_CBOR_CHUNKED_BYTES,
    PP_CBOR_CHUNKED_TEXT, /* these four go on to a break */
    PP_CBOR_OPEN_ARRAY,
    PP_CBOR_OPEN_MAP,
    PP_CBOR_BOOL, /* value: 0 or 1 */
    PP_CBOR_NULL, /* or undefined */
    PP_CBOR_FLOAT,
    PP_CBOR_BREAK,
    PP_CBOR_TAG, /* pp_cbor_next never gives it but for a bignum: value is 2 */
} pp_cbor_kind;

typedef struct pp_cbor_item {
    pp_cbor_kind kind;
    uint64_t value;
    double number;
    pp_str text;
} pp_cbor_item;

/* Take the next item off *rest; tags before it are skipped. Errors: PIPIT_EPROTO it is none, or
 * *rest ends within it. */
pipit_err pp_cbor_next(pp_str *rest, pp_cbor_item *out_item);

/* Take off what is left of an item whose head has been taken. */
pipit_err pp_cbor_skip(pp_str *rest, const pp_cbor_item *item);

/* Collect the chunks of an item of that kind, chunked or not. Text must be UTF-8. Slices of *rest
 * stay as they are; chunks are joined in scratch. Errors: PIPIT_EPROTO; those of pp_buf_add. */
pipit_err pp_cbor_string(pp_str *rest, const pp_cbor_item *item, bool text, pp_buf *scratch,
                         pp_str *out_text);

/* Read an unsigned number up to max, of any width. Errors: PIPIT_EPROTO. */
pipit_err pp_cbor_uint(pp_str *rest, uint64_t max, uint64_t *out_value);

bool pp_cbor_is_utf8(pp_str text);

/* Writing: each gives the number of bytes written, PP_CBOR_HEAD_MAX at most. */
size_t pp_cbor_put_uint(char *out, uint64_t value);
size_t pp_cbor_put_text_head(char *out, size_t len);
size_t pp_cbor_put_array_head(char *out, size_t count);
size_t pp_cbor_put_map_head(char *out, size_t count);

#endif
