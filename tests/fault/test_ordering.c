/* Messages of one publisher reach each subscriber in the order published, whatever loops they are
 * on, whatever their size; none is lost, doubled or damaged, to a queue group neither.
 *
 * Publishers send numbered messages on several subjects, small and large mixed, so that every way
 * through the server is taken: copied, referred to, read into memory of their own, left over from
 * a send. Listeners know from each message what must follow. How far a publisher may run ahead of
 * the slowest listener is limited, so that nobody is closed as a slow consumer on a busy machine.
 */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/random.h"
#include "unit/seed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PUBLISHERS = 4,
    SUBJECTS = 5, /* of each publisher */
    LISTENERS_MAX = 8,
    SUBS_MAX = 6, /* of a listener */
    GROUPS = 2,
    BATCH_BYTES = 200000,
    PATTERN_BYTES = 2 << 20,
    MAGIC = 0x7069706f,
};

/* At the front of every payload. */
struct stamp {
    uint32_t magic;
    uint32_t publisher;
    uint32_t subject;
    uint32_t seq;         /* of the publisher's, from 0 */
    uint32_t subject_seq; /* of its messages on that subject */
    uint32_t filler_at;   /* in the pattern */
    uint32_t payload_bytes;
    uint32_t wire_bytes; /* of the whole PUB */
};

/* A subscription: to everything, or to one subject of each publisher; or a member of a group. */
struct subscription {
    const char *pattern;
    int group;   /* -1: plain; others count together */
    int subject; /* -1: any */
    uint32_t next[PUBLISHERS];
};

struct plan {
    unsigned messages;  /* of each publisher */
    size_t ahead_bytes; /* a publisher may be ahead of the slowest listener */
    size_t payload_min, payload_max;
    unsigned listeners; /* the first so many of them only; 0: all */
    bool hold;          /* listeners wait until no publisher can go on, again and again */
    int receive_bytes;
};

struct world {
    struct plan plan;
    uint16_t port;
    const char *pattern;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t sent[PUBLISHERS];                 /* bytes; under the lock */
    size_t heard[LISTENERS_MAX][PUBLISHERS]; /* of complete listeners; under the lock */
    unsigned listener_count;
    unsigned blocked, finished;        /* publishers; under the lock */
    atomic_uchar *group_heard[GROUPS]; /* by publisher and seq */
    uint64_t seed;
};

struct publisher {
    struct world *world;
    pthread_t thread;
    unsigned index;
    peer peer;
    uint64_t random;
    uint32_t subject_seq[SUBJECTS];
    char *batch;
    size_t batch_len;
};

struct listener {
    struct world *world;
    pthread_t thread;
    unsigned index;
    bool complete; /* its first subscription hears everything: the publishers wait for it */
    peer peer;
    struct subscription subs[SUBS_MAX];
    size_t sub_count;
    size_t fresh[PUBLISHERS]; /* heard, not yet told */
    size_t fresh_bytes;
    size_t heard; /* all bytes ever */
    uint64_t group_msgs;
};

/* --- publishing --------------------------------------------------------------------------- */

static size_t choose_size(struct publisher *p)
{
    unsigned dice = pp_random_below(&p->random, 1000);
    size_t min = p->world->plan.payload_min, max = p->world->plan.payload_max, size;

    if (min)
        return min + pp_random_below(&p->random, (uint32_t)(max - min));
    if (dice < 700)
        size = pp_random_below(&p->random, 300);
    else if (dice < 850)
        size = 300 + pp_random_below(&p->random, 1740);
    else if (dice < 900)
        size = 2000 + pp_random_below(&p->random, 100); /* 2048: from here on not copied */
    else if (dice < 950)
        size = 2100 + pp_random_below(&p->random, 8000);
    else if (dice < 970)
        size = 32500 + pp_random_below(&p->random, 500); /* 32 KiB: memory of its own */
    else if (dice < 997)
        size = 33000 + pp_random_below(&p->random, 60000);
    else
        size = 100000 + pp_random_below(&p->random, 900000);
    size = size < max ? size : max;
    return size > sizeof(struct stamp) ? size : sizeof(struct stamp);
}

static void flush_batch(struct publisher *p)
{
    REQUIRE(peer_write(&p->peer, p->batch, p->batch_len), "publisher %u is connected", p->index);
    p->batch_len = 0;
}

static size_t slowest_locked(const struct world *w, unsigned publisher)
{
    size_t least = SIZE_MAX;

    for (unsigned i = 0; i < w->listener_count; i++)
        least = w->heard[i][publisher] < least ? w->heard[i][publisher] : least;
    return least;
}

