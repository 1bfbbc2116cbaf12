/* server/syslog.h -- a syslog daemon, on this host or another, and lines to it.
 *
 *   udp://host:port   one datagram for each line
 *   tcp://host:port   a stream of lines
 *   unix:/path        a socket of either kind
 *   NULL              the daemon of this host: /dev/log
 *
 * A daemon that is gone is connected to again, more and more patiently. Its one thread waits for it
 * only as long as nobody wants that thread for something else.
 * Source: nats-server 2.15.2 as observed, which writes as Go's log/syslog does. */
#ifndef PP_SERVER_SYSLOG_H
#define PP_SERVER_SYSLOG_H

#include "base/err.h"
#include "server/log_line.h"

typedef struct pp_syslog pp_syslog;

typedef enum pp_log_result {
    PP_LOG_WRITTEN,
    PP_LOG_LOST,  /* this cannot be written: go on with the next */
    PP_LOG_LATER, /* not now: come back with the same */
} pp_log_result;

/**
 * Connect. On failure error holds a sentence.
 *
 * remote is as above; local_path stands in for /dev/log where it is not NULL; tag is the program's
 * name. attention_fd is borrowed: what waits here stops waiting while it is readable.
 *
 * Errors: PIPIT_EINVAL no such kind of address; PIPIT_ENOTFOUND nobody there; PIPIT_ENOMEM.
 */
pipit_err pp_syslog_open(pp_syslog **out_syslog, const char *remote, const char *local_path,
                         const char *tag, int attention_fd, char *error, size_t error_bytes);
void pp_syslog_close(pp_syslog *syslog);

/* Send one line that pp_syslog_format made. PP_LOG_LATER: it is disconnected, or somebody wants
 * attention. */
pp_log_result pp_syslog_send(pp_syslog *syslog, const char *line, size_t len);
size_t pp_syslog_format(const pp_syslog *syslog, const pp_log_entry *entry, char *out);

/* When to come back after PP_LOG_LATER, monotonic. */
int64_t pp_syslog_retry_ns(const pp_syslog *syslog);

#endif
