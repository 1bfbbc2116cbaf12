#include "proto/nats/quote.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

/* One character of text at most needs this many bytes. */
enum { ESCAPE_MAX = 11 };

/* Blanks, format characters and what has no meaning: shown by number. */
static bool printable(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x80, 0xa0},        {0xad, 0xad},     {0x600, 0x605},   {0x61c, 0x61c},
        {0x6dd, 0x6dd},      {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f},
        {0x2028, 0x202f},    {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff},
        {0xfeff, 0xfeff},    {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe00ff},
        {0xe01f0, 0x10ffff},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return false;
    }
    return true;
}

static uint32_t decode(const char *p, size_t len)
{
    uint32_t c = (unsigned char)p[0] & (0xffu >> (len + 1));

    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

/* Write what stands for the front of text; returns the bytes written, *used the bytes taken. */
static size_t escape(pp_str text, char *out, size_t *used)
{
    static const char named[] = "a\ab\bf\fn\nr\rt\tv\v\"\"\\\\";
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len;

    *used = 1;
    for (const char *pair = named; *pair; pair += 2) {
        if (pair[1] == (char)c) {
            out[0] = '\\';
            out[1] = pair[0];
            return 2;
        }
    }
    if (c < 0x20 || c == 0x7f)
        return (size_t)snprintf(out, ESCAPE_MAX, "\\x%02x", c);
    if (c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    len = pp_str_utf8_len(text);
    if (len == 0)
        return (size_t)snprintf(out, ESCAPE_MAX, "\\x%02x", c);
    *used = len;
    if (!printable(decode(text.ptr, len))) {
        uint32_t rune = decode(text.ptr, len);

        return (size_t)snprintf(out, ESCAPE_MAX, rune > 0xffff ? "\\U%08x" : "\\u%04x", rune);
    }
    memcpy(out, text.ptr, len);
    return len;
}

void pp_nats_quote(pp_str text, char *out, size_t out_cap)
{
    size_t n = 0;

    PP_ASSERT(out_cap > ESCAPE_MAX + 3);
    out[n++] = '"';
    while (text.len && n + ESCAPE_MAX + 2 < out_cap) {
        size_t used;

        n += escape(text, out + n, &used);
        text.ptr += used;
        text.len -= used;
    }
    out[n++] = '"';
    out[n] = '\0';
}
