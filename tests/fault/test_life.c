/* Starting and stopping, alone, twice and under load; leaving as a lame duck; sleeping when idle.
 */
#include "support/check.h"
#include "support/child.h"
#include "support/host.h"
#include "support/peer.h"

#include "proto/t2/bus.h"
#include "server/server.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum {
    LIVES = 200,
    LOADED_LIVES = 15,
    LOAD_PEERS = 6,
    IDLE_PEERS = 100,
    LAME_PEERS = 20,
    CHUNK_BYTES = 50000,
};

/* --- starting and stopping ---------------------------------------------------------------- */

static void start_stop(void)
{
    static const char *const options[] = {"--threads=3", "--max_memory=4GB", NULL};
    host h;

    for (unsigned i = 0; i < LIVES; i++) {
        peer p[3];

        host_start(&h, i % 3 ? NULL : options);
        if (i % 2) {
            for (size_t k = 0; k < COUNT_OF(p); k++) {
                peer_open(&p[k], h.port);
                (void)peer_printf(&p[k], "SUB a.%zu.> 1\r\nPUB a.1.x 2\r\nhi\r\n", k);
            }
        }
        host_end(&h); /* though clients are connected */
        for (size_t k = 0; i % 2 && k < COUNT_OF(p); k++) {
            peer_await_close(&p[k]);
            peer_close(&p[k]);
        }
        host_require_nothing_left(&h);
    }
}

static void stop_twice(void)
{
    host h;

    host_start(&h, NULL);
    REQUIRE(pipit_server_start(h.server) == PIPIT_EINVAL, "a server starts once");
    pipit_server_stop(h.server);
    pipit_server_stop(h.server);
    host_stop(&h);
    pipit_server_free(NULL);
}

/* Made, and never started. */
static void never_started(void)
{
    static const char *const options[] = {"--port=-1", "--threads=2"};
    host h = {.fds_before = check_open_fds()};

    REQUIRE(!pipit_server_new(&h.server, options, 2, NULL, NULL, NULL, 0), "new");
    REQUIRE(pipit_server_port(h.server) == 0, "no port before start");
    pipit_server_lame_duck(h.server);
    pipit_server_free(h.server);
    host_require_nothing_left(&h);
}

/* What was under way to loops when the last turn ended runs without one. */
static void ended_by_its_bus(void)
{
    static const char *const options[] = {"--port=-1", "--threads=2", "--t2=tcp:127.0.0.1:0"};
    host h = {.fds_before = check_open_fds()};
    pp_t2_bus *bus;

    REQUIRE(!pipit_server_new(&h.server, options, 3, NULL, NULL, NULL, 0), "new");
    bus = h.server->t2.bus;
    bus->host.stop(bus->host.context);
    pipit_server_free(h.server);
    host_require_nothing_left(&h);
}

/* Whoever reloads compares with a snapshot of the options, and so does who asks what reloading
 * means for the server that a pid file names. No other server spends its start on one. */
static void snapshots_are_for_files(void)
{
    static const char *const cases[][2] = {{"--port=-1", "--threads=1"},
                                           {"--port=-1", "--pid=/nowhere/pipit.pid"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pipit_server *server;

        REQUIRE(!pipit_server_new(&server, cases[i], 2, NULL, NULL, NULL, 0), "new");
        REQUIRE((server->snapshot != NULL) == (i > 0), "a snapshot if there is a file");
        pipit_server_free(server);
    }
}

/* One that began without a file or a text is given a text: it is compared with what the arguments
 * said, passwords among it. */
static void first_reload(void)
{
    static const char *const options[] = {"--user=ann", "--pass=secret", NULL};
    static const char text[] = "max_payload: 1000";
    const pp_changes *changes;
    char error[512] = "";
    host h;

    host_start(&h, options);
    REQUIRE(!pipit_server_reload(h.server, text, strlen(text), error, sizeof(error)), error);
    changes = h.server->reload_report.changes;
    REQUIRE(changes->count == 1, "nothing else has changed");
    REQUIRE(strcmp(changes->items[0].key, "max_payload") == 0, "which is what the text says");
    host_stop(&h);
}

static unsigned count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;

    REQUIRE(tasks, "/proc");
    while (readdir(tasks))
        count++;
    (void)closedir(tasks);
    return count;
}