/* Wait until the slowest listener is near enough; count what is about to be sent. */
static void wait_for_room(struct publisher *p, size_t wire_bytes)
{
    struct world *w = p->world;
    bool waits = false;

    (void)pthread_mutex_lock(&w->lock);
    while (w->sent[p->index] + wire_bytes - slowest_locked(w, p->index) > w->plan.ahead_bytes) {
        if (!waits) {
            (void)pthread_mutex_unlock(&w->lock);
            flush_batch(p);
            REQUIRE(peer_barrier(&p->peer), "publisher %u is connected", p->index);
            (void)pthread_mutex_lock(&w->lock);
            waits = true;
            w->blocked++;
            (void)pthread_cond_broadcast(&w->changed);
            continue;
        }
        (void)pthread_cond_wait(&w->changed, &w->lock);
    }
    w->blocked -= waits;
    w->sent[p->index] += wire_bytes;
    (void)pthread_mutex_unlock(&w->lock);
}

/* Add one message to the batch, as PUB or HPUB, with or without a reply. */
static void publish(struct publisher *p, uint32_t seq)
{
    unsigned subject = pp_random_below(&p->random, SUBJECTS);
    unsigned form = pp_random_below(&p->random, 8);
    size_t size = choose_size(p);
    struct stamp stamp = {MAGIC,
                          p->index,
                          subject,
                          seq,
                          p->subject_seq[subject]++,
                          pp_random_below(&p->random, PATTERN_BYTES / 2),
                          (uint32_t)size,
                          0};
    const char *reply = form % 2 ? "answer.here " : "", *header = "NATS/1.0\r\nA: b\r\n\r\n";
    size_t header_len = strlen(header);
    char line[128];
    int n;

    if (form < 2)
        n = snprintf(line, sizeof(line), "HPUB order.%u.%u %s%zu %zu\r\n%s", p->index, subject,
                     reply, header_len, header_len + size, header);
    else
        n = snprintf(line, sizeof(line),
                     form == 2 ? "pub\torder.%u.%u  %s%zu\r\n" : "PUB order.%u.%u %s%zu\r\n",
                     p->index, subject, reply, size);
    stamp.wire_bytes = (uint32_t)n + (uint32_t)size + 2;
    wait_for_room(p, stamp.wire_bytes);
    if (p->batch_len + stamp.wire_bytes > BATCH_BYTES || pp_random_below(&p->random, 50) == 0)
        flush_batch(p);
    memcpy(p->batch + p->batch_len, line, (size_t)n);
    p->batch_len += (size_t)n;
    memcpy(p->batch + p->batch_len, &stamp, sizeof(stamp));
    memcpy(p->batch + p->batch_len + sizeof(stamp), p->world->pattern + stamp.filler_at,
           size - sizeof(stamp));
    p->batch_len += size;
    memcpy(p->batch + p->batch_len, "\r\n", 2);
    p->batch_len += 2;
}

