/* Everything that can be refused, refused once, in every place where it is asked for.
 *
 * A round arms the nth arrival at a fault point, lets peers do something, disarms, and then holds
 * the server to its word: whoever is still connected hears what it has subscribed to; a fresh
 * client is served; as many clients are let in as the limit says, so nobody is counted twice or
 * never; the server stops, and leaves neither allocations nor descriptors. Rounds go on until
 * nothing was refused any more. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 10,     /* --max_connections */
    QUIET_ROUNDS_END = 3, /* so many rounds without a refusal end a sweep: threads vary */
    ROUNDS_MAX = 2000,
    MIDDLE_BYTES = 5000, /* referred to, not copied */
    LARGE_BYTES = 90000, /* read into memory of its own */
    HUGE_BYTES = 1000000,
};

struct stage {
    host host;
    peer peers[8];
    const char *hears[8]; /* a subject that the peer is subscribed to; NULL: none */
    char *bytes;          /* HUGE_BYTES of them */
};

struct act {
    const char *name;
    void (*prepare)(struct stage *stage); /* nothing is refused yet */
    void (*run)(struct stage *stage);
};

static const char *const options[] = {"--threads=2", "--max_connections=10", "--max_memory=4GB",
                                      NULL};

/* --- what peers do ------------------------------------------------------------------------ */

/* Peers 0 and 1 on one loop each, 2 and 3 too, and so on: the server deals them out in turn. */
static void open_peers(struct stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++)
        peer_open(&stage->peers[i], stage->host.port);
}

/* Subscribe; hears is set only if the server has answered. */
static void subscribe(struct stage *stage, size_t i, const char *pattern, const char *queue,
                      const char *hears)
{
    peer *p = &stage->peers[i];

    (void)peer_printf(p, "SUB %s %s 1\r\n", pattern, queue);
    if (peer_barrier(p))
        stage->hears[i] = hears;
}

static void barriers(struct stage *stage)
{
    for (size_t i = 0; i < COUNT_OF(stage->peers); i++) {
        if (stage->peers[i].fd >= 0 && !peer_barrier(&stage->peers[i]))
            stage->hears[i] = NULL;
    }
}

static void prepare_nothing(struct stage *stage)
{
    (void)stage;
}

static void run_connect(struct stage *stage)
{
    for (size_t i = 0; i < 4; i++)
        (void)peer_try_open(&stage->peers[i], stage->host.port);
}

static void prepare_four(struct stage *stage)
{
    open_peers(stage, 4);
}

static void run_subscribe(struct stage *stage)
{
    peer *p = &stage->peers[0];

    subscribe(stage, 0, "act.one", "", "act.one");
    subscribe(stage, 1, "act.*", "", "act.one");
    subscribe(stage, 2, ">", "", "act.one");
    subscribe(stage, 3, "act.one", "queue", "act.one");
    for (unsigned i = 0; i < 40 && !p->closed; i++)
        (void)peer_printf(p, "SUB act.%u.deeper.%u %u\r\nSUB act.%u.* %u\r\n", i % 7, i, 10 + i, i,
                          100 + i);
    barriers(stage);
}

static void prepare_subscribers(struct stage *stage)
{
    open_peers(stage, 6);
    for (size_t i = 0; i < 4; i++)
        subscribe(stage, i, i % 2 ? "act.*" : "act.one", "", "act.one");
}

/* Publishers are peers 4 and 5, one on each loop. */
static void run_publish(struct stage *stage)
{
    for (size_t i = 4; i < 6; i++) {
        (void)peer_printf(&stage->peers[i],
                          "PUB act.one 5\r\nhello\r\nPUB act.two reply 2\r\nhi\r\n");
        (void)peer_printf(&stage->peers[i],
                          "HPUB act.one 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPUB act.\tone  2\r\nhi\r\n");
    }
    barriers(stage);
}

