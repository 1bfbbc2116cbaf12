/* idle.c -- many connections with one subscription each, which then do nothing.
 *
 * They are made as real clients make them: connect, wait for INFO, send CONNECT, SUB and PING, wait
 * for PONG. Up to WINDOW of them are under way at once. The server's memory is read before the
 * first, after the last, and again when everything has been quiet for options->settle_ns; PINGs are
 * answered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "fatal.h"
#include "process.h"
#include "report.h"
#include "scenario.h"

#define WINDOW 64
#define EVENTS_MAX 256

/*   [dial_more]            [on_info]             [on_pong]
 *  -------------> GREETED ------------> CONFIRMED ---------> IDLE
 *
 *  GREETED    connecting, or connected and INFO has not come to its end.
 *  CONFIRMED  CONNECT, SUB and PING are sent.
 *  IDLE       counted in crowd->idle_count; answers PINGs. */
enum state { GREETED, CONFIRMED, IDLE };

typedef struct idler {
    int fd;
    enum state state;
    unsigned matched; /* bytes of the awaited line seen so far */
} idler;

typedef struct crowd {
    const bench_options *options;
    int epoll_fd;
    idler *idlers;
    unsigned dialed_count;
    unsigned idle_count;
    uint64_t ping_count;
} crowd;

/* The line whose end takes an idler on. None of them begins inside another or inside an INFO. */
static const char *awaited_line(const idler *self)
{
    static const char *const lines[] = {
        [GREETED] = "\r\n", [CONFIRMED] = "PONG\r\n", [IDLE] = "PING\r\n"};

    return lines[self->state];
}

static void send_all(int fd, const char *bytes, size_t len)
{
    /* A socket that has sent next to nothing takes a few hundred bytes at once. */
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        bench_fatal("send: %s", strerror(errno));
}

static void on_info(crowd *self, idler *each)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%sSUB idle.%u 1\r\nPING\r\n", bench_client_hello,
                       (unsigned)(each - self->idlers));

    send_all(each->fd, text, (size_t)len);
    each->state = CONFIRMED;
}

static void on_pong(crowd *self, idler *each)
{
    each->state = IDLE;
    self->idle_count++;
}

static void on_line(crowd *self, idler *each)
{
    switch (each->state) {
    case GREETED:
        on_info(self, each);
        break;
    case CONFIRMED:
        on_pong(self, each);
        break;
    case IDLE:
        self->ping_count++;
        send_all(each->fd, "PONG\r\n", 6);
        break;
    }
}

static void on_readable(crowd *self, idler *each)
{
    char bytes[4096];
    ssize_t got = recv(each->fd, bytes, sizeof bytes, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        bench_fatal("connection %u of %u ended: %s", (unsigned)(each - self->idlers) + 1,
                    self->options->connection_count,
                    got == 0 ? "the server closed it" : strerror(errno));
    for (ssize_t i = 0; i < got; i++) {
        const char *line = awaited_line(each);

        if (bytes[i] != line[each->matched])
            each->matched = bytes[i] == line[0];
        else if (line[++each->matched] == '\0') {
            each->matched = 0;
            on_line(self, each);
        }
    }
}

static void dial_more(crowd *self)
{
    while (self->dialed_count < self->options->connection_count &&
           self->dialed_count - self->idle_count < WINDOW) {
        idler *each = &self->idlers[self->dialed_count];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = each};

        each->fd = bench_client_dial(&self->options->target, true);
        if (each->fd < 0)
            return; /* the listen queue is full: after the next event there is room */
        if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, each->fd, &event) != 0)
            bench_fatal("epoll_ctl: %s", strerror(errno));
        self->dialed_count++;
    }
}

/* Serve events for at most until_ns, or until all connections are idle if that comes first. */
static void serve(crowd *self, int64_t until_ns, bool until_all_idle)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t left_ns;

    while ((left_ns = until_ns - bench_now_ns()) > 0) {
        int ready;

        if (until_all_idle) {
            dial_more(self);
            if (self->idle_count == self->options->connection_count)
                return;
        }
        ready = epoll_wait(self->epoll_fd, events, EVENTS_MAX, (int)(left_ns / 1000000) + 1);
        for (int i = 0; i < ready; i++)
            on_readable(self, events[i].data.ptr);
    }
    if (until_all_idle)
        bench_fatal("only %u of %u connections were accepted", self->idle_count,
                    self->options->connection_count);
}

static double per_connection(const bench_options *options, const bench_memory *before,
                             const bench_memory *after)
{
    return ((double)after->resident_kib - (double)before->resident_kib) * 1024 /
           options->connection_count;
}

bool bench_run_idle(const bench_options *options)
{
    crowd self = {.options = options, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    bench_memory before = bench_memory_take(options->pid);
    bench_memory connected;
    bench_memory settled;
    bench_instant from;
    bench_instant ready;
    bench_instant to;
    bench_report report;

    if (self.epoll_fd < 0 || !options->connection_count)
        bench_fatal("no epoll, or --connections is 0");
    self.idlers = bench_alloc(options->connection_count, sizeof *self.idlers);
    from = bench_instant_take(options->pid);
    serve(&self, from.time_ns + (int64_t)BENCH_CLIENT_TIMEOUT_S * 1000000000, true);
    ready = bench_instant_take(options->pid);
    connected = bench_memory_take(options->pid);
    serve(&self, ready.time_ns + options->settle_ns, false);
    to = bench_instant_take(options->pid);
    settled = bench_memory_take(options->pid);

    report = bench_report_begin(options->json, "idle");
    bench_report_count(&report, "connections", options->connection_count);
    bench_report_number(&report, "connect_seconds", (double)(ready.time_ns - from.time_ns) / 1e9);
    bench_report_number(&report, "connections_per_s",
                        options->connection_count / ((double)(ready.time_ns - from.time_ns) / 1e9));
    bench_report_count(&report, "pings", self.ping_count);
    if (options->pid) {
        bench_report_number(&report, "connect_cpu_us",
                            (double)(ready.server_cpu_ns - from.server_cpu_ns) / 1e3 /
                                options->connection_count);
        bench_report_count(&report, "rss_before_kib", before.resident_kib);
        bench_report_count(&report, "rss_connected_kib", connected.resident_kib);
        bench_report_count(&report, "rss_settled_kib", settled.resident_kib);
        bench_report_number(&report, "bytes_per_connection",
                            per_connection(options, &before, &settled));
        bench_report_number(&report, "bytes_per_connection_at_once",
                            per_connection(options, &before, &connected));
        bench_report_number(&report, "idle_cpu_ms_per_s",
                            (double)(to.server_cpu_ns - ready.server_cpu_ns) * 1e3 /
                                (double)(to.time_ns - ready.time_ns));
    }
    bench_report_end(&report);
    for (unsigned i = 0; i < self.dialed_count; i++)
        (void)close(self.idlers[i].fd);
    free(self.idlers);
    (void)close(self.epoll_fd);
    return true;
}
