/* Peers that mean no good, against a pipit-server process. Every scenario is a siege. */
#include "support/check.h"
#include "support/child.h"
#include "support/peer.h"
#include "support/siege.h"

#include "base/random.h"
#include "unit/seed.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* --- a conversation ----------------------------------------------------------------------- */

enum { TALK_MAX = 128 * 1024 };

/* What an orderly client says, with payloads that take the server's different ways; ends[i] is how
 * far it goes up to the end of the ith message on its subject. */
struct talk {
    char *bytes;
    size_t len;
    size_t ends[8];
    size_t count;
};

static void add(struct talk *t, const char *text)
{
    size_t len = strlen(text);

    memcpy(t->bytes + t->len, text, len);
    t->len += len;
}

static void add_message(struct talk *t, const char *subject, const char *reply, size_t payload)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "PUB %s %s %zu\r\n", subject, reply, payload);
    add(t, line);
    memset(t->bytes + t->len, 'x', payload);
    t->len += payload;
    add(t, "\r\n");
    t->ends[t->count++] = t->len;
}

static void talk_init(struct talk *t, const char *subject, bool large)
{
    char line[128];

    *t = (struct talk){.bytes = malloc(TALK_MAX)};
    REQUIRE(t->bytes, "memory");
    add(t, "CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"talker\",\"protocol\":1}\r\n");
    add(t, "SUB own.* group 1\r\nSUB own.one 2\r\nUNSUB 2 5\r\n");
    add_message(t, subject, "", 5);
    add_message(t, subject, "reply.to", 0);
    (void)snprintf(line, sizeof(line), "HPUB %s 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", subject);
    add(t, line);
    t->ends[t->count++] = t->len;
    add(t, "PUB own.one 2\r\nhi\r\nUNSUB 1\r\n");
    if (large) {
        add_message(t, subject, "", 2500);
        add_message(t, subject, "", 40000);
    }
    add(t, "PING\r\n");
}

/* --- slowly ------------------------------------------------------------------------------- */

/* Many clients that say one byte at a time; the server hears them out. */
static void slowloris(void)
{
    enum { CLIENTS = 400 };
    struct siege s;
    struct talk talk, large;
    peer *clients = calloc(CLIENTS, sizeof(*clients));
    peer one;

    REQUIRE(clients, "memory");
    talk_init(&talk, "talk", false);
    talk_init(&large, "talk", true);
    siege_begin(&s, NULL);
    for (size_t i = 0; i < CLIENTS; i++)
        peer_dial(&clients[i], s.child.port, 0);
    for (size_t at = 0; at < talk.len; at++) {
        for (size_t i = 0; i < CLIENTS; i++)
            REQUIRE(peer_write(&clients[i], talk.bytes + at, 1), "byte %zu is taken", at);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        REQUIRE(peer_barrier(&clients[i]), "client %zu is heard out", i);
    peer_dial(&one, s.child.port, 0);
    for (size_t at = 0; at < large.len; at++)
        REQUIRE(peer_write(&one, large.bytes + at, 1), "byte %zu is taken", at);
    REQUIRE(peer_barrier(&one), "heard out");
    peer_close(&one);
    for (size_t i = 0; i < CLIENTS; i++)
        peer_close(&clients[i]);
    free(clients);
    free(talk.bytes);
    free(large.bytes);
    siege_end(&s, 16 * MIB, 4 * MIB);
}

/* Somebody on each loop, who is served. */
static void serve_late(struct siege *s)
{
    for (size_t i = 0; i < 4; i++) {
        peer late;

        peer_open(&late, s->child.port);
        peer_close(&late);
    }
}

/* Connections that never become clients: silent, in the middle of a line, in the middle of a
 * payload of 1 MiB that they have promised. */
static void half_open(void)
{
    static const char *const starts[] = {
        "",
        "CONNECT {\"verbose\":false,\"name\":\"ha",
        "CONNECT {}\r\nSUB half.open.subject 1\r\nPUB half.open.su",
        "PUB half.open 1048576\r\nthe beginning of it",
    };
    struct rlimit limit;
    size_t count = 10000;
    struct siege s;
    peer *peers;

    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0, "a limit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count + 200) {
        count = limit.rlim_cur / 2;
        check_note("only %zu connections: no more descriptors are allowed here", count);
    }
    peers = calloc(count, sizeof(*peers));
    REQUIRE(peers, "memory");
    siege_begin(&s, NULL);
    for (size_t i = 0; i < count; i++) {
        const char *start = starts[i % COUNT_OF(starts)];

        peer_dial(&peers[i], s.child.port, 4096);
        REQUIRE(peer_write(&peers[i], start, strlen(start)), "connection %zu", i);
    }
    /* Who comes later is accepted later, and served. */
    serve_late(&s);
    REQUIRE(child_counter(&s.child, "connections_opened") >= count, "all of them were let in");
    for (size_t i = 0; i < count; i++) {
        if (i % 2)
            peer_cut(&peers[i]);
        else
            peer_close(&peers[i]);
    }
    free(peers);
    siege_end(&s, 64 * MIB, 24 * MIB);
}

