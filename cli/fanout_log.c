#include "cli/fanout_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

bool cli_fanout_log_open(cli_fanout_log *log, const cli_fanout_options *options)
{
    struct stat st;

    *log = (cli_fanout_log){
        .level = options->level,
        .to_stdout = !options->daemon,
        .fd = -1,
        .max_bytes = options->log_max_bytes,
    };
    (void)pthread_mutex_init(&log->lock, NULL);
    if (!options->log_file)
        return true;
    log->fd = open(options->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (log->fd < 0 || fstat(log->fd, &st) < 0) {
        (void)fprintf(stderr, "ERROR cannot open logfile: %s: %s\n", options->log_file,
                      strerror(errno));
        cli_fanout_log_close(log);
        return false;
    }
    log->bytes = (uint64_t)st.st_size;
    return true;
}

void cli_fanout_log_close(cli_fanout_log *log)
{
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
    (void)pthread_mutex_destroy(&log->lock);
}

static enum cli_fanout_level level_of(pipit_log_level level)
{
    switch (level) {
    case PIPIT_LOG_FATAL:
    case PIPIT_LOG_ERROR:
        return CLI_FANOUT_ERROR;
    case PIPIT_LOG_WARN:
        return CLI_FANOUT_WARNING;
    case PIPIT_LOG_INFO:
        return CLI_FANOUT_INFO;
    case PIPIT_LOG_DEBUG:
    case PIPIT_LOG_TRACE:
        break;
    }
    return CLI_FANOUT_DEBUG;
}

/* What peers have said may stand in it. */
static void disarm(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

static void write_locked(cli_fanout_log *log, const char *line, size_t len)
{
    if (log->to_stdout)
        (void)!write(STDOUT_FILENO, line, len); /* who reads it may have gone */
    if (log->fd < 0)
        return;
    if (log->max_bytes && log->bytes + len > log->max_bytes && ftruncate(log->fd, 0) == 0)
        log->bytes = 0;
    if (write(log->fd, line, len) > 0)
        log->bytes += len;
}

void cli_fanout_log_write(void *context, pipit_log_level level, const char *text)
{
    static const char *const names[] = {"ERROR", "WARNING", "INFO", "DEBUG"};
    cli_fanout_log *log = context;
    enum cli_fanout_level shown = level_of(level);
    char line[LINE_MAX_BYTES];
    int len;

    if (shown > log->level)
        return;
    len = snprintf(line, sizeof(line) - 1, "[%lld] %s: %s", (long long)time(NULL), names[shown],
                   text);
    if (len < 0)
        return;
    len = len < (int)sizeof(line) - 1 ? len : (int)sizeof(line) - 2;
    disarm(line);
    line[len++] = '\n';
    (void)pthread_mutex_lock(&log->lock);
    write_locked(log, line, (size_t)len);
    (void)pthread_mutex_unlock(&log->lock);
}
