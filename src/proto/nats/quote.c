#include "proto/nats/quote.h"

#include "base/assert.h"
#include "proto/nats/info.h"

#include <stdio.h>
#include <string.h>

/* One character of text at most needs this many bytes. */
enum { ESCAPE_MAX = 11 };

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
    len = pp_nats_utf8_len(text);
    if (len == 0)
        return (size_t)snprintf(out, ESCAPE_MAX, "\\x%02x", c);
    *used = len;
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
