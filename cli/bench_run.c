/* Clients, each with a thread of its own: connected and subscribed one after another, started at
 * once, watched until they have done their part. */
#include "cli/bench.h"

#include "cli/memory.h"
#include "cli/progress.h"
#include "cli/say.h"
#include "cli/server_cpu.h"
#include "cli/turn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PENDING_BYTES = 1024 * 1024, STACK_BYTES = 256 * 1024, NS_PER_MS = 1000000 };

/* How many messages one client of a role is to do. */
static uint64_t goal_of(const bench_plan *plan, bench_role role, unsigned index)
{
    uint64_t msgs = (uint64_t)plan->msgs, clients = (uint64_t)plan->clients[role];

    if (role == BENCH_SERVICE)
        return plan->clients[BENCH_REQUEST] ? 0 : plan->queue ? 0 : msgs;
    if (role == BENCH_SUB)
        return plan->queue ? 0 : msgs; /* members of a group get who knows how many */
    return msgs / clients + (index < msgs % clients);
}

static bool measures(const bench_plan *plan, bench_role role)
{
    return role == BENCH_REQUEST || (role == BENCH_SUB && plan->rate > 0);
}

static int open_client(bench_client *c)
{
    char *name = cli_format("pipit bench %s %u", bench_role_name(c->role), c->index + 1);
    const cli_wish wish = {
        .own_loop = true,
        .name = name,
        .pending_max = c->role == BENCH_SERVICE ? 64 * PENDING_BYTES : PENDING_BYTES,
        .server = c->role == BENCH_SUB ? c->plan->server_b : NULL,
    };
    int status = cli_connection_open(&c->connection, c->call, &wish);

    free(name);
    return status ? status : bench_client_prepare(c);
}

/* All of them in the order of roles; those that hear come before those that speak. */
static int open_all(const cli_call *call, const bench_plan *plan, bench_shared *shared,
                    bench_result *result)
{
    static const bench_role order[] = {BENCH_SUB, BENCH_SERVICE, BENCH_PUB, BENCH_REQUEST};
    size_t all = 0;
    int status = CLI_DONE;

    for (size_t r = 0; r < BENCH_ROLES; r++)
        all += (size_t)plan->clients[r];
    result->clients = cli_alloc(all * sizeof(*result->clients));
    for (size_t r = 0; r < BENCH_ROLES && !status; r++) {
        for (unsigned i = 0; i < plan->clients[order[r]] && !status; i++) {
            bench_client *c = &result->clients[result->client_count++];

            c->plan = plan;
            c->call = call;
            c->shared = shared;
            c->role = order[r];
            c->index = i;
            c->goal = goal_of(plan, c->role, i);
            c->payload = cli_alloc((size_t)plan->size);
            memset(c->payload, 'x', (size_t)plan->size);
            if (measures(plan, c->role))
                c->latencies = cli_latencies_new();
            status = open_client(c);
        }
    }
    return status;
}

/* --- watching ----------------------------------------------------------------------------- */

static uint64_t done_by(const bench_result *result, bench_role role)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < result->client_count; i++) {
        if (result->clients[i].role == role)
            sum += atomic_load_explicit(&result->clients[i].done, memory_order_relaxed);
    }
    return sum;
}

/* When there is no room, every second sample goes, and the time between them doubles. */
static void sample(bench_result *result)
{
    if (result->sample_count == BENCH_SAMPLES) {
        for (size_t r = 0; r < BENCH_ROLES; r++) {
            for (size_t i = 0; i < BENCH_SAMPLES / 2; i++)
                result->samples[r][i] = result->samples[r][2 * i + 1];
        }
        result->sample_count /= 2;
        result->sample_ns *= 2;
    }
    for (size_t r = 0; r < BENCH_ROLES; r++)
        result->samples[r][result->sample_count] = done_by(result, (bench_role)r);
    result->sample_count++;
}

/* The role whose progress is shown, which is the last to be done. */
static bench_role slowest_role(const bench_plan *plan)
{
    return plan->clients[BENCH_REQUEST]   ? BENCH_REQUEST
           : plan->clients[BENCH_SERVICE] ? BENCH_SERVICE
           : plan->clients[BENCH_SUB]     ? BENCH_SUB
                                          : BENCH_PUB;
}

static uint64_t whole_goal(const bench_plan *plan, bench_role role)
{
    bool each = role == BENCH_SUB && !plan->queue;

    return (uint64_t)plan->msgs * (each ? (uint64_t)plan->clients[BENCH_SUB] : 1);
}