/* Where credentials are asked for, who does not bring them in time has to go. */
static void never_authenticated(void)
{
    enum { CLIENTS = 500 };
    static const char *const options[] = {"--threads=2", "--auth=secret", "--auth_timeout=500ms",
                                          NULL};
    peer *peers = calloc(CLIENTS, sizeof(*peers));
    child c;

    REQUIRE(peers, "memory");
    child_start(&c, options);
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_dial(&peers[i], c.port, 0);
        if (i % 2)
            (void)peer_printf(&peers[i], "CONNECT {\"auth_tok");
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_await_close(&peers[i]);
        peer_close(&peers[i]);
    }
    child_wait_empty(&c);
    child_stop(&c);
    free(peers);
}

struct opened {
    child *child;
    size_t count;
};

static bool all_opened(void *arg)
{
    const struct opened *o = arg;

    return child_counter(o->child, "connections_opened") >= o->count;
}

/* Who has not said who it is may make the server keep one control line, whatever it sends, and
 * however much: what comes behind that is refused with the connection. */
static void much_before_authentication(void)
{
    enum { LINE_MAX_BYTES = 4096, FLOOD = 256 * 1024, SHARE = LINE_MAX_BYTES + 4096 };
    static const char *const options[] = {"--threads=2", "--auth=secret", "--auth_timeout=1h",
                                          NULL};
    static char line[FLOOD];
    struct rlimit limit;
    size_t count = 10000, before, kept;
    peer *peers;
    child c;

    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0, "a limit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count + 200) {
        count = limit.rlim_cur / 2;
        check_note("only %zu connections: no more descriptors are allowed here", count);
    }
    peers = calloc(count, sizeof(*peers));
    REQUIRE(peers, "memory");
    memset(line, 'x', sizeof(line));
    memcpy(line, "CONNECT {\"name\":\"", 18);
    child_start(&c, options);
    before = child_rss_bytes(&c);
    for (size_t i = 0; i < count; i++) {
        peer_dial(&peers[i], c.port, 4096);
        REQUIRE(peer_write(&peers[i], line, LINE_MAX_BYTES), "connection %zu", i);
    }
    check_until(all_opened, &(struct opened){&c, count}, "all of them are let in");
    kept = child_peak_bytes(&c) - before;
    check_note("%zu bytes for each that has sent a line", kept / count);
    REQUIRE(check_sanitized() || kept < count * SHARE, "%zu bytes are kept", kept);
    for (size_t i = 0; i < count; i += 2) {
        (void)peer_write(&peers[i], line + 18, FLOOD - 18); /* it may be closed meanwhile */
        peer_await_close(&peers[i]);
        peer_close(&peers[i]);
    }
    kept = child_peak_bytes(&c) - before;
    REQUIRE(check_sanitized() || kept < count * SHARE, "%zu bytes at a flood", kept);
    for (size_t i = 1; i < count; i += 2)
        peer_cut(&peers[i]);
    child_wait_empty(&c);
    child_stop(&c);
    free(peers);
}

/* --- cut ---------------------------------------------------------------------------------- */

