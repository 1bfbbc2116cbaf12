/* The memory limit: floods of each kind against a server that may have 64 MiB.
 *
 * Every scenario is a siege with a limit: resident memory never goes over it, the probe is served
 * all the time, and when the flood is over, or those who caused it were ended, everything is as
 * before. How each flood is met is counted: refused, stalled, or ended. */
#include "support/check.h"
#include "support/siege.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    LIMIT_MIB = 64,
    STAYS = 32 * MIB, /* an allocator keeps some, and less than would make memory short */
};

static const char *const two_loops[] = {"--threads=2", NULL};

/* A sanitizer gives memory back late, or never, unless it is told. */
static void add_option(const char *variable, const char *option)
{
    const char *before = getenv(variable);
    char text[1024];

    (void)snprintf(text, sizeof(text), "%s%s%s", before ? before : "", before ? ":" : "", option);
    (void)setenv(variable, text, 1);
}

static size_t resident_at_start(void)
{
    size_t bytes;
    child c;

    (void)unsetenv("PIPIT_MAX_MEMORY");
    child_start(&c, two_loops);
    bytes = child_rss_bytes(&c);
    child_stop(&c);
    return bytes;
}

/* A server that may have so many MiB; where a sanitizer takes a part, so many more. */
static void begin_with(struct siege *s, const char *const *options, size_t mib)
{
    char limit[32];

    add_option("ASAN_OPTIONS", "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:"
                               "allocator_release_to_os_interval_ms=0");
    add_option("TSAN_OPTIONS", "allocator_release_to_os_interval_ms=0");
    if (check_sanitized())
        mib += resident_at_start() / MIB;
    (void)snprintf(limit, sizeof(limit), "%zu", mib);
    (void)setenv("PIPIT_MAX_MEMORY", limit, 1);
    siege_begin(s, options);
}

static void begin(struct siege *s, const char *const *options)
{
    begin_with(s, options, LIMIT_MIB);
}

