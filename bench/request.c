/* request.c -- requesters in one thread, responders in another.
 *
 * As nats.go and its relatives do, a requester has one wildcard subscription for all its replies
 * and gives each request a reply subject of its own, "_INBOX.<22 characters>.<8 characters>", which
 * the server has never seen before. A requester that has one connection blocks in read, and so does
 * a responder: what a wake-up costs is part of a round trip. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fatal.h"
#include "histogram.h"
#include "process.h"
#include "report.h"
#include "scenario.h"
#include "wire.h"

#define SERVICE "bench.service"
#define INBOX_BYTES 29 /* "_INBOX." and 22 characters */
#define SLOT_DIGITS 3
#define TURN_DIGITS 5
#define TOKEN_BYTES (SLOT_DIGITS + TURN_DIGITS)
#define IN_FLIGHT_MAX (1u << (4 * SLOT_DIGITS))
#define EVENTS_MAX 64

/* One request in flight. The reply subject names the slot and how often it has been used, so that a
 * reply that comes twice is noticed. */
typedef struct slot {
    int64_t sent_ns;
    uint32_t turn;
    bool waiting;
} slot;

typedef struct peer {
    bench_client client;
    char inbox[INBOX_BYTES + 1];
    slot *slots;
    uint64_t issued;
    uint64_t limit;
    unsigned waiting; /* slots in flight */
    char *out;        /* operations of this turn, written at once at its end */
    size_t out_len;
    size_t out_bytes;
} peer;

/* Peers served by one thread. */
typedef struct side {
    const bench_options *options;
    unsigned count;
    peer *peers;
    int epoll_fd; /* -1: there is one peer, and its thread blocks in read */
} side;

typedef struct exchange {
    side requesters;
    side responders;
    char *payload;
    bench_histogram latencies;
    int64_t count_from_ns; /* latencies of requests sent earlier are warm-up */
    int64_t until_ns;
    uint64_t replied;
    uint64_t unexpected; /* replies to nothing, and statuses such as "no responders" */
} exchange;

static void side_init(side *self, const bench_options *options, unsigned count)
{
    *self = (side){.options = options, .count = count, .epoll_fd = -1};
    self->peers = bench_alloc(count, sizeof *self->peers);
    if (count > 1) {
        self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (self->epoll_fd < 0)
            bench_fatal("epoll: %s", strerror(errno));
    }
    for (unsigned i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        peer *each = &self->peers[i];

        bench_client_open(&each->client, &options->target);
        each->out_bytes = 256 + options->payload_bytes;
        each->out = bench_alloc(1, each->out_bytes);
        if (count > 1 && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, each->client.fd, &event) != 0)
            bench_fatal("epoll_ctl: %s", strerror(errno));
    }
}

static void side_fini(side *self)
{
    for (unsigned i = 0; i < self->count; i++) {
        bench_client_close(&self->peers[i].client);
        free(self->peers[i].slots);
        free(self->peers[i].out);
    }
    free(self->peers);
    if (self->epoll_fd >= 0)
        (void)close(self->epoll_fd);
}

static void append(peer *to, const void *bytes, size_t len)
{
    if (to->out_len + len > to->out_bytes) {
        to->out_bytes = 2 * (to->out_len + len);
        to->out = realloc(to->out, to->out_bytes);
        if (!to->out)
            bench_fatal("out of memory");
    }
    memcpy(to->out + to->out_len, bytes, len);
    to->out_len += len;
}

static void append_publish(peer *to, bench_slice subject, bench_slice reply, bench_slice payload)
{
    char size[32];
    int len = snprintf(size, sizeof size, " %zu\r\n", payload.len);

    append(to, "PUB ", 4);
    append(to, subject.ptr, subject.len);
    if (reply.len)
        append(to, " ", 1);
    append(to, reply.ptr, reply.len);
    append(to, size, (size_t)len);
    append(to, payload.ptr, payload.len);
    append(to, "\r\n", 2);
}

static void write_out(peer *to)
{
    if (to->out_len)
        bench_client_send(&to->client, to->out, to->out_len);
    to->out_len = 0;
}

/* ---- responders ---- */

static void answer_all(peer *self)
{
    const bench_slice none = {"", 0};
    bench_frame frame;

    while ((frame = bench_client_next(&self->client)).kind != BENCH_FRAME_NONE) {
        if (frame.kind == BENCH_FRAME_PING)
            append(self, "PONG\r\n", 6);
        if (frame.kind == BENCH_FRAME_MSG && frame.reply.len)
            append_publish(self, frame.reply, none, frame.payload);
    }
    write_out(self);
}

