#include "support/child.h"

#include "support/check.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OPTIONS_MAX = 24, DUMP_WAIT_MS = 10 };

/* --- its log ------------------------------------------------------------------------------ */

static void *read_log(void *arg)
{
    child *c = arg;
    char piece[4096];
    ssize_t n;

    while ((n = read(c->log_fd, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)) {
        size_t room;

        (void)pthread_mutex_lock(&c->lock);
        room = CHILD_LOG_BYTES - c->log_len;
        if (n > 0 && room) {
            size_t len = (size_t)n < room ? (size_t)n : room;

            memcpy(c->log + c->log_len, piece, len);
            c->log_len += len;
            c->log[c->log_len] = '\0';
        }
        (void)pthread_cond_broadcast(&c->grown);
        (void)pthread_mutex_unlock(&c->lock);
    }
    (void)pthread_mutex_lock(&c->lock);
    c->log_ended = true;
    (void)pthread_cond_broadcast(&c->grown);
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Wait for text behind `from` in the log. Returns where it stands; SIZE_MAX: not in time. The
 * lock is held. */
static size_t await_log_locked(child *c, size_t from, const char *text, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / PP_NS_PER_S,
                             .tv_nsec = deadline_ns % PP_NS_PER_S};

    for (;;) {
        const char *found = strstr(c->log + from, text);

        if (found)
            return (size_t)(found - c->log);
        if (c->log_ended ||
            pthread_cond_clockwait(&c->grown, &c->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            return SIZE_MAX;
    }
}

/* --- life --------------------------------------------------------------------------------- */

static void become_server(const char *path, const char *const *options, int log_fd)
{
    const char *argv[OPTIONS_MAX + 1] = {path, "--addr=127.0.0.1", "--port=-1"};
    size_t count = 3;

    while (options && *options && count < OPTIONS_MAX)
        argv[count++] = *options++;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to be left behind by a test that was stopped */
    (void)dup2(log_fd, STDERR_FILENO);
    (void)execv(path, (char *const *)argv);
    _exit(127);
}

void child_start(child *c, const char *const *options)
{
    const char *path = getenv("PIPIT_SERVER");
    size_t at;
    int ends[2];

    REQUIRE(path, "PIPIT_SERVER names the program under test");
    *c = (child){.log = calloc(1, CHILD_LOG_BYTES + 1)};
    REQUIRE(c->log && pipe(ends) == 0, "a pipe: %s", strerror(errno));
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->grown, NULL);
    c->pid = fork();
    REQUIRE(c->pid >= 0, "fork: %s", strerror(errno));
    if (c->pid == 0) {
        (void)close(ends[0]);
        become_server(path, options, ends[1]);
    }
    (void)close(ends[1]);
    c->log_fd = ends[0];
    REQUIRE(pthread_create(&c->reader, NULL, read_log, c) == 0, "a thread");
    (void)pthread_mutex_lock(&c->lock);
    at = await_log_locked(c, 0, "Server is ready", check_now_ns() + CHECK_WAIT_MS * PP_NS_PER_MS);
    REQUIRE(at != SIZE_MAX, "%s gets ready:\n%s", path, c->log);
    at = await_log_locked(c, 0, "Listening for client connections on 127.0.0.1:", 0);
    REQUIRE(at != SIZE_MAX, "the log tells the port:\n%s", c->log);
    c->port = (uint16_t)strtoul(strstr(c->log + at, "127.0.0.1:") + 10, NULL, 10);
    (void)pthread_mutex_unlock(&c->lock);
}

int child_await_exit(child *c)
{
    int status;

    while (waitpid(c->pid, &status, 0) < 0)
        REQUIRE(errno == EINTR, "waitpid: %s", strerror(errno));
    (void)pthread_join(c->reader, NULL);
    (void)close(c->log_fd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        check_note("the server's last words:\n%s",
                   c->log_len > 4000 ? c->log + c->log_len - 4000 : c->log);
    free(c->log);
    (void)pthread_cond_destroy(&c->grown);
    (void)pthread_mutex_destroy(&c->lock);
    c->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void child_stop(child *c)
{
    int status;

    (void)kill(c->pid, SIGTERM);
    status = child_await_exit(c);
    REQUIRE(status == 0, "the server ends with %d", status);
}

bool child_alive(const child *c)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

/* --- memory ------------------------------------------------------------------------------- */

static size_t status_bytes(const child *c, const char *field)
{
    char path[64], line[256];
    size_t len = strlen(field);
    unsigned long kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)c->pid);
    file = fopen(path, "re");
    REQUIRE(file, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, field, len) == 0)
            kib = strtoul(line + len, NULL, 10);
    }
    (void)fclose(file);
    REQUIRE(kib, "%s of a server that is alive", field);
    return kib * 1024;
}

size_t child_rss_bytes(const child *c)
{
    return status_bytes(c, "VmRSS:");
}

size_t child_peak_bytes(const child *c)
{
    return status_bytes(c, "VmHWM:");
}

size_t child_wait_rss_below(const child *c, size_t bytes)
{
    int64_t deadline_ns = check_now_ns() + CHECK_WAIT_MS * PP_NS_PER_MS;
    size_t now = child_rss_bytes(c);

    while (now >= bytes && check_now_ns() < deadline_ns) {
        (void)check_poll(-1, 5);
        now = child_rss_bytes(c);
    }
    return now;
}

/* --- counters ----------------------------------------------------------------------------- */

/* Ask for a dump and wait for its last line; the log then holds nothing else. The lock is held. */
static void dump_locked(child *c)
{
    /* Dumps fill the log; what was read before is not needed any more. */
    c->log_len = 0;
    c->log[0] = '\0';
    REQUIRE(kill(c->pid, SIGRTMIN) == 0, "the server is there: %s", strerror(errno));
    REQUIRE(await_log_locked(
                c, 0, "dump: account=", check_now_ns() + CHECK_WAIT_MS * PP_NS_PER_MS) != SIZE_MAX,
            "a dump comes:\n%s", c->log);
}

static uint64_t sum(const char *log, const char *name)
{
    char key[64];
    uint64_t total = 0;
    size_t len = (size_t)snprintf(key, sizeof(key), " %s=", name);

    for (const char *at = strstr(log, key); at; at = strstr(at + len, key))
        total += strtoull(at + len, NULL, 10);
    return total;
}

uint64_t child_counter(child *c, const char *name)
{
    uint64_t value;

    (void)pthread_mutex_lock(&c->lock);
    dump_locked(c);
    value = sum(c->log, name);
    (void)pthread_mutex_unlock(&c->lock);
    return value;
}

void child_wait_empty(child *c)
{
    int64_t deadline_ns = check_now_ns() + CHECK_WAIT_MS * PP_NS_PER_MS;
    bool empty;

    do {
        uint64_t conns, subs;

        REQUIRE(child_alive(c), "the server lives");
        (void)pthread_mutex_lock(&c->lock);
        dump_locked(c);
        conns = sum(c->log, "connections_opened") - sum(c->log, "connections_closed");
        subs = sum(c->log, "subs_inserted") - sum(c->log, "subs_removed");
        (void)pthread_mutex_unlock(&c->lock);
        empty = conns == 0 && subs == 0;
        REQUIRE(empty || check_now_ns() < deadline_ns,
                "nobody is left: %llu connections, %llu subscriptions", (unsigned long long)conns,
                (unsigned long long)subs);
        if (!empty)
            (void)check_poll(-1, DUMP_WAIT_MS);
    } while (!empty);
}