/* Every byte of the small talk; around the edges of the large one. */
static bool is_worth_a_cut(const struct talk *t, size_t at)
{
    if (t->count <= 3 || at < t->ends[2] + 60)
        return true;
    for (size_t i = 3; i < t->count; i++) {
        if (at + 6 > t->ends[i] && at < t->ends[i] + 24)
            return true;
    }
    return at % 1499 == 0 || at + 10 > t->len;
}

/* Say so much of it and close; whole messages count, and only they. */
static uint64_t cut_talk(struct siege *s, const struct talk *t, size_t at)
{
    uint64_t whole = 0;
    peer p;

    peer_dial(&p, s->child.port, 0);
    REQUIRE(peer_write(&p, t->bytes, at), "taken");
    peer_close(&p);
    for (size_t i = 0; i < t->count; i++)
        whole += t->ends[i] <= at;
    return whole;
}

static void cut_everywhere(void)
{
    struct siege s;
    uint64_t expected = 0, cuts = 0;
    peer listener;
    peer_event event;

    siege_begin(&s, NULL);
    peer_open(&listener, s.child.port);
    (void)peer_printf(&listener, "SUB talk 1\r\n");
    REQUIRE(peer_barrier(&listener), "subscribed");
    for (int large = 0; large < 2; large++) {
        struct talk talk, unheard;

        talk_init(&talk, "talk", large);
        talk_init(&unheard, "mute", large);
        for (size_t at = 0; at <= talk.len; at++) {
            uint64_t whole;
            peer p;

            if (!is_worth_a_cut(&talk, at))
                continue;
            whole = cut_talk(&s, &talk, at);
            for (uint64_t i = 0; i < whole; i++)
                REQUIRE(peer_next_msg(&listener, &event), "a message that was whole");
            expected += whole;
            cuts++;
            /* The same with a reset: what of it arrives is not certain. */
            peer_dial(&p, s.child.port, 0);
            REQUIRE(peer_write(&p, unheard.bytes, at), "taken");
            peer_cut(&p);
        }
        free(talk.bytes);
        free(unheard.bytes);
    }
    check_note("%llu cuts, %llu whole messages", (unsigned long long)cuts,
               (unsigned long long)expected);
    peer_close(&listener);
    siege_end(&s, 16 * MIB, 4 * MIB);
}

/* --- deaf --------------------------------------------------------------------------------- */

/* Subscribers that never read, while one that does hears all there is. */
static void never_reads(void)
{
    enum { DEAF = 4, PAYLOAD = 900, LARGE = 60000, BATCH = 600, MAX_PENDING = 16 * MIB };
    static const char *const options[] = {"--threads=2", "--max_pending=16777216", NULL};
    static char payload[LARGE];
    struct siege s;
    peer deaf[DEAF], good, from[2];
    uint64_t sent = 0;

    siege_begin(&s, options);
    for (size_t i = 0; i < DEAF; i++) {
        peer_open_narrow(&deaf[i], s.child.port, 4096);
        (void)peer_printf(&deaf[i], "SUB load.> 1\r\n");
        REQUIRE(peer_barrier(&deaf[i]), "subscribed");
    }
    peer_open(&good, s.child.port);
    (void)peer_printf(&good, "SUB load.> 1\r\n");
    REQUIRE(peer_barrier(&good), "subscribed");
    for (size_t i = 0; i < 2; i++)
        peer_open(&from[i], s.child.port);
    while (child_counter(&s.child, "slow_consumers") < DEAF) {
        peer_event event;

        REQUIRE(sent < 1000000, "those who never read are closed");
        for (unsigned n = 0; n < BATCH; n++)
            REQUIRE(peer_publish(&from[n % 2], n % 3 ? "load.a" : "load.b", payload,
                                 n % 30 ? PAYLOAD : LARGE),
                    "publishers stay");
        sent += BATCH;
        while (good.msgs < sent)
            REQUIRE(peer_next_msg(&good, &event), "who reads hears message %llu",
                    (unsigned long long)good.msgs);
    }
    check_note("%llu messages until all %d were closed", (unsigned long long)sent, DEAF);
    for (size_t i = 0; i < DEAF; i++) {
        peer_await_close(&deaf[i]);
        peer_close(&deaf[i]);
    }
    for (size_t i = 0; i < 2; i++)
        peer_close(&from[i]);
    peer_close(&good);
    siege_end(&s, (size_t)DEAF * MAX_PENDING + 24 * MIB, 24 * MIB);
}

