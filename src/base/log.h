/* base/log.h -- what the server tells its operator. One log per server; the sink is the caller's.
 *
 * Form: fixed text first, then key=value. Credentials are never given to it. */
#ifndef PP_BASE_LOG_H
#define PP_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef enum pp_log_level {
    PP_LOG_FATAL,
    PP_LOG_ERROR,
    PP_LOG_WARN,
    PP_LOG_INFO,
    PP_LOG_DEBUG,
    PP_LOG_TRACE,
} pp_log_level;

typedef struct pp_log {
    /* Thread: called from any; text is one line without its end. NULL: silent. */
    void (*sink)(void *context, pp_log_level level, const char *text);
    void *context;
    bool debug;
    bool trace;
} pp_log;

void pp_log_write(const pp_log *log, pp_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For lines that a peer can cause at will: one a second, with how many were left out. */
typedef struct pp_log_limit {
    int64_t next_ns;
    uint64_t left_out;
} pp_log_limit;

/* Thread: one per limit. */
void pp_log_limited(const pp_log *log, pp_log_limit *limit, int64_t now_ns, pp_log_level level,
                    const char *text, uint64_t conn_id);

#define PP_DEBUG(log, ...)                                                                         \
    do {                                                                                           \
        if (__builtin_expect((log)->debug, 0))                                                     \
            pp_log_write((log), PP_LOG_DEBUG, __VA_ARGS__);                                        \
    } while (0)
#define PP_TRACE(log, ...)                                                                         \
    do {                                                                                           \
        if (__builtin_expect((log)->trace, 0))                                                     \
            pp_log_write((log), PP_LOG_TRACE, __VA_ARGS__);                                        \
    } while (0)

#endif
