/* pipit/bus.h over TLS, where both sides show a certificate, and by names of every kind. */
#include "support/check.h"
#include "support/host.h"

#include "base/alloc.h"
#include "pipit/bus.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 60000, LARGE = 300000, PATH = 128 };

struct world {
    struct host host;
    char folder[PATH], address[PATH];
    char ca[PATH], own[PATH], own_key[PATH], foreign[PATH], foreign_key[PATH];
    pthread_mutex_t lock;
    pthread_cond_t told;
};

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    REQUIRE(system(command) == 0, "%s", command);
}

/* The server says where it listens: any free port. */
static void on_log(void *context, pipit_log_level level, const char *text)
{
    struct world *w = context;
    const char *at = strstr(text, "T2 clients on tls:");

    if (level <= PIPIT_LOG_ERROR || getenv("PIPIT_TEST_LOG"))
        check_note("server: %s", text);
    if (!at)
        return;
    (void)pthread_mutex_lock(&w->lock);
    (void)snprintf(w->address, sizeof(w->address), "%s", strstr(at, "tls:"));
    (void)pthread_cond_signal(&w->told);
    (void)pthread_mutex_unlock(&w->lock);
}

static void make_authority(const char *folder, const char *name)
{
    run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=%s -keyout %s.key -out %s.pem >/dev/null 2>&1",
        folder, name, name, name);
}

static void sign(const char *folder, const char *name, const char *authority)
{
    run("cd %s && echo subjectAltName=DNS:localhost,IP:127.0.0.1 > ext && "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s "
        "-keyout %s.key -out %s.csr >/dev/null 2>&1 && "
        "openssl x509 -req -in %s.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 2 "
        "-extfile ext -out %s.pem >/dev/null 2>&1",
        folder, name, name, name, name, authority, authority, name);
}

static void make_certificates(struct world *w)
{
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/pipit-test-bus-tls-XXXXXX");
    REQUIRE(mkdtemp(w->folder), "%s", w->folder);
    make_authority(w->folder, "ca");
    make_authority(w->folder, "else");
    sign(w->folder, "server", "ca");
    sign(w->folder, "client", "ca");
    sign(w->folder, "foreign", "else");
    (void)snprintf(w->ca, PATH, "%.100s/ca.pem", w->folder);
    (void)snprintf(w->own, PATH, "%.100s/client.pem", w->folder);
    (void)snprintf(w->own_key, PATH, "%.100s/client.key", w->folder);
    (void)snprintf(w->foreign, PATH, "%.100s/foreign.pem", w->folder);
    (void)snprintf(w->foreign_key, PATH, "%.100s/foreign.key", w->folder);
}

static void await_address(struct world *w)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->address[0])
        REQUIRE(pthread_cond_timedwait(&w->told, &w->lock, &until) == 0, "nothing was told");
    (void)pthread_mutex_unlock(&w->lock);
}

static void start(struct world *w)
{
    static const char *const options[] = {"--addr=127.0.0.1", "--port=-1", "--threads=2"};
    char error[512] = "", text[1024];
    pipit_server_source source = {.options = options, .option_count = 3, .text = text};

    *w = (struct world){0};
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->told, NULL);
    make_certificates(w);
    (void)snprintf(text, sizeof(text),
                   "t2 { listen: [\"tls:127.0.0.1:0\"], tls { cert_file: \"%s/server.pem\", "
                   "key_file: \"%s/server.key\", ca_file: \"%s\", verify: true } }",
                   w->folder, w->folder, w->ca);
    source.text_bytes = strlen(text);
    w->host.live_before = pp_alloc_live();
    w->host.fds_before = check_open_fds();
    REQUIRE(!pipit_server_new_from(&w->host.server, &source, on_log, w, error, sizeof(error)), "%s",
            error);
    REQUIRE(!pipit_server_start(w->host.server), "start");
    await_address(w);
}

static void stop(struct world *w)
{
    host_stop(&w->host);
    run("rm -r %s", w->folder);
    (void)pthread_cond_destroy(&w->told);
    (void)pthread_mutex_destroy(&w->lock);
}

static pipit_bus_options identity(const struct world *w)
{
    return (pipit_bus_options){
        .struct_bytes = sizeof(pipit_bus_options),
        .tls_ca_file = w->ca,
        .tls_cert_file = w->own,
        .tls_key_file = w->own_key,
    };
}

struct ear {
    unsigned count;
    size_t bytes;
};

