/* base/str.h -- slices: borrowed bytes with a length. A slice never owns and never outlives the
 * call that made it. */
#ifndef PP_BASE_STR_H
#define PP_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct pp_str {
    const char *ptr;
    size_t len;
} pp_str;

#define PP_STR(literal) ((pp_str){(literal), sizeof(literal) - 1})
#define PP_STR_ARGS(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline pp_str pp_str_of(const char *text)
{
    return (pp_str){text, text ? strlen(text) : 0};
}

static inline bool pp_str_eq(pp_str a, pp_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Are len bytes the same? For subjects, which are short: two reads that overlap take less than a
 * call. */
static inline bool pp_short_eq(const char *a, const char *b, size_t len)
{
    uint64_t from[2], to[2];

    if (len < sizeof(*from) || len > sizeof(from))
        return len == 0 || memcmp(a, b, len) == 0;
    memcpy(&from[0], a, sizeof(*from));
    memcpy(&from[1], a + len - sizeof(*from), sizeof(*from));
    memcpy(&to[0], b, sizeof(*to));
    memcpy(&to[1], b + len - sizeof(*to), sizeof(*to));
    return from[0] == to[0] && from[1] == to[1];
}

/* The same for copying: from and to do not overlap. */
static inline void pp_short_copy(char *to, const char *from, size_t len)
{
    const size_t half = sizeof(uint64_t);

    if (len >= half && len <= 2 * half) {
        memcpy(to, from, half);
        memcpy(to + len - half, from + len - half, half);
    } else if (len) {
        memcpy(to, from, len);
    }
}

static inline bool pp_str_starts(pp_str s, pp_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* Equal but for the case of ASCII letters. */
bool pp_str_eq_nocase(pp_str a, pp_str b);

/* Read a whole slice of decimal digits. False when empty, not digits, or over max. */
bool pp_str_parse_u64(pp_str digits, uint64_t max, uint64_t *out_value);

/* Read "500ms", "2s", "1m", "1h", "1.5s", "1m30s" or "250us". */
bool pp_str_parse_duration(pp_str text, int64_t *out_ns);

/* Read "64", "64K", "1MB", "2GiB": powers of 1024. */
bool pp_str_parse_size(pp_str text, uint64_t max, uint64_t *out_bytes);

/* Write value in decimal; returns its length, at most 20. out needs no closing NUL. */
size_t pp_u64_format(char *out, uint64_t value);

/* How long is the UTF-8 character at the front of text? 0 when there is none: stray or missing
 * continuation bytes, more bytes than needed, surrogates, beyond U+10FFFF, or empty. */
size_t pp_str_utf8_len(pp_str text);

#endif
