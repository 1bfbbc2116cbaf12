/* libpipit within one process: throughput and latency over memory, beside ZeroMQ's inproc; Unix
 * sockets beside TCP; what a server adds to the program that it is in.
 *
 *   pipit-bench-memory [--rounds=N] [--messages=N] [--t2=PROGRAM]
 *
 * PROGRAM is tests/clients/t2_rust's t2_checks, with the original T2 Bus and its memory transport.
 * Rounds are interleaved, figures are medians. CPU seconds are those of the whole process, which is
 * publisher, subscriber and server at once. */
#include "pipit/client.h"
#include "pipit/server.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_ZMQ
#include <zmq.h>
#endif

enum { SMALL = 64, LARGE = 8192, RUN = 64, ROUNDS_MAX = 99, PINGS = 20000, IDLE_PINGS = 300 };

static unsigned rounds = 5;
static uint64_t messages = 10000000;
static const char *t2_program; /* NULL: not there */

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* What is resident of the process; of that, what is of files: code, as it is mapped. */
struct weight {
    double all, files;
};

static struct weight weight_mb(void)
{
    const double page_mb = (double)sysconf(_SC_PAGESIZE) / 1048576;
    long total = 0, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%ld %ld %ld", &total, &resident, &shared) != 3)
        abort();
    (void)fclose(file);
    return (struct weight){(double)resident * page_mb, (double)shared * page_mb};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), ascending);
    return values[count / 2];
}

static void must(pipit_err err, const char *what)
{
    if (!err)
        return;
    (void)fprintf(stderr, "pipit-bench-memory: %s: %s\n", what, pipit_strerror(err));
    exit(1);
}

/* --- a server and two clients ------------------------------------------------------------- */

static pipit_server *server;
static char tcp_url[64], unix_url[128], socket_path[100];

static void start_server(void)
{
    char option[128];
    const char *options[] = {"--addr=127.0.0.1", "--port=-1", option};

    (void)snprintf(socket_path, sizeof(socket_path), "/tmp/pipit-bench-%d.sock", (int)getpid());
    (void)snprintf(option, sizeof(option), "--unix=%s", socket_path);
    must(pipit_server_new(&server, options, 3, NULL, NULL, NULL, 0), "server");
    must(pipit_server_start(server), "start");
    (void)snprintf(tcp_url, sizeof(tcp_url), "nats://127.0.0.1:%u", pipit_server_port(server));
    (void)snprintf(unix_url, sizeof(unix_url), "unix:%s", socket_path);
}

static pipit_client *come(const char *url)
{
    pipit_client_options o = {.struct_bytes = sizeof(o), .server = server};
    pipit_client *client;

    must(pipit_client_connect(&client, url, &o), url);
    return client;
}

struct figure {
    double rate, cpu; /* messages per second; CPU seconds per million */
};

static atomic_uint_fast64_t heard;

