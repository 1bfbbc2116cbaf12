/* Over memory a message goes by a lane from who publishes to who hears it, or, with mappings, by a
 * loop. A reload changes that: no message overtakes one that was published before. */
#include "growing.h"
#include "place.h"

#include "base/fault.h"
#include "client/client.h"
#include "server/lodger_inside.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEFORE = 1000, AFTER = 300 }; /* more than one lane's turn is */

static const char mapping[] = "mappings: { other: elsewhere }";

struct stage {
    host host;
    pipit_client *from, *to;
    uint64_t sent, next; /* numbers; which is to be heard next */
    bool disordered;
};

static void on_number(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct stage *s = context;
    uint64_t number;

    (void)sub;
    REQUIRE(msg->payload_bytes == sizeof(number), "a number");
    memcpy(&number, msg->payload, sizeof(number));
    s->disordered |= number != s->next;
    s->next++;
}

static void reload(struct stage *s, const char *text)
{
    char error[512] = "";

    must(pipit_server_reload(s->host.server, text, strlen(text), error, sizeof(error)), error);
}

/* from is refused where it would wait, to takes what has come when it is told to. */
static void stage_open_on(struct stage *s, const char *threads)
{
    const char *const options[] = {"--no_listen", threads, NULL};
    pipit_client_options o = {.no_wait = true};
    pipit_sub *sub;

    memset(s, 0, sizeof(*s));
    host_start(&s->host, options);
    o.server = s->host.server;
    must(pipit_client_connect(&s->from, "memory:", &o), "from");
    o.own_loop = true;
    must(pipit_client_connect(&s->to, "memory:", &o), "to");
    must(pipit_client_subscribe(s->to, "numbers", NULL, on_number, s, &sub), "numbers");
}

static void stage_open(struct stage *s)
{
    stage_open_on(s, "--threads=2");
}

/* There is one loop only, so that what anybody publishes by a loop waits for the same. */
static void stage_open_narrow(struct stage *s)
{
    stage_open_on(s, "--threads=1");
}

static void stage_close(struct stage *s)
{
    pipit_client_free(s->from);
    pipit_client_free(s->to);
    host_stop(&s->host);
}

static pipit_err send_number(struct stage *s)
{
    pipit_err err = pipit_client_publish(s->from, "numbers", NULL, &s->sent, sizeof(s->sent));

    s->sent += !err;
    return err;
}

static void send_numbers(struct stage *s, unsigned count)
{
    while (count--)
        must(send_number(s), "publish");
}

/* Until all that has been sent is heard. */
static void hear_all(struct stage *s)
{
    int64_t deadline = check_now_ns() + WAIT_MS * INT64_C(1000000);

    while (s->next < s->sent && check_now_ns() < deadline)
        must(pipit_client_poll(s->to, 10), "poll");
    REQUIRE(s->next == s->sent && !s->disordered, "in order: %d of %d, %s", (int)s->next,
            (int)s->sent, s->disordered ? "not so" : "so far");
}

/* There is a mapping now: the first by a loop when the lane has been emptied, then many more. */
static void go_on_by_loop(struct stage *s)
{
    pipit_err err;

    while ((err = send_number(s)) == PIPIT_EAGAIN)
        must(pipit_client_poll(s->to, 10), "poll");
    must(err, "the first by a loop");
    send_numbers(s, AFTER);
    must(pipit_client_flush(s->from, WAIT_MS), "flush");
    hear_all(s);
}

/* What lies in a lane is heard before what goes by a loop. */
static void scenario_mapping_added(void)
{
    struct stage s;

    stage_open(&s);
    send_numbers(&s, BEFORE);
    reload(&s, mapping);
    go_on_by_loop(&s);
    stage_close(&s);
}

static atomic_bool may_hear;

