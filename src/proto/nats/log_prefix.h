/* proto/nats/log_prefix.h -- which client a log line is about.
 *
 *   127.0.0.1:53312 - cid:7 - <text>
 *   127.0.0.1:53312 - cid:7 - "v1.2.3:go:name" - "$G/user:alice" - <text>   after CONNECT
 *
 * Source: nats-server 2.15.2 as observed: version, language and name stand there as far as the
 * client gave them, and account and user only where clients must say who they are. */
#ifndef PP_PROTO_NATS_LOG_PREFIX_H
#define PP_PROTO_NATS_LOG_PREFIX_H

#include "base/log.h"

#include <stddef.h>

struct pp_nats_session;

/* What clients say about themselves is cut so that the prefix leaves room for the text. */
enum { PP_NATS_LOG_PREFIX_MAX = 640 };

/* Write the prefix up to the text, NUL-closed; returns out. Thread: the session's loop. */
const char *pp_nats_log_prefix(const struct pp_nats_session *s, char out[PP_NATS_LOG_PREFIX_MAX]);

/* Write a line about a client. Thread: the session's loop. */
void pp_nats_log(const struct pp_nats_session *s, pp_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* For lines that a peer can cause at will: one a second, with how many were left out. */
void pp_nats_log_limited(const struct pp_nats_session *s, pp_log_limit *limit, pp_log_level level,
                         const char *text);

#define PP_NATS_DEBUG(s, ...)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(pp_log_flag(&(s)->context->door->log->debug), 0))                     \
            pp_nats_log((s), PP_LOG_DEBUG, __VA_ARGS__);                                           \
    } while (0)

#endif
