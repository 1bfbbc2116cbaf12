/* cli/fanout_log.h -- the log of `pipit fanout`: "[<unix seconds>] <LEVEL>: <text>", to stdout, or
 * as a daemon not, and to a file. */
#ifndef CLI_FANOUT_LOG_H
#define CLI_FANOUT_LOG_H

#include "cli/fanout_options.h"
#include "pipit/server.h"

#include <pthread.h>

typedef struct cli_fanout_log {
    pthread_mutex_t lock; /* guards the rest */
    enum cli_fanout_level level;
    bool to_stdout;
    int fd; /* of the file; -1: none */
    uint64_t bytes, max_bytes;
} cli_fanout_log;

/* Open what options ask for. False: it cannot be, and that is said. */
bool cli_fanout_log_open(cli_fanout_log *log, const cli_fanout_options *options);
void cli_fanout_log_close(cli_fanout_log *log);

/* A pipit_log_fn; context is the log. Thread: any. */
void cli_fanout_log_write(void *context, pipit_log_level level, const char *text);

#endif