static bool may(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

static void on_number_later(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    check_until(may, &may_hear, "the reload");
    on_number(context, sub, msg);
}

static bool has_ended(void *arg)
{
    return pipit_client_get_state(arg) == PIPIT_CLIENT_CLOSED;
}

/* Who may wait does so, and is not refused. */
static void scenario_mapping_waits(void)
{
    pipit_client_options o = {0};
    pipit_client *from, *to;
    struct stage s;
    pipit_sub *sub;

    stage_open(&s);
    o.server = s.host.server;
    must(pipit_client_connect(&from, "memory:", &o), "from");
    must(pipit_client_connect(&to, "memory:", &o), "to");
    must(pipit_client_subscribe(to, "later", NULL, on_number_later, &s, &sub), "later");
    for (; s.sent < BEFORE + AFTER; s.sent++) {
        if (s.sent == BEFORE) {
            reload(&s, mapping);
            atomic_store(&may_hear, true);
        }
        must(pipit_client_publish(from, "later", NULL, &s.sent, sizeof(s.sent)), "publish");
    }
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_client_drain(to, WAIT_MS), "drain");
    check_until(has_ended, to, "all heard");
    REQUIRE(s.next == s.sent && !s.disordered, "in order: %d of %d", (int)s.next, (int)s.sent);
    pipit_client_free(from);
    pipit_client_free(to);
    stage_close(&s);
}

/* And the other way about, also if somebody else has taken all that has come for him. */
static void scenario_mapping_ended(void)
{
    pipit_client_options o = {0};
    pipit_client *other;
    struct heard heard;
    struct stage s;
    pipit_sub *sub;

    stage_open(&s);
    reload(&s, mapping);
    o.server = s.host.server;
    must(pipit_client_connect(&other, "memory:", &o), "other");
    heard_init(&heard);
    must(pipit_client_subscribe(other, "words", NULL, hear, &heard, &sub), "words");
    send_numbers(&s, BEFORE);
    publish_text(s.from, "words", "by a loop");
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    await(&heard, 1);
    reload(&s, "");
    publish_text(s.from, "words", "by a lane");
    send_numbers(&s, AFTER);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_all(&s);
    await(&heard, 2);
    pipit_client_free(other);
    stage_close(&s);
}

/* Who waits for less long than that is refused; what it publishes later is in order. */
static void scenario_mapping_hasty(void)
{
    pipit_client_options o = {.publish_wait_ms = 50};
    struct stage s;
    pipit_err err;

    stage_open(&s);
    pipit_client_free(s.from);
    o.server = s.host.server;
    must(pipit_client_connect(&s.from, "memory:", &o), "from");
    send_numbers(&s, BEFORE);
    reload(&s, mapping);
    err = send_number(&s);
    REQUIRE(err == PIPIT_EAGAIN, "none overtakes: %s", pipit_strerror(err));
    go_on_by_loop(&s);
    stage_close(&s);
}

/* A publisher of its own thread. */
struct call {
    pipit_client *client;
    const char *subject;
    size_t payload_bytes;
    atomic_uint_fast64_t done; /* messages */
    atomic_bool enough, returned;
    uint64_t lead;               /* of done before heard, at most; 0: one message is all */
    atomic_uint_fast64_t *heard; /* of what it publishes */
};

static void *publish_it(void *arg)
{
    char payload[1 << 16] = {0};
    struct call *c = arg;
    uint64_t number;

    do {
        if (c->lead && atomic_load(&c->done) - atomic_load(c->heard) >= c->lead) {
            (void)check_poll(-1, 1);
            continue;
        }
        number = atomic_load(&c->done);
        memcpy(payload, &number, sizeof(number));
        must(pipit_client_publish(c->client, c->subject, NULL, payload, c->payload_bytes),
             c->subject);
        (void)atomic_fetch_add(&c->done, 1);
    } while (c->lead && !atomic_load(&c->enough));
    atomic_store(&c->returned, true);
    return NULL;
}

static bool call_returned(void *arg)
{
    struct call *c = arg;

    return atomic_load(&c->returned);
}

/* What somebody hears much slower than it is published. */
struct slow {
    atomic_uint_fast64_t heard;
    atomic_bool disordered;
};

