/* The client against a server in the same process, by every way that there is. Each scenario takes
 * the way from PIPIT_CLIENT_WAY, or goes through all. */
#include "support/check.h"
#include "support/host.h"

#include "auth/nkey.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "pipit/client.h"
#include "token.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { URL_BYTES = 256, WAIT_MS = CHECK_WAIT_MS, MANY = 20000, LARGE = 700000 };

/* The last three lead to nats-server, if it is there. */
static const char *const ways[] = {"memory", "unix",      "tcp",      "ws",     "tls",
                                   "wss",    "peer_nats", "peer_tls", "peer_ws"};

/* A server, and how a client comes to it. */
struct place {
    host host;
    const char *way;
    pid_t peer; /* 0: none */
    char folder[64], socket[128], url[URL_BYTES], ca[128];
};

static void log_line(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    if (level <= PIPIT_LOG_ERROR || getenv("PIPIT_TEST_LOG"))
        check_note("server: %s", text);
}

static bool is_way(const struct place *p, const char *part)
{
    return strstr(p->way, part) != NULL;
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    REQUIRE(system(command) == 0, "%s", command);
}

/* A certificate for localhost that signs itself. */
static void make_certificate(struct place *p)
{
    (void)snprintf(p->ca, sizeof(p->ca), "%s/cert.pem", p->folder);
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
        "-keyout %s/key.pem -out %s >/dev/null 2>&1",
        p->folder, p->ca);
}

/* What both servers understand. */
static void configure(struct place *p, char *text, size_t text_bytes, const char *more)
{
    char tls[512];
    bool has_tls = is_way(p, "tls") || is_way(p, "wss");

    (void)snprintf(tls, sizeof(tls), "tls { cert_file: \"%s/cert.pem\", key_file: \"%s/key.pem\" }",
                   p->folder, p->folder);
    if (has_tls)
        make_certificate(p);
    (void)snprintf(text, text_bytes, "websocket { host: \"127.0.0.1\", port: -1, %s }\n%s\n%s\n",
                   is_way(p, "wss") ? tls : "no_tls: true", is_way(p, "tls") ? tls : "", more);
}

static void open_here(struct place *p, const char *text)
{
    char error[512] = "", option[160];
    const char *options[] = {"--addr=127.0.0.1", "--port=-1", option};
    const pipit_server_source source = {
        .options = options, .option_count = 3, .text = text, .text_bytes = strlen(text)};
    pipit_err err;

    (void)snprintf(p->socket, sizeof(p->socket), "%s/s", p->folder);
    (void)snprintf(option, sizeof(option), "--unix=%s", p->socket);
    err = pipit_server_new_from(&p->host.server, &source, log_line, NULL, error, sizeof(error));
    REQUIRE(!err, "new: %s %s", pipit_strerror(err), error);
    err = pipit_server_start(p->host.server);
    REQUIRE(!err, "start: %s", pipit_strerror(err));
    p->host.port = pipit_server_port(p->host.server);
    if (is_way(p, "memory"))
        (void)snprintf(p->url, URL_BYTES, "memory:");
    else if (is_way(p, "unix"))
        (void)snprintf(p->url, URL_BYTES, "unix:%s", p->socket);
    else if (is_way(p, "tcp"))
        (void)snprintf(p->url, URL_BYTES, "nats://127.0.0.1:%u", p->host.port);
    else if (is_way(p, "tls"))
        (void)snprintf(p->url, URL_BYTES, "tls://localhost:%u", p->host.port);
    else
        (void)snprintf(p->url, URL_BYTES, "%s://localhost:%u", p->way,
                       pipit_server_websocket_port(p->host.server));
}

static const char *peer_program(void)
{
    static char path[512];
    const char *folder = getenv("PIPIT_PEERS_DIR");

    (void)snprintf(path, sizeof(path), "%s/nats-server", folder ? folder : "/nowhere");
    return access(path, X_OK) == 0 ? path : NULL;
}

/* The file of its ports names URLs: take the one that is wanted. False: it is not there yet. */
static bool find_peer_url(void *arg)
{
    struct place *p = arg;
    char path[160], text[1024] = "", *at, *end;
    const char *scheme = is_way(p, "ws") ? "ws://" : is_way(p, "tls") ? "tls://" : "nats://";
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/nats-server_%d.ports", p->folder, (int)p->peer);
    file = fopen(path, "r");
    if (!file)
        return false;
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    at = strstr(text, scheme);
    end = at ? strchr(at, '"') : NULL;
    if (!end)
        return false;
    *end = '\0';
    at = strrchr(at, ':');
    (void)snprintf(p->url, URL_BYTES, "%slocalhost%s", is_way(p, "tls") ? "nats://" : scheme, at);
    return true;
}

static void open_peer(struct place *p, const char *text)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/conf", p->folder);
    file = fopen(path, "w");
    REQUIRE(file, "a file");
    (void)fprintf(file, "host: \"127.0.0.1\"\nport: -1\n%s", text);
    (void)fclose(file);
    p->peer = fork();
    if (p->peer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(peer_program(), "nats-server", "-c", path, "--ports_file_dir", p->folder, "-l",
                    "/dev/null", (char *)NULL);
        _exit(127);
    }
    check_until(find_peer_url, p, "nats-server listens");
}

static void place_open(struct place *p, const char *way, const char *more)
{
    char text[2048];

    memset(p, 0, sizeof(*p));
    p->way = way;
    p->host.live_before = pp_alloc_live();
    p->host.fds_before = check_open_fds();
    (void)snprintf(p->folder, sizeof(p->folder), "/tmp/pipit-client-XXXXXX");
    REQUIRE(mkdtemp(p->folder), "a folder");
    configure(p, text, sizeof(text), more);
    if (is_way(p, "peer"))
        open_peer(p, text);
    else
        open_here(p, text);
}

static void place_close(struct place *p)
{
    if (p->peer) {
        (void)kill(p->peer, SIGKILL);
        (void)waitpid(p->peer, NULL, 0);
        host_require_nothing_left(&p->host);
    } else {
        host_stop(&p->host);
    }
    run("rm -r %s", p->folder);
}

static void each_way(void (*scenario)(struct place *p))
{
    const char *only = getenv("PIPIT_CLIENT_WAY");
    struct place p;

    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        if ((only && strcmp(only, ways[i]) != 0) || (strstr(ways[i], "peer") && !peer_program()))
            continue;
        place_open(&p, ways[i], "");
        scenario(&p);
        place_close(&p);
    }
}

