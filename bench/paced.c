/* paced.c -- latency at a fixed rate, open loop.
 *
 * Message i is due at start + i / rate, whatever happened to the messages before it, and carries
 * that time in its payload. Latency is counted from there to the return of the read that brought
 * it, so time that a message had to wait because the publisher was held up counts as well (a closed
 * loop would omit just those: "coordinated omission"). How late the publisher itself was, because
 * it woke late or because its socket was full, is reported as send_lag and is part of the latency.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fatal.h"
#include "histogram.h"
#include "process.h"
#include "report.h"
#include "scenario.h"
#include "wire.h"

#define TIME_DIGITS 16
#define BURST_MAX 1024 /* messages per write; more are due only after the publisher was held up */
#define EVENTS_MAX 64

typedef struct paced {
    const bench_options *options;
    bench_client *publishers;
    bench_client *subscribers;
    int epoll_fd;
    int64_t start_ns;
    uint64_t published;    /* valid once finished */
    uint64_t writes;       /* that took; valid once finished */
    _Atomic bool finished; /* the publishing thread is */
    uint64_t delivered;
    unsigned gone_count;
    bench_histogram latencies;
    bench_histogram send_lags;
} paced;

static int64_t due_ns(const paced *self, uint64_t index)
{
    return self->start_ns + (int64_t)((double)index / self->options->rate * 1e9);
}

static bool is_warmup(const paced *self, int64_t intended_ns)
{
    return intended_ns < self->start_ns + self->options->warmup_ns;
}

