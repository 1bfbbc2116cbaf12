/* The in-process door: the program's own messages and subscriptions, beside those of clients. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { EVENTS_MAX = 4096, LARGE_BYTES = 90000 };

/* What a subscription has heard. Written on its home loop. */
struct ear {
    pipit_server *server;
    pipit_subscription *subscription;
    atomic_uint count;
    atomic_uint large;                       /* of 1000 bytes and more */
    char subject[64], reply[64], header[64]; /* of the last */
    size_t header_len, payload_len;
    char payload[LARGE_BYTES];
    atomic_bool hold;   /* do not return */
    atomic_bool inside; /* the callback runs */
    atomic_bool ending; /* somebody is about to end it */
    atomic_bool ended;  /* no call may come any more */
};

static void copy_text(char *to, const void *from, size_t len)
{
    if (len > 63)
        abort();
    if (len)
        memcpy(to, from, len);
    to[len] = '\0';
}

static void hear(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct ear *ear = context;

    (void)subscription;
    if (atomic_load(&ear->ended))
        abort();
    atomic_store(&ear->inside, true);
    copy_text(ear->subject, msg->subject, msg->subject_bytes);
    copy_text(ear->reply, msg->reply, msg->reply_bytes);
    copy_text(ear->header, msg->header, msg->header_bytes);
    ear->header_len = msg->header_bytes;
    ear->payload_len = msg->payload_bytes;
    if (msg->payload_bytes > sizeof(ear->payload))
        abort();
    memcpy(ear->payload, msg->payload, msg->payload_bytes);
    (void)atomic_fetch_add(&ear->large, msg->payload_bytes >= 1000);
    (void)atomic_fetch_add(&ear->count, 1);
    while (atomic_load(&ear->hold))
        (void)sched_yield();
    atomic_store(&ear->inside, false);
}

static struct ear *ear_new(pipit_server *server, const char *subject, const char *queue)
{
    struct ear *ear = calloc(1, sizeof(*ear));

    assert_non_null(ear);
    ear->server = server;
    assert_int_equal(pipit_server_subscribe(server, subject, queue, hear, ear, &ear->subscription),
                     PIPIT_OK);
    return ear;
}

static void ear_free(struct ear *ear)
{
    pipit_subscription_end(ear->subscription);
    atomic_store(&ear->ended, true);
    assert_false(atomic_load(&ear->inside));
    free(ear);
}

struct wanted {
    atomic_uint *counter;
    unsigned count;
};

static bool reached(void *arg)
{
    const struct wanted *wanted = arg;

    return atomic_load(wanted->counter) >= wanted->count;
}

static void wait_for(atomic_uint *counter, unsigned count)
{
    struct wanted wanted = {counter, count};

    check_until(reached, &wanted, "messages");
    assert_int_equal(atomic_load(counter), count);
}

