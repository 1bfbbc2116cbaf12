/* cli/bench.h -- `pipit bench` and `pipit latency`: load on a server, and what it does with it.
 *
 *   bench.c         the commands
 *   bench_run.c     clients, each with a thread of its own, from the first to the last message
 *   bench_work.c    what such a thread does
 *   bench_report.c  results for people, for scripts, as CSV
 *   bench_plot.c    results as a picture */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/latencies.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern const cli_command cli_bench_command;
extern const cli_command cli_latency_command;

typedef enum bench_role {
    BENCH_PUB,     /* publishes */
    BENCH_SUB,     /* hears */
    BENCH_REQUEST, /* asks and waits for the answer */
    BENCH_SERVICE, /* answers */
    BENCH_ROLES,
} bench_role;

/* What is to be done. */
typedef struct bench_plan {
    const char *what; /* "pub"; for reports */
    const char *subject;
    int64_t clients[BENCH_ROLES];
    int64_t msgs; /* that are published or asked by all clients together; each subscriber waits for
                   * as many. 0: until interrupted */
    int64_t size;
    double rate;          /* messages per second of all clients; 0: as fast as it goes */
    int64_t sleep_ns;     /* between messages of a client; 0: none */
    int64_t subjects;     /* that publishers use in turn, by a number behind; 0: the one */
    int64_t outstanding;  /* requests that a client has under way, without rate */
    const char *queue;    /* of services, and of subscribers that share */
    const char *server_b; /* of subscribers; NULL: as the others */
    bool progress;
    const char *monitor; /* address of monitoring; NULL: none */
    int64_t server_pid;  /* 0: unknown */
} bench_plan;

/* One client. Its thread writes what it has done; others read it when the thread has ended, and
 * done at any time. */
typedef struct bench_client {
    const bench_plan *plan;
    const cli_call *call;
    struct bench_shared *shared;
    bench_role role;
    unsigned index; /* in its role */
    uint64_t goal;  /* messages; 0: until told to stop */
    cli_connection connection;
    atomic_uint_fast64_t done;
    uint64_t bytes, failed; /* failed: without an answer */
    int64_t begun_ns, ended_ns;
    cli_latencies *latencies; /* NULL: none are measured */
    char *payload;
    bool broken; /* the connection has ended */
} bench_client;

/* What all threads look at. */
typedef struct bench_shared {
    atomic_bool stop;    /* end now */
    atomic_uint sources; /* publishers that are not done */
    atomic_uint working; /* threads that are not done */
    pthread_barrier_t start;
} bench_shared;

enum { BENCH_SAMPLES = 600, BENCH_SAMPLE_MS = 100 };

typedef struct bench_result {
    const bench_plan *plan;
    bench_client *clients;
    size_t client_count;
    bool interrupted;
    /* Messages done by all of a role, at intervals: the older ones are thinned out when there are
     * too many. */
    uint64_t samples[BENCH_ROLES][BENCH_SAMPLES];
    size_t sample_count;
    int64_t sample_ns;   /* between them */
    double server_cpu_s; /* negative: unknown */
    bool server_cpu_estimated;
} bench_result;

/* One line of a report. */
typedef struct bench_sum {
    uint64_t messages, bytes, failed;
    double seconds, rate, byte_rate;
    double least, mean, most; /* rates of single clients */
} bench_sum;

/* bench_run.c. Returns the exit status; what is wrong has been said. Owner: *out is the caller's,
 * for bench_result_free. */
int bench_run(const cli_call *call, const bench_plan *plan, bench_result *out);
void bench_result_free(bench_result *result);

/* bench_work.c: subscribe what a client has to hear; then what its thread does. */
int bench_client_prepare(bench_client *client);
void *bench_client_run(void *client);

/* bench_report.c */
bench_sum bench_sum_of(const bench_result *result, bench_role role);
cli_latencies *bench_latencies_of(const bench_result *result); /* Owner: the caller. NULL: none */
void bench_report_show(const bench_result *result);
int bench_report_json(const bench_result *result);
int bench_report_csv(const bench_result *result, const char *path);
const char *bench_role_name(bench_role role);

/* bench_plot.c */
int bench_plot_store(const bench_result *result, const char *path);

#endif
