/* flow.c -- publish and deliver: publishers in one thread, subscribers in another, at full speed.
 *
 * The clock runs from before the first byte is published until the last expected message has been
 * read by its subscriber (publish: until the server has answered the PING behind the last message).
 * The publishers' thread tells the subscribers' how many were published when it knows; a subscriber
 * that then gets nothing for options->patience_ns, or was disconnected, has lost the rest. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "counter.h"
#include "fatal.h"
#include "process.h"
#include "publisher.h"
#include "report.h"
#include "scenario.h"
#include "wire.h"

#define READ_BYTES (256 * 1024)
#define EVENTS_MAX 128

typedef struct subscriber {
    bench_client client;
    bench_counter counter;
    uint64_t *next_sequence; /* with --verify: per publisher */
    uint64_t received;
    bool gone; /* disconnected by the server */
} subscriber;

typedef struct flow {
    const bench_options *options;
    bench_publishers publishers;
    subscriber *subscribers;
    int epoll_fd;
    int published_fd;      /* eventfd, readable when published is known */
    _Atomic bool finished; /* the publishers have; written after published */
    uint64_t published;
    char *read_buffer; /* READ_BYTES, and room in front for what a connection held back */
    uint64_t delivered;
    uint64_t misordered;
    unsigned gone_count;
    bench_instant from;
    bench_instant to;
} flow;

bool bench_run_publish(const bench_options *options)
{
    bench_report report;
    bench_publishers publishers;
    bench_instant from;
    bench_instant to;
    uint64_t published;

    bench_publishers_open(&publishers, options);
    from = bench_instant_take(options->pid);
    published = bench_publishers_run(&publishers);
    to = bench_instant_take(options->pid);
    report = bench_report_begin(options->json, "publish");
    bench_report_count(&report, "payload_bytes", options->payload_bytes);
    bench_report_count(&report, "publishers", options->publisher_count);
    bench_report_count(&report, "subjects", options->subject_count);
    bench_report_count(&report, "published", published);
    bench_report_rates(&report, options->pid, &from, &to, published);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
    bench_publishers_close(&publishers);
    return true;
}

static void watch(int epoll_fd, int fd, void *context)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = context};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_fatal("epoll_ctl: %s", strerror(errno));
}

static void flow_init(flow *self, const bench_options *options)
{
    *self = (flow){.options = options};
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->published_fd = eventfd(0, EFD_CLOEXEC);
    if (self->epoll_fd < 0 || self->published_fd < 0)
        bench_fatal("epoll or eventfd: %s", strerror(errno));
    watch(self->epoll_fd, self->published_fd, NULL);
    self->read_buffer = bench_alloc(1, 2 * READ_BYTES);
    self->subscribers = bench_alloc(options->subscriber_count, sizeof *self->subscribers);
    for (unsigned i = 0; i < options->subscriber_count; i++) {
        subscriber *each = &self->subscribers[i];

        bench_client_open(&each->client, &options->target);
        bench_subscribe(&each->client, options, i);
        each->next_sequence = bench_alloc(options->publisher_count, sizeof *each->next_sequence);
        watch(self->epoll_fd, each->client.fd, each);
    }
    bench_publishers_open(&self->publishers, options);
}

static void flow_fini(flow *self)
{
    for (unsigned i = 0; i < self->options->subscriber_count; i++) {
        bench_client_close(&self->subscribers[i].client);
        free(self->subscribers[i].next_sequence);
    }
    free(self->subscribers);
    bench_publishers_close(&self->publishers);
    free(self->read_buffer);
    (void)close(self->epoll_fd);
    (void)close(self->published_fd);
}

/* How many deliveries n published messages make: one per queue group, else one per subscriber. */
static uint64_t expected_of(const flow *self, uint64_t published)
{
    const bench_options *options = self->options;
    unsigned groups = options->group_count;

    if (groups > options->subscriber_count)
        groups = options->subscriber_count;
    return published * (groups ? groups : options->subscriber_count);
}

static void lose(flow *self, subscriber *from)
{
    (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, from->client.fd, NULL);
    from->gone = true;
    self->gone_count++;
}

/* Count what one read brings. Bytes that the counter could not use yet stay in the client's buffer.
 */
static void receive_counting(flow *self, subscriber *to)
{
    bench_client *client = &to->client;
    size_t held = client->end - client->start;
    char *from = self->read_buffer + READ_BYTES - held;
    uint64_t before = to->counter.message_count;
    size_t used;
    ssize_t got =
        bench_client_receive(client, self->read_buffer + READ_BYTES, READ_BYTES, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        lose(self, to);
        return;
    }
    got = (ssize_t)bench_client_unframe(client, self->read_buffer + READ_BYTES, (size_t)got);
    memcpy(from, client->buffer + client->start, held);
    used = bench_counter_feed(&to->counter, from, held + (size_t)got);
    held = held + (size_t)got - used;
    if (held > client->buffer_bytes)
        bench_fatal("the server sent a line longer than %zu bytes", client->buffer_bytes);
    memcpy(client->buffer, from + used, held);
    client->start = 0;
    client->end = held;
    for (; to->counter.ping_count; to->counter.ping_count--)
        bench_client_send(client, "PONG\r\n", 6);
    to->received += to->counter.message_count - before;
    self->delivered += to->counter.message_count - before;
}

