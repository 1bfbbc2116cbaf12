/* announce.c -- one announcer at a fixed rate, very many subscribers: what a delivered line costs
 * and how late it is. With --fanout everybody speaks the fanout protocol, else NATS; --stalled
 * subscribers come on top, and stop reading at once.
 *
 * One thread does it all, so that the load costs as little as can be: frames of a run have one
 * size, and the n-th that a subscriber gets was due when the n-th was announced. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "fatal.h"
#include "histogram.h"
#include "process.h"
#include "report.h"
#include "scenario.h"
#include "wire.h"

#define EVENTS_MAX 256
#define READ_BYTES 65536
#define LINE_BYTES 512
#define STALLED_WINDOW 4096

/* What both protocols say, in one of them. */
typedef struct dialect {
    const char *greeting; /* what the first line begins with */
    const char *subscribe;
    const char
        *subscribed;   /* what the last line of its answers begins with; "": any but greeting */
    const char *hello; /* of who announces */
} dialect;

static const dialect by_nats = {
    "INFO ",
    "CONNECT {\"verbose\":false}\r\nSUB bench 1\r\nPING\r\n",
    "PONG",
    "CONNECT {\"verbose\":false}\r\n",
};
static const dialect by_fanout = {"debug!connected", "subscribe bench\nping\n", "", ""};

typedef struct subscriber {
    int fd;
    uint64_t bytes;
} subscriber;

typedef struct announce {
    const bench_options *options;
    const dialect *dialect;
    subscriber *subscribers;
    int *stalled;
    int announcer;
    int epoll_fd;
    char *frame; /* what is announced */
    size_t frame_bytes;
    size_t line_bytes; /* what a subscriber gets of it */
    int64_t start_ns;
    uint64_t announced, delivered;
    unsigned gone_count;
    bench_histogram latencies;
} announce;

/* Read a line, byte by byte: nothing of what follows it may be taken. */
static void read_line(int fd, char line[LINE_BYTES])
{
    size_t len = 0;
    char c;

    do {
        if (recv(fd, &c, 1, 0) != 1)
            bench_fatal("the server hung up");
        if (len < LINE_BYTES - 1)
            line[len++] = c;
    } while (c != '\n');
    line[len] = '\0';
}

