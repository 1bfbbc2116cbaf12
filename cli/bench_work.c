/* What the thread of one client does. Clients have loops of their own, so a thread is publisher and
 * driver in one: no lock is fought over, and nobody has to be woken. */
#include "cli/bench.h"

#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum {
    BATCH_BYTES = 64 * 1024, /* staged before the socket gets it: a few dozen messages per send */
    BATCH_MAX = 512,
    LOOK_MS = 50,     /* how often a waiting thread looks whether it is to stop */
    SPIN_NS = 60000,  /* a kernel wakes no thread earlier than this */
    STAMP_BYTES = 16, /* a mark and a time, at the front of a payload */
    QUIET_NS =
        2000000000, /* after the last publisher has ended: what has not come by then is lost */
};

static const char stamp_mark[8] = {'p', 'i', 'p', 'i', 't', 'l', 'a', 't'};

static bool stopped(const bench_client *c)
{
    return c->broken || atomic_load_explicit(&c->shared->stop, memory_order_relaxed);
}

static void count_one(bench_client *c, size_t bytes)
{
    /* Only this thread writes it. */
    atomic_store_explicit(&c->done, atomic_load_explicit(&c->done, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    c->bytes += bytes;
}

static uint64_t done(const bench_client *c)
{
    return atomic_load_explicit(&c->done, memory_order_relaxed);
}

static bool reached(const bench_client *c)
{
    return c->goal && done(c) >= c->goal;
}

static void drive(bench_client *c, int64_t timeout_ms)
{
    if (pipit_client_poll(c->connection.client, timeout_ms) == PIPIT_ECLOSED)
        c->broken = true;
}

/* Drive the client until a moment: asleep as long as the kernel is good for, then spinning. */
static void drive_until(bench_client *c, int64_t deadline_ns)
{
    struct pollfd fd = {.fd = pipit_client_fd(c->connection.client), .events = POLLIN};

    while (!stopped(c)) {
        int64_t left = deadline_ns - cli_now_ns(), nap = left - SPIN_NS;
        struct timespec wait = {0};

        if (left <= 0)
            return;
        if (nap > LOOK_MS * INT64_C(1000000))
            nap = LOOK_MS * INT64_C(1000000);
        if (nap > 0)
            wait.tv_nsec = nap;
        if (ppoll(&fd, 1, &wait, NULL) > 0)
            drive(c, 0);
    }
}

/* --- publishing --------------------------------------------------------------------------- */

static void stamp(bench_client *c, int64_t ns)
{
    if (c->plan->rate <= 0 || c->plan->size < STAMP_BYTES)
        return;
    memcpy(c->payload, stamp_mark, sizeof(stamp_mark));
    memcpy(c->payload + sizeof(stamp_mark), &ns, sizeof(ns));
}

/* True: the server's side has room for the message, or will never have. */
static bool publish_one(bench_client *c, const char *subject, size_t subject_bytes)
{
    const pipit_msg msg = {
        .subject = subject,
        .subject_bytes = subject_bytes,
        .payload = c->payload,
        .payload_bytes = (size_t)c->plan->size,
    };
    pipit_err err;

    do
        err = pipit_client_publish_msg(c->connection.client, &msg);
    while (err == PIPIT_EAGAIN && !stopped(c));
    if (!err)
        count_one(c, msg.payload_bytes);
    else if (err != PIPIT_EAGAIN && !c->broken) {
        (void)cli_client_fail(err, "cannot publish");
        c->broken = true;
    }
    return !err;
}

/* With many subjects: the next one of them. */
static size_t next_subject(const bench_client *c, char *room, size_t room_bytes)
{
    return (size_t)snprintf(room, room_bytes, "%s.%llu", c->plan->subject,
                            (unsigned long long)(done(c) % (uint64_t)c->plan->subjects));
}

static void publish_next(bench_client *c, char *room, size_t room_bytes)
{
    const char *subject = c->plan->subjects ? room : c->plan->subject;
    size_t bytes = c->plan->subjects ? next_subject(c, room, room_bytes) : strlen(c->plan->subject);

    (void)publish_one(c, subject, bytes);
}

/* Some at once, of one subject. */
static void publish_batch(bench_client *c, const pipit_msg *msgs, uint64_t count)
{
    size_t published;
    pipit_err err;

    if (c->goal && count > c->goal - done(c))
        count = c->goal - done(c);
    err = pipit_client_publish_many(c->connection.client, msgs, count, &published);
    atomic_store_explicit(&c->done, done(c) + published, memory_order_relaxed);
    c->bytes += published * (size_t)c->plan->size;
    if (err && err != PIPIT_EAGAIN && !c->broken) {
        (void)cli_client_fail(err, "cannot publish");
        c->broken = true;
    }
}

/* As fast as it goes. */
static void publish_all(bench_client *c, char *room, size_t room_bytes)
{
    int64_t batch = BATCH_BYTES / (c->plan->size + 32);
    pipit_msg msgs[BATCH_MAX];

    batch = batch < 1 || c->plan->sleep_ns ? 1 : batch > BATCH_MAX ? BATCH_MAX : batch;
    for (int64_t i = 0; i < batch; i++)
        msgs[i] = (pipit_msg){.subject = c->plan->subject,
                              .subject_bytes = strlen(c->plan->subject),
                              .payload = c->payload,
                              .payload_bytes = (size_t)c->plan->size};
    while (!reached(c) && !stopped(c)) {
        if (!c->plan->subjects)
            publish_batch(c, msgs, (uint64_t)batch);
        for (int64_t i = 0; c->plan->subjects && i < batch && !reached(c); i++)
            publish_next(c, room, room_bytes);
        drive(c, 0);
        if (c->plan->sleep_ns)
            drive_until(c, cli_now_ns() + c->plan->sleep_ns);
    }
}

/* The time of this client's nth message, from 0, by the rate. Clients take turns. */
static int64_t due_ns(const bench_client *c, uint64_t n)
{
    double nth = (double)n * (double)c->plan->clients[c->role] + c->index;

    return c->begun_ns + (int64_t)(nth * 1e9 / c->plan->rate);
}

/* Open loop: each message has its time, and what is late is measured from then. */
static void publish_paced(bench_client *c, char *room, size_t room_bytes)
{
    while (!reached(c) && !stopped(c)) {
        int64_t now = cli_now_ns(), due = due_ns(c, done(c));

        for (int64_t i = 0; i < BATCH_MAX && due <= now && !reached(c) && !stopped(c); i++) {
            stamp(c, due);
            publish_next(c, room, room_bytes);
            due = due_ns(c, done(c));
        }
        drive(c, 0);
        if (!reached(c))
            drive_until(c, due);
    }
}

static void run_publisher(bench_client *c)
{
    size_t room_bytes = strlen(c->plan->subject) + 24;
    char *room = cli_alloc(room_bytes);

    if (c->plan->rate > 0)
        publish_paced(c, room, room_bytes);
    else
        publish_all(c, room, room_bytes);
    free(room);
    /* It counts when the server has it. */
    if (!c->broken && pipit_client_flush(c->connection.client, cli_timeout_ms(c->call)))
        c->broken = true;
    atomic_fetch_sub(&c->shared->sources, 1);
}

/* --- hearing ------------------------------------------------------------------------------ */

static void on_message(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    bench_client *c = context;
    int64_t sent;

    (void)sub;
    if (c->latencies && msg->payload_bytes >= STAMP_BYTES &&
        memcmp(msg->payload, stamp_mark, sizeof(stamp_mark)) == 0) {
        memcpy(&sent, (const char *)msg->payload + sizeof(stamp_mark), sizeof(sent));
        cli_latencies_add(c->latencies, cli_now_ns() - sent);
    }
    if (!c->begun_ns)
        c->begun_ns = cli_now_ns();
    count_one(c, msg->payload_bytes + msg->header_bytes);
    if (reached(c))
        c->ended_ns = cli_now_ns();
}

static void run_subscriber(bench_client *c)
{
    uint64_t before = 0;
    int64_t last_ns = cli_now_ns();

    while (!reached(c) && !stopped(c)) {
        drive(c, LOOK_MS);
        if (done(c) != before) {
            before = done(c);
            last_ns = cli_now_ns();
        } else if (c->plan->clients[BENCH_PUB] && !atomic_load(&c->shared->sources) &&
                   cli_now_ns() - last_ns > QUIET_NS) {
            c->ended_ns = last_ns;
            return; /* what is missing is reported */
        }
    }
    if (!c->ended_ns)
        c->ended_ns = last_ns;
}

static void on_request(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    bench_client *c = context;
    pipit_err err;

    if (!msg->reply_bytes)
        return;
    if (!c->begun_ns)
        c->begun_ns = cli_now_ns();
    if (c->plan->sleep_ns)
        (void)nanosleep(
            &(struct timespec){c->plan->sleep_ns / 1000000000, c->plan->sleep_ns % 1000000000},
            NULL); /* shorter is no harm */
    err = pipit_client_respond(pipit_sub_client(sub), msg, c->payload, (size_t)c->plan->size);
    if (err)
        c->failed++;
    else
        count_one(c, (size_t)c->plan->size);
    c->ended_ns = cli_now_ns();
}

static void run_service(bench_client *c)
{
    while (!reached(c) && !stopped(c)) {
        /* Beside requesters of this run, it ends with them. */
        if (c->plan->clients[BENCH_REQUEST] && !atomic_load(&c->shared->sources))
            break;
        drive(c, LOOK_MS);
    }
    if (!c->broken)
        (void)pipit_client_flush(c->connection.client, 1000); /* the last answers */
}

/* --- asking ------------------------------------------------------------------------------- */

/* A request under way. */
struct question {
    bench_client *client;
    int64_t due_ns;
};

struct asking {
    bench_client *client;
    uint64_t asked, ended;
};

static void on_answer(void *context, pipit_request *request, pipit_err err, const pipit_msg *msg)
{
    struct question *q = context;
    bench_client *c = q->client;

    (void)request;
    if (msg) {
        cli_latencies_add(c->latencies, cli_now_ns() - q->due_ns);
        count_one(c, msg->payload_bytes);
        return;
    }
    c->failed += err != PIPIT_OK;
    free(q);
}

static void ask(bench_client *c, struct asking *a, int64_t due_ns_)
{
    const pipit_msg msg = {
        .subject = c->plan->subject,
        .subject_bytes = strlen(c->plan->subject),
        .payload = c->payload,
        .payload_bytes = (size_t)c->plan->size,
    };
    struct question *q = cli_alloc(sizeof(*q));
    pipit_err err;

    *q = (struct question){c, due_ns_};
    err = pipit_client_request_start(c->connection.client, &msg, 1, cli_timeout_ms(c->call), 0,
                                     on_answer, q, NULL);
    a->asked++;
    if (!err)
        return;
    free(q);
    c->failed++;
    if (err != PIPIT_EAGAIN && err != PIPIT_ELIMIT) {
        (void)cli_client_fail(err, "cannot ask");
        c->broken = true;
    }
}

static uint64_t answered(const bench_client *c)
{
    return done(c) + c->failed;
}

/* As many under way as are wanted. */
static void ask_closed(bench_client *c)
{
    struct asking a = {.client = c};

    while (!(c->goal && answered(c) >= c->goal) && !stopped(c)) {
        while (a.asked - answered(c) < (uint64_t)c->plan->outstanding &&
               !(c->goal && a.asked >= c->goal) && !stopped(c))
            ask(c, &a, cli_now_ns());
        drive(c, LOOK_MS);
        if (c->plan->sleep_ns)
            drive_until(c, cli_now_ns() + c->plan->sleep_ns);
    }
}

static void ask_paced(bench_client *c)
{
    struct asking a = {.client = c};

    while (!(c->goal && a.asked >= c->goal) && !stopped(c)) {
        int64_t now = cli_now_ns(), due = due_ns(c, a.asked);

        for (int64_t i = 0; i < BATCH_MAX && due <= now && !(c->goal && a.asked >= c->goal); i++) {
            ask(c, &a, due);
            due = due_ns(c, a.asked);
        }
        drive(c, 0);
        drive_until(c, due);
    }
    while (answered(c) < a.asked && !stopped(c))
        drive(c, LOOK_MS);
}

static void run_requester(bench_client *c)
{
    if (c->plan->rate > 0)
        ask_paced(c);
    else
        ask_closed(c);
    atomic_fetch_sub(&c->shared->sources, 1);
}

/* --- the thread --------------------------------------------------------------------------- */

int bench_client_prepare(bench_client *c)
{
    bool serves = c->role == BENCH_SERVICE;
    const char *subject = c->plan->subject;
    char *many = NULL;
    pipit_sub *sub;
    pipit_err err;
    int status;

    if (c->role != BENCH_SUB && !serves)
        return CLI_DONE;
    if (c->plan->subjects)
        subject = many = cli_format("%s.*", subject);
    err = pipit_client_subscribe(c->connection.client, subject, c->plan->queue,
                                 serves ? on_request : on_message, c, &sub);
    free(many);
    status = err ? cli_client_fail(err, "cannot subscribe") : CLI_DONE;
    return status ? status : cli_connection_flush(&c->connection, c->call);
}

void *bench_client_run(void *context)
{
    bench_client *c = context;

    (void)prctl(PR_SET_TIMERSLACK, 1); /* else the kernel is 50 us late: as the figures then */
    (void)pthread_barrier_wait(&c->shared->start);
    if (c->role == BENCH_PUB || c->role == BENCH_REQUEST)
        c->begun_ns = cli_now_ns();
    switch (c->role) {
    case BENCH_PUB:
        run_publisher(c);
        break;
    case BENCH_SUB:
        run_subscriber(c);
        break;
    case BENCH_REQUEST:
        run_requester(c);
        break;
    default:
        run_service(c);
    }
    if (c->role == BENCH_PUB || c->role == BENCH_REQUEST)
        c->ended_ns = cli_now_ns();
    atomic_fetch_sub(&c->shared->working, 1);
    return NULL;
}