static pipit_client *connect_with(struct place *p, pipit_client_options *o)
{
    pipit_client *client;
    pipit_err err;

    o->struct_bytes = sizeof(*o);
    o->server = p->host.server;
    o->tls_ca_file = *p->ca ? p->ca : NULL;
    err = pipit_client_connect(&client, p->url, o);
    REQUIRE(!err, "connect by %s: %s", p->way, pipit_strerror(err));
    return client;
}

static pipit_client *come(struct place *p)
{
    pipit_client_options o = {0};

    return connect_with(p, &o);
}

static void must(pipit_err err, const char *what)
{
    REQUIRE(!err, "%s: %s", what, pipit_strerror(err));
}

/* --- what is published is heard ----------------------------------------------------------- */

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    uint64_t count, bytes;
    uint64_t next; /* numbers must come in order */
    bool disordered;
    char subject[64], payload[64], header[64];
};

static void heard_init(struct heard *h)
{
    memset(h, 0, sizeof(*h));
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->grown, NULL);
}

static void keep(char to[64], const void *from, size_t len)
{
    len = len < 63 ? len : 63;
    if (len)
        memcpy(to, from, len);
    to[len] = '\0';
}

static void hear(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct heard *h = context;
    uint64_t number;

    (void)sub;
    (void)pthread_mutex_lock(&h->lock);
    h->count++;
    h->bytes += msg->payload_bytes;
    keep(h->subject, msg->subject, msg->subject_bytes);
    keep(h->payload, msg->payload, msg->payload_bytes);
    keep(h->header, msg->header, msg->header_bytes);
    if (msg->payload_bytes == sizeof(number)) {
        memcpy(&number, msg->payload, sizeof(number));
        h->disordered |= number != h->next++;
    }
    (void)pthread_cond_broadcast(&h->grown);
    (void)pthread_mutex_unlock(&h->lock);
}

static void await(struct heard *h, uint64_t count)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    (void)pthread_mutex_lock(&h->lock);
    while (h->count < count)
        REQUIRE(pthread_cond_timedwait(&h->grown, &h->lock, &until) == 0, "%llu messages, not %llu",
                (unsigned long long)count, (unsigned long long)h->count);
    (void)pthread_mutex_unlock(&h->lock);
}

static void publish_text(pipit_client *client, const char *subject, const char *text)
{
    must(pipit_client_publish(client, subject, NULL, text, strlen(text)), "publish");
}

