#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 2048, SAFE_MAX_BYTES = 4096, ESCAPE_BYTES = 4 };

/* How many bytes from p on must not reach an operator's terminal: what it obeys, what hides text or
 * turns its direction, and what is no text at all. */
static size_t unsafe_len(pp_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    size_t len = pp_str_utf8_len(text);
    unsigned c;

    if (len == 0 || p[0] < ' ' || p[0] == 0x7f)
        return 1;
    if (len == 2)
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c) ? 2 : 0;
    if (len != 3)
        return 0;
    c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                   (c >= 0x2060 && c <= 0x206f) || c == 0xfeff
               ? 3
               : 0;
}

/* What peers sent stands in some lines: it ends no line and drives no terminal. Returns line, or if
 * something had to be escaped the text in out, cut where that ends. */
static const char *make_safe(const char *line, char out[SAFE_MAX_BYTES])
{
    pp_str rest = pp_str_of(line);
    size_t n = 0;
    bool changed = false;

    while (rest.len && n + 4 * ESCAPE_BYTES < SAFE_MAX_BYTES) {
        size_t unsafe = unsafe_len(rest), used = unsafe ? unsafe : pp_str_utf8_len(rest);

        changed = changed || unsafe;
        for (size_t i = 0; i < used; i++) {
            if (unsafe)
                n += (size_t)snprintf(out + n, ESCAPE_BYTES + 1, "\\x%02x",
                                      (unsigned char)rest.ptr[i]);
            else
                out[n++] = rest.ptr[i];
        }
        rest = (pp_str){rest.ptr + used, rest.len - used};
    }
    out[n] = '\0';
    return changed ? out : line;
}

void pp_log_write(const pp_log *log, pp_log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES], safe[SAFE_MAX_BYTES];
    va_list args;

    if (!log->sink)
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log->sink(log->context, level, make_safe(line, safe));
}

bool pp_log_limit_allows(pp_log_limit *limit, int64_t now_ns, uint64_t *out_left_out)
{
    if (now_ns < limit->next_ns) {
        limit->left_out++;
        return false;
    }
    limit->next_ns = now_ns + PP_NS_PER_S;
    *out_left_out = limit->left_out;
    limit->left_out = 0;
    return true;
}