static bool is_set(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

static void publish(pipit_server *server, const char *subject, const char *reply,
                    const char *payload)
{
    assert_int_equal(pipit_server_publish(server, subject, reply, payload, strlen(payload)),
                     PIPIT_OK);
}

static void start(struct host *h, const char *const *options)
{
    static const char *const two[] = {"--threads=2", NULL};

    host_start(h, options ? options : two);
}

/* --- from door to door -------------------------------------------------------------------- */

static void test_local_publishes_to_nats_clients(void **state)
{
    static const char header[] = "NATS/1.0\r\nA: b\r\n\r\n";
    char *large = malloc(LARGE_BYTES);
    peer heads, plain, *peers[] = {&heads, &plain};
    peer_event event;
    struct host h;

    (void)state;
    memset(large, 'L', LARGE_BYTES);
    start(&h, NULL);
    peer_open(&heads, h.port);
    peer_dial(&plain, h.port, 0);
    (void)peer_printf(&plain, "CONNECT {\"verbose\":false,\"headers\":false}\r\n");
    for (unsigned i = 0; i < 2; i++) {
        (void)peer_printf(peers[i], "SUB in.* 1\r\n");
        assert_true(peer_barrier(peers[i]));
    }
    for (size_t len = 0; len <= LARGE_BYTES; len = len < 2040 ? len + 680 : len * 2 + 1) {
        pipit_msg msg = {.subject = "in.xyz",
                         .subject_bytes = 4, /* lengths count */
                         .reply = "back",
                         .reply_bytes = len % 2 ? 4 : 0,
                         .header = header,
                         .header_bytes = len % 3 ? sizeof(header) - 1 : 0,
                         .payload = large,
                         .payload_bytes = len};

        assert_int_equal(pipit_server_publish_msg(h.server, &msg), PIPIT_OK);
        for (unsigned i = 0; i < 2; i++) {
            size_t header_len = i == 0 ? msg.header_bytes : 0;

            assert_true(peer_next_msg(peers[i], &event));
            assert_string_equal(event.subject, "in.x");
            if (msg.reply_bytes)
                assert_string_equal(event.reply, "back");
            else
                assert_null(event.reply);
            assert_int_equal(event.header_len, header_len);
            if (header_len)
                assert_memory_equal(event.header, header, header_len);
            assert_int_equal(event.payload_len, len);
            assert_memory_equal(event.payload, large, len);
        }
    }
    peer_close(&heads);
    peer_close(&plain);
    host_stop(&h);
    free(large);
}

static void test_local_hears_nats_clients(void **state)
{
    char *large = malloc(LARGE_BYTES);
    struct ear *star, *literal, *other;
    unsigned count = 0;
    struct host h;
    peer from[2];

    (void)state;
    memset(large, 'L', LARGE_BYTES);
    start(&h, NULL);
    star = ear_new(h.server, "out.*", NULL); /* one on each loop */
    literal = ear_new(h.server, "out.x", NULL);
    other = ear_new(h.server, "other", NULL);
    assert_int_equal(host_stats(&h).subscriptions, 3);
    for (unsigned i = 0; i < 2; i++)
        peer_open(&from[i], h.port);
    for (unsigned i = 0; i < 2; i++) {
        (void)peer_printf(&from[i], "PUB out.x 5\r\nhello\r\n");
        wait_for(&star->count, ++count);
        wait_for(&literal->count, count);
        assert_string_equal(star->subject, "out.x");
        assert_string_equal(star->reply, "");
        assert_int_equal(star->payload_len, 5);
        assert_memory_equal(star->payload, "hello", 5);
        assert_int_equal(star->header_len, 0);
        (void)peer_printf(&from[i], "HPUB out.x re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        wait_for(&star->count, ++count);
        wait_for(&literal->count, count);
        assert_string_equal(literal->reply, "re.ply");
        assert_string_equal(literal->header, "NATS/1.0\r\n\r\n");
        assert_int_equal(literal->payload_len, 2);
        assert_memory_equal(literal->payload, "hi", 2);
        for (size_t len = 0; len <= LARGE_BYTES; len += 9000) {
            (void)peer_publish(&from[i], "out.x", large, len);
            wait_for(&star->count, ++count);
            wait_for(&literal->count, count);
            assert_int_equal(star->payload_len, len);
            assert_memory_equal(star->payload, large, len);
            assert_int_equal(literal->payload_len, len);
            assert_memory_equal(literal->payload, large, len);
        }
    }
    assert_int_equal(atomic_load(&other->count), 0);
    assert_int_equal(host_stats(&h).out_msgs, 2 * count);
    ear_free(star);
    ear_free(literal);
    ear_free(other);
    assert_int_equal(host_stats(&h).subscriptions, 0);
    peer_close(&from[0]);
    peer_close(&from[1]);
    host_stop(&h);
    free(large);
}

/* A service: says back what it is asked. */
static void serve(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    pipit_msg answer = *msg;

    (void)subscription;
    answer.subject = msg->reply;
    answer.subject_bytes = msg->reply_bytes;
    answer.reply = NULL;
    answer.reply_bytes = 0;
    if (pipit_server_publish_msg(context, &answer))
        abort();
}

static void test_local_answers_requests(void **state)
{
    pipit_subscription *service;
    struct ear *inbox;
    peer_event event;
    struct host h;
    peer asks;

    (void)state;
    start(&h, NULL);
    assert_int_equal(pipit_server_subscribe(h.server, "echo", NULL, serve, h.server, &service),
                     PIPIT_OK);
    inbox = ear_new(h.server, "inbox.*", NULL);
    peer_open(&asks, h.port);
    (void)peer_printf(&asks, "SUB mine 1\r\n");
    for (unsigned i = 1; i <= 50; i++) {
        (void)peer_printf(&asks, "PUB echo mine 4\r\nask?\r\n");
        assert_true(peer_next_msg(&asks, &event));
        assert_string_equal(event.subject, "mine");
        assert_memory_equal(event.payload, "ask?", 4);
        publish(h.server, "echo", "inbox.1", "me?");
        wait_for(&inbox->count, i);
        assert_memory_equal(inbox->payload, "me?", 3);
    }
    pipit_subscription_end(service);
    ear_free(inbox);
    peer_close(&asks);
    host_stop(&h);
}

static void test_local_shares_queue_groups_with_clients(void **state)
{
    enum { MESSAGES = 600 };
    struct ear *members[2], *plain;
    unsigned nats = 0, local = 0;
    peer_event event;
    struct host h;
    peer member, from;

    (void)state;
    start(&h, NULL);
    plain = ear_new(h.server, "work", NULL);
    members[0] = ear_new(h.server, "work", "group");
    members[1] = ear_new(h.server, "*", "group");
    peer_open(&member, h.port);
    peer_open(&from, h.port);
    (void)peer_printf(&member, "SUB work group 1\r\n");
    assert_true(peer_barrier(&member));
    for (unsigned i = 0; i < MESSAGES / 2; i++) {
        publish(h.server, "work", NULL, "1");
        (void)peer_printf(&from, "PUB work 1\r\n2\r\n");
    }
    wait_for(&plain->count, MESSAGES);
    while (nats + local < MESSAGES) {
        local = atomic_load(&members[0]->count) + atomic_load(&members[1]->count);
        if (nats + local < MESSAGES && check_poll(member.fd, 1)) {
            assert_true(peer_next_msg(&member, &event));
            nats++;
        }
        while (member.in_at < member.in_len && nats + local < MESSAGES) {
            assert_true(peer_next_msg(&member, &event));
            nats++;
        }
    }
    assert_true(peer_barrier(&member));
    assert_int_equal(nats, member.msgs);
    assert_int_equal(nats + local, MESSAGES);
    assert_true(nats > MESSAGES / 12); /* a third, on average */
    assert_true(atomic_load(&members[0]->count) > MESSAGES / 12);
    assert_true(atomic_load(&members[1]->count) > MESSAGES / 12);
    ear_free(plain);
    ear_free(members[0]);
    ear_free(members[1]);
    peer_close(&member);
    peer_close(&from);
    host_stop(&h);
}

/* --- order -------------------------------------------------------------------------------- */

enum { ORDER_THREADS = 4, ORDER_MESSAGES = 3000 };

struct order {
    pipit_server *server;
    unsigned next[ORDER_THREADS]; /* a subscription's */
    atomic_uint count;
};

struct order_publisher {
    pipit_server *server;
    unsigned index;
    pthread_t thread;
};

static void hear_in_order(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct order *order = context;
    unsigned stamp[2];

    (void)subscription;
    if (msg->payload_bytes < sizeof(stamp))
        abort();
    memcpy(stamp, msg->payload, sizeof(stamp));
    if (stamp[0] >= ORDER_THREADS || stamp[1] != order->next[stamp[0]]++)
        abort();
    (void)atomic_fetch_add(&order->count, 1);
}

static void *publish_in_order(void *arg)
{
    struct order_publisher *p = arg;
    char payload[5000] = {0}, subject[32];

    for (unsigned i = 0; i < ORDER_MESSAGES; i++) {
        unsigned stamp[2] = {p->index, i};
        pipit_err err;

        memcpy(payload, stamp, sizeof(stamp));
        (void)snprintf(subject, sizeof(subject), "order.%u", i % 3);
        do {
            err = pipit_server_publish(p->server, subject, NULL, payload,
                                       i % 40 == 7 ? sizeof(payload) : 24);
        } while (err == PIPIT_EAGAIN);
        if (err)
            abort();
    }
    return NULL;
}

static void test_local_keeps_each_threads_order(void **state)
{
    enum { SUBS = 3, ALL = ORDER_THREADS * ORDER_MESSAGES };
    struct order_publisher publishers[ORDER_THREADS];
    unsigned next[ORDER_THREADS] = {0};
    pipit_subscription *subs[SUBS];
    struct order orders[SUBS] = {0};
    peer_event event;
    struct host h;
    peer listener;

    (void)state;
    start(&h, NULL);
    for (unsigned i = 0; i < SUBS; i++)
        assert_int_equal(
            pipit_server_subscribe(h.server, "order.>", NULL, hear_in_order, &orders[i], &subs[i]),
            PIPIT_OK);
    peer_open(&listener, h.port);
    (void)peer_printf(&listener, "SUB order.* 1\r\n");
    assert_true(peer_barrier(&listener));
    for (unsigned i = 0; i < ORDER_THREADS; i++) {
        publishers[i] = (struct order_publisher){h.server, i, 0};
        assert_int_equal(
            pthread_create(&publishers[i].thread, NULL, publish_in_order, &publishers[i]), 0);
    }
    for (unsigned i = 0; i < ALL; i++) {
        unsigned stamp[2];

        assert_true(peer_next_msg(&listener, &event));
        memcpy(stamp, event.payload, sizeof(stamp));
        assert_int_equal(stamp[1], next[stamp[0]]++);
    }
    for (unsigned i = 0; i < ORDER_THREADS; i++)
        assert_int_equal(pthread_join(publishers[i].thread, NULL), 0);
    for (unsigned i = 0; i < SUBS; i++) {
        wait_for(&orders[i].count, ALL);
        pipit_subscription_end(subs[i]);
    }
    peer_close(&listener);
    host_stop(&h);
}

static void test_local_subscription_is_heard_at_once(void **state)
{
    struct ear *routed;
    struct host h;
    peer from;

    (void)state;
    start(&h, NULL);
    routed = ear_new(h.server, "routed", NULL);
    peer_open(&from, h.port);
    for (unsigned i = 0; i < 200; i++) {
        struct ear *ear;

        publish(h.server, "at.once", NULL, "nobody"); /* its route is known, and empty */
        publish(h.server, "routed", NULL, "now");
        wait_for(&routed->count, i + 1);
        (void)peer_printf(&from, "PUB at.once 6\r\nnobody\r\n");
        assert_true(peer_barrier(&from));
        ear = ear_new(h.server, i % 2 ? "at.*" : "at.once", NULL);
        publish(h.server, "at.once", NULL, "mine");
        wait_for(&ear->count, 1);
        (void)peer_printf(&from, "PUB at.once 3\r\nhis\r\n");
        wait_for(&ear->count, 2);
        ear_free(ear);
    }
    ear_free(routed);
    peer_close(&from);
    host_stop(&h);
}

/* --- the end of a subscription ------------------------------------------------------------ */

static void hear_once(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    (void)msg;
    (void)atomic_fetch_add((atomic_uint *)context, 1);
    pipit_subscription_end(subscription);
}

static void test_local_ends_inside_the_callback(void **state)
{
    struct host h;
    struct ear *after[2];
    unsigned published = 0;

    (void)state;
    start(&h, NULL);
    for (unsigned i = 0; i < 2; i++) /* who tells that the others have been passed */
        after[i] = ear_new(h.server, "once", NULL);
    for (unsigned round = 0; round < 50; round++) {
        pipit_subscription *once[4];
        atomic_uint counts[4];

        for (unsigned i = 0; i < 4; i++) {
            atomic_init(&counts[i], 0);
            assert_int_equal(
                pipit_server_subscribe(h.server, "once", NULL, hear_once, &counts[i], &once[i]),
                PIPIT_OK);
        }
        for (unsigned i = 0; i < 10; i++, published++)
            publish(h.server, "once", NULL, "x");
        for (unsigned i = 0; i < 4; i++)
            wait_for(&counts[i], 1);
        for (unsigned i = 0; i < 2; i++)
            wait_for(&after[i]->count, published);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(atomic_load(&counts[i]), 1);
    }
    ear_free(after[0]);
    ear_free(after[1]);
    assert_int_equal(host_stats(&h).subscriptions, 0);
    host_stop(&h);
}

static void *end_ear(void *arg)
{
    struct ear *ear = arg;

    atomic_store(&ear->ending, true);
    pipit_subscription_end(ear->subscription);
    if (atomic_load(&ear->inside))
        abort(); /* it had to wait for that */
    atomic_store(&ear->ended, true);
    return NULL;
}

static void test_local_end_waits_for_the_callback(void **state)
{
    struct host h;

    (void)state;
    start(&h, NULL);
    for (unsigned round = 0; round < 50; round++) {
        struct ear *ear = ear_new(h.server, "held", NULL);
        pthread_t thread;

        atomic_store(&ear->hold, true);
        for (unsigned i = 0; i < 10; i++)
            publish(h.server, "held", NULL, "x");
        check_until(is_set, &ear->inside, "the callback");
        assert_int_equal(pthread_create(&thread, NULL, end_ear, ear), 0);
        check_until(is_set, &ear->ending, "the thread");
        for (unsigned i = 0; i < 1000 * (round % 2); i++)
            (void)sched_yield(); /* in some rounds it has come to the waiting */
        assert_false(atomic_load(&ear->ended));
        atomic_store(&ear->hold, false);
        assert_int_equal(pthread_join(thread, NULL), 0);
        free(ear);
    }
    host_stop(&h);
}

/* Ends and makes subscriptions while messages come from everywhere. */
static void test_local_survives_churn(void **state)
{
    struct order_publisher publisher;
    struct host h;
    peer from;

    (void)state;
    start(&h, NULL);
    peer_open(&from, h.port);
    publisher = (struct order_publisher){h.server, 0, 0};
    assert_int_equal(pthread_create(&publisher.thread, NULL, publish_in_order, &publisher), 0);
    for (unsigned round = 0; round < 150; round++) {
        struct ear *ears[6];

        for (unsigned i = 0; i < 6; i++)
            ears[i] = ear_new(h.server, i % 2 ? "order.*" : "order.1", i % 3 ? NULL : "q");
        (void)peer_printf(&from, "PUB order.1 2\r\nhi\r\nPUB order.2 2\r\nhi\r\n");
        for (unsigned i = 0; i < 6; i++)
            ear_free(ears[(i + round) % 6]);
    }
    assert_true(peer_barrier(&from));
    assert_int_equal(pthread_join(publisher.thread, NULL), 0);
    peer_close(&from);
    host_stop(&h);
}

/* --- refusals and limits ------------------------------------------------------------------ */

static void test_local_refuses(void **state)
{
    static const char *const options[] = {"--threads=2", "--max_payload=1000",
                                          "--max_control_line=100", NULL};
    static const char *const bad_subjects[] = {"",    "a.*",  ">",     "a..b",  ".a", "a.",
                                               "a b", "a\tb", "a\r\n", "a\x7f", NULL};
    static const char *const server_options[] = {"--addr=127.0.0.1", "--port=-1"};
    static const char *const bad_patterns[] = {"", "a..b", "a.>.b", "a b", "a\n", NULL};
    static const char good[] = "NATS/1.0\r\n\r\n";
    char large[1001] = {0}, line[102];
    pipit_subscription *subscription = NULL;
    pipit_server *server;
    struct host h;

    (void)state;
    assert_int_equal(pipit_server_new(&server, server_options, 2, NULL, NULL, NULL, 0), PIPIT_OK);
    assert_int_equal(pipit_server_publish(server, "a", NULL, "x", 1), PIPIT_ECLOSED);
    assert_int_equal(pipit_server_subscribe(server, "a", NULL, hear, NULL, &subscription),
                     PIPIT_ECLOSED);
    pipit_server_free(server);

    start(&h, options);
    for (unsigned i = 0; i < COUNT_OF(bad_subjects); i++) {
        assert_int_equal(pipit_server_publish(h.server, bad_subjects[i], NULL, "x", 1),
                         PIPIT_EINVAL);
        if (bad_subjects[i] && *bad_subjects[i])
            assert_int_equal(pipit_server_publish(h.server, "a", bad_subjects[i], "x", 1),
                             PIPIT_EINVAL);
    }
    for (unsigned i = 0; i < COUNT_OF(bad_patterns); i++)
        assert_int_equal(
            pipit_server_subscribe(h.server, bad_patterns[i], NULL, hear, NULL, &subscription),
            PIPIT_EINVAL);
    assert_int_equal(pipit_server_subscribe(h.server, "a", "q q", hear, NULL, &subscription),
                     PIPIT_EINVAL);
    assert_int_equal(pipit_server_subscribe(h.server, "a", "", hear, NULL, &subscription),
                     PIPIT_EINVAL);
    assert_int_equal(pipit_server_subscribe(h.server, "a", NULL, NULL, NULL, &subscription),
                     PIPIT_EINVAL);
    assert_null(subscription);
    assert_int_equal(host_stats(&h).subscriptions, 0);

    assert_int_equal(pipit_server_publish(h.server, "a", NULL, large, 1000), PIPIT_OK);
    assert_int_equal(pipit_server_publish(h.server, "a", NULL, large, 1001), PIPIT_ETOOBIG);
    memset(line, 'a', sizeof(line));
    line[101] = '\0';
    assert_int_equal(pipit_server_publish(h.server, line, NULL, "", 0), PIPIT_ETOOBIG);
    line[60] = '\0';
    assert_int_equal(pipit_server_publish(h.server, line, NULL, "", 0), PIPIT_OK);
    assert_int_equal(pipit_server_publish(h.server, line, line, "", 0), PIPIT_ETOOBIG);
    for (unsigned n = 0; n < sizeof(good) - 1; n++) {
        pipit_msg msg = {.subject = "a", .subject_bytes = 1, .header = good, .header_bytes = n};

        assert_int_equal(pipit_server_publish_msg(h.server, &msg), n ? PIPIT_EINVAL : PIPIT_OK);
    }
    for (unsigned n = 988; n <= 989; n++) { /* header and payload together */
        pipit_msg msg = {.subject = "a",
                         .subject_bytes = 1,
                         .header = good,
                         .header_bytes = sizeof(good) - 1,
                         .payload = large,
                         .payload_bytes = n};

        assert_int_equal(pipit_server_publish_msg(h.server, &msg),
                         n == 988 ? PIPIT_OK : PIPIT_ETOOBIG);
    }
    pipit_server_stop(h.server);
    assert_int_equal(pipit_server_publish(h.server, "a", NULL, "x", 1), PIPIT_ECLOSED);
    assert_int_equal(pipit_server_subscribe(h.server, "a", NULL, hear, NULL, &subscription),
                     PIPIT_ECLOSED);
    pipit_subscription_end(NULL);
    host_stop(&h);
}

/* The program is no part of the server, however near: where a callout service is asked, only the
 * server asks. */
static void test_local_asks_no_callout_service(void **state)
{
    static const char text[] =
        "authorization { users: [ {user: auth, password: auth} ], auth_callout { issuer: "
        "ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA, auth_users: [auth] } }\n";
    char path[] = "/tmp/pipit-local-XXXXXX", option[64];
    const char *options[] = {option, "--threads=1", NULL};
    int fd = mkstemp(path);
    struct ear *asked, *other;
    struct host h;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    (void)close(fd);
    (void)snprintf(option, sizeof(option), "--config=%s", path);
    start(&h, options);
    asked = ear_new(h.server, "$SYS.REQ.USER.AUTH", NULL);
    other = ear_new(h.server, "$SYS.REQ.USER.OTHER", NULL);
    assert_int_equal(pipit_server_publish(h.server, "$SYS.REQ.USER.AUTH", NULL, "x", 1), PIPIT_OK);
    assert_int_equal(pipit_server_publish(h.server, "$SYS.REQ.USER.OTHER", NULL, "x", 1), PIPIT_OK);
    wait_for(&other->count, 1);
    assert_int_equal(atomic_load(&asked->count), 0);
    ear_free(asked);
    ear_free(other);
    host_stop(&h);
    (void)unlink(path);
}

static void test_local_queue_is_bounded(void **state)
{
    static const char *const options[] = {"--threads=1", "--max_pending=100000",
                                          "--max_payload=1000", NULL};
    char payload[1000] = {0};
    unsigned taken = 0, heard;
    struct ear *ear;
    struct host h;

    (void)state;
    start(&h, options);
    ear = ear_new(h.server, "slow", NULL);
    atomic_store(&ear->hold, true);
    publish(h.server, "slow", NULL, "first");
    check_until(is_set, &ear->inside, "the callback"); /* and the only loop stands still */
    while (taken < 1000 && !pipit_server_publish(h.server, "slow", NULL, payload, 1000))
        taken++;
    assert_true(taken > 80 && taken < 100);
    assert_int_equal(pipit_server_publish(h.server, "slow", NULL, payload, 1000), PIPIT_EAGAIN);
    heard = atomic_load(&ear->count);
    assert_int_equal(heard, 1);
    atomic_store(&ear->hold, false);
    wait_for(&ear->count, taken + 1);
    publish(h.server, "slow", NULL, "there is room again");
    wait_for(&ear->count, taken + 2);
    ear_free(ear);
    host_stop(&h);
}

static bool has_stalled(void *arg)
{
    return host_stats(arg).stalls > 0;
}

/* A callback that stands still: a client on another loop is paused, then its messages are missed.
 */
static void test_local_lagging_callback_is_bounded(void **state)
{
    enum { MESSAGES = 2000 };
    static const char *const options[] = {"--threads=2", "--max_pending=1000000",
                                          "--max_payload=1000", NULL};
    char payload[1000] = {0};
    peer peers[2], *from = NULL;
    struct ear *ear, *last;
    peer_event event;
    struct host h;

    (void)state;
    start(&h, options);
    ear = ear_new(h.server, "slow.*", NULL);
    last = ear_new(h.server, "unused", NULL); /* takes the other loop's turn */
    ear_free(last);
    last = ear_new(h.server, "slow.last", NULL); /* at home with the first */
    for (unsigned i = 0; i < 2; i++)             /* one on each loop */
        peer_open(&peers[i], h.port);
    atomic_store(&ear->hold, true);
    (void)peer_printf(&peers[0], "PUB slow.x 1\r\nx\r\n");
    check_until(is_set, &ear->inside, "the callback");
    /* Its home is the loop of one of them: the other answers. */
    for (unsigned i = 0; i < 2; i++)
        (void)peer_printf(&peers[i], "PING\r\n");
    for (unsigned i = 0; !from; i = !i) {
        if (check_poll(peers[i].fd, 1))
            from = &peers[i];
    }
    assert_int_equal(peer_next(from, &event), PEER_PONG);
    for (unsigned n = 0; n < MESSAGES; n++)
        (void)peer_publish(from, "slow.x", payload, sizeof(payload));
    assert_true(peer_barrier(from)); /* paused for a while, not for ever */
    assert_true(host_stats(&h).stalls > 0);
    assert_int_equal(atomic_load(&ear->count), 1);
    atomic_store(&ear->hold, false);
    while (!atomic_load(&last->count)) { /* there may not be room for it at once */
        (void)peer_publish(from, "slow.last", payload, 1);
        assert_true(peer_barrier(from));
    }
    /* Of those that were held: what max_pending allows, and the newer ones are missing. */
    assert_true(atomic_load(&ear->large) > 700 && atomic_load(&ear->large) < 1000);
    ear_free(ear);
    ear_free(last);
    peer_close(&peers[0]);
    peer_close(&peers[1]);
    host_stop(&h);
}

/* A client that does not read: who publishes in-process waits for it, as a client would. */
static void test_local_publisher_waits_for_a_slow_client(void **state)
{
    enum { MESSAGES = 60, BYTES = 1000000 };
    char *payload = malloc(BYTES);
    peer_event event;
    struct host h;
    peer slow;

    (void)state;
    start(&h, NULL);
    peer_open_narrow(&slow, h.port, 4096);
    (void)peer_printf(&slow, "SUB big 1\r\n");
    assert_true(peer_barrier(&slow));
    for (unsigned i = 0; i < MESSAGES; i++) {
        memset(payload, (int)('A' + i % 26), BYTES);
        assert_int_equal(pipit_server_publish(h.server, "big", NULL, payload, BYTES), PIPIT_OK);
    }
    check_until(has_stalled, &h, "the inlet to wait");
    for (unsigned i = 0; i < MESSAGES; i++) {
        memset(payload, (int)('A' + i % 26), BYTES);
        assert_true(peer_next_msg(&slow, &event));
        assert_int_equal(event.payload_len, BYTES);
        assert_memory_equal(event.payload, payload, BYTES);
    }
    assert_int_equal(host_stats(&h).slow_consumers, 0);
    peer_close(&slow);
    host_stop(&h);
    free(payload);
}

/* --- memory ------------------------------------------------------------------------------- */

/* Everything that can be refused, refused once: an error or a message less, and nothing left. */
static void test_local_survives_every_allocation_failing(void **state)
{
    static char large[3000];
    unsigned quiet = 0;

    (void)state;
    for (uint64_t nth = 1; quiet < 3; nth++) {
        pipit_subscription *subscription = NULL;
        struct ear *ear = calloc(1, sizeof(*ear)), *sure;
        unsigned published = 0;
        peer_event event;
        struct host h;
        pipit_err err;
        peer client;

        start(&h, NULL);
        sure = ear_new(h.server, "sure", NULL);
        peer_open(&client, h.port);
        (void)peer_printf(&client, "SUB fault.* 1\r\nSUB sure 2\r\n");
        assert_true(peer_barrier(&client));
        pp_fault_arm("alloc", nth);
        err = pipit_server_subscribe(h.server, "fault.>", NULL, hear, ear, &subscription);
        assert_true(err == PIPIT_OK || err == PIPIT_ENOMEM);
        assert_int_equal(!err, subscription != NULL);
        for (unsigned i = 0; i < 6; i++) {
            err = pipit_server_publish(h.server, i % 2 ? "fault.one" : "fault.two", NULL, large,
                                       i < 3 ? 20 : sizeof(large));
            assert_true(err == PIPIT_OK || err == PIPIT_ENOMEM);
            published += !err;
            (void)peer_publish(&client, "fault.one", large, i < 3 ? 20 : sizeof(large));
            published++;
        }
        (void)peer_barrier(&client);
        quiet = pp_fault_disarm() ? 0 : quiet + 1;
        /* What comes afterwards arrives, at both doors. */
        publish(h.server, "sure", NULL, "sure");
        wait_for(&sure->count, 1);
        do {
            if (!peer_next_msg(&client, &event)) {
                assert_int_equal(quiet, 0); /* closed, since memory was refused */
                break;
            }
        } while (strcmp(event.subject, "sure") != 0);
        assert_true(atomic_load(&ear->count) <= published);
        pipit_subscription_end(subscription);
        ear_free(sure);
        peer_close(&client);
        host_stop(&h);
        free(ear);
    }
}

/* --- stopping ----------------------------------------------------------------------------- */

static void *publish_until_closed(void *arg)
{
    char payload[3000] = {0};
    pipit_err err;

    for (unsigned i = 0;; i++) {
        err = pipit_server_publish(arg, i % 2 ? "load.one" : "load.two", NULL, payload,
                                   i % 5 ? 50 : sizeof(payload));
        if (err == PIPIT_ECLOSED)
            return NULL;
        if (err && err != PIPIT_EAGAIN)
            abort();
    }
}

static void test_local_stops_under_load(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 10; round++) {
        struct ear *ears[4];
        pthread_t threads[2];
        struct host h;
        peer from;

        start(&h, NULL);
        for (unsigned i = 0; i < 4; i++)
            ears[i] = ear_new(h.server, i % 2 ? "load.*" : "load.one", NULL);
        peer_open(&from, h.port);
        (void)peer_printf(&from, "SUB load.two 1\r\n");
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, publish_until_closed, h.server), 0);
        for (unsigned i = 0; i < 100; i++)
            (void)peer_printf(&from, "PUB load.one 2\r\nhi\r\n");
        for (unsigned i = 0; i < 4; i++) {
            struct wanted wanted = {&ears[i]->count, 1 + 20 * round};

            check_until(reached, &wanted, "messages");
        }
        pipit_server_stop(h.server);
        for (unsigned i = 0; i < 4; i++) {
            assert_false(atomic_load(&ears[i]->inside));
            atomic_store(&ears[i]->ended, true); /* no call after stop */
        }
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        pipit_subscription_end(ears[0]->subscription); /* the others end with the server */
        pipit_subscription_end(ears[3]->subscription);
        peer_close(&from);
        host_stop(&h);
        for (unsigned i = 0; i < 4; i++)
            free(ears[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_publishes_to_nats_clients),
        cmocka_unit_test(test_local_hears_nats_clients),
        cmocka_unit_test(test_local_answers_requests),
        cmocka_unit_test(test_local_shares_queue_groups_with_clients),
        cmocka_unit_test(test_local_keeps_each_threads_order),
        cmocka_unit_test(test_local_subscription_is_heard_at_once),
        cmocka_unit_test(test_local_ends_inside_the_callback),
        cmocka_unit_test(test_local_end_waits_for_the_callback),
        cmocka_unit_test(test_local_survives_churn),
        cmocka_unit_test(test_local_refuses),
        cmocka_unit_test(test_local_asks_no_callout_service),
        cmocka_unit_test(test_local_queue_is_bounded),
        cmocka_unit_test(test_local_lagging_callback_is_bounded),
        cmocka_unit_test(test_local_publisher_waits_for_a_slow_client),
        cmocka_unit_test(test_local_survives_every_allocation_failing),
        cmocka_unit_test(test_local_stops_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