/* Each message of a publisher must be the one after its last; within a queue group, a later one. */
static void check_sequence(flow *self, subscriber *to, bench_slice payload)
{
    unsigned publisher;
    uint64_t sequence;
    bool in_order;

    if (!bench_number_parse(payload, &publisher, &sequence) ||
        publisher >= self->options->publisher_count)
        bench_fatal("a payload arrived damaged");
    in_order = self->options->group_count ? sequence >= to->next_sequence[publisher]
                                          : sequence == to->next_sequence[publisher];
    if (!in_order)
        self->misordered++;
    to->next_sequence[publisher] = sequence + 1;
}

static void receive_verifying(flow *self, subscriber *to)
{
    bench_frame frame;

    if (!bench_client_fill(&to->client, MSG_DONTWAIT)) {
        if (to->client.closed)
            lose(self, to);
        return;
    }
    while ((frame = bench_client_next(&to->client)).kind != BENCH_FRAME_NONE) {
        if (frame.kind == BENCH_FRAME_PING)
            bench_client_send(&to->client, "PONG\r\n", 6);
        if (frame.kind != BENCH_FRAME_MSG)
            continue;
        if (frame.payload.len != self->options->payload_bytes)
            bench_fatal("a payload arrived with %zu bytes", frame.payload.len);
        check_sequence(self, to, frame.payload);
        to->received++;
        self->delivered++;
    }
}

static void receive(flow *self, subscriber *to)
{
    do {
        if (self->options->verify)
            receive_verifying(self, to);
        else
            receive_counting(self, to);
    } while (!to->gone && bench_client_pending(&to->client));
}

/* Read until all that was published has arrived, or until nothing arrives any more. */
static void receive_all(flow *self)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t last_ns = bench_now_ns();

    for (;;) {
        uint64_t before = self->delivered;
        bool finished = atomic_load(&self->finished);
        int ready;

        if (finished && self->delivered >= expected_of(self, self->published))
            break;
        if (finished && self->gone_count == self->options->subscriber_count)
            break;
        ready = epoll_wait(self->epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < ready; i++) {
            subscriber *to = events[i].data.ptr;

            if (!to)
                (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, self->published_fd, NULL);
            else
                receive(self, to);
        }
        if (self->delivered > before)
            last_ns = bench_now_ns();
        else if (finished && bench_now_ns() - last_ns > self->options->patience_ns)
            break;
    }
    self->to = bench_instant_take(self->options->pid);
    self->to.time_ns = last_ns; /* the server has been idle since */
}

static void *publish_all(void *context)
{
    flow *self = context;
    const uint64_t one = 1;

    self->published = bench_publishers_run(&self->publishers);
    atomic_store(&self->finished, true);
    if (write(self->published_fd, &one, sizeof one) != sizeof one)
        bench_fatal("eventfd: %s", strerror(errno));
    return NULL;
}

static void report_flow(const flow *self)
{
    const bench_options *options = self->options;
    bench_report report = bench_report_begin(options->json, "deliver");
    uint64_t expected = expected_of(self, self->published);

    bench_report_count(&report, "payload_bytes", options->payload_bytes);
    bench_report_count(&report, "publishers", options->publisher_count);
    bench_report_count(&report, "subscribers", options->subscriber_count);
    bench_report_count(&report, "subjects", options->subject_count);
    bench_report_count(&report, "queue_groups", options->group_count);
    bench_report_count(&report, "published", self->published);
    bench_report_count(&report, "delivered", self->delivered);
    bench_report_count(&report, "lost",
                       expected > self->delivered ? expected - self->delivered : 0);
    bench_report_count(&report, "duplicated",
                       self->delivered > expected ? self->delivered - expected : 0);
    if (options->verify)
        bench_report_count(&report, "misordered", self->misordered);
    bench_report_count(&report, "disconnected", self->gone_count);
    bench_report_rates(&report, options->pid, &self->from, &self->to, self->delivered);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
}

bool bench_run_deliver(const bench_options *options)
{
    pthread_t thread;
    flow self;
    bool good;

    if (options->subscriber_count == 0)
        bench_fatal("--subs must be greater than 0; to publish to nobody, use publish");
    if (options->verify && options->payload_bytes < BENCH_NUMBER_BYTES)
        bench_fatal("--verify needs --size %d or more", BENCH_NUMBER_BYTES);
    if (options->verify && options->target.websocket)
        bench_fatal("--verify changes payloads, which by --websocket are masked");
    flow_init(&self, options);
    self.from = bench_instant_take(options->pid);
    if (pthread_create(&thread, NULL, publish_all, &self) != 0)
        bench_fatal("no thread could be made");
    receive_all(&self);
    (void)pthread_join(thread, NULL);
    report_flow(&self);
    good = self.delivered == expected_of(&self, self.published) && self.misordered == 0 &&
           self.gone_count == 0;
    flow_fini(&self);
    return good;
}
