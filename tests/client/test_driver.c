/* On whose thread callbacks run, by every way to a server: what they may call, and a loop of the
 * caller's. */
#include "place.h"

#include <poll.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"recurse", scenario_recurse, 60},
        {"own_loop", scenario_own_loop, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
