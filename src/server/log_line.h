/* server/log_line.h -- one log line as bytes: text, JSON, syslog. Pure.
 *
 *   [12] 2026/11/21 02:49:44.050658 [INF] Server is ready
 *   {"time":"2026-11-21T02:49:44.050658Z","level":"info","pid":12,"msg":"Server is ready"}
 *   <5>2026-11-21T02:49:44Z host pipit-server[12]: Server is ready
 *
 * Source: the text form and the syslog form are nats-server's (2.15.2 as observed). */
#ifndef PP_SERVER_LOG_LINE_H
#define PP_SERVER_LOG_LINE_H

#include "base/log.h"
#include "base/str.h"

/* Of the text of an entry; more is cut. */
enum { PP_LOG_TEXT_MAX = 4096 };
/* A line is never longer: in JSON a byte becomes six. */
enum { PP_LOG_LINE_MAX = 6 * PP_LOG_TEXT_MAX + 512 };

typedef struct pp_log_entry {
    int64_t time_ns; /* since the Unix epoch */
    pp_log_level level;
    pp_str text;
} pp_log_entry;

typedef struct pp_log_form {
    int pid;
    bool json;
    bool time;
    bool utc;
    bool colours; /* of text */
} pp_log_form;

/* Write a line with its end into out, which holds PP_LOG_LINE_MAX; returns its length. JSON is
 * valid whatever bytes the text holds, and always has the time. */
size_t pp_log_line_format(const pp_log_form *form, const pp_log_entry *entry, char *out);

typedef struct pp_syslog_form {
    int pid;
    unsigned facility;    /* 0 kernel, 3 daemon */
    const char *hostname; /* NULL: the short form without it, as local daemons take it */
    const char *tag;
} pp_syslog_form;

/* The same for a syslog daemon, in local time. */
size_t pp_log_line_format_syslog(const pp_syslog_form *form, const pp_log_entry *entry, char *out);

#endif