/* Asks and asks, and never listens to an answer. */
static void never_hears_answers(void)
{
    enum { ASKERS = 3 };
    static const char *const options[] = {"--threads=2", "--max_pending=8388608", NULL};
    static const char *const questions[ASKERS] = {
        "PING\r\n",
        "SUB bad..subject 1\r\n",
        "CONNECT {\"verbose\":true}\r\n",
    };
    struct siege s;

    siege_begin(&s, options);
    for (size_t i = 0; i < ASKERS; i++) {
        char batch[16384];
        size_t len = 0, one = strlen(questions[i]), total = 0;
        peer p;

        while (len + one < sizeof(batch)) {
            memcpy(batch + len, questions[i], one);
            len += one;
        }
        peer_dial(&p, s.child.port, 4096);
        while (peer_write(&p, batch, len)) {
            total += len;
            REQUIRE(total < (size_t)1024 * MIB, "who never listens to %.10s is closed",
                    questions[i]);
        }
        peer_close(&p);
    }
    siege_end(&s, 32 * MIB, 24 * MIB);
}

/* --- nonsense ----------------------------------------------------------------------------- */

static const struct {
    const char *text;
    bool closes;
} malformed[] = {
    {"NONSENSE\r\n", true},
    {"\r\n", true},
    {"\n\n\n\n", true},
    {"PUB\r\n", true},
    {"PUB a\r\n", true},
    {"PUB a b c d e f\r\n", true},
    {"PUB a -1\r\n", true},
    {"PUB a 99999999999999999999\r\n", true},
    {"PUB a 1048577\r\n", true},
    {"PUB a 2\r\nhixx", true},
    {"PUB a 2\r\nhi\n\n", true},
    {"HPUB a 5 2\r\n", true},
    {"HPUB a 12 2\r\n", true},
    {"SUB\r\n", true},
    {"SUB a\r\n", true},
    {"SUB a b c d\r\n", true},
    {"UNSUB\r\n", true},
    {"CONNECT\r\n", true},
    {"CONNECT {\r\n", true},
    {"CONNECT []\r\n", true},
    {"CONNECT {\"verbose\":\"yes\"}\r\n", true},
    {"CONNECT {\"protocol\":7}\r\n", true},
    {"INFO\r\n", true},
    {"-ERR 'no'\r\n", true},
    {"MSG a 1 0\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true},
    {"SUB a..b 1\r\n", false},
    {"SUB > 1\r\nSUB > 1\r\nUNSUB 1\r\nUNSUB 1\r\n", false},
    {"UNSUB 77 99999999999\r\n", false},
    {"PUB a..b 0\r\n\r\n", false},
    {"+OK\r\nPONG\r\nPONG\r\n", false},
};

static void play_malformed(uint16_t port, size_t i)
{
    peer p;

    peer_dial(&p, port, 0);
    (void)peer_write(&p, malformed[i].text, strlen(malformed[i].text));
    if (malformed[i].closes)
        peer_await_close(&p);
    else
        REQUIRE(peer_barrier(&p), "still there after %s", malformed[i].text);
    if (i % 2)
        peer_cut(&p);
    else
        peer_close(&p);
}

/* A line without an end. */
static void play_endless(uint16_t port)
{
    char blanks[8192];
    size_t total = 0;
    peer p;

    memset(blanks, ' ', sizeof(blanks));
    peer_dial(&p, port, 0);
    (void)peer_printf(&p, "PUB");
    while (peer_write(&p, blanks, sizeof(blanks))) {
        total += sizeof(blanks);
        REQUIRE(total < 64 * MIB, "a line without an end is refused");
    }
    peer_cut(&p);
}

static void malformed_flood(void)
{
    enum { ROUNDS = 100 };
    struct siege s;

    siege_begin(&s, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < COUNT_OF(malformed); i++)
            play_malformed(s.child.port, i);
        play_endless(s.child.port);
    }
    siege_end(&s, 16 * MIB, 4 * MIB);
}