/* The route cache grows. */
static void run_publish_many(struct stage *stage)
{
    for (unsigned n = 0; n < 150; n++) {
        for (size_t i = 4; i < 6; i++)
            (void)peer_printf(&stage->peers[i], "PUB act.%u 2\r\nhi\r\n", n);
    }
    barriers(stage);
}

static void prepare_queue(struct stage *stage)
{
    open_peers(stage, 6);
    for (size_t i = 0; i < 4; i++)
        subscribe(stage, i, i % 2 ? "act.*" : "act.one", i < 2 ? "workers" : "others", NULL);
}

static void run_queue(struct stage *stage)
{
    for (unsigned n = 0; n < 8; n++) {
        for (size_t i = 4; i < 6; i++)
            (void)peer_printf(&stage->peers[i], "PUB act.one 2\r\nhi\r\n");
    }
    barriers(stage);
}

static void run_request(struct stage *stage)
{
    for (size_t i = 0; i < 4; i++)
        subscribe(stage, i, "inbox.>", "", "inbox.x");
    for (size_t i = 0; i < 4; i++)
        (void)peer_printf(&stage->peers[i], "PUB nobody inbox.%zu 2\r\nhi\r\n", i);
    barriers(stage);
}

static void run_large(struct stage *stage)
{
    for (size_t i = 4; i < 6; i++) {
        (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, MIDDLE_BYTES);
        (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, LARGE_BYTES);
        (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, HUGE_BYTES);
    }
    barriers(stage);
}

static void prepare_narrow(struct stage *stage)
{
    for (size_t i = 0; i < 4; i++)
        peer_open_narrow(&stage->peers[i], stage->host.port, 128 * 1024);
    for (size_t i = 4; i < 6; i++)
        peer_open(&stage->peers[i], stage->host.port);
    for (size_t i = 0; i < 4; i++)
        subscribe(stage, i, i % 2 ? "act.*" : "act.one", "", "act.one");
}

/* More than the sockets take: the rest waits in the outboxes, copied or shared. */
static void run_backlog(struct stage *stage)
{
    for (unsigned n = 0; n < 2; n++) {
        for (size_t i = 4; i < 6; i++) {
            (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, HUGE_BYTES);
            for (unsigned k = 0; k < 60; k++)
                (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, k * 40);
            (void)peer_publish(&stage->peers[i], "act.one", stage->bytes, LARGE_BYTES);
        }
    }
    barriers(stage);
}

static void run_unsubscribe(struct stage *stage)
{
    for (size_t i = 0; i < 4; i++) {
        stage->hears[i] = NULL;
        (void)peer_printf(&stage->peers[i], i < 2 ? "UNSUB 1\r\n" : "UNSUB 1 3\r\n");
    }
    barriers(stage);
    for (size_t i = 4; i < 6; i++)
        (void)peer_printf(&stage->peers[i], "PUB act.one 1\r\n1\r\nPUB act.one 1\r\n2\r\n");
    barriers(stage);
    for (size_t i = 0; i < 4; i++) {
        /* Not sid 1: those whose messages were refused may still wait for them. */
        (void)peer_printf(&stage->peers[i], "SUB act.again 2\r\n");
        if (peer_barrier(&stage->peers[i]))
            stage->hears[i] = "act.again";
    }
}

static void prepare_leaving(struct stage *stage)
{
    prepare_subscribers(stage);
    for (unsigned n = 0; n < 200; n++)
        (void)peer_printf(&stage->peers[n % 4], "SUB leaving.%u.x %u\r\n", n, 10 + n);
    barriers(stage);
}

static bool fewer_than_three(void *arg)
{
    return host_stats(arg).connections < 3;
}

static void run_close(struct stage *stage)
{
    for (size_t i = 0; i < 4; i++) {
        stage->hears[i] = NULL;
        if (i % 2)
            peer_close(&stage->peers[i]);
        else
            peer_cut(&stage->peers[i]);
        (void)peer_printf(&stage->peers[4 + i % 2], "PUB act.one 2\r\nhi\r\n");
    }
    check_until(fewer_than_three, &stage->host, "the closed ones are gone");
    barriers(stage);
}

