/* Recipients over memory that are slow, and publishers that wait for room. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

struct publisher {
    pipit_client *client;
    const char *subject;
    atomic_uint count;
    unsigned most; /* 0: until it fails */
    pipit_err err; /* the last one */
};

static void *publish_on(void *arg)
{
    struct publisher *p = arg;
    char data[1000] = "";

    while (!p->err && (!p->most || atomic_load(&p->count) < p->most)) {
        p->err = pipit_client_publish(p->client, p->subject, NULL, data, sizeof(data));
        (void)atomic_fetch_add(&p->count, 1);
    }
    return NULL;
}

/* Until it waits, most probably; if it does not yet, it need not be told. */
static pthread_t publish_until_it_waits(struct publisher *p)
{
    pthread_t thread;
    unsigned before;

    REQUIRE(pthread_create(&thread, NULL, publish_on, p) == 0, "a thread");
    do {
        before = atomic_load(&p->count);
        (void)check_poll(-1, 50);
    } while (!before || atomic_load(&p->count) != before);
    return thread;
}

/* Start a server, somebody who subscribes and never listens, and a publisher who waits for him. */
static pthread_t publish_to_the_deaf(struct place *p, struct publisher *publisher, struct heard *h,
                                     pipit_client **deaf)
{
    pipit_client_options to = {.sub_pending_max = 64 * 1024, .own_loop = true},
                         patient = {.publish_wait_ms = 3600 * 1000};
    pipit_sub *sub;

    place_open(p, "memory", "");
    *deaf = connect_with(p, &to);
    publisher->client = connect_with(p, &patient);
    heard_init(h);
    must(pipit_client_subscribe(*deaf, publisher->subject, NULL, hear, h, &sub), "subscribe");
    return publish_until_it_waits(publisher);
}

/* Who waits for room is told when the recipient goes, which makes none. */
static void scenario_gone(void)
{
    struct publisher publisher = {.subject = "gone", .most = 200};
    pipit_client *deaf;
    pthread_t thread;
    struct place p;
    struct heard h;

    thread = publish_to_the_deaf(&p, &publisher, &h, &deaf);
    pipit_client_free(deaf);
    (void)pthread_join(thread, NULL); /* ctest has a time limit */
    must(publisher.err, "publish");
    pipit_client_free(publisher.client);
    place_close(&p);
}

/* Who waits for room is told when its own client is closed. */
static void scenario_given_up(void)
{
    struct publisher publisher = {.subject = "deaf"};
    pipit_client *deaf;
    pthread_t thread;
    struct place p;
    struct heard h;

    thread = publish_to_the_deaf(&p, &publisher, &h, &deaf);
    pipit_client_close(publisher.client);
    (void)pthread_join(thread, NULL); /* ctest has a time limit */
    REQUIRE(publisher.err == PIPIT_ECLOSED, "closed: %s", pipit_strerror(publisher.err));
    pipit_client_free(publisher.client);
    pipit_client_free(deaf);
    place_close(&p);
}

static void hold_up(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct heard *h = context;

    (void)subscription;
    (void)msg;
    (void)pthread_mutex_lock(&h->lock);
    h->count++;
    (void)pthread_cond_broadcast(&h->grown);
    (void)pthread_mutex_unlock(&h->lock);
}

/* Who waits for a loop, which other recipients than clients over memory get messages from, goes on
 * when it does, or is told that its client is closed. */
static void scenario_held_up(void)
{
    static const char *const options[] = {"--no_listen", "--threads=1"};
    static const char text[] = "max_payload: 1000, max_pending: 100000";
    const pipit_server_source source = {
        .options = options, .option_count = 2, .text = text, .text_bytes = sizeof(text) - 1};
    pipit_client_options patient = {.publish_wait_ms = 3600 * 1000};
    struct publisher other = {.subject = "loop"}, publisher = {.subject = "loop", .most = 300};
    pipit_subscription *subscription;
    char error[256] = "";
    struct place p = {.way = "memory", .url = "memory:"};
    pthread_t thread, other_thread;
    struct heard h;

    must(pipit_server_new_from(&p.host.server, &source, log_line, NULL, error, sizeof(error)),
         error);
    must(pipit_server_start(p.host.server), "start");
    publisher.client = connect_with(&p, &patient);
    other.client = connect_with(&p, &patient);
    heard_init(&h);
    must(pipit_server_subscribe(p.host.server, "loop", NULL, hold_up, &h, &subscription),
         "subscribe");
    (void)pthread_mutex_lock(&h.lock);
    other_thread = publish_until_it_waits(&other);
    REQUIRE(pthread_create(&thread, NULL, publish_on, &publisher) == 0, "a thread");
    pipit_client_close(other.client);
    (void)pthread_join(other_thread, NULL); /* ctest has a time limit */
    REQUIRE(other.err == PIPIT_ECLOSED, "closed: %s", pipit_strerror(other.err));
    (void)pthread_mutex_unlock(&h.lock);
    (void)pthread_join(thread, NULL);
    must(publisher.err, "the others went out");
    await(&h, publisher.most + atomic_load(&other.count) - 1); /* all but the one that failed */
    pipit_client_free(other.client);
    pipit_client_free(publisher.client);
    pipit_server_free(p.host.server);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"slow", scenario_slow, 60},
        {"gone", scenario_gone, 60},
        {"given_up", scenario_given_up, 60},
        {"held_up", scenario_held_up, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
