/* base/log.h -- what the server tells its operator. One log per server; the sink is the caller's.
 *
 * Form: fixed text first, then key=value. Credentials are never given to it. */
#ifndef PP_BASE_LOG_H
#define PP_BASE_LOG_H

#include <stdatomic.h>
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
    /* Switched by a reload while any thread reads them: a line more or less does no harm. */
    atomic_bool debug;
    atomic_bool trace;
    atomic_bool trace_verbose;      /* trace what the server's own accounts do, too */
    atomic_bool trace_headers;      /* trace headers of messages where payloads are left out */
    atomic_uint max_traced_msg_len; /* bytes of a message in a trace line; 0: no limit */
} pp_log;

static inline bool pp_log_flag(const atomic_bool *flag)
{
    return atomic_load_explicit((atomic_bool *)flag, memory_order_relaxed);
}

void pp_log_write(const pp_log *log, pp_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For lines that a peer can cause at will: one a second, with how many were left out. */
typedef struct pp_log_limit {
    int64_t next_ns;
    uint64_t left_out;
} pp_log_limit;

/* May a line be written now? Then *out_left_out tells how many were not since the last one.
 * Thread: one per limit. */
bool pp_log_limit_allows(pp_log_limit *limit, int64_t now_ns, uint64_t *out_left_out);

#define PP_DEBUG(log, ...)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(pp_log_flag(&(log)->debug), 0))                                       \
            pp_log_write((log), PP_LOG_DEBUG, __VA_ARGS__);                                        \
    } while (0)
#define PP_TRACE(log, ...)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(pp_log_flag(&(log)->trace), 0))                                       \
            pp_log_write((log), PP_LOG_TRACE, __VA_ARGS__);                                        \
    } while (0)

#endif