/* Bytes by chance, and conversations damaged by chance. */
static void random_bytes(void)
{
    enum { PEERS = 1500, BYTES_MAX = 20000 };
    uint64_t random = test_seed("hostile random_bytes");
    struct siege s;
    struct talk talk;
    char *bytes = malloc(TALK_MAX);

    REQUIRE(bytes, "memory");
    talk_init(&talk, "talk", true);
    siege_begin(&s, NULL);
    for (unsigned i = 0; i < PEERS; i++) {
        size_t len = 1 + pp_random_below(&random, BYTES_MAX);
        peer p;

        if (i % 2) {
            for (size_t k = 0; k < len; k++)
                bytes[k] = (char)pp_random_below(&random, 256);
        } else {
            unsigned damages = 1 + pp_random_below(&random, 4);

            len = talk.len;
            memcpy(bytes, talk.bytes, len);
            while (damages--)
                bytes[pp_random_below(&random, i % 4 ? 500 : (uint32_t)len)] =
                    (char)pp_random_below(&random, 256);
        }
        peer_dial(&p, s.child.port, 0);
        (void)peer_write(&p, bytes, len); /* it may be closed before the end */
        if (i % 3)
            peer_close(&p);
        else
            peer_cut(&p);
    }
    REQUIRE(child_alive(&s.child), "the server lives");
    free(bytes);
    free(talk.bytes);
    siege_end(&s, 24 * MIB, 8 * MIB);
}

/* --- churn -------------------------------------------------------------------------------- */

enum { CHURN_SUBS = 100000 };

static void say_for_each(peer *p, const char *format, unsigned count)
{
    char batch[32768];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(batch + len, sizeof(batch) - len, format, i, i);
        if (len > sizeof(batch) - 100 || i + 1 == count) {
            REQUIRE(peer_write(p, batch, len), "connected");
            len = 0;
        }
    }
}

/* A million subscriptions come and go; then very many go at once with their connection. */
static void sub_churn(void)
{
    static const char *const patterns[] = {"SUB churn.%u.x %u\r\n", "SUB churn.%u.* %u\r\n",
                                           "SUB churn.%u.> q %u\r\n", "SUB *.%u.churn %u\r\n",
                                           "SUB a.b.c.d.e.%u %u\r\n"};
    struct siege s;
    size_t after_first = 0;
    peer p;

    siege_begin(&s, NULL);
    peer_open(&p, s.child.port);
    for (unsigned round = 0; round < 10; round++) {
        say_for_each(&p, patterns[round % COUNT_OF(patterns)], CHURN_SUBS);
        say_for_each(&p, "UNSUB %u\r\n", CHURN_SUBS);
        REQUIRE(peer_barrier(&p), "connected");
        if (round == 4)
            after_first = child_rss_bytes(&s.child);
    }
    check_note("memory after half of it %.1f MiB, after all of it %.1f MiB",
               (double)after_first / MIB, (double)child_rss_bytes(&s.child) / MIB);
    REQUIRE(check_sanitized() || child_rss_bytes(&s.child) < after_first + 8 * MIB,
            "churn does not add up");
    for (unsigned round = 0; round < 3; round++) {
        say_for_each(&p, "SUB churn.%u.x %u\r\n", CHURN_SUBS);
        peer_cut(&p);
        peer_open(&p, s.child.port);
    }
    peer_close(&p);
    siege_end(&s, 96 * MIB, 48 * MIB);
}

struct rower {
    peer *peer;
    const char *format;
};

/* More than one read of them. */
static void *row(void *arg)
{
    enum { LINES = 30000, LINE_MAX_BYTES = 128 };
    const struct rower *r = arg;
    char *all = malloc((size_t)LINES * LINE_MAX_BYTES);
    size_t len = 0;

    REQUIRE(all, "memory");
    for (unsigned i = 0; i < LINES; i++)
        len += (size_t)snprintf(all + len, LINE_MAX_BYTES, r->format, i);
    (void)peer_write(r->peer, all, len);
    free(all);
    return NULL;
}