static void expect(int fd, const char *beginning)
{
    char line[LINE_BYTES];

    read_line(fd, line);
    if (strncmp(line, beginning, strlen(beginning)) != 0)
        bench_fatal("expected %s, got %s", beginning, line);
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            bench_fatal("send: %s", strerror(errno));
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static int join(const announce *self, const char *hello)
{
    int fd = bench_client_dial(&self->options->target, false);

    expect(fd, self->dialect->greeting);
    send_all(fd, hello, strlen(hello));
    return fd;
}

static int subscribe(const announce *self)
{
    int fd = join(self, self->dialect->subscribe);

    expect(fd, self->dialect->subscribed);
    return fd;
}

static void make_frame(announce *self)
{
    size_t size = self->options->payload_bytes;
    char head[64];
    int head_bytes, line_head;

    if (self->options->fanout) {
        head_bytes = snprintf(head, sizeof head, "announce bench ");
        line_head = 6; /* "bench!" */
    } else {
        head_bytes = snprintf(head, sizeof head, "PUB bench %zu\r\n", size);
        line_head = head_bytes + 2; /* "MSG bench 1 ..." */
    }
    self->frame_bytes = (size_t)head_bytes + size + (self->options->fanout ? 1 : 2);
    self->line_bytes = (size_t)line_head + size + (self->options->fanout ? 1 : 2);
    self->frame = bench_alloc(1, self->frame_bytes + 1);
    (void)memset(self->frame, 'x', self->frame_bytes);
    (void)memcpy(self->frame, head, (size_t)head_bytes);
    (void)memcpy(self->frame + head_bytes + size, self->options->fanout ? "\n" : "\r\n",
                 self->options->fanout ? 1 : 2);
}

static int64_t due_ns(const announce *self, uint64_t number)
{
    return self->start_ns + (int64_t)((double)number * 1e9 / self->options->rate);
}

static void receive(announce *self, subscriber *one)
{
    static char bytes[READ_BYTES];
    uint64_t before = one->bytes / self->line_bytes, after;
    ssize_t n = recv(one->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    int64_t now_ns;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
        self->gone_count++;
        return;
    }
    one->bytes += (uint64_t)n;
    after = one->bytes / self->line_bytes;
    now_ns = bench_now_ns();
    for (uint64_t i = before; i < after; i++) {
        self->delivered++;
        if (due_ns(self, i) >= self->start_ns + self->options->warmup_ns)
            bench_histogram_add(&self->latencies, now_ns - due_ns(self, i));
    }
}

static bool is_done(const announce *self, uint64_t limit)
{
    return self->announced == limit &&
           (self->delivered >= limit * self->options->subscriber_count ||
            self->gone_count == self->options->subscriber_count);
}

static void run(announce *self, uint64_t limit)
{
    int64_t last_ns = bench_now_ns();

    self->start_ns = last_ns;
    while (!is_done(self, limit)) {
        struct epoll_event events[EVENTS_MAX];
        int64_t now_ns = bench_now_ns(), left_ns = 1000000;
        struct timespec wait;
        int ready;

        while (self->announced < limit && due_ns(self, self->announced) <= now_ns) {
            send_all(self->announcer, self->frame, self->frame_bytes);
            self->announced++;
            last_ns = now_ns;
        }
        if (self->announced < limit)
            left_ns = due_ns(self, self->announced) - now_ns;
        else if (now_ns - last_ns > self->options->patience_ns)
            return;
        wait = (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
        ready = epoll_pwait2(self->epoll_fd, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < ready; i++)
            receive(self, events[i].data.ptr);
        if (ready > 0)
            last_ns = bench_now_ns();
    }
}

static void announce_init(announce *self, const bench_options *options)
{
    int window = STALLED_WINDOW;

    self->options = options;
    self->dialect = options->fanout ? &by_fanout : &by_nats;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        bench_fatal("epoll: %s", strerror(errno));
    make_frame(self);
    self->subscribers = bench_alloc(options->subscriber_count + 1, sizeof *self->subscribers);
    for (unsigned i = 0; i < options->subscriber_count; i++) {
        subscriber *one = &self->subscribers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};

        one->fd = subscribe(self);
        if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, one->fd, &event) != 0)
            bench_fatal("epoll_ctl: %s", strerror(errno));
    }
    self->stalled = bench_alloc(options->stalled_count + 1, sizeof *self->stalled);
    for (unsigned i = 0; i < options->stalled_count; i++) {
        self->stalled[i] = subscribe(self);
        (void)setsockopt(self->stalled[i], SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    }
    self->announcer = join(self, self->dialect->hello);
}

static void announce_fini(announce *self)
{
    for (unsigned i = 0; i < self->options->subscriber_count; i++)
        (void)close(self->subscribers[i].fd);
    for (unsigned i = 0; i < self->options->stalled_count; i++)
        (void)close(self->stalled[i]);
    (void)close(self->announcer);
    (void)close(self->epoll_fd);
    free(self->subscribers);
    free(self->stalled);
    free(self->frame);
}

bool bench_run_announce(const bench_options *options)
{
    announce *self = bench_alloc(1, sizeof *self);
    uint64_t limit = options->message_count, expected;
    bench_instant from, to;
    bench_report report;
    bool complete;

    if (!limit)
        limit = (uint64_t)((double)options->duration_ns / 1e9 * options->rate);
    announce_init(self, options);
    from = bench_instant_take(options->pid);
    run(self, limit);
    to = bench_instant_take(options->pid);
    expected = limit * options->subscriber_count;
    complete = self->delivered == expected;
    report = bench_report_begin(options->json, "announce");
    bench_report_count(&report, "payload_bytes", options->payload_bytes);
    bench_report_count(&report, "subscribers", options->subscriber_count);
    bench_report_count(&report, "stalled", options->stalled_count);
    bench_report_number(&report, "rate", options->rate);
    bench_report_count(&report, "published", self->announced);
    bench_report_count(&report, "delivered", self->delivered);
    bench_report_count(&report, "lost",
                       expected > self->delivered ? expected - self->delivered : 0);
    bench_report_count(&report, "disconnected", self->gone_count);
    bench_report_latency(&report, "latency", &self->latencies);
    bench_report_rates(&report, options->pid, &from, &to, self->delivered);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
    announce_fini(self);
    free(self);
    return complete;
}
