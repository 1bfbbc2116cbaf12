#include "server/process.h"

#include "base/clock.h"
#include "server/activation.h"
#include "server/pid_file.h"
#include "server/server.h"
#include "server/side_door.h"
#include "server/signals.h"
#include "server/stop_guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    STOP_MS = 30000,
    SNAPSHOT_MAX = 64 * 1024 * 1024,
    PORTS_MAX = 3 + PP_SIDE_DOOR_MAX * PP_SIDE_SOCKETS_MAX,
};

const char *pp_process_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash && slash[1] ? slash + 1 : path && *path && !slash ? path : "pipit-server";
}

static void to_logger(void *context, pp_log_level level, const char *text)
{
    pp_logger_write(context, (pipit_log_level)level, text);
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

/* --- starting ----------------------------------------------------------------------------- */

static pp_logger_options logger_options(const pp_process *process, const pp_options *o)
{
    return (pp_logger_options){
        .file = o->log_file,
        .size_limit = o->log_size_limit_bytes,
        .max_num = o->log_max_num,
        .remote_syslog = o->remote_syslog,
        .syslog = o->syslog,
        .name = process->program,
        .logtime = o->logtime,
        .utc = o->logtime_utc,
        .json = o->log_format == PP_LOG_JSON,
    };
}

/* What the server runs with, for who tests another configuration against it (-t). */
static void write_snapshot(const pp_process *process, const char *pid_file)
{
    char path[4096];
    pp_buf text;

    if (!pid_file ||
        (size_t)snprintf(path, sizeof(path), "%s%s", pid_file, PP_SNAPSHOT_SUFFIX) >= sizeof(path))
        return;
    pp_buf_init(&text, SNAPSHOT_MAX);
    if (pp_snapshot_format(process->server->snapshot, &text) ||
        pp_private_file_write(path, pp_buf_str(&text)))
        pp_log_write(&process->log, PP_LOG_WARN,
                     "Could not write %s: -t has nothing to compare with", path);
    pp_buf_fini(&text);
}

static bool open_log(pp_process *process)
{
    const pp_logger_options options = logger_options(process, process->options);
    char error[512];

    if (pp_logger_new(&process->logger, &options, error, sizeof(error))) {
        (void)fprintf(stderr, "%s: %s\n", process->program, error);
        return false;
    }
    process->log.sink = to_logger;
    process->log.context = process->logger;
    return true;
}

static bool write_pid(const pp_process *process, const char *path)
{
    char reason[128];

    if (!path || !pp_pid_file_write(path))
        return true;
    pp_errno_text(errno, reason, sizeof(reason));
    pp_log_write(&process->log, PP_LOG_FATAL, "Could not write pidfile: open %s: %s", path, reason);
    return false;
}

/* That it cannot be written does not keep the server from serving, as in nats-server. */
static void write_ports(pp_process *process)
{
    const pp_options *o = process->options;
    const char *folder = o->ports_file_dir;
    bool wss;
    int websocket = pp_server_websocket_fd(process->server, &wss);
    pp_ports_entry entries[PORTS_MAX] = {
        {"nats", o->tls.given && !o->allow_non_tls ? "tls" : "nats",
         pp_server_client_fd(process->server)},
        {"monitoring", o->https_port ? "https" : "http", pp_server_monitor_fd(process->server)},
        {"websocket", wss ? "wss" : "ws", websocket},
    };
    size_t count = 3 + pp_side_doors_sockets(process->server, entries + 3, PORTS_MAX - 3);
    char reason[128];

    if (!folder || !pp_ports_file_write(&process->ports, folder, process->program, entries, count))
        return;
    pp_errno_text(errno, reason, sizeof(reason));
    pp_log_write(&process->log, PP_LOG_ERROR, "Error writing ports file (%s): %s",
                 process->ports.path, reason);
    process->ports.path[0] = '\0';
}

/* What a socket of that name would be for, if this version had it. */
static bool is_other_listener(const char *name)
{
    static const char *const names[] = {"cluster",   "gateway", "leafnodes",
                                        "websocket", "mqtt",    "profiling"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Hand one socket over. A socket that nobody would serve is a mistake worth stopping for. */
static bool adopt(const pp_process *process, int fd, const char *name)
{
    const char *wrong = NULL;

    if (is_other_listener(name)) {
        wrong = "this version does not serve it";
        (void)close(fd);
    } else {
        bool monitoring = strcmp(name, "monitoring") == 0;
        const pp_side_door *door = pp_side_door_find(name);
        pipit_err err = door ? pp_server_adopt_for(process->server, fd, door)
                             : pp_server_adopt(process->server, fd, monitoring);

        if (err == PIPIT_EEXIST)
            wrong = "there is another one of its kind";
        else if (err)
            wrong = monitoring ? "it is no TCP socket that listens"
                               : "it is no TCP or Unix socket that listens";
    }
    if (wrong)
        pp_log_write(&process->log, PP_LOG_FATAL, "Cannot use the socket fd=%d name=\"%s\": %s", fd,
                     name, wrong);
    return !wrong;
}

static bool adopt_sockets(const pp_process *process)
{
    pp_activation activation;
    bool good = true;

    if (pp_activation_take(&activation)) {
        pp_log_write(&process->log, PP_LOG_FATAL, "More than %d sockets were handed over",
                     (int)PP_ACTIVATION_MAX);
        return false;
    }
    for (size_t i = 0; i < activation.count; i++) {
        if (good)
            good = adopt(process, activation.sockets[i].fd, activation.sockets[i].name);
        else
            (void)close(activation.sockets[i].fd);
    }
    return good;
}

static bool make_server(pp_process *process, int argc, const char *const *argv)
{
    char error[512];

    if (!pipit_server_new(&process->server, argv + 1, (size_t)argc - 1, pp_logger_write,
                          process->logger, error, sizeof(error)))
        return true;
    (void)fprintf(stderr, "%s\n", *error ? error : "pipit-server: out of memory");
    return false;
}

/* The log and the files of a new configuration. A pid file that cannot be written is only told. */
static pipit_err on_reload(void *context, const pp_options *options, pp_buf *error)
{
    pp_process *process = context;
    const pp_logger_options logger = logger_options(process, options);
    char text[512];
    pipit_err err = pp_logger_configure(process->logger, &logger, text, sizeof(text));

    if (err) {
        (void)pp_buf_addf(error, "%s", text);
        return err;
    }
    (void)write_pid(process, options->pid_file);
    return PIPIT_OK;
}

static void on_reloaded(void *context)
{
    pp_process *process = context;

    write_snapshot(process, process->server->options->pid_file);
}

static bool start(pp_process *process, int argc, const char *const *argv)
{
    if (pp_signals_open(&process->signal_fd)) {
        (void)fprintf(stderr, "%s: no descriptor for signals\n", process->program);
        return false;
    }
    raise_descriptor_limit();
    if (!open_log(process) || !make_server(process, argc, argv) || !adopt_sockets(process) ||
        !write_pid(process, process->options->pid_file) || pipit_server_start(process->server))
        return false;
    write_ports(process);
    write_snapshot(process, process->options->pid_file);
    process->reload_hook = (pp_reload_hook){on_reload, on_reloaded, process};
    pp_server_set_reload_hook(process->server, &process->reload_hook);
    return true;
}

/* --- serving ------------------------------------------------------------------------------ */

static void tell_ready(const pp_process *process)
{
    pp_notify_send(&process->notify, "READY=1\nSTATUS=Serving clients on port %u",
                   pipit_server_port(process->server));
}

void pp_process_reload(pp_process *process)
{
    pp_buf error;

    pp_buf_init(&error, PP_OPTIONS_MESSAGE_MAX);
    (void)pp_server_reload(process->server, &error); /* the log tells what came of it */
    pp_buf_fini(&error);
}

static void reload(pp_process *process)
{
    pp_notify_send(&process->notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)(pp_clock_mono_ns() / 1000));
    pp_process_reload(process);
    tell_ready(process);
}

static void begin_lame_duck(pp_process *process)
{
    process->lame = true;
    pp_notify_send(&process->notify, "STATUS=Lame duck: clients are asked to leave");
    pipit_server_lame_duck(process->server);
}

/* True when the server is to end. A lame duck is not cut short by TERM: whoever sent USR2 wants its
 * clients to have their time (observed in nats-server 2.15.2). */
static bool obey(pp_process *process, int signal)
{
    if (signal == pp_signal_dump()) {
        pipit_server_dump(process->server);
        return false;
    }
    pp_log_write(&process->log, PP_LOG_INFO, "Trapped \"%s\" signal", pp_signal_name(signal));
    switch (signal) {
    case SIGTERM:
        return !process->lame;
    case SIGHUP:
        reload(process);
        return false;
    case SIGUSR1:
        pp_logger_reopen(process->logger);
        return false;
    case SIGUSR2:
        begin_lame_duck(process);
        return false;
    default:
        return true;
    }
}

/* Tell the watchdog that the loops turn, if they do; returns how long to wait for the next time. */
static int tend_watchdog(pp_process *process)
{
    int64_t interval_ns = process->notify.watchdog_ns / 2;
    int64_t now_ns = pp_clock_mono_ns();

    if (!interval_ns)
        return -1;
    if (now_ns >= process->pulse_ns) {
        if (pp_server_pulse(process->server))
            pp_notify_send(&process->notify, "WATCHDOG=1");
        process->pulse_ns = now_ns + interval_ns;
    }
    return (int)((process->pulse_ns - now_ns) / PP_NS_PER_MS) + 1;
}

/* Until a signal, or the last client of a lame duck, ends it. */
static void serve(pp_process *process)
{
    struct pollfd fds[2] = {{.fd = process->signal_fd, .events = POLLIN},
                            {.fd = pipit_server_fd(process->server), .events = POLLIN}};

    for (;;) {
        struct signalfd_siginfo info;

        if (poll(fds, 2, tend_watchdog(process)) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            return;
        while (read(process->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            if (obey(process, (int)info.ssi_signo))
                return;
        }
    }
}

/* --- stopping ----------------------------------------------------------------------------- */

static void on_late(void *context)
{
    pp_process *process = context;

    pp_log_write(&process->log, PP_LOG_FATAL, "Shutdown takes more than %d s: giving up",
                 STOP_MS / 1000);
    _exit(EXIT_FAILURE);
}

/* Whatever hangs, the process ends: by the guard, or where there is no thread for it by the
 * system's alarm. */
static void stop(pp_process *process)
{
    pp_stop_guard guard;
    bool guarded;

    pp_notify_send(&process->notify, "STOPPING=1\nSTATUS=Shutting down");
    guarded = !pp_stop_guard_start(&guard, STOP_MS, on_late, process);
    if (!guarded)
        (void)alarm(STOP_MS / 1000);
    pp_ports_file_remove(&process->ports);
    pipit_server_stop(process->server);
    pipit_server_free(process->server);
    process->server = NULL;
    if (guarded)
        pp_stop_guard_stop(&guard);
}

int pp_process_run(const pp_options *options, const char *program, int argc,
                   const char *const *argv)
{
    pp_process process = {.options = options, .program = program, .signal_fd = -1};
    int code = EXIT_FAILURE;

    pp_notify_open(&process.notify);
    if (start(&process, argc, argv)) {
        tell_ready(&process);
        serve(&process);
        stop(&process);
        code = EXIT_SUCCESS;
    }
    pipit_server_free(process.server);
    pp_logger_free(process.logger);
    pp_notify_close(&process.notify);
    if (process.signal_fd >= 0)
        (void)close(process.signal_fd);
    return code;
}