enum { VAIN_SUBS = 40000, VAIN_GROUPS = 3000, VAIN_RULES = 20000 };

static void subscribe_often(peer *p)
{
    say_for_each(p, "SUB vain.a %u\r\n", VAIN_SUBS);
}

/* Members of groups whose long names differ at their ends only, or not at all. */
static void subscribe_in_groups(peer *p)
{
    static char name[3500];

    memset(name, 'g', sizeof(name) - 1);
    for (unsigned i = 0; i < VAIN_GROUPS; i++)
        REQUIRE(peer_printf(p, "SUB vain.a %s%u %u\r\n", name, i % 2 ? i : 1, i), "subscribed");
}

static void subscribe_to_nothing(peer *p)
{
    (void)p;
}

/* A user who shows nothing, with very many rules. */
static void write_rules(const char *path)
{
    FILE *file = fopen(path, "w");

    REQUIRE(file, "%s", path);
    (void)fprintf(file, "no_auth_user: u\naccounts { A { users: [ { user: u, password: p, "
                        "permissions: { publish: { deny: [");
    for (unsigned i = 0; i < VAIN_RULES; i++)
        (void)fprintf(file, "\"vain.*.r%u\",", i);
    (void)fprintf(file, "\"x\"] } } } ] } }\n");
    REQUIRE(fclose(file) == 0, "written");
}

/* What makes the server look at many recipients or rules, and reaches few or none. Others on the
 * loop must not wait for more than one such message at a time. */
static void work_in_vain(void)
{
    enum { WAIT_MS = 10000 };
    static const char *const connect = "CONNECT {\"verbose\":false,\"echo\":false,"
                                       "\"headers\":true,\"no_responders\":true}\r\n";
    static const struct {
        const char *what;
        void (*subscribe)(peer *p);
        const char *format;
    } kinds[] = {
        {"its own subscriptions, without echo", subscribe_often, "PUB vain.a 0\r\n\r\n"},
        {"nobody responds", subscribe_often, "PUB vain.none vain.a 0\r\n\r\n"},
        {"groups that change", subscribe_in_groups, "SUB vain.> x%u\r\nPUB vain.a 0\r\n\r\n"},
        {"rules", subscribe_to_nothing, "PUB vain.%u 0\r\n\r\n"},
    };
    char path[] = "/tmp/pipit-rules-XXXXXX";
    char *config = NULL;
    peer busy, other;
    child c;
    int fd = mkstemp(path);

    REQUIRE(fd >= 0 && close(fd) == 0, "a file");
    write_rules(path);
    REQUIRE(asprintf(&config, "--config=%s", path) > 0, "memory");
    child_start(&c, (const char *const[]){"--threads=1", config, NULL});
    (void)unlink(path);
    free(config);
    peer_open(&other, c.port);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct rower rower = {&busy, kinds[i].format};
        int64_t worst_ns = 0;
        pthread_t thread;

        peer_dial(&busy, c.port, 0);
        REQUIRE(peer_write(&busy, connect, strlen(connect)), "connected");
        kinds[i].subscribe(&busy);
        REQUIRE(peer_barrier(&busy), "subscribed");
        REQUIRE(pthread_create(&thread, NULL, row, &rower) == 0, "a thread");
        for (unsigned n = 0; n < 50; n++) {
            int64_t start_ns = check_now_ns();

            REQUIRE(peer_barrier(&other), "served");
            if (check_now_ns() - start_ns > worst_ns)
                worst_ns = check_now_ns() - start_ns;
        }
        (void)shutdown(busy.fd, SHUT_RDWR);
        (void)pthread_join(thread, NULL);
        peer_cut(&busy);
        check_note("%s: the other waited %.1f ms at most", kinds[i].what, (double)worst_ns / 1e6);
        REQUIRE(check_sanitized() || worst_ns < WAIT_MS * 1000000LL, "the other is served");
    }
    peer_close(&other);
    child_stop(&c);
}

