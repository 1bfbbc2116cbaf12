/* publisher.c -- see publisher.h. */
#include "publisher.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fatal.h"
#include "process.h"

#define BATCH_BYTES 65536

typedef struct bench_publisher {
    bench_client client;
    bench_wire own_wire; /* with --verify */
    bench_wire *wire;
    size_t offset; /* in the wire, of the next byte to write */
    uint64_t sent_bytes;
    uint64_t limit_bytes;
    uint64_t numbered; /* with --verify: frames numbered so far */
    unsigned pongs_due;
    bool blocked; /* the socket was full */
} publisher;

static size_t wire_bytes(const bench_wire *wire)
{
    return wire->frame_bytes * wire->frame_count;
}

void bench_publishers_open(bench_publishers *publishers, const bench_options *options)
{
    unsigned count = options->publisher_count;

    *publishers = (bench_publishers){.options = options, .count = count};
    publishers->each = bench_alloc(count, sizeof *publishers->each);
    bench_wire_init(&publishers->shared_wire, options, BATCH_BYTES);
    for (unsigned i = 0; i < count; i++) {
        publisher *self = &publishers->each[i];
        bench_wire *wire = &publishers->shared_wire;

        bench_client_open(&self->client, &options->target);
        self->wire = wire;
        /* Publishers begin at different subjects, or all would always meet at the same one. */
        self->offset = wire->frame_count / count * i * wire->frame_bytes;
        self->limit_bytes = UINT64_MAX;
        if (options->message_count)
            self->limit_bytes =
                (options->message_count / count + (i < options->message_count % count ? 1 : 0)) *
                wire->frame_bytes;
        if (options->verify) {
            bench_wire_init(&self->own_wire, options, BATCH_BYTES);
            self->wire = &self->own_wire;
            self->offset = 0;
        }
    }
}

void bench_publishers_close(bench_publishers *publishers)
{
    for (unsigned i = 0; i < publishers->count; i++) {
        bench_client_close(&publishers->each[i].client);
        bench_wire_fini(&publishers->each[i].own_wire);
    }
    bench_wire_fini(&publishers->shared_wire);
    free(publishers->each);
}

static bool finished(const publisher *self)
{
    return self->sent_bytes >= self->limit_bytes;
}

/* Between frames, where another operation may be put. */
static bool at_boundary(const publisher *self)
{
    return self->sent_bytes % self->wire->frame_bytes == 0;
}

/* What one write takes: whole frames up to BATCH_BYTES, or one frame that is larger. */
static size_t next_write_bytes(const publisher *self)
{
    size_t frame = self->wire->frame_bytes;
    size_t most = frame < BATCH_BYTES ? BATCH_BYTES / frame * frame : frame;
    size_t left = wire_bytes(self->wire) - self->offset;

    if (most > left)
        most = left;
    if (most > self->limit_bytes - self->sent_bytes)
        most = (size_t)(self->limit_bytes - self->sent_bytes);
    return most;
}

static void write_some(publisher *self, unsigned index, bool verify)
{
    size_t wanted;
    ssize_t sent;

    if (self->pongs_due && at_boundary(self)) {
        bench_client_send(&self->client, "PONG\r\n", 6);
        self->pongs_due--;
    }
    if (verify && self->sent_bytes == self->numbered * self->wire->frame_bytes) {
        bench_wire_number(self->wire, index, self->numbered);
        self->numbered += self->wire->frame_count;
    }
    wanted = next_write_bytes(self);
    sent = bench_client_write(&self->client, self->wire->bytes + self->offset, wanted,
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        bench_fatal("publisher %u: send: %s", index, strerror(errno));
    if (sent > 0) {
        self->sent_bytes += (uint64_t)sent;
        self->offset = (self->offset + (size_t)sent) % wire_bytes(self->wire);
    }
    self->blocked = sent < (ssize_t)wanted;
}

static void read_some(publisher *self, unsigned index)
{
    bench_frame frame;

    if (!bench_client_fill(&self->client, MSG_DONTWAIT) && self->client.closed)
        bench_fatal("publisher %u was disconnected: %s", index, self->client.error);
    while ((frame = bench_client_next(&self->client)).kind != BENCH_FRAME_NONE)
        if (frame.kind == BENCH_FRAME_PING)
            self->pongs_due++;
}

/* Wait until a full socket takes bytes again, or until the time is up. */
static void wait_for_room(bench_publishers *publishers, struct pollfd *polls, int64_t until_ns)
{
    int64_t wait_ms = (until_ns - bench_now_ns()) / 1000000 + 1;

    for (unsigned i = 0; i < publishers->count; i++)
        polls[i] = (struct pollfd){
            .fd = finished(&publishers->each[i]) ? -1 : publishers->each[i].client.fd,
            .events = POLLIN | POLLOUT,
        };
    if (wait_ms < 0 || wait_ms > BENCH_CLIENT_TIMEOUT_S * 1000)
        wait_ms = BENCH_CLIENT_TIMEOUT_S * 1000;
    if (poll(polls, publishers->count, (int)wait_ms) == 0 &&
        wait_ms == BENCH_CLIENT_TIMEOUT_S * 1000)
        bench_fatal("the server does not read");
    for (unsigned i = 0; i < publishers->count; i++) {
        if (polls[i].fd >= 0 && polls[i].revents & (POLLIN | POLLHUP | POLLERR))
            read_some(&publishers->each[i], i);
        publishers->each[i].blocked = !(polls[i].revents & POLLOUT);
    }
}

/* Give every unfinished publisher one write. Returns how many are unfinished; sets *out_stuck if
 * none of them could write all it wanted. */
static unsigned take_turns(bench_publishers *publishers, bool *out_stuck)
{
    unsigned unfinished = 0;

    *out_stuck = true;
    for (unsigned i = 0; i < publishers->count; i++) {
        publisher *self = &publishers->each[i];

        if (!finished(self) && !self->blocked)
            write_some(self, i, publishers->options->verify);
        if (!finished(self)) {
            unfinished++;
            *out_stuck = *out_stuck && self->blocked;
        }
    }
    return unfinished;
}

/* The time is up: everybody ends with the frame begun. */
static void stop_at_boundary(bench_publishers *publishers)
{
    for (unsigned i = 0; i < publishers->count; i++) {
        publisher *self = &publishers->each[i];
        size_t frame = self->wire->frame_bytes;

        self->limit_bytes = (self->sent_bytes + frame - 1) / frame * frame;
    }
}

uint64_t bench_publishers_run(bench_publishers *publishers)
{
    const bench_options *options = publishers->options;
    struct pollfd *polls = bench_alloc(publishers->count, sizeof *polls);
    int64_t until_ns = options->message_count ? INT64_MAX : bench_now_ns() + options->duration_ns;
    uint64_t published = 0;
    bool stuck;

    while (take_turns(publishers, &stuck)) {
        if (bench_now_ns() >= until_ns) {
            stop_at_boundary(publishers);
            until_ns = INT64_MAX;
            continue; /* some may have been at a boundary, and be done */
        }
        if (stuck)
            wait_for_room(publishers, polls, until_ns);
    }
    for (unsigned i = 0; i < publishers->count; i++) {
        bench_client_flush(&publishers->each[i].client);
        published += publishers->each[i].sent_bytes / publishers->each[i].wire->frame_bytes;
    }
    free(polls);
    return published;
}
