/* pipit/bus.h against a bus in the same process, and against servers that lie. */
#include "support/check.h"
#include "support/host.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "pipit/bus.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 60000, LARGE = 200000 };

/* A server with a bus on a Unix socket. */
struct world {
    struct host host;
    char path[64], option[80], address[80];
};

static void start(struct world *w)
{
    const char *options[] = {"--threads=2", w->option, NULL};

    (void)snprintf(w->path, sizeof(w->path), "/tmp/pipit-test-bus-%d.sock", (int)getpid());
    (void)snprintf(w->option, sizeof(w->option), "--t2=unix:%s", w->path);
    (void)snprintf(w->address, sizeof(w->address), "unix:%s", w->path);
    host_start(&w->host, options);
}

static pipit_bus *open_bus(const struct world *w)
{
    pipit_bus *bus = NULL;

    assert_int_equal(pipit_bus_connect(&bus, w->address), PIPIT_OK);
    return bus;
}

/* What a subscription has heard. */
struct ear {
    unsigned count;
    char topic[64];
    size_t len;
    char *payload;
    uint32_t request_id;
};

static void hear(void *context, pipit_bus *bus, const pipit_bus_msg *msg)
{
    struct ear *ear = context;

    (void)bus;
    ear->count++;
    (void)snprintf(ear->topic, sizeof(ear->topic), "%s", msg->topic);
    free(ear->payload);
    ear->payload = malloc(msg->payload_bytes + 1);
    if (msg->payload_bytes)
        memcpy(ear->payload, msg->payload, msg->payload_bytes);
    ear->len = msg->payload_bytes;
    ear->request_id = msg->request_id;
}

static void test_bus_publishes(void **state)
{
    struct world w;
    struct ear one = {0}, two = {0};
    pipit_bus_subscription *first, *second, *third;
    pipit_bus *a, *b;
    uint64_t recipients;
    char *large = malloc(LARGE);

    (void)state;
    start(&w);
    a = open_bus(&w);
    b = open_bus(&w);
    assert_int_equal(pipit_bus_subscribe(b, "x/*", hear, &one, &first), PIPIT_OK);
    assert_int_equal(pipit_bus_subscribe(b, "**", hear, &two, &second), PIPIT_OK);
    assert_int_equal(pipit_bus_subscribe(b, "x/*", hear, &two, &third), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(a, "x/y", "hi", 2, &recipients), PIPIT_OK);
    assert_int_equal(recipients, 1);
    while (!one.count)
        assert_int_equal(pipit_bus_process(b, WAIT_MS), PIPIT_OK);
    assert_int_equal(one.count, 1);
    assert_int_equal(two.count, 2); /* by either of its subscriptions */
    assert_string_equal(one.topic, "x/y");
    assert_memory_equal(one.payload, "hi", 2);
    pipit_bus_end(third); /* its twin stays */
    memset(large, 'l', LARGE);
    assert_int_equal(pipit_bus_publish(a, "x/*", large, LARGE, &recipients), PIPIT_OK);
    while (one.count < 2)
        assert_int_equal(pipit_bus_process(b, WAIT_MS), PIPIT_OK);
    assert_int_equal(one.len, LARGE);
    assert_memory_equal(one.payload, large, LARGE);
    pipit_bus_end(first);
    pipit_bus_end(second);
    assert_int_equal(pipit_bus_publish(b, "after/that", "", 0, NULL), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(a, "x/y", NULL, 0, &recipients), PIPIT_OK);
    assert_int_equal(recipients, 0);
    assert_int_equal(pipit_bus_process(b, 0), PIPIT_ETIMEOUT);
    assert_int_equal(one.count, 2);
    assert_int_equal(pipit_bus_publish(a, "NO", "", 0, NULL), PIPIT_EINVAL);
    assert_string_equal(pipit_bus_error(a),
                        "Request failed: Invalid topic string: Invalid topic string: NO");
    assert_int_equal(pipit_bus_stop_server(a), PIPIT_EDENIED);
    pipit_bus_close(a);
    pipit_bus_close(b);
    free(one.payload);
    free(two.payload);
    free(large);
    host_stop(&w.host);
}