static void hear_slowly(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct slow *slow = context;
    uint64_t number;

    (void)sub;
    memcpy(&number, msg->payload, sizeof(number));
    if (number != atomic_load(&slow->heard))
        atomic_store(&slow->disordered, true);
    if (number % 64 == 0) /* all that is ahead is through before a publisher has waited enough */
        (void)check_poll(-1, 1);
    (void)atomic_fetch_add(&slow->heard, 1);
}

static void count(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    (void)sub;
    (void)msg;
    (void)atomic_fetch_add((atomic_uint_fast64_t *)context, 1);
}

static bool is_ahead(void *arg)
{
    struct call *busy = arg;

    return atomic_load(&busy->done) - atomic_load(busy->heard) > busy->lead / 2;
}

static bool all_heard(void *arg)
{
    struct call *busy = arg;

    return atomic_load(&busy->done) == atomic_load(busy->heard);
}

/* There is a mapping all of a sudden. Somebody keeps a lane full that is to be left for it: what he
 * publishes next waits, too, and does not overtake, and others get their turn. */
static void scenario_mapping_busy(void)
{
    pipit_client_options o = {.publish_wait_ms = 3600 * 1000};
    struct slow heard = {0};
    atomic_uint_fast64_t both = 0;
    struct call busy = {.subject = "busy",
                        .payload_bytes = sizeof(uint64_t),
                        .lead = 2 * BEFORE,
                        .heard = &heard.heard},
                call = {.subject = "both"};
    pthread_t busy_thread, call_thread;
    pipit_client *from, *slow;
    struct stage s;
    pipit_sub *sub;

    stage_open(&s);
    o.server = s.host.server;
    must(pipit_client_connect(&from, "memory:", &o), "from");
    must(pipit_client_connect(&slow, "memory:", &o), "slow");
    must(pipit_client_subscribe(slow, "busy", NULL, hear_slowly, &heard, &sub), "busy");
    must(pipit_client_subscribe(slow, "both", NULL, count, &both, &sub), "both");
    busy.client = call.client = from;
    REQUIRE(!pthread_create(&busy_thread, NULL, publish_it, &busy), "a thread");
    check_until(is_ahead, &busy, "somebody is busy");
    reload(&s, mapping);
    REQUIRE(!pthread_create(&call_thread, NULL, publish_it, &call), "a thread");
    check_until(call_returned, &call, "the call");
    atomic_store(&busy.enough, true);
    (void)pthread_join(call_thread, NULL);
    (void)pthread_join(busy_thread, NULL);
    check_until(all_heard, &busy, "all of it");
    REQUIRE(!atomic_load(&heard.disordered), "in order, %d of them", (int)atomic_load(&busy.done));
    pipit_client_free(from);
    pipit_client_free(slow);
    stage_close(&s);
}

/* Does it wait for a recipient, to empty his lane or to make room in it? */
static bool awaits(struct call *c, bool for_order)
{
    pp_lodger *lodger = c->client->lodger;
    bool does;

    pp_biased_lock(&lodger->lock);
    does = lodger->leaving_all == for_order && !pp_list_empty(&lodger->awaiting);
    pp_biased_unlock(&lodger->lock);
    return does;
}

static bool awaits_order_or_returned(void *arg)
{
    return awaits(arg, true) || call_returned(arg);
}

static bool awaits_room_or_returned(void *arg)
{
    return awaits(arg, false) || call_returned(arg);
}