static void talk(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    char *large = malloc(LARGE);
    pipit_headers *headers;
    pipit_msg msg = {.subject = "a.b", .subject_bytes = 3, .payload = "hi", .payload_bytes = 2};
    struct heard all, one;
    pipit_sub *subs[2];

    heard_init(&all);
    heard_init(&one);
    must(pipit_client_subscribe(to, "a.>", NULL, hear, &all, &subs[0]), "subscribe");
    must(pipit_client_subscribe(to, "a.b", NULL, hear, &one, &subs[1]), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    publish_text(from, "a.b", "first");
    await(&all, 1);
    await(&one, 1);
    REQUIRE(strcmp(all.subject, "a.b") == 0 && strcmp(all.payload, "first") == 0, "as published");
    publish_text(from, "a.c", "");
    await(&all, 2);
    must(pipit_headers_new(&headers), "headers");
    must(pipit_headers_add(headers, "Colour", "red"), "a header");
    REQUIRE(pipit_headers_add(headers, "Bad:", "x") == PIPIT_EINVAL, "a wrong name");
    msg.header = pipit_headers_block(headers, &msg.header_bytes);
    must(pipit_client_publish_msg(from, &msg), "publish with headers");
    await(&one, 2);
    REQUIRE(strcmp(one.header, "NATS/1.0\r\nColour: red\r\n\r\n") == 0, "headers: %s", one.header);
    pipit_headers_free(headers);
    memset(large, 'x', LARGE);
    must(pipit_client_publish(from, "a.b", NULL, large, LARGE), "publish much");
    await(&one, 3);
    REQUIRE(one.bytes == LARGE + 7, "%llu bytes", (unsigned long long)one.bytes);
    REQUIRE(pipit_client_publish(from, "a.*", NULL, "", 0) == PIPIT_EINVAL, "no wildcards");
    REQUIRE(pipit_client_publish(from, "a b", NULL, "", 0) == PIPIT_EINVAL, "no blanks");
    REQUIRE(pipit_client_publish(from, "", NULL, "", 0) == PIPIT_EINVAL, "no empty subject");
    REQUIRE(pipit_client_publish(from, "a", NULL, large, 1 << 21) == PIPIT_ETOOBIG, "max_payload");
    pipit_sub_end(subs[0]);
    pipit_client_free(from);
    pipit_client_free(to);
    free(large);
}

static void scenario_talk(void)
{
    each_way(talk);
}

static void order(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    struct heard h;
    pipit_sub *sub;

    heard_init(&h);
    must(pipit_client_subscribe(to, "numbers.*", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    for (uint64_t i = 0; i < MANY; i++)
        must(pipit_client_publish(from, i % 3 ? "numbers.a" : "numbers.b", NULL, &i, sizeof(i)),
             "publish");
    await(&h, MANY);
    REQUIRE(!h.disordered && h.count == MANY, "each once, in order");
    pipit_client_free(to);
    pipit_client_free(from);
}

/* Several at once: in order, as far as they are good. */
static void many(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    pipit_msg msgs[100];
    struct heard all;
    pipit_sub *sub;
    size_t done = 1;

    heard_init(&all);
    must(pipit_client_subscribe(to, "m.>", NULL, hear, &all, &sub), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    for (size_t i = 0; i < 100; i++)
        msgs[i] = (pipit_msg){.subject = i < 50 ? "m.a" : "m.b",
                              .subject_bytes = 3,
                              .payload = "0123456789",
                              .payload_bytes = i % 10};
    must(pipit_client_publish_many(from, msgs, 100, NULL), "publish many");
    await(&all, 100);
    REQUIRE(all.bytes == 450, "%llu bytes", (unsigned long long)all.bytes);
    REQUIRE(strcmp(all.subject, "m.b") == 0, "the last one is the last");
    msgs[60].subject = "m.*";
    REQUIRE(pipit_client_publish_many(from, msgs, 100, &done) == PIPIT_EINVAL, "no wildcards");
    REQUIRE(done == 60, "those before it: %zu", done);
    await(&all, 160);
    REQUIRE(strcmp(all.payload, "012345678") == 0, "the last good one: %s", all.payload);
    must(pipit_client_publish_many(from, msgs, 0, &done), "none");
    REQUIRE(done == 0, "none: %zu", done);
    pipit_client_free(from);
    pipit_client_free(to);
}

static void scenario_many(void)
{
    each_way(many);
}

static void scenario_order(void)
{
    each_way(order);
}

/* Over memory and to clients of other doors at once, in order at each, while those come and go. */
static void scenario_mixed(void)
{
    struct heard heard[3], shared;
    pipit_client *from, *to[3], *passer;
    pipit_sub *subs[4];
    struct place p;
    char tcp[URL_BYTES];

    place_open(&p, "memory", "");
    from = come(&p);
    to[0] = come(&p);
    (void)snprintf(tcp, sizeof(tcp), "nats://127.0.0.1:%u", p.host.port);
    (void)strcpy(p.url, tcp);
    to[1] = come(&p);
    to[2] = come(&p);
    passer = come(&p);
    heard_init(&shared);
    for (int i = 0; i < 3; i++) {
        heard_init(&heard[i]);
        must(pipit_client_subscribe(to[i], "n", NULL, hear, &heard[i], &subs[i]), "subscribe");
        must(pipit_client_flush(to[i], WAIT_MS), "flush");
    }
    for (uint64_t i = 0; i < MANY; i++) {
        must(pipit_client_publish(from, "n", NULL, &i, sizeof(i)), "publish");
        /* A queue group elsewhere has all of it go by a loop for a while. */
        if (i % 500 == 100) {
            must(pipit_client_subscribe(passer, "n", "q", hear, &shared, &subs[3]), "subscribe");
            must(pipit_client_flush(passer, WAIT_MS), "flush");
        } else if (i % 500 == 300) {
            pipit_sub_end(subs[3]);
            must(pipit_client_flush(passer, WAIT_MS), "flush");
        }
    }
    for (int i = 0; i < 3; i++) {
        await(&heard[i], MANY);
        REQUIRE(!heard[i].disordered && heard[i].count == MANY, "in order at %d", i);
        pipit_client_free(to[i]);
    }
    REQUIRE(shared.count > 0, "the group has heard some");
    pipit_client_free(passer);
    pipit_client_free(from);
    place_close(&p);
}

static void queue(struct place *p)
{
    pipit_client *from = come(p), *to[2] = {come(p), come(p)};
    struct heard h[2];
    pipit_sub *sub;
    uint64_t sum;

    for (int i = 0; i < 2; i++) {
        heard_init(&h[i]);
        must(pipit_client_subscribe(to[i], "work", "team", hear, &h[i], &sub), "subscribe");
        must(pipit_client_flush(to[i], WAIT_MS), "flush");
    }
    for (int i = 0; i < 1000; i++)
        publish_text(from, "work", "x");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_client_flush(to[0], WAIT_MS), "flush");
    must(pipit_client_flush(to[1], WAIT_MS), "flush");
    sum = h[0].count + h[1].count;
    REQUIRE(sum == 1000, "each message once: %llu", (unsigned long long)sum);
    REQUIRE(h[0].count > 100 && h[1].count > 100, "shared out: %llu",
            (unsigned long long)h[0].count);
    for (int i = 0; i < 2; i++)
        pipit_client_free(to[i]);
    pipit_client_free(from);
}

static void scenario_queue(void)
{
    each_way(queue);
}

/* --- requests ----------------------------------------------------------------------------- */

static void answer(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    unsigned times = msg->payload_bytes ? (unsigned)(*(const char *)msg->payload - '0') : 1;

    (void)sub;
    for (unsigned i = 0; i < times; i++)
        must(pipit_client_respond(context, msg, msg->payload, msg->payload_bytes), "respond");
}

struct many {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    unsigned answers, ends;
    pipit_err err;
};

static void on_many(void *context, pipit_request *request, pipit_err err, const pipit_msg *msg)
{
    struct many *m = context;

    (void)request;
    (void)pthread_mutex_lock(&m->lock);
    m->answers += msg != NULL;
    m->ends += !msg;
    if (!msg)
        m->err = err;
    (void)pthread_cond_broadcast(&m->grown);
    (void)pthread_mutex_unlock(&m->lock);
}

static void ask_many(pipit_client *client, const char *times, uint32_t most, int64_t timeout_ms,
                     int64_t gap_ms, unsigned answers, pipit_err err)
{
    const pipit_msg msg = {"echo", 4, NULL, 0, NULL, 0, times, 1};
    struct many m = {.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER};
    pipit_request *request;

    must(pipit_client_request_start(client, &msg, most, timeout_ms, gap_ms, on_many, &m, &request),
         "request");
    (void)pthread_mutex_lock(&m.lock);
    while (!m.ends)
        (void)pthread_cond_wait(&m.grown, &m.lock);
    (void)pthread_mutex_unlock(&m.lock);
    REQUIRE(m.ends == 1 && m.answers == answers && m.err == err, "%u answers, %s", m.answers,
            pipit_strerror(m.err));
}

static void ask(struct place *p)
{
    pipit_client *client = come(p), *service = come(p);
    pipit_msg *reply;
    pipit_sub *sub;

    must(pipit_client_subscribe(service, "echo", NULL, answer, service, &sub), "subscribe");
    must(pipit_client_flush(service, WAIT_MS), "flush");
    for (int i = 0; i < 200; i++) {
        must(pipit_client_request(client, "echo", "1abc", 4, WAIT_MS, &reply), "request");
        REQUIRE(reply->payload_bytes == 4 && memcmp(reply->payload, "1abc", 4) == 0, "echo");
        pipit_msg_free(reply);
    }
    REQUIRE(pipit_client_request(client, "nobody", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody is there");
    REQUIRE(pipit_client_request(client, "echo", "0", 1, 20, &reply) == PIPIT_ETIMEOUT,
            "no answer");
    ask_many(client, "5", 3, WAIT_MS, 0, 3, PIPIT_OK);
    ask_many(client, "4", 0, 100, 0, 4, PIPIT_OK);
    ask_many(client, "4", 0, WAIT_MS, 50, 4, PIPIT_OK);
    ask_many(client, "0", 0, 20, 0, 0, PIPIT_ETIMEOUT);
    pipit_client_free(service);
    pipit_client_free(client);
}

static void scenario_ask(void)
{
    each_way(ask);
}

/* --- subscriptions end -------------------------------------------------------------------- */

static void ends(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    struct heard h;
    pipit_sub *few, *held, *drained;
    pipit_msg *msg;

    heard_init(&h);
    must(pipit_client_subscribe(to, "few", NULL, hear, &h, &few), "subscribe");
    must(pipit_sub_end_after(few, 3), "end after");
    must(pipit_client_subscribe(to, "few", NULL, NULL, NULL, &held), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    for (int i = 0; i < 10; i++)
        publish_text(from, "few", "x");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    REQUIRE(h.count == 3, "three, not %llu", (unsigned long long)h.count);
    for (int i = 0; i < 10; i++) {
        must(pipit_sub_next(held, WAIT_MS, &msg), "next");
        pipit_msg_free(msg);
    }
    REQUIRE(pipit_sub_next(held, 0, &msg) == PIPIT_ETIMEOUT, "no more");
    REQUIRE(pipit_sub_next(few, 0, &msg) == PIPIT_EINVAL, "that has a callback");
    publish_text(from, "few", "last");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_sub_drain(held), "drain");
    must(pipit_sub_next(held, WAIT_MS, &msg), "what was there");
    pipit_msg_free(msg);
    REQUIRE(pipit_sub_next(held, WAIT_MS, &msg) == PIPIT_ENOTFOUND, "it has ended");
    pipit_sub_end(held);
    pipit_sub_end(few);
    must(pipit_client_subscribe(to, "late", NULL, NULL, NULL, &drained), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    publish_text(from, "late", "y");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_client_drain(to, WAIT_MS), "drain");
    must(pipit_sub_next(drained, WAIT_MS, &msg), "drained");
    pipit_msg_free(msg);
    while (pipit_client_get_state(to) != PIPIT_CLIENT_CLOSED)
        (void)check_poll(-1, 1);
    REQUIRE(pipit_client_publish(to, "x", NULL, "", 0) == PIPIT_ECLOSED, "closed");
    pipit_client_free(to);
    pipit_client_free(from);
}

/* One who waits ends the subscription as soon as it has heard, while the client's thread is not
 * quite done with it. */
static void end_at_once(struct place *p)
{
    pipit_client *client = come(p);
    pipit_sub *sub;
    pipit_msg *msg;

    for (int i = 0; i < 2000; i++) {
        must(pipit_client_subscribe(client, "once", NULL, NULL, NULL, &sub), "subscribe");
        publish_text(client, "once", "x");
        must(pipit_sub_next(sub, WAIT_MS, &msg), "next");
        pipit_sub_end(sub);
        pipit_msg_free(msg);
    }
    pipit_client_free(client);
}

static void scenario_ends(void)
{
    each_way(ends);
    each_way(end_at_once);
}

/* --- callbacks that call back ------------------------------------------------------------- */

struct recursion {
    pipit_client *client;
    pipit_sub *sub;
    struct heard heard;
    atomic_int state;
};

static void on_recursion(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct recursion *r = context;
    pipit_msg *reply;

    REQUIRE(pipit_client_request(r->client, "x", "", 0, 1, &reply) == PIPIT_EINUSE, "no waiting");
    REQUIRE(pipit_client_flush(r->client, 1) == PIPIT_EINUSE, "no waiting");
    if (memcmp(msg->payload, "end", 3) == 0) {
        pipit_sub_end(sub);
        publish_text(r->client, "ended", "yes");
    } else if (memcmp(msg->payload, "sub", 3) == 0) {
        must(pipit_client_subscribe(r->client, "ended", NULL, hear, &r->heard, &r->sub),
             "subscribe");
    } else {
        pipit_client_close(r->client);
        atomic_store(&r->state, 1);
    }
}

static void recurse(struct place *p)
{
    struct recursion r = {.client = come(p)};
    pipit_client *from = come(p);
    pipit_sub *sub;

    heard_init(&r.heard);
    must(pipit_client_subscribe(r.client, "do", NULL, on_recursion, &r, &sub), "subscribe");
    must(pipit_client_flush(r.client, WAIT_MS), "flush");
    publish_text(from, "do", "sub");
    publish_text(from, "do", "end");
    await(&r.heard, 1);
    must(pipit_client_subscribe(r.client, "do", NULL, on_recursion, &r, &sub), "subscribe");
    must(pipit_client_flush(r.client, WAIT_MS), "flush");
    publish_text(from, "do", "close");
    while (pipit_client_get_state(r.client) != PIPIT_CLIENT_CLOSED)
        (void)check_poll(-1, 1);
    REQUIRE(atomic_load(&r.state) == 1, "it was its callback");
    pipit_client_free(r.client);
    pipit_client_free(from);
}

static void scenario_recurse(void)
{
    each_way(recurse);
}

/* Subscriptions are ended from another thread while messages pour in. */
static void *pour(void *arg)
{
    pipit_client *client = arg;

    for (int i = 0; i < MANY; i++) {
        pipit_err err = pipit_client_publish(client, "pour", NULL, "x", 1);

        REQUIRE(!err || err == PIPIT_EAGAIN, "publish: %s", pipit_strerror(err));
    }
    return NULL;
}

static void end_races(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    pthread_t thread;

    (void)pthread_create(&thread, NULL, pour, from);
    for (int i = 0; i < 300; i++) {
        struct heard *h = malloc(sizeof(*h));
        pipit_sub *sub;

        heard_init(h);
        must(pipit_client_subscribe(to, "pour", NULL, hear, h, &sub), "subscribe");
        pipit_sub_end(sub);
        memset(h, 0xee, sizeof(*h)); /* it is not used any more */
        free(h);
    }
    (void)pthread_join(thread, NULL);
    pipit_client_free(to);
    pipit_client_free(from);
}

static void scenario_end_races(void)
{
    each_way(end_races);
}

/* --- in a loop of the caller's ------------------------------------------------------------ */

static void poll_until(pipit_client *client, const struct heard *h, uint64_t count)
{
    while (h->count < count) {
        struct pollfd p = {.fd = pipit_client_fd(client), .events = POLLIN};

        REQUIRE(poll(&p, 1, WAIT_MS) == 1, "something to do");
        must(pipit_client_poll(client, 0), "poll");
    }
}

static void own_loop(struct place *p)
{
    pipit_client_options o = {.own_loop = true};
    pipit_client *client = connect_with(p, &o);
    struct heard h;
    pipit_sub *sub;
    pipit_msg *reply;

    heard_init(&h);
    must(pipit_client_subscribe(client, "loop", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    for (int i = 0; i < 100; i++)
        publish_text(client, "loop", "x");
    poll_until(client, &h, 100);
    publish_text(client, "loop", "y");
    poll_until(client, &h, 101);
    REQUIRE(pipit_client_request(client, "none", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody");
    pipit_client_close(client);
    while (pipit_client_poll(client, 10) != PIPIT_ECLOSED)
        ;
    pipit_client_free(client);
}

static void scenario_own_loop(void)
{
    each_way(own_loop);
}

/* --- without any listener ----------------------------------------------------------------- */

static void scenario_no_listener(void)
{
    static const char *const options[] = {"--no_listen"};
    pipit_client_options o = {0};
    pipit_client *client;
    pipit_server *server;
    struct heard h;
    pipit_sub *sub;
    char error[256];

    must(pipit_server_new(&server, options, 1, log_line, NULL, error, sizeof(error)), "new");
    o.server = server;
    REQUIRE(pipit_client_connect(&client, "memory:", &o) == PIPIT_ECLOSED, "not before start");
    must(pipit_server_start(server), "start");
    REQUIRE(pipit_server_port(server) == 0, "no port");
    must(pipit_client_connect(&client, "memory:", &o), "connect");
    heard_init(&h);
    must(pipit_client_subscribe(client, ">", NULL, hear, &h, &sub), "subscribe");
    publish_text(client, "x", "y");
    await(&h, 1);
    pipit_server_stop(server);
    while (pipit_client_get_state(client) != PIPIT_CLIENT_CLOSED)
        (void)check_poll(-1, 1);
    REQUIRE(pipit_client_publish(client, "x", NULL, "", 0) == PIPIT_ECLOSED, "stopped");
    pipit_client_free(client);
    pipit_server_free(server);
}

/* --- reconnecting ------------------------------------------------------------------------- */

struct events {
    atomic_uint count[8];
};

static void on_event(void *context, pipit_client *client, pipit_event event, const char *text)
{
    struct events *e = context;

    (void)client;
    (void)text;
    atomic_fetch_add(&e->count[event], 1);
}

static bool came_back(void *arg)
{
    struct events *e = arg;

    return atomic_load(&e->count[PIPIT_EVENT_RECONNECTED]) > 0;
}

static bool went(void *arg)
{
    struct events *e = arg;

    return atomic_load(&e->count[PIPIT_EVENT_DISCONNECTED]) > 0;
}

static void scenario_reconnect(void)
{
    pipit_client_options o = {.reconnect_wait_ms = 5, .reconnect_max = -1};
    struct events events = {0};
    char port[32], error[256];
    const char *options[] = {"--addr=127.0.0.1", port};
    pipit_client *client;
    pipit_server *server;
    struct heard h;
    pipit_sub *sub;
    struct place p;

    place_open(&p, "tcp", "");
    o.on_event = on_event;
    o.event_context = &events;
    client = connect_with(&p, &o);
    heard_init(&h);
    must(pipit_client_subscribe(client, "again", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    (void)snprintf(port, sizeof(port), "--port=%u", p.host.port);
    host_end(&p.host);
    check_until(went, &events, "the client has noticed");
    for (int i = 0; i < 10; i++)
        publish_text(client, "again", "kept");
    must(pipit_server_new(&server, options, 2, log_line, NULL, error, sizeof(error)), "new");
    must(pipit_server_start(server), "start");
    check_until(came_back, &events, "it is back");
    await(&h, 10);
    publish_text(client, "again", "new");
    await(&h, 11);
    REQUIRE(h.count == 11, "each once");
    pipit_client_free(client);
    pipit_server_free(server);
    run("rm -r %s", p.folder);
    REQUIRE(atomic_load(&events.count[PIPIT_EVENT_CLOSED]) == 1, "closed once");
}

static void scenario_refused(void)
{
    pipit_client_options o = {.connect_timeout_ms = 20000};
    pipit_client *client;
    struct place p;

    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1", NULL) != PIPIT_OK, "nobody there");
    REQUIRE(pipit_client_connect(&client, "http://x", NULL) == PIPIT_EINVAL, "no such scheme");
    REQUIRE(pipit_client_connect(&client, "memory:", NULL) == PIPIT_EINVAL, "no server");
    REQUIRE(pipit_client_connect(&client, "unix:/nowhere/at/all", NULL) != PIPIT_OK, "no socket");
    place_open(&p, "tcp", "authorization { user: u, password: secret }");
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "no user");
    o.user = "u";
    o.password = "wrong";
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "a wrong password");
    o.password = "secret";
    pipit_client_free(connect_with(&p, &o));
    (void)snprintf(p.url, URL_BYTES, "nats://u:secr%%65t@127.0.0.1:%u", p.host.port);
    pipit_client_free(come(&p));
    place_close(&p);
}

/* A key of a user, as text: the seed that test_key_make has. */
static void write_seed(uint8_t of, char out[PP_NKEY_SEED_TEXT_BYTES])
{
    uint8_t seed[PP_NKEY_RAW_BYTES];

    memset(seed, of, sizeof(seed));
    pp_nkey_seed_format(PP_NKEY_USER, seed, out);
}

static const char *const proof_ways[] = {"tcp", "ws", "peer_nats"};

static void each_proof_way(const char *more, void (*scenario)(struct place *p))
{
    for (size_t i = 0; i < COUNT_OF(proof_ways); i++) {
        struct place p;

        if (strstr(proof_ways[i], "peer") && !peer_program())
            continue;
        place_open(&p, proof_ways[i], more);
        scenario(&p);
        place_close(&p);
    }
}

static void require_refused(struct place *p, pipit_client_options *o, const char *why)
{
    pipit_client *client;

    o->struct_bytes = sizeof(*o);
    REQUIRE(pipit_client_connect(&client, p->url, o) == PIPIT_EAUTH, "%s", why);
}

static void prove_by_key(struct place *p)
{
    char seed[PP_NKEY_SEED_TEXT_BYTES], other[PP_NKEY_SEED_TEXT_BYTES];
    pipit_client_options o = {.nkey_seed = seed};

    write_seed(1, seed);
    write_seed(2, other);
    pipit_client_free(connect_with(p, &o));
    o.nkey_seed = other;
    require_refused(p, &o, "another's key");
    o.nkey_seed = "SUnonsense";
    REQUIRE(pipit_client_connect(&(pipit_client *){NULL}, p->url, &o) == PIPIT_EINVAL, "no seed");
}

static void scenario_nkey(void)
{
    char more[200];
    test_key key;

    test_key_make(&key, 'U', 1);
    (void)snprintf(more, sizeof(more), "authorization { users: [ { nkey: %s } ] }", key.text);
    each_proof_way(more, prove_by_key);
}

/* What a token says beside its subject. */
static char *make_token(const char *kind, const char *more, const test_key *of, const test_key *by)
{
    char json[1024];

    (void)snprintf(json, sizeof(json),
                   "{\"jti\":\"x\",\"iat\":1700000000,\"iss\":\"%s\",\"name\":\"%s\","
                   "\"sub\":\"%s\",\"nats\":{%s\"type\":\"%s\",\"version\":2}}",
                   by->text, kind, of->text, more, kind);
    return test_token_of(json, by);
}

static void write_creds(const struct place *p, const char *name, const char *token,
                        const char *seed)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", p->folder, name);
    file = fopen(path, "w");
    REQUIRE(file, "a file");
    (void)fprintf(file,
                  "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
                  "************************* IMPORTANT *************************\n\n"
                  "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
                  token, seed);
    (void)fclose(file);
}

/* The file is read at each login: what stands in it then counts. */
static void prove_by_file(struct place *p)
{
    char path[160], seed[PP_NKEY_SEED_TEXT_BYTES], other[PP_NKEY_SEED_TEXT_BYTES];
    pipit_client_options o = {.creds_file = path};
    test_key account, user;
    char *token;

    test_key_make(&account, 'A', 4);
    test_key_make(&user, 'U', 1);
    token = make_token("user", "\"subs\":-1,\"data\":-1,\"payload\":-1,", &user, &account);
    write_seed(1, seed);
    write_seed(2, other);
    (void)snprintf(path, sizeof(path), "%s/user.creds", p->folder);
    write_creds(p, "user.creds", token, other);
    require_refused(p, &o, "a token with another's key");
    write_creds(p, "user.creds", token, seed);
    pipit_client_free(connect_with(p, &o));
    (void)snprintf(path, sizeof(path), "%s/none.creds", p->folder);
    REQUIRE(pipit_client_connect(&(pipit_client *){NULL}, p->url, &o) != PIPIT_OK, "no file");
    free(token);
}

static void scenario_creds(void)
{
    static const char unlimited[] =
        "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,"
        "\"wildcards\":true,\"conn\":-1,\"leaf\":-1},";
    char more[2000];
    test_key operator, account;
    char *operator_token, *account_token;

    test_key_make(&operator, 'O', 3);
    test_key_make(&account, 'A', 4);
    operator_token = make_token("operator", "", &operator, & operator);
    account_token = make_token("account", unlimited, &account, &operator);
    (void)snprintf(more, sizeof(more),
                   "operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }\n", operator_token,
                   account.text, account_token);
    each_proof_way(more, prove_by_file);
    free(operator_token);
    free(account_token);
}

/* --- several servers ---------------------------------------------------------------------- */

/* In the order given the first that is there is taken, and when it goes the next. */
static void scenario_servers(void)
{
    pipit_client_options o = {.keep_order = true, .reconnect_wait_ms = 10};
    struct place one, two;
    pipit_client_stats stats = {0};
    pipit_client *client;
    pipit_sub *sub;
    struct heard h;
    char urls[2 * URL_BYTES];

    heard_init(&h);
    place_open(&one, "tcp", "");
    place_open(&two, "tcp", "");
    (void)snprintf(urls, sizeof(urls), "nats://127.0.0.1:1, %.100s, %.100s", one.url, two.url);
    must(pipit_client_connect(&client, urls, &o), "connect");
    must(pipit_client_subscribe(client, "s", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(client, WAIT_MS), "flush");
    REQUIRE(host_stats(&one.host).connections == 1 && host_stats(&two.host).connections == 0,
            "the first that is there");
    pipit_server_stop(one.host.server);
    while (host_stats(&two.host).connections == 0)
        (void)pipit_client_flush(client, 10); /* ctest has a time limit */
    while (pipit_client_flush(client, WAIT_MS))
        ;
    publish_text(client, "s", "again");
    await(&h, 1);
    pipit_client_get_stats(client, &stats);
    REQUIRE(stats.reconnects == 1, "%llu reconnects", (unsigned long long)stats.reconnects);
    pipit_client_free(client);
    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1,nats://127.0.0.1:1", &o) != PIPIT_OK,
            "nobody there");
    REQUIRE(pipit_client_connect(&client, "nats://127.0.0.1:1,http://x", &o) == PIPIT_EINVAL,
            "one of them is none");
    REQUIRE(pipit_client_connect(&client, ",", &o) == PIPIT_EINVAL, "none at all");
    host_end(&two.host);
    host_end(&one.host);
    host_require_nothing_left(&one.host);
    run("rm -r %s %s", one.folder, two.folder);
}

/* A server whose certificate is not to be trusted, or is another's. */
static void scenario_distrust(void)
{
    pipit_client_options o = {0};
    pipit_client *client;
    char url[URL_BYTES];
    struct place p;

    place_open(&p, "tls", "");
    REQUIRE(pipit_client_connect(&client, p.url, NULL) == PIPIT_EAUTH, "nobody vouches for it");
    o.tls_ca_file = p.ca;
    o.tls_name = "elsewhere";
    REQUIRE(pipit_client_connect(&client, p.url, &o) == PIPIT_EAUTH, "it is another's");
    (void)snprintf(url, sizeof(url), "nats://localhost:%u", p.host.port);
    REQUIRE(pipit_client_connect(&client, url, &o) == PIPIT_EAUTH, "the same when it is asked for");
    o.tls_name = NULL;
    must(pipit_client_connect(&client, url, &o), "TLS that the server asks for");
    pipit_client_free(client);
    o.tls_ca_file = NULL;
    o.tls_insecure = true;
    must(pipit_client_connect(&client, url, &o), "no questions asked");
    pipit_client_free(client);
    o.tls_ca_file = "/nowhere";
    REQUIRE(pipit_client_connect(&client, url, &o) == PIPIT_EINVAL, "no such file");
    place_close(&p);
}

/* --- slow ones ---------------------------------------------------------------------------- */

static void scenario_slow(void)
{
    pipit_client_options o = {.sub_pending_max = 64 * 1024}, patient = {.publish_wait_ms = 30},
                         hasty = {.no_wait = true};
    pipit_client *to, *from, *never;
    pipit_err err = PIPIT_OK;
    pipit_sub *sub, *held;
    struct heard h;
    struct place p;
    char data[1000] = "";

    place_open(&p, "memory", "");
    to = connect_with(&p, &o);
    from = connect_with(&p, &patient);
    never = connect_with(&p, &hasty);
    heard_init(&h);
    (void)pthread_mutex_lock(&h.lock); /* its callback does not return */
    must(pipit_client_subscribe(to, "slow", NULL, hear, &h, &sub), "subscribe");
    for (int i = 0; i < 200 && !err; i++)
        err = pipit_client_publish(never, "slow", NULL, data, sizeof(data));
    REQUIRE(err == PIPIT_EAGAIN, "no room: %s", pipit_strerror(err));
    for (int i = 0; i < 200; i++)
        must(pipit_client_publish(from, "slow", NULL, data, sizeof(data)), "publish");
    (void)pthread_mutex_unlock(&h.lock);
    must(pipit_client_flush(to, WAIT_MS), "flush");
    publish_text(from, "slow", "again");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    REQUIRE(strcmp(h.payload, "again") == 0, "it goes on");
    {
        pipit_client_stats stats;

        pipit_client_get_stats(to, &stats);
        REQUIRE(stats.missed > 0, "some were missed");
    }
    must(pipit_client_subscribe(to, "held", NULL, NULL, NULL, &held), "subscribe");
    for (int i = 0; i < 200; i++) {
        must(pipit_client_publish(from, "held", NULL, data, sizeof(data)), "publish");
        must(pipit_client_flush(to, WAIT_MS), "flush");
    }
    REQUIRE(pipit_sub_missed(held) > 0 && pipit_sub_pending(held) > 10, "%llu missed",
            (unsigned long long)pipit_sub_missed(held));
    pipit_client_free(never);
    pipit_client_free(from);
    pipit_client_free(to);
    place_close(&p);
}

/* --- memory fails ------------------------------------------------------------------------- */

static pipit_err converse(struct place *p)
{
    pipit_client_options o = {.server = p->host.server,
                              .no_reconnect = true,
                              .name = "n",
                              .tls_ca_file = *p->ca ? p->ca : NULL};
    pipit_client *client;
    struct heard h;
    pipit_sub *sub;
    pipit_msg *reply;
    pipit_err err = pipit_client_connect(&client, p->url, &o), later;

    if (err)
        return err;
    heard_init(&h);
    err = pipit_client_subscribe(client, "f", NULL, hear, &h, &sub);
    later = pipit_client_publish(client, "f", NULL, "x", 1);
    err = err ? err : later;
    later = pipit_client_flush(client, 2000);
    err = err ? err : later;
    later = pipit_client_request(client, "none", "", 0, 500, &reply);
    if (later != PIPIT_ENOTFOUND)
        err = err ? err : later ? later : PIPIT_EIO;
    pipit_client_free(client);
    return err;
}

static void sweep(struct place *p)
{
    uint64_t nth;

    must(converse(p), "without a fault");
    for (nth = 1; nth < 2000; nth++) {
        bool fired;

        pp_fault_arm("alloc", nth);
        (void)converse(p); /* the server's own allocations fail as well: any answer will do */
        fired = pp_fault_disarm();
        if (!fired)
            break;
    }
    REQUIRE(nth > 5 && nth < 2000, "points have failed: %llu", (unsigned long long)nth);
    must(converse(p), "afterwards");
}

static void scenario_sweep(void)
{
    static const char *const swept[] = {"memory", "unix", "ws", "tls"};
    struct place p;

    for (size_t i = 0; i < COUNT_OF(swept); i++) {
        place_open(&p, swept[i], "");
        sweep(&p);
        place_close(&p);
    }
}

/* --- again and again ---------------------------------------------------------------------- */

static void scenario_again(void)
{
    uint64_t rounds = check_number("PIPIT_EMBED_ROUNDS", check_sanitized() ? 100 : 1000);
    int64_t live = pp_alloc_live();
    size_t fds = check_open_fds();

    for (uint64_t i = 0; i < rounds; i++) {
        static const char *const options[] = {"--no_listen", "--threads=1"};
        pipit_server *servers[2];
        pipit_client *clients[2];
        struct heard h;

        for (int k = 0; k < 2; k++) {
            pipit_client_options o = {0};
            pipit_sub *sub;

            must(pipit_server_new(&servers[k], options, 2, log_line, NULL, NULL, 0), "new");
            must(pipit_server_start(servers[k]), "start");
            o.server = servers[k];
            must(pipit_client_connect(&clients[k], "memory:", &o), "connect");
            heard_init(&h);
            if (!k)
                must(pipit_client_subscribe(clients[0], "x", NULL, hear, &h, &sub), "subscribe");
        }
        publish_text(clients[1], "x", "not to the other server");
        for (int k = 0; k < 2; k++) {
            pipit_client_free(clients[k]);
            pipit_server_free(servers[k]);
        }
        REQUIRE(h.count == 0, "two servers are two");
    }
    REQUIRE(pp_alloc_live() == live && check_open_fds() == fds, "nothing is left behind");
}

/* --- what only pipit has ------------------------------------------------------------------ */

static pipit_err match(pipit_client *client, const char *pattern, const char *text,
                       uint64_t *out_recipients)
{
    const pipit_msg msg = {
        .subject = pattern,
        .subject_bytes = strlen(pattern),
        .payload = text,
        .payload_bytes = strlen(text),
    };

    return pipit_client_publish_matching(client, &msg, WAIT_MS, out_recipients);
}

static void require_denied(pipit_client *client)
{
    REQUIRE(match(client, "m.*", "", NULL) == PIPIT_EDENIED, "patterns are not offered");
    REQUIRE(pipit_client_claim(client, "c.x", WAIT_MS) == PIPIT_EDENIED, "nor are claims");
    REQUIRE(pipit_client_release(client, "c.x", WAIT_MS) == PIPIT_EDENIED, "nor their end");
}

static void patterns(struct place *p)
{
    pipit_client *a = come(p), *b = come(p);
    struct heard plain, wild, other;
    pipit_headers *headers;
    pipit_msg msg = {.subject = "m.*.x", .subject_bytes = 5};
    pipit_sub *subs[3];
    uint64_t recipients;

    heard_init(&plain);
    heard_init(&wild);
    heard_init(&other);
    must(pipit_client_subscribe(b, "m.1.x", NULL, hear, &plain, &subs[0]), "subscribe");
    must(pipit_client_subscribe(b, "m.>", NULL, hear, &wild, &subs[1]), "subscribe");
    must(pipit_client_subscribe(b, "m.1.y", NULL, hear, &other, &subs[2]), "subscribe");
    must(pipit_client_flush(b, WAIT_MS), "flush");
    must(match(a, "m.*.x", "to some", &recipients), "publish to a pattern");
    REQUIRE(recipients == 2, "%llu recipients", (unsigned long long)recipients);
    await(&plain, 1);
    await(&wild, 1);
    REQUIRE(strcmp(plain.subject, "m.*.x") == 0 && strcmp(plain.payload, "to some") == 0,
            "as said");
    must(pipit_headers_new(&headers), "headers");
    must(pipit_headers_add(headers, "Colour", "red"), "a header");
    msg.header = pipit_headers_block(headers, &msg.header_bytes);
    must(pipit_client_publish_matching(a, &msg, WAIT_MS, NULL), "with headers");
    await(&plain, 2);
    REQUIRE(strstr(plain.header, "Colour: red\r\n\r\n"), "headers: %s", plain.header);
    pipit_headers_free(headers);
    must(match(a, "m.9.z", "", &recipients), "without wildcards");
    REQUIRE(recipients == 1, "one");
    REQUIRE(match(a, "m..x", "", NULL) == PIPIT_EINVAL, "no pattern");
    must(pipit_client_claim(a, "c.x", WAIT_MS), "claim");
    must(pipit_client_claim(a, "c.x", WAIT_MS), "again");
    REQUIRE(pipit_client_claim(b, "c.x", WAIT_MS) == PIPIT_EINUSE, "it is taken");
    REQUIRE(pipit_client_claim(b, "c.*", WAIT_MS) == PIPIT_EINVAL, "no literal");
    must(pipit_client_release(b, "c.x", WAIT_MS), "release of what is another's");
    REQUIRE(pipit_client_claim(b, "c.x", WAIT_MS) == PIPIT_EINUSE, "it is still taken");
    must(pipit_client_release(a, "c.x", WAIT_MS), "release");
    must(pipit_client_claim(b, "c.x", WAIT_MS), "it is free");
    pipit_client_free(b);
    while (pipit_client_claim(a, "c.x", WAIT_MS) == PIPIT_EINUSE)
        ; /* until the server has seen it go; ctest has a time limit */
    pipit_client_free(a);
    REQUIRE(other.count == 0, "what does not match is not heard");
}

/* Near ones always may, remote ones where it is configured, other servers know nothing of it. */
static void scenario_patterns(void)
{
    static const char *const near[] = {"memory", "unix"};
    static const char *const far[] = {"tcp", "ws"};
    struct place p;

    for (size_t i = 0; i < COUNT_OF(near); i++) {
        place_open(&p, near[i], "");
        patterns(&p);
        place_close(&p);
    }
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        place_open(&p, far[i], "pipit_requests: true");
        patterns(&p);
        place_close(&p);
        place_open(&p, far[i], "");
        {
            pipit_client *client = come(&p);

            require_denied(client);
            pipit_client_free(client);
        }
        place_close(&p);
    }
}

/* By a request a client can do no more than otherwise. */
static void scenario_pattern_permissions(void)
{
    pipit_client_options user = {.user = "u", .password = "p"},
                         narrow = {.user = "n", .password = "p"};
    struct place p;
    pipit_client *u, *n;

    place_open(&p, "tcp",
               "pipit_requests: true\n"
               "authorization { users: ["
               "{user: u, password: p, permissions: {publish: {deny: \"secret.>\"}, "
               "subscribe: {deny: \"secret.>\"}}},"
               "{user: n, password: p, permissions: {publish: [\"$PIPIT.>\", \"open.>\"], "
               "subscribe: [\"_INBOX.>\", \"open.>\"]}}] }");
    u = connect_with(&p, &user);
    n = connect_with(&p, &narrow);
    must(match(u, "open.*", "", NULL), "away from what is denied");
    REQUIRE(match(u, "*.x", "", NULL) == PIPIT_EDENIED, "a pattern that touches it");
    REQUIRE(match(u, ">", "", NULL) == PIPIT_EDENIED, "everything");
    must(match(n, "open.*", "", NULL), "within what is allowed");
    REQUIRE(match(n, "*.x", "", NULL) == PIPIT_EDENIED, "beyond it");
    must(pipit_client_claim(n, "open.x", WAIT_MS), "claim");
    REQUIRE(pipit_client_claim(n, "other.x", WAIT_MS) == PIPIT_EDENIED, "not to be heard");
    REQUIRE(pipit_client_claim(u, "secret.x", WAIT_MS) == PIPIT_EDENIED, "the same");
    pipit_client_free(u);
    pipit_client_free(n);
    place_close(&p);
}

static void scenario_reload(void)
{
    static const char wrong[] = "max_payload: many", other[] = "max_payload: 100";
    char error[512];
    struct place p;
    pipit_client *client;

    place_open(&p, "memory", "");
    client = come(&p);
    REQUIRE(pipit_server_reload(p.host.server, wrong, strlen(wrong), error, sizeof(error)) ==
                    PIPIT_EINVAL &&
                strstr(error, "max_payload"),
            "refused: %s", error);
    must(pipit_server_reload(p.host.server, NULL, 0, error, sizeof(error)), "as it was");
    {
        char text[256];

        (void)snprintf(text, sizeof(text),
                       "websocket { host: \"127.0.0.1\", port: -1, no_tls: true }\n%s", other);
        must(pipit_server_reload(p.host.server, text, strlen(text), error, sizeof(error)), error);
    }
    REQUIRE(pipit_client_publish(client, "x", NULL, error, 101) == PIPIT_ETOOBIG, "in force");
    pipit_client_free(client);
    place_close(&p);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"talk", scenario_talk, 60},
        {"many", scenario_many, 60},
        {"order", scenario_order, 120},
        {"mixed", scenario_mixed, 120},
        {"queue", scenario_queue, 60},
        {"ask", scenario_ask, 60},
        {"ends", scenario_ends, 60},
        {"recurse", scenario_recurse, 60},
        {"end_races", scenario_end_races, 120},
        {"own_loop", scenario_own_loop, 60},
        {"no_listener", scenario_no_listener, 60},
        {"reconnect", scenario_reconnect, 60},
        {"refused", scenario_refused, 60},
        {"distrust", scenario_distrust, 60},
        {"slow", scenario_slow, 60},
        {"sweep", scenario_sweep, 300},
        {"again", scenario_again, 300},
        {"reload", scenario_reload, 60},
        {"nkey", scenario_nkey, 60},
        {"creds", scenario_creds, 60},
        {"servers", scenario_servers, 60},
        {"patterns", scenario_patterns, 60},
        {"pattern_permissions", scenario_pattern_permissions, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