/* What a peer breaks must be answered, or it is closed. */
static void run_errors(struct stage *stage)
{
    (void)peer_printf(&stage->peers[0],
                      "CONNECT {\"name\":\"x\",\"user\":\"u\",\"pass\":\"p\"}\r\n");
    (void)peer_printf(&stage->peers[1], "SUB bad..subject 1\r\nSUB a _sys_ 2\r\nUNSUB 5\r\n");
    (void)peer_printf(&stage->peers[2], "NONSENSE\r\n");
    (void)peer_printf(&stage->peers[3],
                      "CONNECT {\"verbose\":true,\"pedantic\":true}\r\nPUB a.* 0\r\n\r\n");
    barriers(stage);
}

static bool all_answered(void *arg)
{
    host *h = arg;

    return atomic_load(&h->server->system.requests) == 0;
}

/* Requests to the server itself: each ends, answered or not. */
static void run_ask(struct stage *stage)
{
    static const char *const subjects[] = {"$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING.CONNZ",
                                           "$SYS.REQ.ACCOUNT.PING.STATZ"};

    for (size_t i = 0; i < 4; i++)
        subscribe(stage, i, "inbox.>", "", "inbox.x");
    for (size_t n = 0; n < COUNT_OF(subjects); n++) {
        for (size_t i = 0; i < 2; i++) {
            (void)peer_printf(&stage->peers[i], "PUB %s inbox.%zu 0\r\n\r\n", subjects[n], i);
            (void)peer_printf(&stage->peers[i],
                              "HPUB %s inbox.%zu 35 69\r\nNATS/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
                              "{\"auth\":true,\"subscriptions\":true}\r\n",
                              subjects[n], i);
            (void)peer_printf(&stage->peers[i], "PUB %s inbox.%zu 4\r\n{bad\r\n", subjects[n], i);
        }
    }
    barriers(stage);
    check_until(all_answered, &stage->host, "no request is left");
    barriers(stage);
}

static const struct act acts[] = {
    {"connect", prepare_nothing, run_connect},
    {"subscribe", prepare_four, run_subscribe},
    {"publish", prepare_subscribers, run_publish},
    {"publish_many", prepare_subscribers, run_publish_many},
    {"queue", prepare_queue, run_queue},
    {"request", prepare_four, run_request},
    {"large", prepare_subscribers, run_large},
    {"backlog", prepare_narrow, run_backlog},
    {"unsubscribe", prepare_subscribers, run_unsubscribe},
    {"close", prepare_leaving, run_close},
    {"errors", prepare_four, run_errors},
    {"ask", prepare_four, run_ask},
};

/* --- what must hold afterwards ------------------------------------------------------------ */

/* Those still there hear what they have subscribed to. */
static void require_hears(struct stage *stage, peer *from, size_t i)
{
    peer *p = &stage->peers[i];
    peer_event event;

    if (p->fd < 0 || p->closed || !stage->hears[i])
        return;
    (void)peer_publish(from, stage->hears[i], "verify", 6);
    REQUIRE(peer_barrier(from), "a fresh client publishes");
    (void)peer_write(p, "PING\r\n", 6);
    for (;;) {
        peer_kind kind = peer_next(p, &event);

        if (kind == PEER_CLOSED)
            return; /* what was refused came to light a little later */
        if (kind == PEER_MSG && event.payload_len == 6 && memcmp(event.payload, "verify", 6) == 0)
            return;
        REQUIRE(kind != PEER_PONG, "peer %zu, subscribed and still connected, hears %s", i,
                stage->hears[i]);
    }
}

/* As many as the limit says are let in, and not one more. */
static void require_limit(const host *h)
{
    peer clients[CLIENTS_MAX + 1];

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        peer_dial(&clients[i], h->port, 0);
        REQUIRE(peer_greet(&clients[i]), "client %zu of %d is let in", i + 1, CLIENTS_MAX);
    }
    REQUIRE(!peer_try_open(&clients[CLIENTS_MAX], h->port), "client %d of %d is refused",
            CLIENTS_MAX + 1, CLIENTS_MAX);
    for (size_t i = 0; i <= CLIENTS_MAX; i++)
        peer_cut(&clients[i]);
}

