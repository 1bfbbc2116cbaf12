#include "proto/nats/trace_header.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { STEP = 16 };

static const pp_str first_line = {"NATS/1.0\r\n", 10};

static pp_str trim(pp_str text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Where CR LF stands in text; NULL: nowhere. */
static const char *find_end(pp_str text)
{
    const char *from = text.ptr, *end = text.ptr + text.len;

    while (from < end) {
        const char *lf = memchr(from, '\n', (size_t)(end - from));

        if (!lf)
            return NULL;
        if (lf > text.ptr && lf[-1] == '\r')
            return lf - 1;
        from = lf + 1;
    }
    return NULL;
}

bool pp_header_next(pp_str block, size_t *at, pp_header_field *out_field)
{
    if (*at == 0) {
        if (!pp_str_starts(block, first_line))
            return false;
        *at = first_line.len;
    }
    while (*at < block.len) {
        const char *start = block.ptr + *at;
        const char *colon = memchr(start, ':', block.len - *at), *end;
        pp_str rest;

        if (!colon)
            break;
        rest = (pp_str){colon + 1, (size_t)(block.ptr + block.len - colon - 1)};
        end = find_end(rest);
        if (!end)
            break;
        *at = (size_t)(end - block.ptr) + 2;
        out_field->name = (pp_str){start, (size_t)(colon - start)};
        out_field->value = trim((pp_str){rest.ptr, (size_t)(end - rest.ptr)});
        if (out_field->name.len && out_field->value.len)
            return true;
    }
    *at = block.len;
    return false;
}

/* Does text begin with that name and a colon? name is in lower case. */
static bool begins_field_nocase(pp_str text, pp_str name)
{
    return text.len > name.len && text.ptr[name.len] == ':' &&
           pp_str_eq_nocase((pp_str){text.ptr, name.len}, name);
}

static bool begins_trace(pp_str line, bool parents)
{
    return pp_str_starts(line, PP_STR("Nats-Trace-Dest:")) ||
           (parents && begins_field_nocase(line, PP_STR("traceparent")));
}

/* Of 16 bytes, and one more, those LF that have an N behind them, or, with parents, a T of either
 * case: bit n for the byte at n. */
static inline unsigned line_starts(const char *p, bool parents)
{
#if defined(__SSE2__)
    const __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
    __m128i letter = _mm_cmpeq_epi8(next, _mm_set1_epi8('N'));

    if (parents)
        letter = _mm_or_si128(
            letter, _mm_cmpeq_epi8(_mm_or_si128(next, _mm_set1_epi8(0x20)), _mm_set1_epi8('t')));
    return (unsigned)_mm_movemask_epi8(
        _mm_and_si128(letter, _mm_cmpeq_epi8(here, _mm_set1_epi8('\n'))));
#else
    unsigned mask = 0;

    for (unsigned i = 0; i < STEP; i++) {
        bool letter = p[i + 1] == 'N' || (parents && (p[i + 1] | 0x20) == 't');

        mask |= (unsigned)(p[i] == '\n' && letter) << i;
    }
    return mask;
#endif
}

static bool any_begins_trace(pp_str block, size_t at, unsigned mask, bool parents)
{
    for (; mask; mask &= mask - 1) {
        size_t start = at + (size_t)__builtin_ctz(mask) + 1;

        if (begins_trace((pp_str){block.ptr + start, block.len - start}, parents))
            return true;
    }
    return false;
}

/* In steps of 16 bytes; the last goes back a little to end where the block does. */
static inline bool scan(pp_str block, bool parents)
{
    size_t last = block.len - STEP - 1;
    unsigned mask;

    for (size_t at = 0; at < last; at += STEP) {
        mask = line_starts(block.ptr + at, parents);
        if (mask && any_begins_trace(block, at, mask, parents))
            return true;
    }
    mask = line_starts(block.ptr + last, parents);
    return mask && any_begins_trace(block, last, mask, parents);
}

bool pp_trace_hinted(pp_str block, bool parents)
{
    if (block.len < STEP + 1)
        return false; /* no room for one of the two behind the first line */
    return parents ? scan(block, true) : scan(block, false);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Does a traceparent say that its sender has recorded the message? Of its four parts only the
 * flags matter, one byte in hexadecimal; the reference takes none of 80 and above. */
static bool is_sampled(pp_str value)
{
    unsigned dashes = 0;
    int high, low;

    for (size_t i = 0; i < value.len; i++)
        dashes += value.ptr[i] == '-';
    if (dashes != 3 || value.ptr[value.len - 3] != '-')
        return false;
    high = hex_digit(value.ptr[value.len - 2]);
    low = hex_digit(value.ptr[value.len - 1]);
    return high >= 0 && high < 8 && low >= 0 && (low & 1);
}

static bool is_on(pp_str value)
{
    return pp_str_eq(value, PP_STR("1")) || pp_str_eq_nocase(value, PP_STR("true")) ||
           pp_str_eq_nocase(value, PP_STR("on"));
}

/* What has been found so far; of fields that come again the first one counts. */
struct found {
    pp_str dest;
    pp_str only;
    bool parent;
    bool retired;
    bool disabled;
};

static void take(struct found *found, const pp_header_field *field)
{
    if (pp_str_eq(field->name, PP_STR("Nats-Trace-Dest"))) {
        if (found->dest.len == 0 && pp_str_eq(field->value, PP_STR("trace disabled")))
            found->disabled = true;
        else if (found->dest.len == 0)
            found->dest = field->value;
    } else if (pp_str_eq(field->name, PP_STR("Nats-Trace-Only"))) {
        if (found->only.len == 0)
            found->only = field->value;
    } else if (pp_str_eq(field->name, PP_STR("Nats-Trace-Origin-Account"))) {
        found->retired = true;
    } else if (pp_str_eq_nocase(field->name, PP_STR("traceparent"))) {
        found->parent |= is_sampled(field->value);
    }
}

void pp_trace_header_read(pp_str block, pp_trace_header *out)
{
    struct found found = {0};
    pp_header_field field;
    size_t at = 0;

    *out = (pp_trace_header){.wish = PP_TRACE_NONE};
    while (!found.disabled && pp_header_next(block, &at, &field))
        take(&found, &field);
    if (found.disabled || (found.dest.len == 0 && !found.parent))
        return;
    out->wish = found.retired ? PP_TRACE_RETIRED : found.dest.len ? PP_TRACE_DEST : PP_TRACE_PARENT;
    out->dest = found.dest;
    out->only = found.dest.len && is_on(found.only);
}