/* False: order has been waited for to its end before the mapping went, the machine is that busy. */
static bool order_then_room(void)
{
    pipit_client_options o = {.publish_wait_ms = 3600 * 1000},
                         small = {.sub_pending_max = 64 * 1024, .own_loop = true};
    struct call call = {.subject = "full", .payload_bytes = 1 << 16};
    atomic_uint_fast64_t heard = 0;
    pipit_client *from, *to;
    pipit_client_stats stats;
    pthread_t thread;
    struct stage s;
    pipit_sub *sub;
    bool waited;

    stage_open(&s);
    o.server = small.server = s.host.server;
    must(pipit_client_connect(&from, "memory:", &o), "from");
    must(pipit_client_connect(&to, "memory:", &small), "to");
    must(pipit_client_subscribe(to, "full", NULL, count, &heard, &sub), "full");
    call.client = from;
    (void)publish_it(&call); /* the lane is full */
    atomic_store(&call.returned, false);
    reload(&s, mapping);
    REQUIRE(!pthread_create(&thread, NULL, publish_it, &call), "a thread");
    check_until(awaits_order_or_returned, &call, "it waits for order");
    reload(&s, "");
    check_until(awaits_room_or_returned, &call, "it waits for room");
    waited = !call_returned(&call);
    while (!atomic_load(&call.returned) || atomic_load(&heard) < 2) {
        must(pipit_client_poll(to, 10), "poll");
        pipit_client_get_stats(to, &stats);
        REQUIRE(!stats.missed, "none is missed");
    }
    (void)pthread_join(thread, NULL);
    pipit_client_free(from);
    pipit_client_free(to);
    stage_close(&s);
    return waited;
}

/* Who has waited for order in vain still waits for room when it is room that lacks. */
static void scenario_mapping_full(void)
{
    unsigned tries = 1;

    while (!order_then_room())
        REQUIRE(tries++ < 10, "the mapping goes while order is waited for");
}

/* What cannot wait overtakes, alone: not so who comes next, be it that the first has failed. */
static void scenario_mapping_failed(void)
{
    uint64_t number = 0;
    const pipit_msg msg = {.subject = "new", .subject_bytes = 3},
                    next = {.subject = "numbers",
                            .subject_bytes = 7,
                            .payload = &number,
                            .payload_bytes = sizeof(number)};
    bool nobody = false;
    struct stage s;
    pipit_err err;

    stage_open(&s);
    send_numbers(&s, 1);
    reload(&s, mapping);
    pp_fault_arm("alloc", 1);
    err = pp_lodger_publish(s.from->lodger, &msg, -1, &nobody);
    REQUIRE(pp_fault_disarm() && err == PIPIT_ENOMEM, "no memory: %s", pipit_strerror(err));
    err = pp_lodger_publish(s.from->lodger, &next, 0, &nobody);
    REQUIRE(err == PIPIT_EAGAIN, "none overtakes: %s", pipit_strerror(err));
    must(pp_lodger_publish(s.from->lodger, &next, -1, &nobody), "who cannot wait");
    err = pp_lodger_publish(s.from->lodger, &next, 0, &nobody);
    REQUIRE(err == PIPIT_EAGAIN, "nor does who comes after it: %s", pipit_strerror(err));
    stage_close(&s);
}

/* How many messages loops have routed. */
static uint64_t routed(const struct stage *s)
{
    pipit_server *server = s->host.server;
    uint64_t count_all = 0;

    for (unsigned i = 0; i < server->worker_count; i++)
        count_all += atomic_load(&server->workers[i].local.inlet.routed);
    return count_all;
}

static void send_both(struct stage *s)
{
    must(pipit_client_publish(s->from, "both", NULL, &s->sent, sizeof(s->sent)), "both");
    s->sent++;
}

/* Two hear "both", and the mapping has ended; one of them takes nothing of what a loop has for it.
 * The other gets all by its lane: what is for both is not refused, and nothing overtakes. */
