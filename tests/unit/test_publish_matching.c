/* pipit_server_publish_matching and pipit_server_claim: what the program can do and clients cannot,
 * and the claims that a T2 Bus in the same server has. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "t2/reader.h"
#include "t2/writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const two_loops[] = {"--threads=2", NULL};

static pipit_msg message(const char *subject, const char *payload)
{
    return (pipit_msg){.subject = subject,
                       .subject_bytes = strlen(subject),
                       .payload = payload,
                       .payload_bytes = strlen(payload)};
}

static size_t publish(pipit_server *server, const char *subject, const char *payload)
{
    const pipit_msg msg = message(subject, payload);
    size_t recipients = 99;

    assert_int_equal(pipit_server_publish_matching(server, &msg, &recipients), PIPIT_OK);
    return recipients;
}

static void count(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    (void)subscription;
    (void)msg;
    (void)atomic_fetch_add((atomic_uint *)context, 1);
}

static bool reached_one(void *arg)
{
    return atomic_load((atomic_uint *)arg) == 1;
}

static void test_matching_reaches_all(void **state)
{
    peer a, b;
    peer_event event;
    struct host h;
    atomic_uint heard = 0;
    pipit_subscription *own;

    (void)state;
    host_start(&h, two_loops);
    peer_open(&a, h.port);
    peer_open(&b, h.port);
    (void)peer_printf(&a, "SUB room.lobby 1\r\nSUB room.* 2\r\nSUB other 3\r\nSUB room.> q 4\r\n");
    (void)peer_printf(&b, "SUB room.bar 1\r\nSUB *.*.x 2\r\nSUB room.lobby q 3\r\n");
    assert_true(peer_barrier(&a) && peer_barrier(&b));
    assert_int_equal(pipit_server_subscribe(h.server, ">", NULL, count, &heard, &own), PIPIT_OK);
    /* Two of a, one of b, one of the group, and the program's own. */
    assert_int_equal(publish(h.server, "room.*", "hi"), 5);
    assert_int_equal(publish(h.server, "room.bar", "hi"), 4);
    assert_int_equal(publish(h.server, "nobody.*.y", "hi"), 1);
    assert_int_equal(publish(h.server, "room.>", "hi"), 6);
    assert_true(peer_next_msg(&b, &event));
    assert_string_equal(event.subject, "room.*");
    assert_int_equal(event.payload_len, 2);
    pipit_subscription_end(own);
    peer_close(&a);
    peer_close(&b);
    host_stop(&h);
}

static void test_matching_refuses(void **state)
{
    struct host h;
    pipit_msg msg;
    char *large = calloc(1, 2 << 20);
    static const char *const bad[] = {"", "a..b", "a b", ".", "a.>.b"};

    (void)state;
    host_start(&h, two_loops);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        msg = message(bad[i], "x");
        assert_int_equal(pipit_server_publish_matching(h.server, &msg, NULL), PIPIT_EINVAL);
    }
    msg = message("a.*", "x");
    msg.payload = large;
    msg.payload_bytes = 2 << 20;
    assert_int_equal(pipit_server_publish_matching(h.server, &msg, NULL), PIPIT_ETOOBIG);
    msg.payload_bytes = 1 << 20;
    assert_int_equal(pipit_server_publish_matching(h.server, &msg, NULL), PIPIT_OK);
    pipit_server_stop(h.server);
    assert_int_equal(pipit_server_publish_matching(h.server, &msg, NULL), PIPIT_ECLOSED);
    host_stop(&h);
    free(large);
}

/* From a callback it happens at once. */
struct relay {
    pipit_server *server;
    atomic_uint done;
    size_t recipients;
};

static void pass_on(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct relay *relay = context;
    const pipit_msg next = message("next.*", "x");

    (void)subscription;
    (void)msg;
    if (pipit_server_publish_matching(relay->server, &next, &relay->recipients))
        abort();
    atomic_store(&relay->done, 1);
}