static void *run_publisher(void *arg)
{
    struct publisher *p = arg;
    struct world *w = p->world;

    p->batch = malloc(BATCH_BYTES + (1 << 20) + 4096);
    REQUIRE(p->batch, "memory");
    for (uint32_t seq = 0; seq < w->plan.messages; seq++)
        publish(p, seq);
    flush_batch(p);
    REQUIRE(peer_barrier(&p->peer), "publisher %u is connected", p->index);
    free(p->batch);
    (void)pthread_mutex_lock(&w->lock);
    w->finished++;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- listening ---------------------------------------------------------------------------- */

static void check_group(struct listener *l, struct subscription *sub, const struct stamp *stamp)
{
    struct world *w = l->world;
    atomic_uchar *heard =
        &w->group_heard[sub->group][stamp->publisher * w->plan.messages + stamp->seq];

    REQUIRE(atomic_fetch_add(heard, 1) == 0, "group %d hears publisher %u's message %u once",
            sub->group, stamp->publisher, stamp->seq);
    REQUIRE(stamp->seq >= sub->next[stamp->publisher],
            "listener %u, group %d: message %u of publisher %u comes after %u", l->index,
            sub->group, stamp->seq, stamp->publisher, sub->next[stamp->publisher]);
    sub->next[stamp->publisher] = stamp->seq + 1;
    l->group_msgs++;
}

static void check_plain(struct listener *l, struct subscription *sub, const struct stamp *stamp)
{
    uint32_t seq = sub->subject < 0 ? stamp->seq : stamp->subject_seq;

    REQUIRE(seq == sub->next[stamp->publisher],
            "listener %u, sid %zu (%s): message %u of publisher %u, not %u", l->index,
            (size_t)(sub - l->subs) + 1, sub->pattern, sub->next[stamp->publisher],
            stamp->publisher, seq);
    sub->next[stamp->publisher]++;
}

static void check_message(struct listener *l, const peer_event *event, struct stamp *stamp)
{
    struct world *w = l->world;
    char subject[32];

    REQUIRE(event->sid >= 1 && event->sid <= l->sub_count, "sid %u is known", event->sid);
    REQUIRE(event->payload_len >= sizeof(*stamp), "%zu bytes on %s", event->payload_len,
            event->subject);
    memcpy(stamp, event->payload, sizeof(*stamp));
    REQUIRE(stamp->magic == MAGIC && stamp->publisher < PUBLISHERS &&
                stamp->seq < w->plan.messages && stamp->payload_bytes == event->payload_len,
            "a payload from the beginning: %s", event->line);
    (void)snprintf(subject, sizeof(subject), "order.%u.%u", stamp->publisher, stamp->subject);
    REQUIRE(strcmp(subject, event->subject) == 0,
            "listener %u: message %u of %zu bytes on %s, not %s (sid %u, %s, header %zu)", l->index,
            stamp->seq, event->payload_len, subject, event->subject, event->sid,
            event->reply ? event->reply : "no reply", event->header_len);
    REQUIRE(memcmp(event->payload + sizeof(*stamp), w->pattern + stamp->filler_at,
                   event->payload_len - sizeof(*stamp)) == 0,
            "message %u of publisher %u is whole", stamp->seq, stamp->publisher);
}

/* What was heard lets the publishers go on. */
static void tell(struct listener *l)
{
    struct world *w = l->world;

    if (!l->fresh_bytes)
        return;
    (void)pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        w->heard[l->index][i] += l->fresh[i];
        l->fresh[i] = 0;
    }
    l->fresh_bytes = 0;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Wait until every publisher has either to wait or finished; then there is so much to be heard. */
static size_t wait_for_standstill(struct world *w, bool *out_finished)
{
    size_t sent = 0;

    (void)pthread_mutex_lock(&w->lock);
    while (w->blocked + w->finished < PUBLISHERS)
        (void)pthread_cond_wait(&w->changed, &w->lock);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        sent += w->sent[i];
    *out_finished = w->finished == PUBLISHERS;
    (void)pthread_mutex_unlock(&w->lock);
    return sent;
}

static bool hear_one(struct listener *l)
{
    struct stamp stamp;
    peer_event event;

    if (peer_next(&l->peer, &event) != PEER_MSG) {
        REQUIRE(event.kind == PEER_PONG, "listener %u: %s", l->index,
                event.line ? event.line : "closed by the server");
        return false;
    }
    check_message(l, &event, &stamp);
    if (l->subs[event.sid - 1].group >= 0)
        check_group(l, &l->subs[event.sid - 1], &stamp);
    else
        check_plain(l, &l->subs[event.sid - 1], &stamp);
    if (l->complete && event.sid == 1) {
        l->heard += stamp.wire_bytes;
        l->fresh[stamp.publisher] += stamp.wire_bytes;
        l->fresh_bytes += stamp.wire_bytes;
        if (l->fresh_bytes > l->world->plan.ahead_bytes / 16)
            tell(l);
    }
    return true;
}

/* Until the PONG to the PING that is sent for it when all has been published. */
static void *run_listener(void *arg)
{
    struct listener *l = arg;
    bool finished = !(l->world->plan.hold && l->complete);

    while (!finished) {
        size_t sent = wait_for_standstill(l->world, &finished);

        while (l->heard < sent)
            REQUIRE(hear_one(l), "listener %u: a message, not a PONG", l->index);
        tell(l);
    }
    while (hear_one(l))
        ;
    return NULL;
}

/* --- a world ------------------------------------------------------------------------------ */

static void listen(struct listener *l, const char *pattern, int group, int subject)
{
    static const char *const groups[GROUPS] = {"first", "second"};
    struct subscription *sub = &l->subs[l->sub_count++];

    *sub = (struct subscription){.pattern = pattern, .group = group, .subject = subject};
    (void)peer_printf(&l->peer, "SUB %s %s %zu\r\n", pattern, group < 0 ? "" : groups[group],
                      l->sub_count);
}

/* Complete listeners come first: their places are those that publishers wait for. */
static unsigned open_listeners(struct world *w, struct listener listeners[LISTENERS_MAX])
{
    static const char *const exact[PUBLISHERS] = {"order.0.0", "order.1.1", "order.2.2",
                                                  "order.3.3"};
    static const char *const everything[] = {"order.>", "order.*.*", ">"};
    unsigned count = w->plan.listeners ? w->plan.listeners : LISTENERS_MAX;

    for (unsigned i = 0; i < count; i++) {
        listeners[i] = (struct listener){.world = w, .index = i};
        /* Some are narrow: what does not fit has to wait in the server. */
        peer_open_narrow(&listeners[i].peer, w->port, i % 2 ? w->plan.receive_bytes : 0);
        listeners[i].complete = i < COUNT_OF(everything);
        if (listeners[i].complete)
            listen(&listeners[i], everything[i], -1, -1);
    }
    w->listener_count = count < COUNT_OF(everything) ? count : COUNT_OF(everything);
    if (!w->plan.listeners) {
        /* The same again on the same connection, also to one subject each. */
        for (unsigned i = 0; i < PUBLISHERS; i++)
            listen(&listeners[1], exact[i], -1, (int)i);
        listen(&listeners[3], "order.*.2", -1, 2);
        listen(&listeners[3], "order.*.4", -1, 4);
        for (unsigned i = 4; i < 7; i++)
            listen(&listeners[i], "order.>", 0, -1);
        /* A group over patterns, and two of its members on one connection. */
        listen(&listeners[6], "order.*.*", 1, -1);
        listen(&listeners[7], "order.>", 1, -1);
        listen(&listeners[7], "*.*.*", 1, -1);
    }
    for (unsigned i = 0; i < count; i++)
        REQUIRE(peer_barrier(&listeners[i].peer), "listener %u listens", i);
    return count;
}

static void require_all_heard(const struct world *w, const struct listener *listeners,
                              unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (size_t s = 0; s < listeners[i].sub_count; s++) {
            const struct subscription *sub = &listeners[i].subs[s];

            for (unsigned p = 0; p < PUBLISHERS && sub->group < 0 && sub->subject < 0; p++)
                REQUIRE(sub->next[p] == w->plan.messages, "listener %u heard %u of publisher %u", i,
                        sub->next[p], p);
        }
    }
    for (int g = 0; g < GROUPS && !w->plan.listeners; g++) {
        for (size_t i = 0; i < (size_t)PUBLISHERS * w->plan.messages; i++)
            REQUIRE(w->group_heard[g][i] == 1, "group %d heard message %zu of publisher %zu", g,
                    i % w->plan.messages, i / w->plan.messages);
    }
}