static void sleep_until(int64_t time_ns)
{
    const struct timespec until = {.tv_sec = time_ns / 1000000000, .tv_nsec = time_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

/* Write the messages that are due, but at most a burst; publishers take bursts in turn, so that one
 * write serves all. Returns how many were written. */
static unsigned publish_due(paced *self, bench_wire *wire, uint64_t first, uint64_t limit)
{
    bench_client *client = &self->publishers[first % self->options->publisher_count];
    int64_t now_ns = bench_now_ns();
    char *payload = wire->bytes + wire->frame_bytes - wire->payload_bytes - 2;
    unsigned count = 0;

    while (count < wire->frame_count && first + count < limit) {
        int64_t intended_ns = due_ns(self, first + count);

        if (intended_ns > now_ns)
            break;
        bench_hex_format(payload + count * wire->frame_bytes, TIME_DIGITS, (uint64_t)intended_ns);
        if (!is_warmup(self, intended_ns))
            bench_histogram_add(&self->send_lags, now_ns - intended_ns);
        count++;
    }
    bench_client_send(client, wire->bytes, count * wire->frame_bytes);
    return count;
}

static void *publish_paced(void *context)
{
    paced *self = context;
    const bench_options *options = self->options;
    uint64_t limit = options->message_count;
    uint64_t published = 0;
    size_t frame_bytes;
    bench_wire wire;

    if (!limit)
        limit = (uint64_t)((double)options->duration_ns / 1e9 * options->rate);
    /* Without this the kernel may let every sleep last 50 us longer. */
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    bench_wire_init(&wire, options, 1);
    frame_bytes = wire.frame_bytes;
    bench_wire_fini(&wire);
    bench_wire_init(&wire, options, BURST_MAX * frame_bytes);
    while (published < limit) {
        sleep_until(due_ns(self, published));
        published += publish_due(self, &wire, published, limit);
        self->writes++;
    }
    for (unsigned i = 0; i < options->publisher_count; i++)
        bench_client_flush(&self->publishers[i]);
    bench_wire_fini(&wire);
    self->published = published;
    atomic_store(&self->finished, true);
    return NULL;
}

static void receive_one(paced *self, bench_client *client)
{
    bench_frame frame;
    int64_t now_ns;

    if (!bench_client_fill(client, MSG_DONTWAIT)) {
        if (client->closed) {
            (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
            self->gone_count++;
        }
        return;
    }
    now_ns = bench_now_ns();
    while ((frame = bench_client_next(client)).kind != BENCH_FRAME_NONE) {
        uint64_t intended_ns;

        if (frame.kind == BENCH_FRAME_PING)
            bench_client_send(client, "PONG\r\n", 6);
        if (frame.kind != BENCH_FRAME_MSG)
            continue;
        if (frame.payload.len != self->options->payload_bytes ||
            !bench_hex_parse(frame.payload.ptr, TIME_DIGITS, &intended_ns))
            bench_fatal("a payload arrived damaged");
        if (!is_warmup(self, (int64_t)intended_ns))
            bench_histogram_add(&self->latencies, now_ns - (int64_t)intended_ns);
        self->delivered++;
    }
}

static void receive_paced(paced *self)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t last_ns = bench_now_ns();

    for (;;) {
        bool finished = atomic_load(&self->finished);
        uint64_t before = self->delivered;
        int ready;

        if (finished && (self->delivered >= self->published * self->options->subscriber_count ||
                         self->gone_count == self->options->subscriber_count))
            return;
        ready = epoll_wait(self->epoll_fd, events, EVENTS_MAX, 10);
        for (int i = 0; i < ready; i++)
            receive_one(self, events[i].data.ptr);
        if (self->delivered > before)
            last_ns = bench_now_ns();
        else if (finished && bench_now_ns() - last_ns > self->options->patience_ns)
            return;
    }
}

static void paced_init(paced *self, const bench_options *options)
{
    self->options = options;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        bench_fatal("epoll: %s", strerror(errno));
    self->subscribers = bench_alloc(options->subscriber_count, sizeof *self->subscribers);
    for (unsigned i = 0; i < options->subscriber_count; i++) {
        bench_client *client = &self->subscribers[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        bench_client_open(client, &options->target);
        bench_subscribe(client, options, i);
        if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
            bench_fatal("epoll_ctl: %s", strerror(errno));
    }
    self->publishers = bench_alloc(options->publisher_count, sizeof *self->publishers);
    for (unsigned i = 0; i < options->publisher_count; i++)
        bench_client_open(&self->publishers[i], &options->target);
}

static void paced_fini(paced *self)
{
    for (unsigned i = 0; i < self->options->subscriber_count; i++)
        bench_client_close(&self->subscribers[i]);
    for (unsigned i = 0; i < self->options->publisher_count; i++)
        bench_client_close(&self->publishers[i]);
    free(self->subscribers);
    free(self->publishers);
    (void)close(self->epoll_fd);
}

bool bench_run_paced(const bench_options *options)
{
    paced *self = bench_alloc(1, sizeof *self);
    bench_report report;
    bench_instant from;
    bench_instant to;
    pthread_t thread;
    uint64_t lost;
    bool good;

    if (options->payload_bytes < TIME_DIGITS || !options->subscriber_count || options->group_count)
        bench_fatal("paced needs --size %d or more, --subs, and no --groups", TIME_DIGITS);
    paced_init(self, options);
    from = bench_instant_take(options->pid);
    self->start_ns = bench_now_ns();
    if (pthread_create(&thread, NULL, publish_paced, self) != 0)
        bench_fatal("no thread could be made");
    receive_paced(self);
    to = bench_instant_take(options->pid);
    (void)pthread_join(thread, NULL);

    lost = self->published * options->subscriber_count;
    lost = lost > self->delivered ? lost - self->delivered : 0;
    report = bench_report_begin(options->json, "paced");
    bench_report_count(&report, "payload_bytes", options->payload_bytes);
    bench_report_count(&report, "publishers", options->publisher_count);
    bench_report_count(&report, "subscribers", options->subscriber_count);
    bench_report_number(&report, "rate", options->rate);
    bench_report_count(&report, "published", self->published);
    bench_report_count(&report, "writes", self->writes);
    bench_report_count(&report, "delivered", self->delivered);
    bench_report_count(&report, "lost", lost);
    bench_report_count(&report, "disconnected", self->gone_count);
    bench_report_rates(&report, options->pid, &from, &to, self->delivered);
    bench_report_latency(&report, "latency", &self->latencies);
    bench_report_latency(&report, "send_lag", &self->send_lags);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
    good = lost == 0 && self->gone_count == 0;
    paced_fini(self);
    free(self);
    return good;
}