static void test_matching_from_a_callback(void **state)
{
    struct host h;
    struct relay relay = {0};
    atomic_uint heard = 0;
    pipit_subscription *first, *second;

    (void)state;
    host_start(&h, two_loops);
    relay.server = h.server;
    assert_int_equal(pipit_server_subscribe(h.server, "first", NULL, pass_on, &relay, &first),
                     PIPIT_OK);
    assert_int_equal(pipit_server_subscribe(h.server, "next.one", NULL, count, &heard, &second),
                     PIPIT_OK);
    assert_int_equal(pipit_server_publish(h.server, "first", NULL, "", 0), PIPIT_OK);
    check_until(reached_one, &relay.done, "the callback");
    check_until(reached_one, &heard, "what it publishes");
    assert_int_equal(relay.recipients, 1);
    pipit_subscription_end(first);
    pipit_subscription_end(second);
    host_stop(&h);
}

/* --- stopping ----------------------------------------------------------------------------- */

static void *publish_until_closed(void *arg)
{
    const pipit_msg msg = message("a.*", "x");
    pipit_err err;

    do {
        err = pipit_server_publish_matching(arg, &msg, NULL);
    } while (!err);
    if (err != PIPIT_ECLOSED)
        abort();
    return NULL;
}

/* Nobody is left waiting. */
static void test_matching_while_stopping(void **state)
{
    enum { THREADS = 3 };

    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t threads[THREADS];
        struct host h;

        host_start(&h, two_loops);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, publish_until_closed, h.server), 0);
        pipit_server_stop(h.server);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_join(threads[i], NULL);
        host_stop(&h);
    }
}

/* --- claims ------------------------------------------------------------------------------- */

static void test_claims_are_exclusive(void **state)
{
    struct host h;
    atomic_uint heard = 0;
    pipit_subscription *a, *b, *plain;

    (void)state;
    host_start(&h, two_loops);
    assert_int_equal(pipit_server_claim(h.server, "mine", count, &heard, &a), PIPIT_OK);
    assert_int_equal(pipit_server_claim(h.server, "mine", count, &heard, &b), PIPIT_EINUSE);
    assert_int_equal(pipit_server_claim(h.server, "mine.*", count, &heard, &b), PIPIT_EINVAL);
    assert_int_equal(pipit_server_subscribe(h.server, "mine", NULL, count, &heard, &plain),
                     PIPIT_OK);
    pipit_subscription_end(a);
    assert_int_equal(pipit_server_claim(h.server, "mine", count, &heard, &b), PIPIT_OK);
    pipit_subscription_end(plain);
    pipit_server_stop(h.server); /* with a claim: it goes with the server */
    host_stop(&h);
}

static void test_claims_fail_without_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        atomic_uint heard = 0;
        pipit_subscription *claim = NULL, *again = NULL;
        struct host h;
        pipit_err err;
        bool fired;

        host_start(&h, two_loops);
        pp_fault_arm("alloc", nth);
        err = pipit_server_claim(h.server, "mine", count, &heard, &claim);
        fired = pp_fault_disarm();
        if (err) {
            assert_int_equal(err, PIPIT_ENOMEM);
            assert_int_equal(pipit_server_claim(h.server, "mine", count, &heard, &again), PIPIT_OK);
        }
        host_stop(&h);
        if (!fired)
            break;
    }
}

/* One of the program and a client of the bus may both want to serve. */
static pp_t2_error_code call(int fd, const pp_t2_message *message)
{
    pp_t2_reader reader = {0};
    pp_t2_message ack;
    char wire[512];
    size_t len = pp_t2_write_frame(message, wire), got = 0, used;

    assert_int_equal(write(fd, wire, len), len);
    for (;;) {
        ssize_t n = read(fd, wire + got, sizeof(wire) - got);

        assert_true(n > 0);
        got += (size_t)n;
        if (!pp_t2_read(&reader, (pp_str){wire, got}, PP_T2_FRAME_MAX, &ack, &used))
            break;
    }
    assert_int_equal(ack.kind, PP_T2_ACK);
    pp_t2_reader_fini(&reader);
    return ack.error.code;
}