static void run_threads(struct world *w, struct publisher *publishers, struct listener *listeners,
                        unsigned listener_count)
{
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.world = w, .index = i, .random = w->seed + i + 1};
        peer_open(&publishers[i].peer, w->port);
    }
    for (unsigned i = 0; i < listener_count; i++)
        REQUIRE(!pthread_create(&listeners[i].thread, NULL, run_listener, &listeners[i]), "thread");
    for (unsigned i = 0; i < PUBLISHERS; i++)
        REQUIRE(!pthread_create(&publishers[i].thread, NULL, run_publisher, &publishers[i]),
                "thread");
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        (void)pthread_join(publishers[i].thread, NULL);
        peer_close(&publishers[i].peer);
    }
    /* Every publisher has its last PONG: all it published has been passed on before. */
    for (unsigned i = 0; i < listener_count; i++)
        (void)peer_write(&listeners[i].peer, "PING\r\n", 6);
    for (unsigned i = 0; i < listener_count; i++) {
        (void)pthread_join(listeners[i].thread, NULL);
        peer_close(&listeners[i].peer);
    }
}

static pipit_server_stats play(const char *const *options, const struct plan *plan)
{
    struct world *w = calloc(1, sizeof(*w));
    struct publisher publishers[PUBLISHERS];
    struct listener listeners[LISTENERS_MAX];
    char *pattern = malloc(PATTERN_BYTES);
    pipit_server_stats stats;
    unsigned count;
    host h;

    REQUIRE(w && pattern, "memory");
    w->plan = *plan;
    w->seed = test_seed("ordering");
    for (size_t i = 0, x = w->seed; i < PATTERN_BYTES; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        pattern[i] = (char)(x >> 56);
    }
    w->pattern = pattern;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    for (int g = 0; g < GROUPS; g++) {
        w->group_heard[g] = calloc(PUBLISHERS, plan->messages);
        REQUIRE(w->group_heard[g], "memory");
    }
    host_start(&h, options);
    w->port = h.port;
    count = open_listeners(w, listeners);
    run_threads(w, publishers, listeners, count);
    require_all_heard(w, listeners, count);
    host_wait_empty(&h);
    stats = host_stats(&h);
    host_stop(&h);
    check_note("%s: %llu messages in, %llu out, %.0f MB out, %llu stalls", options[0],
               (unsigned long long)stats.in_msgs, (unsigned long long)stats.out_msgs,
               (double)stats.out_bytes / 1e6, (unsigned long long)stats.stalls);
    for (int g = 0; g < GROUPS; g++)
        free(w->group_heard[g]);
    free(pattern);
    free(w);
    return stats;
}