static void scenario_mapping_shared(void)
{
    pipit_client_options o = {.own_loop = true};
    struct growing far_heard = {0};
    uint64_t by_loop, routed_before, both = 3;
    pipit_client *far;
    struct stage s;
    pipit_sub *sub;

    stage_open(&s);
    o.server = s.host.server;
    must(pipit_client_connect(&far, "memory:", &o), "far");
    must(pipit_client_subscribe(far, "both", NULL, on_growing, &far_heard, &sub), "both");
    must(pipit_client_subscribe(s.to, "both", NULL, on_number, &s, &sub), "both");
    reload(&s, mapping);
    send_both(&s);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_all(&s);
    reload(&s, "");
    send_numbers(&s, BEFORE);
    by_loop = s.sent;
    send_both(&s);
    send_numbers(&s, AFTER);
    send_both(&s);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_all(&s);
    while (far_heard.count < both)
        must(pipit_client_poll(far, WAIT_MS), "poll");
    REQUIRE(far_heard.last > by_loop && !far_heard.disordered, "in order");
    routed_before = routed(&s);
    send_both(&s); /* now by its lane, too */
    hear_all(&s);
    while (far_heard.count < both + 1)
        must(pipit_client_poll(far, WAIT_MS), "poll");
    REQUIRE(far_heard.last == s.sent - 1 && !far_heard.disordered, "in order");
    REQUIRE(routed(&s) == routed_before, "no loop has seen it");
    pipit_client_free(far);
    stage_close(&s);
}

static uint64_t stalls(const struct stage *s)
{
    return atomic_load(&s->host.server->workers[0].counters.stalls);
}

/* Nor is the loop held up again and again for who takes nothing at all. */
static void scenario_mapping_deaf(void)
{
    pipit_client_options plain = {0}, small = {.sub_pending_max = 64 * 1024, .own_loop = true};
    static const char payload[1024];
    atomic_uint_fast64_t heard = 0, unheard = 0;
    pipit_client *from, *near, *deaf;
    uint64_t many = 4000; /* of 16 in a chunk: after each the loop could wait */
    struct stage s;
    pipit_sub *sub;

    stage_open_narrow(&s);
    plain.server = small.server = s.host.server;
    must(pipit_client_connect(&from, "memory:", &plain), "from");
    must(pipit_client_connect(&near, "memory:", &plain), "near");
    must(pipit_client_connect(&deaf, "memory:", &small), "deaf");
    must(pipit_client_subscribe(near, "all", NULL, count, &heard, &sub), "all");
    must(pipit_client_subscribe(deaf, "all", NULL, count, &unheard, &sub), "all");
    reload(&s, mapping);
    publish_text(from, "all", "by a loop");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    reload(&s, "");
    for (uint64_t i = 0; i < many; i++)
        must(pipit_client_publish(from, "all", NULL, payload, sizeof(payload)), "all");
    must(pipit_client_flush(from, WAIT_MS), "flush");
    must(pipit_client_drain(near, WAIT_MS), "drain");
    check_until(has_ended, near, "all heard");
    REQUIRE(heard == many + 1, "%d of them", (int)heard);
    REQUIRE(stalls(&s) < many / 16 / 4, "%d stalls", (int)stalls(&s));
    pipit_client_free(from);
    pipit_client_free(near);
    pipit_client_free(deaf);
    stage_close(&s);
}

/* While held nothing is routed: a message that the loop gives to a callback keeps it there. */
struct hold {
    atomic_bool there, over;
};

static bool is_there(void *arg)
{
    struct hold *hold = arg;

    return atomic_load(&hold->there);
}

static bool is_over(void *arg)
{
    struct hold *hold = arg;

    return atomic_load(&hold->over);
}

static void hold_loop(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct hold *hold = context;

    (void)subscription;
    (void)msg;
    atomic_store(&hold->there, true);
    check_until(is_over, hold, "the loop is let go");
}

/* The mapping has ended, and one still gets by the loop what he hears, another all by his lane. Who
 * subscribes while a message waits there may have it or not, but not after the next one. */