/* Ends when the requesters are done and the main thread has shut the connections down. */
static void *respond(void *context)
{
    side *self = context;
    struct epoll_event events[EVENTS_MAX];
    unsigned open = self->count;

    while (open > 0) {
        int ready = 1;

        events[0].data.u32 = 0;
        if (self->epoll_fd >= 0)
            ready = epoll_wait(self->epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            peer *each = &self->peers[events[i].data.u32];

            if (bench_client_fill(&each->client, 0)) {
                answer_all(each);
            } else if (each->client.closed) {
                open--;
                if (self->epoll_fd >= 0)
                    (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, each->client.fd, NULL);
            }
        }
    }
    return NULL;
}

/* ---- requesters ---- */

static void issue(exchange *self, peer *from, unsigned index, int64_t now_ns)
{
    slot *free_slot = &from->slots[index];
    char reply[INBOX_BYTES + 1 + TOKEN_BYTES];

    free_slot->turn = (free_slot->turn + 1) & ((1u << (4 * TURN_DIGITS)) - 1);
    free_slot->sent_ns = now_ns;
    free_slot->waiting = true;
    from->waiting++;
    from->issued++;
    memcpy(reply, from->inbox, INBOX_BYTES);
    reply[INBOX_BYTES] = '.';
    bench_hex_format(reply + INBOX_BYTES + 1, SLOT_DIGITS, index);
    bench_hex_format(reply + INBOX_BYTES + 1 + SLOT_DIGITS, TURN_DIGITS, free_slot->turn);
    append_publish(from, (bench_slice){SERVICE, strlen(SERVICE)},
                   (bench_slice){reply, sizeof reply},
                   (bench_slice){self->payload, self->requesters.options->payload_bytes});
}

/* The slot that a reply belongs to, or NULL. */
static slot *find_slot(const exchange *self, peer *to, const bench_frame *frame)
{
    const char *token = frame->subject.ptr + INBOX_BYTES + 1;
    uint64_t index;
    uint64_t turn;

    if (frame->kind != BENCH_FRAME_MSG ||
        frame->payload.len != self->requesters.options->payload_bytes ||
        frame->subject.len != INBOX_BYTES + 1 + TOKEN_BYTES ||
        memcmp(frame->subject.ptr, to->inbox, INBOX_BYTES) != 0 ||
        !bench_hex_parse(token, SLOT_DIGITS, &index) ||
        !bench_hex_parse(token + SLOT_DIGITS, TURN_DIGITS, &turn) ||
        index >= self->requesters.options->in_flight || !to->slots[index].waiting ||
        to->slots[index].turn != turn)
        return NULL;
    return &to->slots[index];
}

/* Take the replies that have come, and send a new request for each while the run lasts. */
static void take_replies(exchange *self, peer *to)
{
    int64_t now_ns = bench_now_ns();
    bench_frame frame;

    while ((frame = bench_client_next(&to->client)).kind != BENCH_FRAME_NONE) {
        slot *answered;

        if (frame.kind == BENCH_FRAME_PING)
            append(to, "PONG\r\n", 6);
        if (frame.kind != BENCH_FRAME_MSG && frame.kind != BENCH_FRAME_HMSG)
            continue;
        answered = find_slot(self, to, &frame);
        if (!answered) {
            self->unexpected++;
            continue;
        }
        if (answered->sent_ns >= self->count_from_ns)
            bench_histogram_add(&self->latencies, now_ns - answered->sent_ns);
        answered->waiting = false;
        to->waiting--;
        self->replied++;
        if (now_ns < self->until_ns && to->issued < to->limit)
            issue(self, to, (unsigned)(answered - to->slots), now_ns);
    }
    write_out(to);
}

static unsigned waiting_in_all(const exchange *self)
{
    unsigned waiting = 0;

    for (unsigned i = 0; i < self->requesters.count; i++)
        waiting += self->requesters.peers[i].waiting;
    return waiting;
}

static void request_all(exchange *self)
{
    const bench_options *options = self->requesters.options;
    side *requesters = &self->requesters;
    struct epoll_event events[EVENTS_MAX];

    for (unsigned i = 0; i < requesters->count; i++) {
        peer *each = &requesters->peers[i];

        for (unsigned k = 0; k < options->in_flight && each->issued < each->limit; k++)
            issue(self, each, k, bench_now_ns());
        write_out(each);
    }
    while (waiting_in_all(self)) {
        int ready = 1;

        events[0].data.u32 = 0;
        if (requesters->epoll_fd >= 0)
            ready = epoll_wait(requesters->epoll_fd, events, EVENTS_MAX,
                               (int)(options->patience_ns / 1000000));
        for (int i = 0; i < ready; i++) {
            peer *each = &requesters->peers[events[i].data.u32];

            if (bench_client_fill(&each->client, 0))
                take_replies(self, each);
            else
                ready = 0; /* out of patience, or disconnected */
        }
        if (ready <= 0)
            break;
    }
}

