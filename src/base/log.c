#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 2048 };

void pp_log_write(const pp_log *log, pp_log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    if (!log->sink)
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    /* What peers sent stands in some lines; it must not drive the operator's terminal. */
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    log->sink(log->context, level, line);
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