static void hold_to_its_word(struct stage *stage)
{
    peer from;

    peer_open(&from, stage->host.port);
    for (size_t i = 0; i < COUNT_OF(stage->peers); i++)
        require_hears(stage, &from, i);
    peer_close(&from);
    for (size_t i = 0; i < COUNT_OF(stage->peers); i++)
        peer_close(&stage->peers[i]);
    host_wait_empty(&stage->host);
    host_require_serves(&stage->host);
    host_wait_empty(&stage->host);
    require_limit(&stage->host);
    host_wait_empty(&stage->host);
    host_stop(&stage->host);
}

/* Returns whether something was refused. */
static bool play(const struct act *act, const char *point, uint64_t nth, bool sticky)
{
    static char bytes[HUGE_BYTES];
    struct stage stage = {.bytes = bytes};
    bool fired;

    if (getenv("PIPIT_TEST_LOG"))
        check_note("%s: %s %llu", act->name, point, (unsigned long long)nth);
    for (size_t i = 0; i < COUNT_OF(stage.peers); i++)
        stage.peers[i].fd = -1;
    host_start(&stage.host, options);
    act->prepare(&stage);
    if (sticky)
        pp_fault_arm_from(point, nth);
    else
        pp_fault_arm(point, nth);
    act->run(&stage);
    fired = pp_fault_disarm();
    hold_to_its_word(&stage);
    return fired;
}

static uint64_t sweep(const struct act *act, const char *point, bool sticky, uint64_t step)
{
    unsigned quiet = 0;
    uint64_t nth, refused = 0;

    for (nth = 1; quiet < QUIET_ROUNDS_END; nth += step) {
        bool fired = play(act, point, nth, sticky);

        REQUIRE(nth < ROUNDS_MAX, "%s at %s comes to an end", act->name, point);
        quiet = fired ? 0 : quiet + 1;
        refused += fired;
    }
    return refused;
}

static const struct act *find_act(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        if (strcmp(acts[i].name, name) == 0)
            return &acts[i];
    }
    check_fail(__FILE__, __LINE__, "an act", "%s", name);
}

static void sweep_act(const char *name)
{
    const struct act *act = find_act(name);
    uint64_t alloc, lasting, any;

    pp_fault_exempt_thread(true);
    alloc = sweep(act, "alloc", false, 1);
    /* From the nth on nothing is to be had: the ways out of a refusal must not need memory. */
    lasting = sweep(act, "alloc", true, 3);
    /* The others: sockets, events, threads. */
    any = sweep(act, "epoll_ctl", false, 1) + sweep(act, "accept", false, 1);
    any += sweep(act, "recv", false, check_sanitized() ? 7 : 2);
    any += sweep(act, "send", false, check_sanitized() ? 7 : 2);
    check_note("%s: refused %llu allocations, %llu lasting, %llu other things", name,
               (unsigned long long)alloc, (unsigned long long)lasting, (unsigned long long)any);
    REQUIRE(alloc || strcmp(name, "close") == 0, "something was refused");
}

#define ACT_SCENARIO(act_name)                                                                     \
    static void sweep_##act_name(void)                                                             \
    {                                                                                              \
        sweep_act(#act_name);                                                                      \
    }
ACT_SCENARIO(connect)
ACT_SCENARIO(subscribe)
ACT_SCENARIO(publish)
ACT_SCENARIO(publish_many)
ACT_SCENARIO(queue)
ACT_SCENARIO(request)
ACT_SCENARIO(large)
ACT_SCENARIO(backlog)
ACT_SCENARIO(unsubscribe)
ACT_SCENARIO(close)
ACT_SCENARIO(errors)
ACT_SCENARIO(ask)

/* --- the server's own life ---------------------------------------------------------------- */

static char folder[64], socket_path[80];

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%.40s/pipit-XXXXXX", base ? base : "/tmp");
    REQUIRE(mkdtemp(folder), "a folder in %s", base ? base : "/tmp");
    (void)snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
}

