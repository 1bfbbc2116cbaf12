/* What a SUB answered by a PONG promises: every publish that starts after that PONG, on whatever
 * loop, is heard; and what an UNSUB answered by a PONG promises: none is.
 *
 * A pair is a subscriber and a publisher on different loops, in lockstep: subscribe, PONG, publish,
 * hear; then, without the subscription, publish again. Several pairs share subjects' slots and
 * caches. Rounds: PIPIT_SUB_PONG_ROUNDS, 100 000 unless set. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PAIRS = 4, KINDS = 5, DEFAULT_ROUNDS = 100000 };

struct pair {
    pthread_t thread;
    unsigned index;
    unsigned rounds;
    uint16_t port;
    peer subscriber, publisher;
};

/* One kind of subscription after another to subjects that the publisher's loop knows, as nobody's
 * from the round before or as somebody's, and to some that it has never seen. */
static void subscribe(struct pair *pair, unsigned round, char subject[64])
{
    peer *p = &pair->subscriber;
    unsigned i = pair->index;

    (void)snprintf(subject, 64, "pair.%u.known", i);
    switch (round % KINDS) {
    case 0:
        (void)peer_printf(p, "SUB pair.%u.known %u\r\nPING\r\n", i, round);
        break;
    case 1:
        (void)peer_printf(p, "SUB pair.%u.* %u\r\nPING\r\n", i, round);
        break;
    case 2:
        (void)peer_printf(p, "SUB pair.%u.known workers %u\r\nPING\r\n", i, round);
        break;
    case 3:
        (void)snprintf(subject, 64, "pair.%u.new.%u", i, round);
        (void)peer_printf(p, "SUB %s %u\r\nPING\r\n", subject, round);
        break;
    default:
        (void)peer_printf(p, "SUB pair.%u.> %u\r\nPING\r\n", i, round);
        break;
    }
}

static void await_pong(peer *p, unsigned round, const char *what)
{
    peer_event event;

    REQUIRE(peer_next(p, &event) == PEER_PONG, "round %u: %s: only a PONG, not %s", round, what,
            event.line ? event.line : "the end");
}

static void play_round(struct pair *pair, unsigned round)
{
    peer_event event;
    char subject[64];

    subscribe(pair, round, subject);
    await_pong(&pair->subscriber, round, "subscribed");
    (void)peer_printf(&pair->publisher, "PUB %s 4\r\nmiss\r\nPING\r\n", subject);
    REQUIRE(peer_next(&pair->subscriber, &event) == PEER_MSG, "round %u hears %s", round, subject);
    REQUIRE(event.sid == round && strcmp(event.subject, subject) == 0, "round %u: sid %u, %s",
            round, event.sid, event.subject);
    await_pong(&pair->publisher, round, "published");
    /* Now nobody listens: the next round's PONG must come first. */
    (void)peer_printf(&pair->subscriber, "UNSUB %u\r\nPING\r\n", round);
    await_pong(&pair->subscriber, round, "unsubscribed");
    (void)peer_printf(&pair->publisher, "PUB pair.%u.known 4\r\nhush\r\nPING\r\n", pair->index);
    await_pong(&pair->publisher, round, "published to nobody");
}

static void *play(void *arg)
{
    struct pair *pair = arg;

    for (unsigned round = 1; round <= pair->rounds; round++)
        play_round(pair, round);
    REQUIRE(peer_barrier(&pair->publisher) && peer_barrier(&pair->subscriber), "still there");
    REQUIRE(pair->subscriber.msgs == pair->rounds, "one message a round: %llu",
            (unsigned long long)pair->subscriber.msgs);
    return NULL;
}

static void play_pairs(const char *threads, unsigned rounds)
{
    const char *const options[] = {threads, NULL};
    struct pair pairs[PAIRS];
    host h;

    host_start(&h, options);
    /* Connections are dealt out to the loops in turn: neighbours are on different ones. */
    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = (struct pair){.index = i, .rounds = rounds / PAIRS};
        peer_open(i % 2 ? &pairs[i].publisher : &pairs[i].subscriber, h.port);
        peer_open(i % 2 ? &pairs[i].subscriber : &pairs[i].publisher, h.port);
    }
    for (unsigned i = 0; i < PAIRS; i++)
        REQUIRE(pthread_create(&pairs[i].thread, NULL, play, &pairs[i]) == 0, "a thread");
    for (unsigned i = 0; i < PAIRS; i++) {
        (void)pthread_join(pairs[i].thread, NULL);
        peer_close(&pairs[i].subscriber);
        peer_close(&pairs[i].publisher);
    }
    host_wait_empty(&h);
    host_stop(&h);
    check_note("%s: %u rounds", threads, rounds);
}

static unsigned rounds_of(unsigned share)
{
    return (unsigned)check_number("PIPIT_SUB_PONG_ROUNDS", DEFAULT_ROUNDS) / 10 * share;
}

static void two_loops(void)
{
    play_pairs("--threads=2", rounds_of(6));
}

static void three_loops(void)
{
    play_pairs("--threads=3", rounds_of(2));
}

static void four_loops(void)
{
    play_pairs("--threads=4", rounds_of(2));
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"two_loops", two_loops, 120},
        {"three_loops", three_loops, 60},
        {"four_loops", four_loops, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