/* Until all threads are done. The first interruption stops them; so does one broken connection. */
static void watch(bench_result *result, bench_shared *shared, cli_server_cpu *cpu)
{
    bench_role role = slowest_role(result->plan);
    int64_t next = cli_now_ns() + result->sample_ns, next_cpu = next + 1000 * NS_PER_MS;
    cli_progress progress;

    cli_progress_begin(&progress, result->plan->what, whole_goal(result->plan, role),
                       result->plan->progress);
    while (atomic_load(&shared->working)) {
        int64_t look = cli_now_ns() + 10 * NS_PER_MS; /* short runs are not to wait */

        if (cli_turn(NULL, look < next ? look : next) == CLI_TURN_INTERRUPTED &&
            !result->interrupted) {
            result->interrupted = true;
            atomic_store(&shared->stop, true);
        }
        if (result->interrupted)
            (void)nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
        for (size_t i = 0; i < result->client_count; i++) {
            if (atomic_load(&result->clients[i].connection.closed))
                atomic_store(&shared->stop, true);
        }
        if (cli_now_ns() >= next) {
            sample(result);
            next += result->sample_ns;
            cli_progress_show(&progress, done_by(result, role));
        }
        if (cpu && cli_now_ns() >= next_cpu) {
            cli_server_cpu_sample(cpu);
            next_cpu += 1000 * NS_PER_MS;
        }
    }
    sample(result);
    cli_progress_end(&progress);
}

/* --- the whole ---------------------------------------------------------------------------- */

/* Returns how many threads run. */
static size_t start_threads(bench_result *result, pthread_t *threads)
{
    pthread_attr_t attr;
    size_t count = 0;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES); /* it is more than the least */
    while (count < result->client_count &&
           pthread_create(&threads[count], &attr, bench_client_run, &result->clients[count]) == 0)
        count++;
    (void)pthread_attr_destroy(&attr);
    return count;
}

static int run_threads(bench_result *result, bench_shared *shared, cli_server_cpu *cpu)
{
    pthread_t *threads = cli_alloc(result->client_count * sizeof(*threads));
    size_t running;

    (void)pthread_barrier_init(&shared->start, NULL, (unsigned)result->client_count + 1);
    atomic_store(&shared->working, (unsigned)result->client_count);
    running = start_threads(result, threads);
    if (running < result->client_count) { /* those that run wait at the barrier for ever */
        free(threads);
        exit(
            cli_fail(CLI_FAILED, "only %zu threads could be started: give fewer clients", running));
    }
    if (cpu)
        cli_server_cpu_sample(cpu);
    (void)pthread_barrier_wait(&shared->start);
    watch(result, shared, cpu);
    if (cpu)
        cli_server_cpu_sample(cpu);
    for (size_t i = 0; i < running; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&shared->start);
    free(threads);
    return CLI_DONE;
}

static int verdict(const bench_result *result)
{
    bool asks = result->plan->clients[BENCH_REQUEST] > 0;

    if (asks && !result->interrupted && !done_by(result, BENCH_REQUEST))
        return cli_fail(CLI_NO_ANSWER,
                        "nobody answers: pipit bench service on the same subject does, or "
                        "--service 1 here");
    for (size_t i = 0; i < result->client_count; i++) {
        const bench_client *c = &result->clients[i];

        if (c->broken || atomic_load(&c->connection.errors))
            return cli_fail(CLI_FAILED, "client %s %u has not come to its end%s%s",
                            bench_role_name(c->role), c->index + 1,
                            *c->connection.reason ? ": " : "", c->connection.reason);
    }
    return CLI_DONE;
}

int bench_run(const cli_call *call, const bench_plan *plan, bench_result *out)
{
    bench_shared shared = {0};
    cli_server_cpu *cpu = NULL;
    int status;

    *out = (bench_result){.plan = plan, .sample_ns = BENCH_SAMPLE_MS * NS_PER_MS};
    out->server_cpu_s = -1;
    cli_turn_catch();
    atomic_store(&shared.sources,
                 (unsigned)(plan->clients[BENCH_PUB] + plan->clients[BENCH_REQUEST]));
    status = cli_server_cpu_open(call, plan->monitor, plan->server_pid, &cpu);
    if (!status)
        status = open_all(call, plan, &shared, out);
    if (!status)
        status = run_threads(out, &shared, cpu);
    if (!status) {
        out->server_cpu_s = cli_server_cpu_seconds(cpu);
        out->server_cpu_estimated = cli_server_cpu_estimated(cpu);
        status = verdict(out);
    }
    cli_server_cpu_close(cpu);
    return status;
}

void bench_result_free(bench_result *result)
{
    for (size_t i = 0; i < result->client_count; i++) {
        bench_client *c = &result->clients[i];

        cli_connection_close(&c->connection);
        cli_latencies_free(c->latencies);
        free(c->payload);
    }
    free(result->clients);
    *result = (bench_result){0};
}