/* Of the threads that a server may have, those that nothing has been asked of yet are not there. */
static void threads_are_for_work(void)
{
    static const char *const options[] = {"--threads=2", NULL};
    unsigned before;
    host h;

    host_start(&h, options); /* a sanitizer may start a thread of its own with the first */
    host_stop(&h);
    before = count_threads();
    host_start(&h, options);
    REQUIRE(count_threads() == before + 2, "one for each loop");
    host_stop(&h);
}

static void two_servers(void)
{
    static const char *const one[] = {"--max_memory=4GB", NULL};
    static const char *const other[] = {"--max_memory=8GB", "--slow_consumer=drop_old", NULL};
    host first, second;
    peer a, b;
    peer_event event;

    host_start(&first, one);
    host_start(&second, other);
    REQUIRE(first.port != second.port, "each has its port");
    peer_open(&a, first.port);
    peer_open(&b, second.port);
    (void)peer_printf(&a, "SUB > 1\r\n");
    (void)peer_printf(&b, "SUB > 1\r\n");
    REQUIRE(peer_barrier(&a) && peer_barrier(&b), "subscribed");
    (void)peer_publish(&b, "only.second", "x", 1);
    REQUIRE(peer_next_msg(&b, &event), "heard where it was published");
    (void)peer_printf(&a, "UNSUB 1\r\n");
    REQUIRE(peer_barrier(&a) && a.msgs == 0, "and not elsewhere");
    peer_close(&b);
    host_wait_empty(&second);
    host_end(&second);
    host_require_serves(&first);
    peer_close(&a);
    host_wait_empty(&first);
    host_stop(&first);
}

/* --- stopping under load ------------------------------------------------------------------ */

struct load {
    pthread_t thread;
    unsigned index;
    uint16_t port;
    atomic_uint *ready;
};

/* Publish to everybody and hear everybody until the server is gone. Half of them do not listen. */
static void *make_load(void *arg)
{
    static char chunk[CHUNK_BYTES];
    struct load *load = arg;
    peer_event event;
    peer p;

    peer_open(&p, load->port);
    (void)peer_printf(&p, "SUB load.> 1\r\nSUB load.> q 2\r\n");
    REQUIRE(peer_barrier(&p), "subscribed");
    (void)atomic_fetch_add(load->ready, 1);
    for (unsigned n = 0;; n++) {
        size_t len = n % 50 == 0 ? sizeof(chunk) : n % 10 == 0 ? 3000 : 60;

        if (!peer_publish(&p, n % 2 ? "load.a" : "load.b", chunk, len))
            break;
        if (load->index % 2 && n % 4 == 0 && peer_next(&p, &event) == PEER_CLOSED)
            break;
    }
    peer_close(&p);
    return NULL;
}

static bool all_ready(void *arg)
{
    return atomic_load((atomic_uint *)arg) == LOAD_PEERS;
}

static bool busy(void *arg)
{
    return host_stats(arg).out_msgs > 2000;
}

static void stop_under_load(void)
{
    for (unsigned life = 0; life < LOADED_LIVES; life++) {
        const char *const options[] = {life % 2 ? "--threads=4" : "--threads=2", NULL};
        struct load loads[LOAD_PEERS];
        atomic_uint ready = 0;
        host h;

        host_start(&h, options);
        for (unsigned i = 0; i < LOAD_PEERS; i++) {
            loads[i] = (struct load){.index = i, .port = h.port, .ready = &ready};
            REQUIRE(!pthread_create(&loads[i].thread, NULL, make_load, &loads[i]), "a thread");
        }
        check_until(all_ready, &ready, "everybody is connected");
        check_until(busy, &h, "there is load");
        pipit_server_stop(h.server);
        for (unsigned i = 0; i < LOAD_PEERS; i++)
            (void)pthread_join(loads[i].thread, NULL);
        REQUIRE(host_stats(&h).connections == 0 && host_stats(&h).subscriptions == 0,
                "all are counted out");
        host_stop(&h);
    }
}

/* --- lame duck ---------------------------------------------------------------------------- */