/* --- requests ----------------------------------------------------------------------------- */

struct service {
    pipit_bus *bus;
    unsigned left;
};

static void answer(void *context, pipit_bus *bus, const pipit_bus_msg *msg)
{
    struct service *s = context;
    char text[64];
    int len =
        snprintf(text, sizeof(text), "%.*s!", (int)msg->payload_bytes, (const char *)msg->payload);

    /* A call within a callback, and a request id that nobody waits for. */
    if (pipit_bus_respond(bus, msg->request_id, text, (size_t)len) ||
        pipit_bus_respond(bus, msg->request_id, text, (size_t)len) != PIPIT_ENOTFOUND)
        abort();
    s->left--;
}

static void *serve(void *arg)
{
    struct service *s = arg;
    pipit_err err = PIPIT_OK;

    while (s->left && !err)
        err = pipit_bus_process(s->bus, WAIT_MS);
    return NULL;
}

static void test_bus_requests(void **state)
{
    enum { REQUESTS = 200 };
    struct world w;
    struct service service = {.left = REQUESTS};
    pipit_bus_subscription *claim, *other;
    pipit_bus *asker;
    pthread_t thread;

    (void)state;
    start(&w);
    service.bus = open_bus(&w);
    asker = open_bus(&w);
    assert_int_equal(pipit_bus_serve(service.bus, "echo", answer, &service, &claim), PIPIT_OK);
    assert_int_equal(pipit_bus_serve(asker, "echo", answer, &service, &other), PIPIT_EINUSE);
    assert_string_equal(pipit_bus_error(asker),
                        "Request failed: Claim topic failed: Already claimed");
    assert_int_equal(pipit_bus_serve(asker, "echo/*", answer, &service, &other), PIPIT_EINVAL);
    assert_int_equal(pthread_create(&thread, NULL, serve, &service), 0);
    for (int i = 0; i < REQUESTS; i++) {
        char text[16], expected[20];
        void *payload = NULL;
        size_t len = 0;

        (void)snprintf(text, sizeof(text), "%d", i);
        (void)snprintf(expected, sizeof(expected), "%d!", i);
        assert_int_equal(pipit_bus_request(asker, "echo", text, strlen(text), &payload, &len),
                         PIPIT_OK);
        assert_int_equal(len, strlen(expected));
        assert_memory_equal(payload, expected, len);
        pipit_bus_free(payload);
    }
    (void)pthread_join(thread, NULL);
    pipit_bus_end(claim);
    assert_int_equal(pipit_bus_request(asker, "nobody", "", 0, NULL, NULL), PIPIT_ENOTFOUND);
    assert_string_equal(pipit_bus_error(asker), "Request failed: Service not found: nobody");
    pipit_bus_close(service.bus);
    pipit_bus_close(asker);
    host_stop(&w.host);
}

/* Who serves goes away: the one who asks is told. */
static void *ask(void *arg)
{
    void *payload;
    size_t len;
    pipit_err err = pipit_bus_request(arg, "gone", "", 0, &payload, &len);

    return (void *)(uintptr_t)err;
}

static void test_bus_request_to_one_who_leaves(void **state)
{
    struct world w;
    struct ear ear = {0};
    pipit_bus_subscription *claim;
    pipit_bus *owner, *asker;
    pthread_t thread;
    void *result;

    (void)state;
    start(&w);
    owner = open_bus(&w);
    asker = open_bus(&w);
    assert_int_equal(pipit_bus_serve(owner, "gone", hear, &ear, &claim), PIPIT_OK);
    assert_int_equal(pthread_create(&thread, NULL, ask, asker), 0);
    while (!ear.count)
        assert_int_equal(pipit_bus_process(owner, WAIT_MS), PIPIT_OK);
    pipit_bus_close(owner);
    (void)pthread_join(thread, &result);
    assert_int_equal((uintptr_t)result, PIPIT_ETIMEOUT);
    pipit_bus_close(asker);
    free(ear.payload);
    host_stop(&w.host);
}