static void hear(void *context, pipit_bus *bus, const pipit_bus_msg *msg)
{
    struct ear *ear = context;
    const char *payload = msg->payload;

    (void)bus;
    ear->count++;
    ear->bytes += msg->payload_bytes;
    for (size_t i = 0; i < msg->payload_bytes; i++)
        assert_int_equal((unsigned char)payload[i], i * i % 251);
}

/* What cannot be made smaller takes many records. */
static void test_bus_tls_carries(void **state)
{
    struct world w;
    struct ear ear = {0};
    char *payload = malloc(LARGE);
    pipit_bus_options o;
    pipit_bus_subscription *subscription;
    pipit_bus *a, *b;
    uint64_t recipients;

    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        payload[i] = (char)(i * i % 251);
    start(&w);
    o = identity(&w);
    assert_int_equal(pipit_bus_connect_with(&a, w.address, &o), PIPIT_OK);
    assert_int_equal(pipit_bus_connect_with(&b, w.address, &o), PIPIT_OK);
    assert_int_equal(pipit_bus_subscribe(b, "x/**", hear, &ear, &subscription), PIPIT_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(pipit_bus_publish(a, "x/y", payload, LARGE - i, &recipients), PIPIT_OK);
        assert_int_equal(recipients, 1);
        assert_int_equal(pipit_bus_publish(a, "x/y/z", payload, i, NULL), PIPIT_OK);
    }
    while (ear.count < 40)
        assert_int_equal(pipit_bus_process(b, WAIT_MS), PIPIT_OK);
    assert_int_equal(ear.bytes, 20 * LARGE);
    pipit_bus_close(a);
    pipit_bus_close(b);
    free(payload);
    stop(&w);
}

/* Without a certificate, or with one that the authority has not signed, the server hangs up, which
 * may be known with the handshake or only after. */
static void require_refused(const struct world *w, const pipit_bus_options *o)
{
    pipit_bus *bus;
    pipit_err err = pipit_bus_connect_with(&bus, w->address, o);

    REQUIRE(err == PIPIT_ECLOSED || err == PIPIT_EAUTH, "%s", pipit_strerror(err));
}

static void test_bus_tls_distrusts(void **state)
{
    struct world w;
    pipit_bus_options o;
    pipit_bus *bus;

    (void)state;
    start(&w);
    o = identity(&w);
    o.tls_cert_file = o.tls_key_file = NULL;
    require_refused(&w, &o);
    o.tls_cert_file = w.foreign;
    o.tls_key_file = w.foreign_key;
    require_refused(&w, &o);
    o = identity(&w);
    o.tls_ca_file = NULL; /* the system does not know ours */
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_EAUTH);
    o.tls_insecure = true;
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_OK);
    pipit_bus_close(bus);
    o = identity(&w);
    o.tls_name = "elsewhere";
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_EAUTH);
    o.tls_name = "localhost";
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_OK);
    pipit_bus_close(bus);
    o.tls_key_file = NULL;
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_EINVAL);
    o.tls_key_file = w.foreign_key;
    assert_int_equal(pipit_bus_connect_with(&bus, w.address, &o), PIPIT_EINVAL);
    stop(&w);
}

/* In clear to a server that expects TLS: nothing that a client could take for an answer. */
static void test_bus_tls_in_clear(void **state)
{
    struct world w;
    char clear[PATH];
    pipit_bus *bus;

    (void)state;
    start(&w);
    (void)snprintf(clear, sizeof(clear), "tcp:%.100s", w.address + strlen("tls:"));
    assert_int_not_equal(pipit_bus_connect(&bus, clear), PIPIT_OK);
    stop(&w);
}

static void test_bus_memory_by_name(void **state)
{
    static const char *const options[] = {"--t2=memory:", NULL};
    pipit_bus_options o = {.struct_bytes = sizeof(o)};
    struct host h;
    pipit_bus *bus;

    (void)state;
    host_start(&h, options);
    assert_int_equal(pipit_bus_connect_with(&bus, "memory:", &o), PIPIT_EINVAL);
    assert_int_equal(pipit_bus_connect(&bus, "memory:"), PIPIT_EINVAL);
    o.server = h.server;
    assert_int_equal(pipit_bus_connect_with(&bus, "memory:", &o), PIPIT_OK);
    assert_int_equal(pipit_bus_publish(bus, "x", "", 0, NULL), PIPIT_OK);
    pipit_bus_close(bus);
    host_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bus_tls_carries),
        cmocka_unit_test(test_bus_tls_distrusts),
        cmocka_unit_test(test_bus_tls_in_clear),
        cmocka_unit_test(test_bus_memory_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