static void requesters_open(exchange *self, const bench_options *options)
{
    const struct timeval patience = {.tv_sec = options->patience_ns / 1000000000,
                                     .tv_usec = options->patience_ns % 1000000000 / 1000};

    side_init(&self->requesters, options, options->publisher_count);
    for (unsigned i = 0; i < self->requesters.count; i++) {
        peer *each = &self->requesters.peers[i];
        char line[128];
        int len;

        (void)snprintf(each->inbox, sizeof each->inbox, "_INBOX.%012llx%04x%06x",
                       (unsigned long long)bench_now_ns() & 0xffffffffffff,
                       (unsigned)getpid() & 0xffff, i & 0xffffff);
        len = snprintf(line, sizeof line, "SUB %s.* 1\r\n", each->inbox);
        bench_client_send(&each->client, line, (size_t)len);
        bench_client_flush(&each->client);
        if (setsockopt(each->client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
            bench_fatal("setsockopt: %s", strerror(errno));
        each->slots = bench_alloc(options->in_flight, sizeof *each->slots);
        each->limit = UINT64_MAX;
        if (options->message_count)
            each->limit = options->message_count / self->requesters.count +
                          (i < options->message_count % self->requesters.count ? 1 : 0);
    }
}

static void responders_open(exchange *self, const bench_options *options)
{
    const struct timeval forever = {0};

    side_init(&self->responders, options, options->subscriber_count);
    for (unsigned i = 0; i < self->responders.count; i++) {
        bench_client *client = &self->responders.peers[i].client;
        const char *line = self->responders.count > 1 ? "SUB " SERVICE " responders 1\r\n"
                                                      : "SUB " SERVICE " 1\r\n";

        bench_client_send(client, line, strlen(line));
        bench_client_flush(client);
        if (setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever) != 0)
            bench_fatal("setsockopt: %s", strerror(errno));
    }
}

static void report_exchange(const exchange *self, const bench_instant *from,
                            const bench_instant *to)
{
    const bench_options *options = self->requesters.options;
    bench_report report = bench_report_begin(options->json, "request");

    bench_report_count(&report, "payload_bytes", options->payload_bytes);
    bench_report_count(&report, "requesters", self->requesters.count);
    bench_report_count(&report, "responders", self->responders.count);
    bench_report_count(&report, "in_flight", options->in_flight);
    bench_report_count(&report, "replied", self->replied);
    bench_report_count(&report, "lost", waiting_in_all(self));
    bench_report_count(&report, "unexpected", self->unexpected);
    bench_report_rates(&report, options->pid, from, to, self->replied);
    bench_report_latency(&report, "latency", &self->latencies);
    bench_report_memory(&report, options->pid);
    bench_report_end(&report);
}

bool bench_run_request(const bench_options *options)
{
    exchange *self = bench_alloc(1, sizeof *self);
    bench_instant from;
    bench_instant to;
    pthread_t thread;
    bool good;

    if (options->subscriber_count == 0 || options->in_flight > IN_FLIGHT_MAX)
        bench_fatal("--subs must be greater than 0, and --in-flight at most %u", IN_FLIGHT_MAX);
    self->payload = bench_alloc(options->payload_bytes, 1);
    memset(self->payload, 'x', options->payload_bytes);
    responders_open(self, options);
    requesters_open(self, options);
    if (pthread_create(&thread, NULL, respond, &self->responders) != 0)
        bench_fatal("no thread could be made");
    from = bench_instant_take(options->pid);
    self->count_from_ns = from.time_ns + options->warmup_ns;
    self->until_ns = options->message_count ? INT64_MAX : from.time_ns + options->duration_ns;
    request_all(self);
    to = bench_instant_take(options->pid);
    for (unsigned i = 0; i < self->responders.count; i++)
        (void)shutdown(self->responders.peers[i].client.fd, SHUT_RDWR); /* or already closed */
    (void)pthread_join(thread, NULL);
    report_exchange(self, &from, &to);
    good = waiting_in_all(self) == 0 && self->unexpected == 0;
    side_fini(&self->requesters);
    side_fini(&self->responders);
    free(self->payload);
    free(self);
    return good;
}
