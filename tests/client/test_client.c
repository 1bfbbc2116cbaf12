/* The client against a server in the same process, by every way that there is. Each scenario takes
 * the way from PIPIT_CLIENT_WAY, or goes through all. */
#include "place.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what is published is heard ----------------------------------------------------------- */

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

/* Plain messages and others by one call come in order. */
static void talk_many(struct place *p)
{
    pipit_client *from = come(p), *to = come(p);
    uint64_t numbers[600];
    pipit_msg msgs[COUNT_OF(numbers)];
    struct heard h;
    pipit_sub *sub;

    heard_init(&h);
    must(pipit_client_subscribe(to, "many.*", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(to, WAIT_MS), "flush");
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        numbers[i] = i;
        msgs[i] = (pipit_msg){.subject = i % 2 ? "many.a" : "many.b",
                              .subject_bytes = 6,
                              .reply = i % 7 ? NULL : "reply",
                              .reply_bytes = i % 7 ? 0 : 5,
                              .payload = &numbers[i],
                              .payload_bytes = sizeof(numbers[i])};
    }
    must(pipit_client_publish_many(from, msgs, COUNT_OF(numbers), NULL), "publish many");
    must(pipit_client_publish_many(from, msgs, 0, NULL), "publish none");
    await(&h, COUNT_OF(numbers));
    REQUIRE(!h.disordered, "in order");
    msgs[20].subject = "many.*";
    REQUIRE(pipit_client_publish_many(from, msgs, 40, NULL) == PIPIT_EINVAL, "no wildcards");
    await(&h, COUNT_OF(numbers) + 20);
    pipit_client_free(from);
    pipit_client_free(to);
}

static void scenario_talk_many(void)
{
    each_way(talk_many);
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
    must(pipit_client_request(client, "echo", "1abc", 4, INT64_MAX, &reply), "with all patience");
    pipit_msg_free(reply);
    REQUIRE(pipit_client_request(client, "nobody", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody is there");
    REQUIRE(pipit_client_request(client, "echo", "0", 1, 20, &reply) == PIPIT_ETIMEOUT,
            "no answer");
    ask_many(client, "5", 3, WAIT_MS, 0, 3, PIPIT_OK);
    ask_many(client, "4", 0, 2000, 0, 4, PIPIT_OK);
    ask_many(client, "4", 0, WAIT_MS, 1000, 4, PIPIT_OK);
    ask_many(client, "4", 4, INT64_MAX, INT64_MAX, 4, PIPIT_OK);
    ask_many(client, "0", 0, 20, 0, 0, PIPIT_ETIMEOUT);
    pipit_client_free(service);
    pipit_client_free(client);
}

/* Who hears nothing of its own is told that nobody is there all the same, and nobody else is. */
static void ask_nobody(struct place *p)
{
    pipit_client_options deaf = {.no_echo = true};
    pipit_client *client = connect_with(p, &deaf), *other = come(p);
    struct heard h;
    pipit_msg *reply;
    pipit_sub *sub;

    heard_init(&h);
    must(pipit_client_subscribe(other, "answers.>", NULL, hear, &h, &sub), "subscribe");
    must(pipit_client_flush(other, WAIT_MS), "flush");
    REQUIRE(pipit_client_request(client, "nobody", "", 0, WAIT_MS, &reply) == PIPIT_ENOTFOUND,
            "nobody is there");
    must(pipit_client_publish(client, "nobody", "answers.1", "", 0), "publish");
    must(pipit_client_publish(client, "answers.2", NULL, "", 0), "publish");
    await(&h, 1);
    REQUIRE(strcmp(h.subject, "answers.2") == 0, "heard %s", h.subject);
    pipit_client_free(other);
    pipit_client_free(client);
}

static void scenario_ask(void)
{
    each_way(ask);
    each_way(ask_nobody);
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
    struct events events = {0};
    pipit_client_options o = {.own_loop = true, .on_event = on_event, .event_context = &events};
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
    REQUIRE(atomic_load(&events.count[PIPIT_EVENT_CLOSED]) == 1, "closed once");
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
                       "websocket { host: \"127.0.0.1\", port: -1, handshake_timeout: \"1m\", "
                       "no_tls: true }\n%s",
                       other);
        must(pipit_server_reload(p.host.server, text, strlen(text), error, sizeof(error)), error);
    }
    REQUIRE(pipit_client_publish(client, "x", NULL, error, 101) == PIPIT_ETOOBIG, "in force");
    pipit_client_free(client);
    place_close(&p);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"talk", scenario_talk, 60},         {"talk_many", scenario_talk_many, 60},
        {"many", scenario_many, 60},         {"order", scenario_order, 120},
        {"mixed", scenario_mixed, 120},      {"queue", scenario_queue, 60},
        {"ask", scenario_ask, 60},           {"ends", scenario_ends, 60},
        {"recurse", scenario_recurse, 60},   {"end_races", scenario_end_races, 120},
        {"own_loop", scenario_own_loop, 60}, {"no_listener", scenario_no_listener, 60},
        {"sweep", scenario_sweep, 300},      {"again", scenario_again, 300},
        {"reload", scenario_reload, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