/* --- callbacks ---------------------------------------------------------------------------- */

struct chain {
    pipit_bus_subscription *own;
    unsigned count;
};

static void end_itself(void *context, pipit_bus *bus, const pipit_bus_msg *msg)
{
    struct chain *chain = context;

    (void)msg;
    chain->count++;
    pipit_bus_end(chain->own);
    if (pipit_bus_publish(bus, "again", "", 0, NULL)) /* it hears nothing more */
        abort();
}

static void test_bus_callback_ends_itself(void **state)
{
    struct world w;
    struct chain chain = {0};
    pipit_bus *bus;

    (void)state;
    start(&w);
    bus = open_bus(&w);
    assert_int_equal(pipit_bus_subscribe(bus, "again", end_itself, &chain, &chain.own), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(bus, "again", "", 0, NULL), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(bus, "again", "", 0, NULL), PIPIT_OK);
    assert_int_equal(pipit_bus_process(bus, WAIT_MS), PIPIT_OK);
    assert_int_equal(pipit_bus_process(bus, 0), PIPIT_ETIMEOUT);
    assert_int_equal(chain.count, 1);
    pipit_bus_close(bus);
    host_stop(&w.host);
}

/* --- in the same process ----------------------------------------------------------------- */

static void test_bus_over_memory(void **state)
{
    static const char *const options[] = {"--threads=2", "--t2=memory:", NULL};
    struct host h;
    struct ear ear = {0};
    pipit_bus_subscription *subscription;
    pipit_bus *a, *b, *none;
    uint64_t recipients;

    (void)state;
    host_start(&h, options);
    assert_int_equal(pipit_bus_connect_memory(&a, h.server), PIPIT_OK);
    assert_int_equal(pipit_bus_connect_memory(&b, h.server), PIPIT_OK);
    assert_int_equal(pipit_bus_subscribe(b, "**", hear, &ear, &subscription), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(a, "m/x", "hi", 2, &recipients), PIPIT_OK);
    assert_int_equal(recipients, 1);
    assert_int_equal(pipit_bus_process(b, WAIT_MS), PIPIT_OK);
    assert_string_equal(ear.topic, "m/x");
    pp_fault_arm("socketpair", 1);
    assert_int_equal(pipit_bus_connect_memory(&none, h.server), PIPIT_ELIMIT);
    assert_true(pp_fault_disarm());
    pipit_server_stop(h.server);
    assert_int_equal(pipit_bus_process(b, WAIT_MS), PIPIT_ECLOSED);
    assert_int_equal(pipit_bus_connect_memory(&none, h.server), PIPIT_ECLOSED);
    pipit_bus_close(a);
    pipit_bus_close(b);
    free(ear.payload);
    host_stop(&h);
    host_start(&h, NULL);
    assert_int_equal(pipit_bus_connect_memory(&none, h.server), PIPIT_ENOTFOUND);
    host_stop(&h);
}

/* --- what goes wrong ---------------------------------------------------------------------- */

static void test_bus_server_goes(void **state)
{
    struct world w;
    pipit_bus *bus, *none;

    (void)state;
    start(&w);
    bus = open_bus(&w);
    pipit_server_stop(w.host.server);
    assert_int_equal(pipit_bus_process(bus, WAIT_MS), PIPIT_ECLOSED);
    assert_int_equal(pipit_bus_publish(bus, "x", "", 0, NULL), PIPIT_ECLOSED);
    assert_int_equal(pipit_bus_connect(&none, w.address), PIPIT_ECLOSED);
    assert_int_equal(pipit_bus_connect(&none, "udp:x"), PIPIT_EINVAL);
    assert_int_equal(pipit_bus_connect(&none, "tcp:127.0.0.1"), PIPIT_EINVAL);
    assert_int_equal(pipit_bus_connect(&none, "unix:"), PIPIT_EINVAL);
    pipit_bus_close(bus);
    host_stop(&w.host);
}

/* A server that answers the first message and then says what it likes. */
struct liar {
    int listener;
    const char *lie;
    size_t lie_bytes;
};