static void count(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    (void)context;
    (void)sub;
    (void)msg;
    atomic_store_explicit(&heard, atomic_load_explicit(&heard, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* One at a time, or run of them by one call. */
static void publish(pipit_client *client, const char *payload, size_t size, uint64_t number,
                    size_t run)
{
    pipit_msg msgs[RUN];
    uint64_t at = 0;

    for (size_t i = 0; i < RUN; i++)
        msgs[i] = (pipit_msg){.subject = "bench.flow",
                              .subject_bytes = sizeof("bench.flow") - 1,
                              .payload = payload,
                              .payload_bytes = size};
    while (at < number) {
        size_t most = number - at < run ? (size_t)(number - at) : run, done;
        pipit_err err;

        if (run > 1) {
            err = pipit_client_publish_many(client, msgs, most, &done);
        } else {
            err = pipit_client_publish(client, "bench.flow", NULL, payload, size);
            done = !err;
        }
        at += done;
        if (err != PIPIT_EAGAIN)
            must(err, "publish");
    }
}

static struct figure flow(const char *url, size_t size, uint64_t number, size_t run)
{
    pipit_client *from = come(url), *to = come(url);
    char payload[LARGE] = "";
    struct timespec nap = {0, 20000};
    double begin, cpu, wall;
    pipit_sub *sub;

    atomic_store(&heard, 0);
    must(pipit_client_subscribe(to, "bench.flow", NULL, count, NULL, &sub), "subscribe");
    must(pipit_client_flush(to, 10000), "flush");
    begin = now_s();
    cpu = cpu_s();
    publish(from, payload, size, number, run);
    while (atomic_load(&heard) < number)
        (void)nanosleep(&nap, NULL); /* looks every 20 us until all is heard */
    wall = now_s() - begin;
    cpu = cpu_s() - cpu;
    pipit_client_free(from);
    pipit_client_free(to);
    return (struct figure){(double)number / wall, cpu / (double)number * 1e6};
}

/* --- latency ------------------------------------------------------------------------------ */

/* One way: the sender's clock is in the message, and both are one. */
struct one_way {
    double *took;
    atomic_uint_fast64_t count;
};

static void clocked(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct one_way *w = context;
    uint64_t at = atomic_load_explicit(&w->count, memory_order_relaxed);
    double sent;

    (void)sub;
    memcpy(&sent, msg->payload, sizeof(sent));
    w->took[at] = now_s() - sent;
    atomic_store_explicit(&w->count, at + 1, memory_order_release);
}

/* gap_ns: time without traffic before each; 0: the next one as soon as the last was heard. */
static double latency(size_t number, long gap_ns)
{
    pipit_client *from = come("memory:"), *to = come("memory:");
    struct one_way w = {.took = calloc(number, sizeof(double))};
    struct timespec gap = {0, gap_ns};
    char payload[SMALL] = "";
    pipit_sub *sub;
    double result;

    must(pipit_client_subscribe(to, "bench.latency", NULL, clocked, &w, &sub), "subscribe");
    for (size_t i = 0; i < number; i++) {
        double sent;

        if (gap_ns)
            (void)nanosleep(&gap, NULL); /* the pace that is measured */
        sent = now_s();
        memcpy(payload, &sent, sizeof(sent));
        must(pipit_client_publish(from, "bench.latency", NULL, payload, sizeof(payload)),
             "publish");
        while (atomic_load_explicit(&w.count, memory_order_acquire) <= i)
            if (gap_ns)
                (void)sched_yield();
    }
    pipit_client_free(from);
    pipit_client_free(to);
    result = median(w.took, number);
    free(w.took);
    return result;
}

/* --- ZeroMQ ------------------------------------------------------------------------------- */

#ifdef HAVE_ZMQ
static uint64_t zmq_number;

static void *zmq_hear(void *socket)
{
    char buffer[LARGE];

    for (uint64_t i = 0; i < zmq_number; i++) {
        if (zmq_recv(socket, buffer, sizeof(buffer), 0) < 0)
            abort();
    }
    return NULL;
}

/* A PUSH and a PULL socket: PUB and SUB would drop what comes too fast. */
static struct figure zmq_flow(uint64_t number)
{
    void *context = zmq_ctx_new();
    void *from = zmq_socket(context, ZMQ_PUSH), *to = zmq_socket(context, ZMQ_PULL);
    char payload[SMALL] = "";
    double begin, cpu, wall;
    pthread_t thread;

    if (zmq_bind(from, "inproc://bench") || zmq_connect(to, "inproc://bench"))
        abort();
    zmq_number = number;
    begin = now_s();
    cpu = cpu_s();
    (void)pthread_create(&thread, NULL, zmq_hear, to);
    for (uint64_t i = 0; i < number; i++) {
        if (zmq_send(from, payload, sizeof(payload), 0) < 0)
            abort();
    }
    (void)pthread_join(thread, NULL);
    wall = now_s() - begin;
    cpu = cpu_s() - cpu;
    (void)zmq_close(from);
    (void)zmq_close(to);
    (void)zmq_ctx_term(context);
    return (struct figure){(double)number / wall, cpu / (double)number * 1e6};
}
#endif

/* --- T2 Bus ------------------------------------------------------------------------------- */

/* The last line of it is its messages per second; the original talks before that. */
static struct figure t2_flow(uint64_t number)
{
    char command[4096], line[256];
    struct figure figure = {0};
    FILE *out;

    (void)snprintf(command, sizeof(command), "'%s' memory %llu %d 64", t2_program,
                   (unsigned long long)number, SMALL);
    out = popen(command, "r");
    while (out && fgets(line, sizeof(line), out)) {
        char *end;
        double value = strtod(line, &end);

        if (end != line)
            figure.rate = value;
    }
    if (!out || pclose(out) != 0 || figure.rate <= 0) {
        (void)fprintf(stderr, "pipit-bench-memory: %s did not tell\n", t2_program);
        exit(1);
    }
    return figure;
}

/* --- rows --------------------------------------------------------------------------------- */

struct row {
    const char *name;
    double rate[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

static void note(struct row *row, unsigned round, struct figure figure)
{
    row->rate[round] = figure.rate;
    row->cpu[round] = figure.cpu;
}

static double print_row(struct row *row)
{
    double rate = median(row->rate, rounds), cpu = median(row->cpu, rounds);

    if (cpu > 0)
        (void)printf("| %s | %.2f M | %.3f |\n", row->name, rate / 1e6, cpu);
    else
        (void)printf("| %s | %.2f M | |\n", row->name, rate / 1e6);
    return rate;
}

static struct row memory = {.name = "memory, 64 B"}, many = {.name = "memory, 64 B, 64 by a call"},
                  t2 = {.name = "t2_bus 0.1.0's memory transport, 64 B"},
                  unix_row = {.name = "Unix socket, 8 KiB"}, tcp = {.name = "TCP, 8 KiB"};
#ifdef HAVE_ZMQ
static struct row inproc = {.name = "libzmq inproc, 64 B"};
#endif

static void measure_round(unsigned i)
{
    note(&memory, i, flow("memory:", SMALL, messages, 1));
    note(&many, i, flow("memory:", SMALL, messages, RUN));
#ifdef HAVE_ZMQ
    note(&inproc, i, zmq_flow(messages / 4));
#endif
    if (t2_program)
        note(&t2, i, t2_flow(messages / 40));
    note(&unix_row, i, flow(unix_url, LARGE, messages / 40, 1));
    note(&tcp, i, flow(tcp_url, LARGE, messages / 40, 1));
}

static void print_rows(void)
{
    double rate, other, beside_zmq = 0, beside_t2 = 0;

    (void)printf("| one publisher, one subscriber | messages/s | CPU s per million |\n"
                 "|---|--:|--:|\n");
    rate = print_row(&memory);
    (void)print_row(&many);
#ifdef HAVE_ZMQ
    beside_zmq = rate / print_row(&inproc);
#endif
    if (t2_program)
        beside_t2 = rate / print_row(&t2);
    other = print_row(&unix_row);
    other /= print_row(&tcp);
    if (beside_zmq > 0)
        (void)printf("memory is %.1f times libzmq inproc\n", beside_zmq);
    if (beside_t2 > 0)
        (void)printf("memory is %.1f times t2_bus 0.1.0's memory transport\n", beside_t2);
    (void)printf("Unix is %.2f times TCP\n", other);
}

static void measure(void)
{
    double busy, idle;

    for (unsigned i = 0; i < rounds; i++)
        measure_round(i);
    busy = latency(PINGS, 0);
    idle = latency(IDLE_PINGS, 5000000);
    print_rows();
    (void)printf("one way over memory, p50: %.2f us busy, %.1f us from idle\n", busy * 1e6,
                 idle * 1e6);
}

/* What a server without listeners adds. */
static void weigh(void)
{
    static const char *const options[] = {"--no_listen"};
    struct weight before = weight_mb(), after;
    pipit_server *small;

    must(pipit_server_new(&small, options, 1, NULL, NULL, NULL, 0), "server");
    must(pipit_server_start(small), "start");
    after = weight_mb();
    (void)printf("an embedded server: %.2f MB resident, %.2f MB of it code of libraries\n",
                 after.all - before.all, after.files - before.files);
    pipit_server_free(small);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--rounds=", 9) == 0)
            rounds = (unsigned)atoi(argv[i] + 9);
        else if (strncmp(argv[i], "--messages=", 11) == 0)
            messages = (uint64_t)atoll(argv[i] + 11);
        else if (strncmp(argv[i], "--t2=", 5) == 0)
            t2_program = argv[i] + 5;
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || messages < 1000) {
        (void)fprintf(stderr,
                      "usage: pipit-bench-memory [--rounds=N] [--messages=N] [--t2=PROGRAM]\n");
        return 2;
    }
    weigh();
    start_server();
    measure();
    pipit_server_free(server);
    return 0;
}