static void test_claims_of_a_bus(void **state)
{
    char path[64], option[80];
    const char *options[] = {"--threads=2", option, NULL};
    const pp_t2_message serve = {.id = 1, .kind = PP_T2_SRV, .topic = PP_STR("a/b")};
    const pp_t2_message leave = {.id = 2, .kind = PP_T2_UNSRV, .topic = PP_STR("a/b")};
    atomic_uint heard = 0;
    pipit_subscription *claim;
    struct host h;
    peer bus;

    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/pipit-test-%d.sock", (int)getpid());
    (void)snprintf(option, sizeof(option), "--t2=unix:%s", path);
    host_start(&h, options);
    peer_dial_unix(&bus, path);
    assert_int_equal(pipit_server_claim(h.server, "t2rr.a.b", count, &heard, &claim), PIPIT_OK);
    assert_int_equal(call(bus.fd, &serve), PP_T2_TOPIC_ALREADY_CLAIMED);
    pipit_subscription_end(claim);
    assert_int_equal(call(bus.fd, &serve), PP_T2_NO_ERROR);
    assert_int_equal(pipit_server_claim(h.server, "t2rr.a.b", count, &heard, &claim), PIPIT_EINUSE);
    assert_int_equal(call(bus.fd, &leave), PP_T2_NO_ERROR);
    assert_int_equal(pipit_server_claim(h.server, "t2rr.a.b", count, &heard, &claim), PIPIT_OK);
    peer_close(&bus);
    host_stop(&h);
}

/* A door that takes subjects apart hears of no pattern, however much of one fits its own. */
static void test_a_bus_hears_no_patterns(void **state)
{
    char path[64], option[80];
    const char *options[] = {"--threads=2", option, NULL};
    const pp_t2_message hear = {.id = 1, .kind = PP_T2_SUB, .topic = PP_STR("lobby")};
    struct host h;
    peer bus;

    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/pipit-test-%d.sock", (int)getpid());
    (void)snprintf(option, sizeof(option), "--t2=unix:%s", path);
    host_start(&h, options);
    peer_dial_unix(&bus, path);
    assert_int_equal(call(bus.fd, &hear), PP_T2_NO_ERROR);
    assert_int_equal(publish(h.server, "*.xlobby", "at the wrong topic"), 0);
    assert_int_equal(publish(h.server, "t2.*", "at none"), 0);
    assert_int_equal(publish(h.server, ">", "nor this"), 0);
    assert_int_equal(publish(h.server, "t2.lobby", "hi"), 1);
    peer_close(&bus);
    host_stop(&h);
}

/* A request to publish that very request is not asked for again and again. */
static void test_matching_does_not_ask_itself(void **state)
{
    static const char *const itself[] = {"$PIPIT.MATCH", "$PIPIT.*", ">"};
    char path[64], option[80];
    const char *options[] = {"--threads=1", option, NULL};
    struct host h;
    peer a;

    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/pipit-nats-%d.sock", (int)getpid());
    (void)snprintf(option, sizeof(option), "--unix=%s", path);
    host_start(&h, options);
    peer_dial_unix(&a, path);
    assert_true(peer_greet(&a));
    (void)peer_printf(&a, "SUB answer 1\r\n");
    for (size_t i = 0; i < COUNT_OF(itself); i++) {
        size_t header = strlen("NATS/1.0\r\nPipit-Subject: \r\n\r\n") + strlen(itself[i]);
        pipit_server_stats before, after;

        (void)peer_printf(&a,
                          "HPUB $PIPIT.MATCH answer %zu %zu\r\n"
                          "NATS/1.0\r\nPipit-Subject: %s\r\n\r\n\r\n",
                          header, header, itself[i]);
        assert_true(peer_barrier(&a));
        for (int turn = 0; turn < 3; turn++)
            assert_true(peer_barrier(&a));
        pipit_server_get_stats(h.server, &before);
        for (int turn = 0; turn < 3; turn++)
            assert_true(peer_barrier(&a));
        pipit_server_get_stats(h.server, &after);
        assert_int_equal(after.in_msgs, before.in_msgs);
    }
    peer_close(&a);
    host_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching_reaches_all),
        cmocka_unit_test(test_matching_refuses),
        cmocka_unit_test(test_matching_from_a_callback),
        cmocka_unit_test(test_matching_while_stopping),
        cmocka_unit_test(test_claims_are_exclusive),
        cmocka_unit_test(test_claims_fail_without_memory),
        cmocka_unit_test(test_claims_of_a_bus),
        cmocka_unit_test(test_a_bus_hears_no_patterns),
        cmocka_unit_test(test_matching_does_not_ask_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