/* New, start, stop, with everything that can be asked for; the nth thing is refused. */
static bool live_and_die(const char *point, uint64_t nth)
{
    char unix_option[96], error[256];
    const char *const all[] = {"--addr=127.0.0.1", "--port=-1",   "--threads=3", unix_option,
                               "--user=somebody",  "--pass=word", "--name=swept"};
    host h = {.live_before = pp_alloc_live(), .fds_before = check_open_fds()};
    pipit_err err;
    bool fired;

    (void)snprintf(unix_option, sizeof(unix_option), "--unix=%s", socket_path);
    pp_fault_arm(point, nth);
    err = pipit_server_new(&h.server, all, COUNT_OF(all), NULL, NULL, error, sizeof(error));
    if (!err) {
        err = pipit_server_start(h.server);
        pipit_server_stop(h.server);
        pipit_server_free(h.server);
    }
    fired = pp_fault_disarm();
    REQUIRE(fired || !err, "it fails only when something is refused: %s", pipit_strerror(err));
    host_require_nothing_left(&h);
    REQUIRE(access(socket_path, F_OK) < 0, "the socket's file is gone");
    return fired;
}

static void sweep_start(void)
{
    static const char *const points[] = {"alloc",     "epoll_create", "eventfd", "timerfd",
                                         "epoll_ctl", "socket",       "thread",  "*"};

    pp_fault_exempt_thread(false); /* what this thread asks for is the server's */
    make_folder();
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        uint64_t nth = 1;

        while (live_and_die(points[i], nth))
            nth++;
        REQUIRE(nth > 1, "%s was refused", points[i]);
        check_note("%s: refused %llu times", points[i], (unsigned long long)nth - 1);
    }
    (void)rmdir(folder);
}

/* Clients are at the door while it fails to start: the address is known, and some of the threads
 * run before one cannot be had. */
static peer early[8];

static void on_log(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    (void)level;
    if (!strstr(text, "connections on unix:"))
        return;
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        peer_dial_unix(&early[i], socket_path);
        (void)peer_write(&early[i], PEER_CONNECT "SUB a 1\r\n", sizeof(PEER_CONNECT) - 1 + 9);
    }
}

static void start_fails_under_clients(void)
{
    char unix_option[96];
    const char *const all[] = {"--addr=127.0.0.1", "--port=-1", "--threads=4", unix_option};

    make_folder();
    (void)snprintf(unix_option, sizeof(unix_option), "--unix=%s", socket_path);
    for (unsigned round = 0; round < 60; round++) {
        host h = {.live_before = pp_alloc_live(), .fds_before = check_open_fds()};

        REQUIRE(!pipit_server_new(&h.server, all, COUNT_OF(all), on_log, NULL, NULL, 0), "new");
        pp_fault_arm("thread", 1 + round % 4);
        REQUIRE(pipit_server_start(h.server) == PIPIT_ELIMIT, "no threads, no start");
        REQUIRE(pp_fault_disarm(), "a thread was refused");
        pipit_server_free(h.server);
        for (size_t i = 0; i < COUNT_OF(early); i++) {
            peer_await_close(&early[i]);
            peer_close(&early[i]);
        }
        host_require_nothing_left(&h);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"start", sweep_start, 60},
        {"start_fails_under_clients", start_fails_under_clients, 60},
        {"connect", sweep_connect, 60},
        {"subscribe", sweep_subscribe, 60},
        {"publish", sweep_publish, 60},
        {"publish_many", sweep_publish_many, 60},
        {"queue", sweep_queue, 60},
        {"request", sweep_request, 60},
        {"large", sweep_large, 60},
        {"backlog", sweep_backlog, 60},
        {"unsubscribe", sweep_unsubscribe, 60},
        {"close", sweep_close, 60},
        {"errors", sweep_errors, 60},
        {"ask", sweep_ask, 120},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
