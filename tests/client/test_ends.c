/* Subscriptions that end, by every way to a server: after a number of messages, drained, while
 * messages pour in. */
#include "inlet_hold.h"
#include "place.h"

#include "client/client.h"

#include <stdlib.h>
#include <string.h>

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

static void hear_nothing(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    (void)context;
    (void)subscription;
    (void)msg;
}

static bool is_routed(void *arg)
{
    return pp_lodger_settled(((pipit_client *)arg)->lodger);
}

/* Who drains waits for a loop, which has nothing for him: when it is through he ends at once. Turns
 * are as those of a client's own thread. */
static void scenario_drain_held(void)
{
    static const char *const options[] = {"--no_listen", "--threads=1", NULL};
    pipit_client_options o = {.own_loop = true};
    pipit_subscription *elsewhere;
    pipit_client *client;
    int64_t begin_ns;
    host h;

    host_start(&h, options);
    o.server = h.server;
    must(pipit_client_connect(&client, "memory:", &o), "a client");
    must(pipit_server_subscribe(h.server, "word", NULL, hear_nothing, NULL, &elsewhere), "word");
    inlet_hold(h.server);
    publish_text(client, "word", "by a loop");
    must(pipit_client_drain(client, INT64_C(3600) * 1000), "drain");
    REQUIRE(pp_client_turn(client, 0), "a turn");
    inlet_let_go(h.server);
    check_until(is_routed, client, "it is through");
    begin_ns = check_now_ns();
    while (pp_client_turn(client, WAIT_MS * INT64_C(1000000)))
        ;
    REQUIRE(check_now_ns() - begin_ns < WAIT_MS * INT64_C(1000000), "at once");
    pipit_subscription_end(elsewhere);
    pipit_client_free(client);
    host_stop(&h);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"ends", scenario_ends, 60},
        {"end_races", scenario_end_races, 120},
        {"drain_held", scenario_drain_held, 120},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
