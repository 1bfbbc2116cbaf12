/* The client against a server in the same process, by every way that there is: what is published is
 * heard. Each scenario takes the way from PIPIT_CLIENT_WAY, or goes through all. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"talk", scenario_talk, 60},    {"talk_many", scenario_talk_many, 60},
        {"many", scenario_many, 60},    {"order", scenario_order, 120},
        {"mixed", scenario_mixed, 120}, {"queue", scenario_queue, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