static void play_mixed(const char *threads)
{
    const char *const options[] = {threads, "--max_pending=1073741824", NULL};
    const struct plan plan = {.messages = check_sanitized() ? 2000 : 10000,
                              .ahead_bytes = 6 << 20,
                              .payload_max = 1 << 20,
                              .receive_bytes = 16 * 1024};
    pipit_server_stats stats = play(options, &plan);

    REQUIRE(stats.slow_consumers == 0, "nobody was slow");
}

static void two_loops(void)
{
    play_mixed("--threads=2");
}

static void three_loops(void)
{
    play_mixed("--threads=3");
}

static void four_loops(void)
{
    play_mixed("--threads=4");
}

/* Listeners that lag up to the mark from which publishers must wait, but not to the limit at which
 * they would be closed: again and again they stop listening until the publishers have come to a
 * standstill. */
static void stalls(void)
{
    /* The mark is at 24 MiB; the kernel holds some MB besides. */
    const char *const options[] = {"--threads=3", "--max_pending=33554432", NULL};
    const struct plan plan = {.messages = check_sanitized() ? 4000 : 8000,
                              .ahead_bytes = 30000000 / PUBLISHERS,
                              .payload_max = 100000,
                              .listeners = 3,
                              .hold = true,
                              .receive_bytes = 16 * 1024};
    pipit_server_stats stats = play(options, &plan);

    REQUIRE(stats.slow_consumers == 0, "nobody was closed");
    REQUIRE(stats.stalls > 0, "publishers were made to wait");
}

/* Several loops send to one connection that never has room for all of it: what one of them could
 * not send must come before what another has brought meanwhile. */
static void leftovers(void)
{
    const char *const options[] = {"--threads=2", "--max_pending=1073741824", NULL};
    const struct plan plan = {.messages = check_sanitized() ? 2000 : 10000,
                              .ahead_bytes = 1200000,
                              .payload_min = 1000,
                              .payload_max = 100000,
                              .listeners = 3,
                              .receive_bytes = 32 * 1024};

    (void)play(options, &plan);
}

/* One message with very many copies for one connection, behind a large one for it: more pieces in
 * one turn than a send can take. */
static void many_copies(void)
{
    enum { COPIES = 20000, COPY_BYTES = 1900, LARGE = 3000 };
    const char *const options[] = {"--threads=2", "--max_pending=268435456", NULL};
    static char payload[LARGE];
    peer from, to;
    peer_event event;
    host h;

    memset(payload, 'p', sizeof(payload));
    host_start(&h, options);
    peer_open(&to, h.port);
    peer_open(&from, h.port);
    (void)peer_printf(&to, "SUB large %u\r\n", COPIES);
    for (unsigned sid = 0; sid < COPIES; sid++)
        (void)peer_printf(&to, "SUB copies %u\r\n", sid);
    REQUIRE(peer_barrier(&to), "subscribed");
    for (unsigned round = 0; round < 3; round++) {
        char batch[LARGE + COPY_BYTES + 100];
        int n = snprintf(batch, sizeof(batch), "PUB large %d\r\n%.*s\r\nPUB copies %d\r\n%.*s\r\n",
                         LARGE, LARGE, payload, COPY_BYTES, COPY_BYTES, payload);
        static bool heard[COPIES];

        memset(heard, 0, sizeof(heard));
        (void)peer_write(&from, batch, (size_t)n); /* in one piece: in one turn */
        REQUIRE(peer_next_msg(&to, &event) && event.sid == COPIES && event.payload_len == LARGE,
                "the large one first");
        for (unsigned i = 0; i < COPIES; i++) {
            REQUIRE(peer_next_msg(&to, &event), "copy %u of %d", i, COPIES);
            REQUIRE(event.sid < COPIES && !heard[event.sid] && event.payload_len == COPY_BYTES,
                    "each subscription once: sid %u", event.sid);
            heard[event.sid] = true;
        }
    }
    peer_close(&from);
    peer_close(&to);
    host_wait_empty(&h);
    host_stop(&h);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"two_loops", two_loops, 60},   {"three_loops", three_loops, 60},
        {"four_loops", four_loops, 60}, {"stalls", stalls, 60},
        {"leftovers", leftovers, 60},   {"many_copies", many_copies, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