static const char *const lame_options[] = {"--threads=2", "--lame_duck_duration=300ms",
                                           "--lame_duck_grace_period=50ms", NULL};

/* Everybody is told, and then closed; nobody new is let in. */
static void require_lame_leave(peer *peers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool told = false;
        peer_event event;

        while (peer_next(&peers[i], &event) != PEER_CLOSED)
            told |= event.kind == PEER_INFO && strstr(event.line, "\"ldm\":true");
        REQUIRE(told, "client %zu is told", i);
        peer_close(&peers[i]);
    }
}

static void lame_duck(void)
{
    peer peers[LAME_PEERS];
    host h;

    host_start(&h, lame_options);
    for (size_t i = 0; i < LAME_PEERS; i++)
        peer_open(&peers[i], h.port);
    REQUIRE(!check_poll(pipit_server_fd(h.server), 0), "not done yet");
    pipit_server_lame_duck(h.server);
    pipit_server_lame_duck(h.server); /* once is enough */
    require_lame_leave(peers, LAME_PEERS);
    REQUIRE(check_poll(pipit_server_fd(h.server), CHECK_WAIT_MS), "done when all have gone");
    host_wait_empty(&h);
    host_stop(&h);
}

static void lame_duck_alone(void)
{
    host h;

    host_start(&h, lame_options);
    pipit_server_lame_duck(h.server);
    REQUIRE(check_poll(pipit_server_fd(h.server), CHECK_WAIT_MS), "done at once");
    host_stop(&h);
}

/* Clients that go by themselves meanwhile, and a stop in the middle of it. */
static void lame_duck_interrupted(void)
{
    peer peers[LAME_PEERS];
    host h;

    for (unsigned round = 0; round < 10; round++) {
        host_start(&h, lame_options);
        for (size_t i = 0; i < LAME_PEERS; i++)
            peer_open(&peers[i], h.port);
        pipit_server_lame_duck(h.server);
        for (size_t i = 0; i < LAME_PEERS / 2; i++)
            peer_cut(&peers[i]);
        if (round % 2)
            REQUIRE(check_poll(pipit_server_fd(h.server), CHECK_WAIT_MS), "done");
        host_end(&h);
        for (size_t i = LAME_PEERS / 2; i < LAME_PEERS; i++)
            peer_close(&peers[i]);
        host_require_nothing_left(&h);
    }
}

static void lame_process(void)
{
    peer peers[LAME_PEERS];
    child c;
    int status;

    child_start(&c, lame_options);
    for (size_t i = 0; i < LAME_PEERS; i++)
        peer_open(&peers[i], c.port);
    REQUIRE(kill(c.pid, SIGUSR2) == 0, "a signal");
    require_lame_leave(peers, LAME_PEERS);
    status = child_await_exit(&c);
    REQUIRE(status == 0, "it ends by itself with %d", status);
}

static void *call_lame_duck(void *server)
{
    pipit_server_lame_duck(server);
    return NULL;
}

/* Lame duck may be called from any thread, also while another stops the server. */
static void lame_duck_races_stop(void)
{
    for (unsigned round = 0; round < 100; round++) {
        pthread_t thread;
        peer p;
        host h;

        host_start(&h, lame_options);
        peer_open(&p, h.port);
        REQUIRE(!pthread_create(&thread, NULL, call_lame_duck, h.server), "a thread");
        pipit_server_stop(h.server);
        (void)pthread_join(thread, NULL);
        host_end(&h);
        peer_close(&p);
        host_require_nothing_left(&h);
    }
}

/* --- the watchdog's question -------------------------------------------------------------- */

struct hang {
    atomic_bool begun, over;
};

static bool has_begun(void *arg)
{
    return atomic_load(&((struct hang *)arg)->begun);
}

static bool is_over(void *arg)
{
    return atomic_load(&((struct hang *)arg)->over);
}

static void hang_loop(void *context, pipit_subscription *subscription, const pipit_msg *msg)
{
    struct hang *hang = context;

    (void)subscription;
    (void)msg;
    atomic_store(&hang->begun, true);
    check_until(is_over, hang, "the test lets go");
}

static bool pulses(void *server)
{
    return pp_server_pulse(server);
}