static void *lie(void *arg)
{
    static const unsigned char ack[] = {
        0,   0,   0,   0x30, 0xa2, 0x62, 'i', 'd', 0,   0x67, 'c',  'o', 'n',
        't', 'e', 'n', 't',  0xa1, 0x63, 'A', 'c', 'k', 0xa3, 0x66, 'm', 's',
        'g', '_', 'i', 'd',  1,    0x63, 'e', 'r', 'r', 0xf6, 0x6e, 'n', 'u',
        'm', '_', 'r', 'e',  'c',  'i',  'p', 'i', 'e', 'n',  't',  's', 0xf6};
    struct liar *liar = arg;
    char in[256];
    int fd = accept(liar->listener, NULL, NULL);

    if (fd < 0 || read(fd, in, sizeof(in)) <= 0 || write(fd, ack, sizeof(ack)) < 0 ||
        write(fd, liar->lie, liar->lie_bytes) < 0)
        abort();
    (void)shutdown(fd, SHUT_WR);
    while (read(fd, in, sizeof(in)) > 0)
        ;
    (void)close(fd);
    return NULL;
}

static void test_bus_hostile_server(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        pipit_err err;
    } lies[] = {
        {"\0\0\0\1\0", 5, PIPIT_EPROTO},
        {"\xff\xff\xff\xff", 4, PIPIT_ETOOBIG},
        {"\0\0\0\0", 4, PIPIT_EPROTO},
        {"\0\0\0\x10half", 8, PIPIT_ECLOSED},
        {"\0\0\0\x12\xa2\x62id\x03\x67"
         "content\x64Stop",
         22, PIPIT_EPROTO},
    };
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char where[128];

    (void)state;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/pipit-test-liar-%d.sock",
                   (int)getpid());
    (void)snprintf(where, sizeof(where), "unix:%s", address.sun_path);
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct liar liar = {socket(AF_UNIX, SOCK_STREAM, 0), lies[i].bytes, lies[i].len};
        pthread_t thread;
        pipit_bus *bus;
        pipit_err err;

        (void)unlink(address.sun_path);
        assert_int_equal(bind(liar.listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(liar.listener, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, lie, &liar), 0);
        err = pipit_bus_connect(&bus, where);
        if (!err) { /* else the lie came along with the answer */
            err = pipit_bus_process(bus, WAIT_MS);
            assert_int_equal(pipit_bus_publish(bus, "x", "", 0, NULL), lies[i].err);
            pipit_bus_close(bus);
        }
        assert_int_equal(err, lies[i].err);
        (void)pthread_join(thread, NULL);
        (void)close(liar.listener);
    }
    (void)unlink(address.sun_path);
}

/* Every allocation of the client's fails once; what it cannot do it says. */
static void test_bus_without_memory(void **state)
{
    static char payload[9000];

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct world w;
        struct ear ear = {0};
        pipit_bus_subscription *subscription;
        pipit_bus *bus = NULL;
        bool fired;
        pipit_err err;

        start(&w);
        pp_fault_arm("alloc", nth); /* the server's loops may be hit, too, and close the client */
        err = pipit_bus_connect(&bus, w.address);
        if (!err)
            err = pipit_bus_subscribe(bus, "x", hear, &ear, &subscription);
        if (!err)
            err = pipit_bus_publish(bus, "x", payload, sizeof(payload), NULL);
        if (!err)
            err = pipit_bus_process(bus, 1000);
        fired = pp_fault_disarm();
        if (!fired) {
            assert_int_equal(err, PIPIT_OK);
            assert_int_equal(ear.len, sizeof(payload));
        }
        pipit_bus_close(bus);
        free(ear.payload);
        host_stop(&w.host);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bus_publishes),
        cmocka_unit_test(test_bus_requests),
        cmocka_unit_test(test_bus_request_to_one_who_leaves),
        cmocka_unit_test(test_bus_callback_ends_itself),
        cmocka_unit_test(test_bus_over_memory),
        cmocka_unit_test(test_bus_server_goes),
        cmocka_unit_test(test_bus_hostile_server),
        cmocka_unit_test(test_bus_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