/* Connections that come, say hello, subscribe and go, as fast as one client can. */
static void connection_churn(void)
{
    enum { CONNS = 4000 };
    struct siege s;

    siege_begin(&s, NULL);
    for (unsigned i = 0; i < CONNS; i++) {
        peer p;

        peer_open(&p, s.child.port);
        (void)peer_printf(&p, "SUB a.%u 1\r\nPUB a.%u 2\r\nhi\r\n", i, i);
        if (i % 2)
            peer_cut(&p);
        else
            peer_close(&p);
    }
    siege_end(&s, 16 * MIB, 4 * MIB);
}

/* --- limits by a race --------------------------------------------------------------------- */

enum { RACES = 300, RACES_AT_ONCE = 200, SUBS_MAX = 5 };

struct flood {
    peer peer;
    atomic_bool done;
};

static void *run_flood(void *arg)
{
    struct flood *flood = arg;
    char bytes[16 * 100];
    size_t len = 0;

    for (unsigned i = 0; i < 100; i++)
        len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, "PUB race 0\r\n\r\n");
    while (!atomic_load(&flood->done) && peer_write(&flood->peer, bytes, len) &&
           peer_barrier(&flood->peer))
        ;
    return NULL;
}

/* Subscriptions end by their last message on one loop while the client ends them, or changes its
 * mind, on another. Who counts them wrongly lets it have more than it may, or fewer. */
static void sub_limit_by_a_race(void)
{
    static const char *const ends[] = {"UNSUB %u\r\n", "UNSUB %u 2\r\nUNSUB %u\r\n"};
    static const char *const options[] = {"--threads=2", "--max_subscriptions=5", NULL};
    struct flood flood = {.done = false};
    pthread_t thread;
    peer_event event;
    unsigned refused = 0;
    struct siege s;
    peer p;

    siege_begin(&s, options);
    peer_open(&flood.peer, s.child.port); /* on the other loop */
    peer_open(&p, s.child.port);
    REQUIRE(!pthread_create(&thread, NULL, run_flood, &flood), "a thread");
    for (unsigned i = 0; i < RACES; i++) {
        static char bytes[RACES_AT_ONCE * 80];
        size_t len = 0;

        for (unsigned k = 1; k <= RACES_AT_ONCE; k++) {
            len += (size_t)snprintf(bytes + len, sizeof(bytes) - len,
                                    "SUB race %u\r\nUNSUB %u 1\r\n", k, k);
            len += (size_t)snprintf(bytes + len, sizeof(bytes) - len, ends[k % 2], k, k);
        }
        REQUIRE(peer_write(&p, bytes, len) && peer_barrier(&p), "connected");
    }
    atomic_store(&flood.done, true);
    (void)pthread_join(thread, NULL);
    for (unsigned k = 0; k < 2 * SUBS_MAX; k++)
        (void)peer_printf(&p, "SUB other.%u %u\r\n", k, 1000 + k);
    (void)peer_write(&p, "PING\r\n", 6);
    while (peer_next(&p, &event) != PEER_PONG) {
        REQUIRE(event.kind == PEER_ERR || event.kind == PEER_MSG, "connected");
        refused += event.kind == PEER_ERR;
    }
    check_note("%llu last messages came, %u of %u more subscriptions refused",
               (unsigned long long)p.msgs, refused, 2 * SUBS_MAX);
    REQUIRE(refused == SUBS_MAX, "as many as the limit says are allowed");
    peer_close(&flood.peer);
    peer_close(&p);
    siege_end(&s, 96 * MIB, 48 * MIB);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"slowloris", slowloris, 60},
        {"half_open", half_open, 60},
        {"never_authenticated", never_authenticated, 30},
        {"much_before_authentication", much_before_authentication, 60},
        {"cut_everywhere", cut_everywhere, 60},
        {"never_reads", never_reads, 60},
        {"never_hears_answers", never_hears_answers, 60},
        {"malformed_flood", malformed_flood, 60},
        {"random_bytes", random_bytes, 60},
        {"sub_churn", sub_churn, 60},
        {"work_in_vain", work_in_vain, 60},
        {"connection_churn", connection_churn, 60},
        {"sub_limit_by_a_race", sub_limit_by_a_race, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