static void end(struct siege *s)
{
    siege_end(s, (size_t)LIMIT_MIB * MIB, STAYS);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Say as much of it as goes at once; false: the server has closed. */
static bool push(peer *p, const char *bytes, size_t len, size_t *out_sent)
{
    ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    *out_sent = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Whoever comes now is let in and served. */
static bool is_served(void *arg)
{
    const struct siege *s = arg;
    peer p;
    bool served;

    served = peer_try_open(&p, s->child.port);
    peer_close(&p);
    return served;
}

static void require_recovered(struct siege *s)
{
    check_until(is_served, s, "a client is let in again");
}

/* --- those who do not read ---------------------------------------------------------------- */

struct flood {
    struct siege s;
    peer *deaf;
    size_t deaf_count;
    peer good, from[4];
    uint64_t sent;
};

static char payload[60000];

/* Those who do not read come to the socket at path, or by TCP where that is NULL. */
static void flood_begin(struct flood *f, const char *const *options, const char *path, size_t deaf,
                        int receive_bytes)
{
    raise_descriptor_limit();
    begin(&f->s, options);
    f->deaf = calloc(deaf, sizeof(*f->deaf));
    f->deaf_count = deaf;
    f->sent = 0;
    REQUIRE(f->deaf, "memory");
    for (size_t i = 0; i < deaf; i++) {
        if (path)
            peer_dial_unix(&f->deaf[i], path);
        else
            peer_dial(&f->deaf[i], f->s.child.port, receive_bytes);
        REQUIRE(peer_greet(&f->deaf[i]), "the server takes a client");
        (void)peer_printf(&f->deaf[i], "SUB load.> 1\r\n");
        REQUIRE(peer_barrier(&f->deaf[i]), "subscribed");
    }
    peer_open(&f->good, f->s.child.port);
    (void)peer_printf(&f->good, "SUB load.> 1\r\n");
    REQUIRE(peer_barrier(&f->good), "subscribed");
    for (size_t i = 0; i < COUNT_OF(f->from); i++)
        peer_open(&f->from[i], f->s.child.port);
}

/* Publish so many of len bytes; who reads hears them all. */
static void flood_publish(struct flood *f, unsigned count, size_t len)
{
    peer_event event;

    for (unsigned n = 0; n < count; n++) {
        REQUIRE(peer_publish(&f->from[n % COUNT_OF(f->from)], n % 3 ? "load.a" : "load.b", payload,
                             len),
                "publishers stay");
        f->sent++;
        if (n % 16 == 15) {
            while (f->good.msgs < f->sent)
                REQUIRE(peer_next_msg(&f->good, &event), "who reads is not closed");
        }
    }
    while (f->good.msgs < f->sent)
        REQUIRE(peer_next_msg(&f->good, &event), "who reads is not closed");
}

static void flood_end(struct flood *f)
{
    for (size_t i = 0; i < f->deaf_count; i++)
        peer_close(&f->deaf[i]);
    for (size_t i = 0; i < COUNT_OF(f->from); i++)
        peer_close(&f->from[i]);
    peer_close(&f->good);
    free(f->deaf);
    require_recovered(&f->s);
    end(&f->s);
}

/* Together they may wait for much more than there is: they are stalled for, and then ended. */
static void deaf_subscribers(void)
{
    struct flood f;

    flood_begin(&f, two_loops, NULL, 16, 4096);
    while (child_counter(&f.s.child, "slow_consumers") < f.deaf_count) {
        REQUIRE(f.sent < 500000, "those who never read are closed");
        flood_publish(&f, 480, f.sent % 960 ? sizeof(payload) : 900);
    }
    REQUIRE(child_counter(&f.s.child, "memory_closed") > 0, "before their write deadline");
    check_note("%llu messages, stalled %llu times", (unsigned long long)f.sent,
               (unsigned long long)child_counter(&f.s.child, "stalls"));
    flood_end(&f);
}

/* A little for each of very many. By a Unix socket: what the kernel takes for each of them by TCP
 * would be more than the system grants to all TCP, and then it loses packets of others, too. */
static void many_deaf_subscribers(void)
{
    char folder[] = "/tmp/pipit-limits-XXXXXX", path[64], option[80];
    const char *const options[] = {"--threads=2", option, NULL};
    struct flood f;

    REQUIRE(mkdtemp(folder), "a folder");
    (void)snprintf(path, sizeof(path), "%s/sock", folder);
    (void)snprintf(option, sizeof(option), "--unix=%s", path);
    flood_begin(&f, options, path, 1000, 0);
    while (child_counter(&f.s.child, "memory_closed") < f.deaf_count / 4) {
        REQUIRE(f.sent < 100000, "those who never read are closed");
        flood_publish(&f, 64, 2500);
        flood_publish(&f, 64, 300);
    }
    check_note("%llu messages until a quarter of %zu was closed", (unsigned long long)f.sent,
               f.deaf_count);
    flood_end(&f);
    (void)rmdir(folder);
}

/* Publish, and know that the server has passed it on: the policy is everybody's, so whoever reads
 * may miss messages too. */
static void flood_push(struct flood *f, unsigned count, size_t len)
{
    for (unsigned n = 0; n < count; n++)
        REQUIRE(peer_publish(&f->from[n % COUNT_OF(f->from)], n % 3 ? "load.a" : "load.b", payload,
                             len),
                "publishers stay");
    for (size_t i = 0; i < COUNT_OF(f->from); i++)
        REQUIRE(peer_barrier(&f->from[i]), "publishers stay");
}

/* Of those who may miss messages nobody is closed. */
static void deaf_droppers(const char *policy)
{
    char option[64];
    const char *const options[] = {"--threads=2", option, NULL};
    struct flood f;
    peer_event event;

    (void)snprintf(option, sizeof(option), "--slow_consumer=%s", policy);
    flood_begin(&f, options, NULL, 16, 65536);
    for (unsigned round = 0; round < 8; round++)
        flood_push(&f, 480, round % 2 ? sizeof(payload) : 5000);
    REQUIRE(child_counter(&f.s.child, "slow_consumers") == 0, "nobody is closed");
    REQUIRE(child_counter(&f.s.child, "drops_new") + child_counter(&f.s.child, "drops_old") +
                    child_counter(&f.s.child, "conflated") >
                0,
            "messages are missed");
    for (size_t i = 0; i < f.deaf_count; i++)
        REQUIRE(peer_barrier(&f.deaf[i]), "who reads at last is served");
    flood_push(&f, 1, 1);
    for (size_t i = 0; i < f.deaf_count; i++)
        REQUIRE(peer_next_msg(&f.deaf[i], &event) && event.payload_len == 1,
                "and hears what comes then");
    flood_end(&f);
}

static void deaf_drop_new(void)
{
    deaf_droppers("drop_new");
}

static void deaf_drop_old(void)
{
    deaf_droppers("drop_old");
}

static void deaf_conflate(void)
{
    deaf_droppers("conflate");
}

/* Ask, and never listen to answers. */
static void deaf_askers(void)
{
    enum { ASKERS = 16 };
    char batch[16384];
    size_t len = 0, closed = 0;
    uint64_t total = 0;
    struct siege s;
    peer askers[ASKERS];

    begin(&s, two_loops);
    while (len + 24 < sizeof(batch)) {
        memcpy(batch + len, "SUB bad..subject 1\r\n", 20);
        len += 20;
    }
    for (size_t i = 0; i < ASKERS; i++)
        peer_dial(&askers[i], s.child.port, 4096);
    while (closed < 4) {
        size_t sent, all = 0;

        for (size_t i = 0; i < ASKERS; i++) {
            if (askers[i].fd >= 0 && !push(&askers[i], batch, len, &sent)) {
                peer_close(&askers[i]);
                closed++;
            } else if (askers[i].fd >= 0) {
                /* A line that was cut is not another beginning of one. */
                if (sent % 20)
                    (void)peer_write(&askers[i], batch + sent % 20, 20 - sent % 20);
                all += sent;
            }
        }
        total += all;
        REQUIRE(total < (uint64_t)4096 * MIB, "who never listens is closed");
        if (!all)
            (void)check_poll(-1, 5);
    }
    check_note("%llu MiB of questions", (unsigned long long)(total / MIB));
    for (size_t i = 0; i < ASKERS; i++)
        peer_close(&askers[i]);
    require_recovered(&s);
    end(&s);
}

/* --- those who take ------------------------------------------------------------------------ */

enum { SUBSCRIBERS = 8, SUBS_AT_ONCE = 2000, SUBS_MOST = 4000000 };

/* More subscriptions, from `count` on, until they are refused; returns how many there are. */
static unsigned subscribe_until_refused(peer *clients, unsigned count)
{
    static const char refusal[] = "-ERR 'maximum subscriptions exceeded'";
    peer_event event;
    bool refused = false;

    while (!refused) {
        peer *p = &clients[count / SUBS_AT_ONCE % SUBSCRIBERS];

        REQUIRE(count < SUBS_MOST, "subscriptions are refused");
        for (unsigned end = count + SUBS_AT_ONCE; count < end; count++)
            (void)peer_printf(p, "SUB deep.%u.sub.%u.> %u\r\n", count % 977, count, count);
        (void)peer_printf(p, "PING\r\n");
        while (peer_next(p, &event) != PEER_PONG) {
            REQUIRE(event.kind == PEER_ERR && strcmp(event.line, refusal) == 0, "refused: %s",
                    event.line);
            refused = true;
        }
    }
    return count;
}

/* Who comes is refused? Memory may have come back a little meanwhile. */
static bool is_refused(uint16_t port)
{
    peer_event event;
    bool refused;
    peer late;

    peer_dial(&late, port, 0);
    (void)peer_printf(&late, "PING\r\n");
    REQUIRE(peer_next(&late, &event) == PEER_INFO, "it is greeted");
    refused = peer_next(&late, &event) == PEER_ERR;
    if (refused) {
        REQUIRE(strcmp(event.line, "-ERR 'maximum connections exceeded'") == 0, "it is told: %s",
                event.line);
        peer_await_close(&late);
    }
    peer_close(&late);
    return refused;
}

/* Subscriptions until they are refused; then connections are refused too. */
static void subscriptions(void)
{
    struct siege s;
    peer clients[SUBSCRIBERS];
    unsigned count = 0;

    begin(&s, two_loops);
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        peer_open(&clients[i], s.child.port);
    do {
        count = subscribe_until_refused(clients, count);
    } while (!is_refused(s.child.port));
    check_note("%u subscriptions", count);
    /* Whoever is there already is served: what takes no memory goes on. */
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        REQUIRE(peer_barrier(&clients[i]), "who has subscribed is served");
    REQUIRE(child_counter(&s.child, "memory_refusals") > 1, "refusals are counted");
    REQUIRE(child_counter(&s.child, "memory_closed") == 0, "nobody is to blame, nobody is closed");
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        peer_close(&clients[i]);
    require_recovered(&s);
    end(&s);
}

/* Connections until they are refused. */
static void connections(void)
{
    enum { MOST = 9000 };
    struct siege s;
    peer *peers = calloc(MOST, sizeof(*peers));
    peer_event event;
    size_t count = 0;
    bool refused = false;

    raise_descriptor_limit();
    REQUIRE(peers, "memory");
    begin_with(&s, two_loops, 16);
    for (; !refused && count < MOST; count++) {
        peer_dial(&peers[count], s.child.port, 4096);
        for (unsigned i = 0; i < 8; i++)
            (void)peer_printf(&peers[count], "SUB subject.%u.of.%zu %u\r\n", i, count, i);
        REQUIRE(peer_next(&peers[count], &event) == PEER_INFO, "it is greeted");
        (void)peer_printf(&peers[count], "PING\r\n");
        while (peer_next(&peers[count], &event) == PEER_ERR &&
               strstr(event.line, "maximum subscriptions"))
            ;
        refused = event.kind == PEER_ERR;
    }
    check_note("%zu connections, %.1f MiB", count, (double)child_peak_bytes(&s.child) / MIB);
    REQUIRE(refused, "connections are refused");
    for (size_t i = 0; i < count; i++)
        peer_cut(&peers[i]);
    free(peers);
    require_recovered(&s);
    siege_end(&s, 16 * MIB, 12 * MIB);
}

/* The beginnings of large messages, whose ends do not come; then one that is whole. */
static void beginnings(size_t bytes)
{
    enum { CLIENTS = 2000, LARGE = 1000000 };
    char *whole = calloc(1, LARGE);
    peer *peers = calloc(CLIENTS, sizeof(*peers)), from, to;
    struct siege s;
    peer_event event;

    raise_descriptor_limit();
    REQUIRE(whole && peers, "memory");
    begin(&s, two_loops);
    peer_open(&from, s.child.port);
    peer_open(&to, s.child.port);
    (void)peer_printf(&to, "SUB whole 1\r\n");
    REQUIRE(peer_barrier(&to), "subscribed");
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_dial(&peers[i], s.child.port, 0);
        if (peer_printf(&peers[i], "PUB half %d\r\n", LARGE))
            (void)peer_write(&peers[i], whole, bytes);
    }
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(peer_publish(&from, "whole", whole, LARGE), "taken");
        REQUIRE(peer_next_msg(&to, &event) && event.payload_len == LARGE, "passed on");
    }
    check_note("%llu were closed, %llu refused",
               (unsigned long long)child_counter(&s.child, "memory_closed"),
               (unsigned long long)child_counter(&s.child, "memory_refusals"));
    for (size_t i = 0; i < CLIENTS; i++)
        peer_cut(&peers[i]);
    peer_close(&from);
    peer_close(&to);
    free(whole);
    free(peers);
    require_recovered(&s);
    end(&s);
}

static void promises(void)
{
    beginnings(10);
}

static void half_messages(void)
{
    beginnings(60000);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"deaf_subscribers", deaf_subscribers, 90},
        {"many_deaf_subscribers", many_deaf_subscribers, 90},
        {"deaf_drop_new", deaf_drop_new, 60},
        {"deaf_drop_old", deaf_drop_old, 60},
        {"deaf_conflate", deaf_conflate, 60},
        {"deaf_askers", deaf_askers, 90},
        {"subscriptions", subscriptions, 90},
        {"connections", connections, 60},
        {"promises", promises, 60},
        {"half_messages", half_messages, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