/* A loop that hangs is missed by the second question, whatever the others do, and not for ever. */
static void pulse(void)
{
    static const char *const options[] = {"--threads=3", NULL};
    struct hang hang = {0};
    pipit_subscription *sub;
    host h;

    host_start(&h, options);
    REQUIRE(pp_server_pulse(h.server), "nothing was asked before");
    check_until(pulses, h.server, "all loops answer");
    REQUIRE(!pipit_server_subscribe(h.server, "hang", NULL, hang_loop, &hang, &sub), "subscribed");
    REQUIRE(!pipit_server_publish(h.server, "hang", NULL, "", 0), "published");
    check_until(has_begun, &hang, "a loop hangs");
    (void)pp_server_pulse(h.server);
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(!pp_server_pulse(h.server), "one loop does not answer");
    atomic_store(&hang.over, true);
    check_until(pulses, h.server, "it turns again");
    host_stop(&h); /* while they are asked */
}

/* --- idle --------------------------------------------------------------------------------- */

static bool has_settled(void *arg)
{
    host *h = arg;
    uint64_t turns = host_stats(h).turns;

    return !check_poll(pipit_server_fd(h->server), 50) && host_stats(h).turns == turns;
}

/* For one second no loop wakes up. */
static void require_sleeps(host *h, const char *with)
{
    uint64_t turns;

    check_until(has_settled, h, "the loops come to rest");
    turns = host_stats(h).turns;
    (void)check_poll(pipit_server_fd(h->server), 1000);
    check_note("%s: %llu turns in a second", with,
               (unsigned long long)(host_stats(h).turns - turns));
    REQUIRE(host_stats(h).turns == turns, "nothing wakes an idle server %s", with);
}

static void await_first_ping(peer *p)
{
    REQUIRE(check_poll(p->fd, CHECK_WAIT_MS), "the first PING comes");
    REQUIRE(peer_barrier(p), "and is answered");
}

static void idle(void)
{
    static const char *const options[] = {"--threads=2", "--ping_interval=1h", NULL};
    peer peers[IDLE_PEERS];
    host h;

    host_start(&h, options);
    require_sleeps(&h, "without clients");
    for (size_t i = 0; i < IDLE_PEERS; i++) {
        peer_open(&peers[i], h.port);
        (void)peer_printf(&peers[i], "SUB idle.%zu 1\r\n", i);
        REQUIRE(peer_barrier(&peers[i]), "subscribed");
    }
    /* A client is pinged once soon after it has come. */
    for (size_t i = 0; i < IDLE_PEERS; i++)
        await_first_ping(&peers[i]);
    require_sleeps(&h, "with 100 idle clients");
    for (size_t i = 0; i < IDLE_PEERS; i++)
        peer_close(&peers[i]);
    host_wait_empty(&h);
    require_sleeps(&h, "when they have gone");
    host_stop(&h);
}

/* A server that has had traffic rests, too: nothing keeps spinning or retrying. */
static void idle_after_load(void)
{
    static const char *const options[] = {"--threads=3", "--ping_interval=1h", NULL};
    host h;

    host_start(&h, options);
    for (unsigned i = 0; i < 30; i++)
        host_require_serves(&h);
    host_wait_empty(&h);
    require_sleeps(&h, "after load");
    host_stop(&h);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"start_stop", start_stop, 60},
        {"stop_twice", stop_twice, 20},
        {"never_started", never_started, 20},
        {"ended_by_its_bus", ended_by_its_bus, 20},
        {"snapshots_are_for_files", snapshots_are_for_files, 20},
        {"first_reload", first_reload, 20},
        {"threads_are_for_work", threads_are_for_work, 20},
        {"two_servers", two_servers, 20},
        {"stop_under_load", stop_under_load, 60},
        {"lame_duck", lame_duck, 20},
        {"lame_duck_alone", lame_duck_alone, 20},
        {"lame_duck_interrupted", lame_duck_interrupted, 30},
        {"lame_process", lame_process, 20},
        {"lame_duck_races_stop", lame_duck_races_stop, 30},
        {"pulse", pulse, 20},
        {"idle", idle, 30},
        {"idle_after_load", idle_after_load, 30},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