static void scenario_mapping_late(void)
{
    const uint64_t end = UINT64_MAX;
    pipit_client_options o = {.own_loop = true};
    struct growing others = {0}, numbers = {0};
    struct hold hold = {0};
    pipit_subscription *held;
    pipit_client *late;
    struct stage s;
    pipit_sub *sub;

    stage_open_narrow(&s);
    o.server = s.host.server;
    must(pipit_client_connect(&late, "memory:", &o), "late");
    must(pipit_client_subscribe(late, "others", NULL, on_growing, &others, &sub), "others");
    must(pipit_server_subscribe(o.server, "hold", NULL, hold_loop, &hold, &held), "hold");
    reload(&s, mapping);
    send_numbers(&s, 1);
    must(pipit_client_flush(s.from, WAIT_MS), "flush"); /* s.to has not read it */
    reload(&s, "");
    publish_text(s.from, "others", "12345678");
    must(pipit_server_publish(o.server, "hold", NULL, "", 0), "hold");
    check_until(is_there, &hold, "the loop is held");
    send_numbers(&s, 1);
    must(pipit_client_subscribe(late, "numbers", NULL, on_growing, &numbers, &sub), "numbers");
    send_numbers(&s, 1);
    atomic_store(&hold.over, true);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_all(&s);
    while (!numbers.count)
        must(pipit_client_poll(late, WAIT_MS), "poll");
    must(pipit_server_publish(o.server, "numbers", NULL, &end, sizeof(end)), "the last by a loop");
    while (numbers.last != end)
        must(pipit_client_poll(late, WAIT_MS), "poll");
    REQUIRE(!numbers.disordered, "in order, %d of them", (int)numbers.count);
    pipit_subscription_end(held);
    pipit_client_free(late);
    stage_close(&s);
}

static bool has_delivered(void *arg)
{
    pipit_server_stats stats;

    pipit_server_get_stats(arg, &stats);
    return stats.out_msgs != 0;
}

/* A mapping for which nothing has gone by a loop yet leaves nothing behind, whatever others have
 * put there. */
static void scenario_mapping_withdrawn(void)
{
    struct growing words = {0};
    struct stage s;
    pipit_sub *sub;
    pipit_err err;

    stage_open_narrow(&s);
    must(pipit_client_subscribe(s.to, "words", NULL, on_growing, &words, &sub), "words");
    must(pipit_server_publish(s.host.server, "words", NULL, &s.sent, sizeof(s.sent)), "words");
    check_until(has_delivered, s.host.server, "words");
    send_numbers(&s, BEFORE);
    reload(&s, mapping);
    err = send_number(&s);
    REQUIRE(err == PIPIT_EAGAIN, "none overtakes: %s", pipit_strerror(err));
    reload(&s, "");
    send_numbers(&s, AFTER);
    must(pipit_client_flush(s.from, WAIT_MS), "flush");
    hear_all(&s);
    stage_close(&s);
}

/* Who never takes anything holds nobody up for good, nor does who cannot wait. */
static void scenario_mapping_unread(void)
{
    int64_t deadline;
    struct stage s;
    pipit_err err;

    stage_open(&s);
    send_numbers(&s, 1);
    reload(&s, mapping);
    deadline = check_now_ns() + WAIT_MS * INT64_C(1000000);
    while ((err = send_number(&s)) == PIPIT_EAGAIN && check_now_ns() < deadline)
        (void)check_poll(-1, 1);
    must(err, "after a while");
    must(pipit_client_publish(s.to, "numbers", NULL, &s.sent, sizeof(s.sent)), "to itself");
    s.sent++;
    stage_close(&s);
}

int main(int argc, char **argv)
{
    static const struct scenario all[] = {
        {"mapping_added", scenario_mapping_added, 60},
        {"mapping_waits", scenario_mapping_waits, 60},
        {"mapping_ended", scenario_mapping_ended, 60},
        {"mapping_hasty", scenario_mapping_hasty, 60},
        {"mapping_busy", scenario_mapping_busy, 90},
        {"mapping_full", scenario_mapping_full, 60},
        {"mapping_failed", scenario_mapping_failed, 60},
        {"mapping_shared", scenario_mapping_shared, 60},
        {"mapping_deaf", scenario_mapping_deaf, 60},
        {"mapping_late", scenario_mapping_late, 60},
        {"mapping_withdrawn", scenario_mapping_withdrawn, 60},
        {"mapping_unread", scenario_mapping_unread, 60},
    };

    return scenarios_run(all, COUNT_OF(all), argc, argv);
}
