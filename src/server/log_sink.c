#include "server/log_sink.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { STDERR, LOG_FILE, SYSLOG };

struct pp_log_sink {
    enum kind kind;
    pp_log_form form;
    int attention_fd;
    bool socket;     /* stderr is one, such as the journal's */
    bool complained; /* on stderr, that the file cannot be written */
    pp_log_file file;
    pp_syslog *syslog;
};

static bool set(const char *text)
{
    return text && *text;
}

static pipit_err open_file(pp_log_sink *sink, const pp_logger_options *options, char *error,
                           size_t error_bytes)
{
    pipit_err err =
        pp_log_file_open(&sink->file, options->file, options->size_limit, options->max_num);
    char reason[128];

    if (err) {
        pp_errno_text(errno, reason, sizeof(reason));
        (void)snprintf(error, error_bytes, "error opening file: open %s: %s", options->file,
                       reason);
    }
    return err;
}

pipit_err pp_log_sink_open(pp_log_sink **out_sink, const pp_logger_options *options,
                           int attention_fd, char *error, size_t error_bytes)
{
    pp_log_sink *sink = pp_calloc(1, sizeof(*sink));
    pipit_err err = PIPIT_OK;
    struct stat st;

    if (!sink) {
        (void)snprintf(error, error_bytes, "out of memory");
        return PIPIT_ENOMEM;
    }
    sink->file.fd = -1;
    sink->attention_fd = attention_fd;
    sink->form = (pp_log_form){
        .pid = (int)getpid(),
        .json = options->json,
        .time = options->logtime,
        .utc = options->utc,
    };
    if (set(options->file)) {
        sink->kind = LOG_FILE;
        err = open_file(sink, options, error, error_bytes);
    } else if (set(options->remote_syslog) || options->syslog) {
        sink->kind = SYSLOG;
        err = pp_syslog_open(&sink->syslog,
                             set(options->remote_syslog) ? options->remote_syslog : NULL,
                             options->syslog_path, options->name, attention_fd, error, error_bytes);
    } else {
        sink->form.colours = isatty(STDERR_FILENO) == 1;
        sink->socket = fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
    }
    if (err)
        pp_log_sink_close(sink);
    else
        *out_sink = sink;
    return err;
}

void pp_log_sink_close(pp_log_sink *sink)
{
    if (!sink)
        return;
    pp_log_file_close(&sink->file);
    pp_syslog_close(sink->syslog);
    pp_free(sink);
}

size_t pp_log_sink_format(const pp_log_sink *sink, const pp_log_entry *entry, char *out)
{
    return sink->kind == SYSLOG ? pp_syslog_format(sink->syslog, entry, out)
                                : pp_log_line_format(&sink->form, entry, out);
}

size_t pp_log_sink_room(const pp_log_sink *sink)
{
    const pp_log_file *file = &sink->file;

    if (sink->kind == SYSLOG)
        return 0;
    if (sink->kind == STDERR || !file->size_limit || !file->regular)
        return SIZE_MAX;
    return file->size < file->rotate_at ? (size_t)(file->rotate_at - file->size) : 0;
}

/* True when fd takes more. False: somebody wants attention. */
static bool wait_writable(const pp_log_sink *sink, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT},
                            {.fd = sink->attention_fd, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        continue;
    return fds[0].revents != 0;
}

/* stderr belongs to others too, so it stays blocking: ask before each piece. A pipe that is
 * writable takes as much as PIPE_BUF. */
static pp_log_result write_stderr(pp_log_sink *sink, const char *lines, size_t len, size_t *done)
{
    while (*done < len) {
        size_t piece = len - *done < PIPE_BUF ? len - *done : PIPE_BUF;
        ssize_t n;

        if (!wait_writable(sink, STDERR_FILENO))
            return PP_LOG_LATER;
        if (sink->socket)
            n = send(STDERR_FILENO, lines + *done, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            n = write(STDERR_FILENO, lines + *done, piece);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return PP_LOG_LOST;
        *done += n > 0 ? (size_t)n : 0;
    }
    return PP_LOG_WRITTEN;
}

/* Once for each file: a person may be looking at the terminal. */
static void complain(pp_log_sink *sink, int error)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    char reason[128], text[512];
    int n;

    if (sink->complained || poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
        return;
    sink->complained = true;
    pp_errno_text(error, reason, sizeof(reason));
    n = snprintf(text, sizeof(text), "pipit-server: cannot write to log file %.300s: %s\n",
                 sink->file.path, reason);
    (void)!write(STDERR_FILENO, text, (size_t)n); /* there is nobody left to tell */
}

static pp_log_result write_file(pp_log_sink *sink, const char *lines, size_t len, size_t *done)
{
    for (;;) {
        pipit_err err = pp_log_file_append(&sink->file, lines, len, done);

        if (!err)
            return PP_LOG_WRITTEN;
        if (err != PIPIT_EAGAIN) {
            complain(sink, errno);
            return PP_LOG_LOST;
        }
        if (!wait_writable(sink, sink->file.fd))
            return PP_LOG_LATER;
    }
}

pp_log_result pp_log_sink_write(pp_log_sink *sink, const char *lines, size_t len,
                                size_t *inout_done)
{
    switch (sink->kind) {
    case SYSLOG:
        return pp_syslog_send(sink->syslog, lines, len);
    case LOG_FILE:
        return write_file(sink, lines, len, inout_done);
    case STDERR:
        break;
    }
    return write_stderr(sink, lines, len, inout_done);
}

int64_t pp_log_sink_retry_ns(const pp_log_sink *sink)
{
    return sink->kind == SYSLOG ? pp_syslog_retry_ns(sink->syslog) : pp_clock_mono_ns();
}

pp_log_file *pp_log_sink_file(pp_log_sink *sink)
{
    return sink->kind == LOG_FILE ? &sink->file : NULL;
}
