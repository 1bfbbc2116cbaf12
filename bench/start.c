/* start.c -- how long a server takes from exec until it accepts, and what it holds then.
 *
 * The clock starts before the process is made. "accepting" is the first connect that succeeds,
 * "ready" the end of the INFO line on that connection, which takes the server's loop and not only
 * its socket. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "fatal.h"
#include "process.h"
#include "report.h"
#include "scenario.h"

#define RETRY_NS 20000
#define GIVE_UP_NS 20000000000

extern char **environ;

static pid_t spawn_server(char **command)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int error;

    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) != 0)
        bench_fatal("out of memory");
    error = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
    if (error)
        bench_fatal("%s: %s", command[0], strerror(error));
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void pause_ns(int64_t time_ns)
{
    const struct timespec pause = {.tv_sec = time_ns / 1000000000, .tv_nsec = time_ns % 1000000000};

    (void)nanosleep(&pause, NULL); /* shorter would do */
}

/* Where the server will be, looked up before the clock starts. */
static struct sockaddr_storage resolve(const bench_target *target, socklen_t *out_len)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct sockaddr_storage address = {0};
    struct addrinfo *found = NULL;

    if (target->unix_path) {
        struct sockaddr_un *local = (struct sockaddr_un *)&address;

        if (strlen(target->unix_path) >= sizeof local->sun_path)
            bench_fatal("socket path is too long: %s", target->unix_path);
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, target->unix_path, strlen(target->unix_path) + 1);
        *out_len = sizeof *local;
        return address;
    }
    if (getaddrinfo(target->host, target->port, &hints, &found) != 0)
        bench_fatal("%s:%s cannot be resolved", target->host, target->port);
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    *out_len = found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

/* Try again and again until somebody listens. */
static int connect_when_accepting(const struct sockaddr_storage *address, socklen_t len, pid_t pid)
{
    int64_t give_up_ns = bench_now_ns() + GIVE_UP_NS;

    for (;;) {
        int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
            bench_fatal("socket: %s", strerror(errno));
        if (connect(fd, (const struct sockaddr *)address, len) == 0)
            return fd;
        (void)close(fd); /* never connected */
        if (waitpid(pid, NULL, WNOHANG) == pid)
            bench_fatal("the server ended before it accepted");
        if (bench_now_ns() > give_up_ns) {
            (void)kill(pid, SIGKILL);
            bench_fatal("the server does not accept");
        }
        pause_ns(RETRY_NS);
    }
}

static void await_line(int fd, pid_t pid)
{
    char byte = 0;

    while (byte != '\n')
        if (recv(fd, &byte, 1, 0) != 1) {
            (void)kill(pid, SIGKILL);
            bench_fatal("the server greets nobody");
        }
}

/* Ask the server to end; returns how long that took. */
static int64_t stop_server(pid_t pid)
{
    int64_t from_ns = bench_now_ns();

    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) != pid) {
        if (bench_now_ns() - from_ns > GIVE_UP_NS) {
            (void)kill(pid, SIGKILL);
            bench_fatal("the server does not end on SIGTERM");
        }
        pause_ns(RETRY_NS * 10);
    }
    return bench_now_ns() - from_ns;
}

bool bench_run_start(const bench_options *options)
{
    struct sockaddr_storage address;
    socklen_t address_len;
    bench_report report;
    int64_t from_ns;
    int64_t accepting_ns;
    int64_t ready_ns;
    pid_t pid;
    int fd;

    if (!options->command || !options->command[0])
        bench_fatal("start takes the server's command line after --");
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    address = resolve(&options->target, &address_len);
    from_ns = bench_now_ns();
    pid = spawn_server(options->command);
    fd = connect_when_accepting(&address, address_len, pid);
    accepting_ns = bench_now_ns();
    await_line(fd, pid);
    ready_ns = bench_now_ns();
    (void)close(fd); /* nothing was sent */
    pause_ns(options->settle_ns);

    report = bench_report_begin(options->json, "start");
    bench_report_number(&report, "accepting_ms", (double)(accepting_ns - from_ns) / 1e6);
    bench_report_number(&report, "ready_ms", (double)(ready_ns - from_ns) / 1e6);
    bench_report_memory(&report, pid);
    bench_report_number(&report, "stop_ms", (double)stop_server(pid) / 1e6);
    bench_report_end(&report);
    return true;
}
