/* server/log_sink.h -- where log lines go, and in which form: stderr, a file, a syslog daemon.
 *
 * The first that is set counts: file, remote syslog, syslog, stderr. One thread at a time. */
#ifndef PP_SERVER_LOG_SINK_H
#define PP_SERVER_LOG_SINK_H

#include "server/log_file.h"
#include "server/log_line.h"
#include "server/syslog.h"

typedef struct pp_logger_options {
    const char *file;          /* NULL or empty: none */
    uint64_t size_limit;       /* bytes of the file before it is set aside; 0: never */
    uint32_t max_num;          /* files to keep, with the one written; 0: all */
    const char *remote_syslog; /* as in server/syslog.h; NULL or empty: none */
    bool syslog;               /* the daemon of this host */
    const char *syslog_path;   /* its socket; NULL: where systems have it */
    const char *name;          /* of the program, in syslog lines */
    bool logtime;              /* in text */
    bool utc;                  /* times are UTC, not local */
    bool json;                 /* lines of JSON, not text; not for syslog */
} pp_logger_options;

typedef struct pp_log_sink pp_log_sink;

/* On failure error holds a sentence. attention_fd is borrowed: what waits here stops waiting while
 * it is readable. Errors: as pp_log_file_open and pp_syslog_open. */
pipit_err pp_log_sink_open(pp_log_sink **out_sink, const pp_logger_options *options,
                           int attention_fd, char *error, size_t error_bytes);
void pp_log_sink_close(pp_log_sink *sink);

/* Write a line into out, which holds PP_LOG_LINE_MAX; returns its length. */
size_t pp_log_sink_format(const pp_log_sink *sink, const pp_log_entry *entry, char *out);

/* How many more bytes may be written at once; 0: one line only. */
size_t pp_log_sink_room(const pp_log_sink *sink);

/* Write whole lines; *inout_done counts what has been written of them, and stays 0 where only all
 * or nothing is. */
pp_log_result pp_log_sink_write(pp_log_sink *sink, const char *lines, size_t len,
                                size_t *inout_done);

/* When to come back after PP_LOG_LATER, monotonic. */
int64_t pp_log_sink_retry_ns(const pp_log_sink *sink);

/* The file, to rotate and reopen; NULL: it is none. */
pp_log_file *pp_log_sink_file(pp_log_sink *sink);

#endif
