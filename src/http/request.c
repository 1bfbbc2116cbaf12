#include "http/request.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Decode the character at *at and step over it. -1: a bad escape. */
static int decode_next(pp_str raw, size_t *at, bool plus_is_blank)
{
    char c = raw.ptr[(*at)++];
    int high, low;

    if (c == '+' && plus_is_blank)
        return ' ';
    if (c != '%')
        return (unsigned char)c;
    if (raw.len - *at < 2)
        return -1;
    high = hex_digit(raw.ptr[*at]);
    low = hex_digit(raw.ptr[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool pp_http_path_decode(pp_str raw, char *out, size_t *out_len)
{
    size_t len = 0;

    for (size_t at = 0; at < raw.len;) {
        int c = decode_next(raw, &at, false);

        if (c < 0)
            return false;
        out[len++] = (char)c;
    }
    *out_len = len;
    return true;
}

/* --- queries ------------------------------------------------------------------------------ */

/* The piece of query up to the next '&', which is taken off. */
static pp_str take_piece(pp_str *query)
{
    const char *end = memchr(query->ptr, '&', query->len);
    pp_str piece = {query->ptr, end ? (size_t)(end - query->ptr) : query->len};
    size_t used = piece.len + (end != NULL);

    query->ptr += used;
    query->len -= used;
    return piece;
}

/* Does the whole of raw decode well? *out_is tells whether to name. */
static bool decodes_to(pp_str raw, const char *name, bool *out_is)
{
    size_t matched = 0;
    bool is = true;

    for (size_t at = 0; at < raw.len;) {
        int c = decode_next(raw, &at, true);

        if (c < 0)
            return false;
        is = is && name[matched] != '\0' && (unsigned char)name[matched] == c;
        matched += is;
    }
    *out_is = is && name[matched] == '\0';
    return true;
}

static bool decode_value(pp_str raw, char *out, size_t out_bytes, size_t *out_len)
{
    size_t len = 0;

    for (size_t at = 0; at < raw.len;) {
        int c = decode_next(raw, &at, true);

        if (c < 0)
            return false;
        if (len < out_bytes - 1)
            out[len] = (char)c;
        len++;
    }
    out[len < out_bytes ? len : out_bytes - 1] = '\0';
    if (out_len)
        *out_len = len;
    return true;
}

bool pp_http_query(pp_str query, const char *name, char *out, size_t out_bytes, size_t *out_len)
{
    while (query.len) {
        pp_str piece = take_piece(&query), key = piece, value = {piece.ptr + piece.len, 0};
        const char *equals = piece.len ? memchr(piece.ptr, '=', piece.len) : NULL;
        bool is;

        if (piece.len == 0 || memchr(piece.ptr, ';', piece.len))
            continue;
        if (equals) {
            key.len = (size_t)(equals - piece.ptr);
            value = (pp_str){equals + 1, piece.len - key.len - 1};
        }
        if (decodes_to(key, name, &is) && is && decode_value(value, out, out_bytes, out_len))
            return true;
    }
    return false;
}
