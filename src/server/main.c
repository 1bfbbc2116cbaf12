/* pipit-server: options in, signals in, log lines out; the server itself is a library. */
#include "base/buf.h"
#include "base/clock.h"
#include "pipit/server.h"
#include "server/options.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* Source: nats-server's log lines: "[PID] date time.micros [LEVEL] text". */
static void log_line(void *context, pipit_log_level level, const char *text)
{
    static const char *const names[] = {"FTL", "ERR", "WRN", "INF", "DBG", "TRC"};
    const int *fd = context;
    int64_t now_ns = pp_clock_wall_ns();
    time_t seconds = (time_t)(now_ns / PP_NS_PER_S);
    struct tm tm;
    char line[4096];
    int n;

    (void)localtime_r(&seconds, &tm);
    n = snprintf(line, sizeof(line), "[%d] %04d/%02d/%02d %02d:%02d:%02d.%06d [%s] %s\n",
                 (int)getpid(), tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                 tm.tm_sec, (int)(now_ns % PP_NS_PER_S / 1000), names[level], text);
    if (n >= (int)sizeof(line)) {
        n = (int)sizeof(line) - 1;
        line[n - 1] = '\n';
    }
    (void)!write(*fd, line, (size_t)n); /* there is nobody left to tell */
}

static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool ok;

    if (!file)
        return false;
    ok = fputs(text, file) >= 0;
    return fclose(file) == 0 && ok;
}

static bool write_pid(const pp_options *options)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%d", (int)getpid());
    if (!options->pid_file || write_file(options->pid_file, text))
        return true;
    (void)fprintf(stderr, "pipit-server: cannot write pid file %s: %s\n", options->pid_file,
                  strerror(errno));
    return false;
}

/* The path of the ports file; it is written complete, then renamed, as others wait for it. */
static bool ports_path(const pp_options *options, char *out, size_t out_bytes)
{
    return options->ports_file_dir &&
           (size_t)snprintf(out, out_bytes, "%s/pipit-server_%d.ports", options->ports_file_dir,
                            (int)getpid()) < out_bytes;
}

static bool write_ports(const pp_options *options, const pipit_server *server)
{
    char path[4096], temporary[4200], text[512];
    bool any_host = strcmp(options->host, "0.0.0.0") == 0 || strcmp(options->host, "::") == 0;
    bool six = !any_host && strchr(options->host, ':');

    if (!options->ports_file_dir)
        return true;
    (void)snprintf(text, sizeof(text), "{\"nats\":[\"nats://%s%s%s:%u\"]}", six ? "[" : "",
                   any_host ? "127.0.0.1" : options->host, six ? "]" : "",
                   pipit_server_port(server));
    if (!ports_path(options, path, sizeof(path)))
        return false;
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    if (write_file(temporary, text) && rename(temporary, path) == 0)
        return true;
    (void)fprintf(stderr, "pipit-server: cannot write %s: %s\n", path, strerror(errno));
    return false;
}

/* Each connection is a descriptor: take as many as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int dump_signal(void)
{
    return SIGRTMIN; /* not a constant in C */
}

static int open_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigaddset(&set, dump_signal());
    (void)signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Until a signal, or the last client of a lame duck, ends it. A lame duck is not cut short by
 * TERM: whoever sent USR2 wants its clients to have their time (observed in nats-server 2.15.2). */
static void serve(pipit_server *server, int signals)
{
    bool lame = false;

    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
                            {.fd = pipit_server_fd(server), .events = POLLIN}};

    for (;;) {
        struct signalfd_siginfo info;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            return;
        if (!fds[0].revents || read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
            continue;
        if (info.ssi_signo == SIGUSR2) {
            lame = true;
            pipit_server_lame_duck(server);
        } else if (info.ssi_signo == SIGTERM && lame)
            continue;
        else if ((int)info.ssi_signo == dump_signal())
            pipit_server_dump(server);
        else
            return;
    }
}

static int run(const pp_options *options, int argc, char **argv)
{
    char error[512], path[4096];
    int log_fd = STDERR_FILENO, signals = open_signals(), code = EXIT_FAILURE;
    pipit_server *server = NULL;

    if (options->log_file) {
        log_fd = open(options->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (log_fd < 0) {
            (void)fprintf(stderr, "pipit-server: cannot open log file %s: %s\n", options->log_file,
                          strerror(errno));
            return EXIT_FAILURE;
        }
    }
    raise_descriptor_limit();
    if (pipit_server_new(&server, (const char *const *)argv + 1, (size_t)argc - 1, log_line,
                         &log_fd, error, sizeof(error))) {
        (void)fprintf(stderr, "%s\n", *error ? error : "pipit-server: out of memory");
        goto out;
    }
    if (!write_pid(options) || pipit_server_start(server) || !write_ports(options, server))
        goto out;
    serve(server, signals);
    pipit_server_stop(server);
    code = EXIT_SUCCESS;
out:
    pipit_server_free(server);
    if (ports_path(options, path, sizeof(path)))
        (void)unlink(path);
    if (options->pid_file)
        (void)unlink(options->pid_file);
    if (log_fd != STDERR_FILENO)
        (void)close(log_fd);
    if (signals >= 0)
        (void)close(signals);
    return code;
}

int main(int argc, char **argv)
{
    pp_options options;
    pp_buf message;
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    pipit_err err;
    int code = EXIT_FAILURE;

    if (!copy)
        return EXIT_FAILURE;
    /* The parser wipes secrets from argv; the server gets its options from the copy. */
    for (int i = 0; i < argc; i++)
        copy[i] = strdup(argv[i]);
    pp_buf_init(&message, PP_OPTIONS_MESSAGE_MAX);
    err = pp_options_parse(&options, argc, argv, &message);
    if (err && !message.len) {
        (void)fprintf(stderr, "pipit-server: %s\n", pipit_strerror(err));
    } else if (err) {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr);
    } else if (options.action == PP_OPTIONS_TEST) {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr);
        code = EXIT_SUCCESS;
    } else if (options.action != PP_OPTIONS_RUN) {
        (void)printf("%.*s", (int)message.len, message.ptr);
        code = EXIT_SUCCESS;
    } else {
        (void)fprintf(stderr, "%.*s", (int)message.len, message.ptr); /* warnings */
        code = run(&options, argc, copy);
    }
    if (!err)
        pp_options_fini(&options);
    pp_buf_fini(&message);
    for (int i = 0; i < argc; i++) {
        if (copy[i])
            explicit_bzero(copy[i], strlen(copy[i]));
        free(copy[i]);
    }
    free(copy);
    return code;
}
