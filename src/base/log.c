#include "base/log.h"

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

void pp_log_limited(const pp_log *log, pp_log_limit *limit, int64_t now_ns, pp_log_level level,
                    const char *text, uint64_t conn_id)
{
    if (now_ns < limit->next_ns) {
        limit->left_out++;
        return;
    }
    limit->next_ns = now_ns + 1000000000;
    if (limit->left_out)
        pp_log_write(log, level, "cid:%llu - %s (and %llu like it since the last line)",
                     (unsigned long long)conn_id, text, (unsigned long long)limit->left_out);
    else
        pp_log_write(log, level, "cid:%llu - %s", (unsigned long long)conn_id, text);
    limit->left_out = 0;
}
