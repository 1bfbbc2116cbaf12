/* Results: for people, as JSON, as CSV. */
#include "cli/bench.h"

#include "cli/json.h"
#include "cli/say.h"
#include "cli/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const role_names[] = {"pub", "sub", "request", "service"};

const char *bench_role_name(bench_role role)
{
    return role_names[role];
}

static double rate_of(const bench_client *c)
{
    double seconds = (double)(c->ended_ns - c->begun_ns) / 1e9;

    return c->begun_ns && seconds > 0 ? (double)atomic_load(&c->done) / seconds : 0;
}

bench_sum bench_sum_of(const bench_result *result, bench_role role)
{
    bench_sum sum = {0};
    int64_t begun = INT64_MAX, ended = 0;
    size_t clients = 0;

    for (size_t i = 0; i < result->client_count; i++) {
        const bench_client *c = &result->clients[i];
        double rate = rate_of(c);

        if (c->role != role)
            continue;
        sum.messages += atomic_load(&c->done);
        sum.bytes += c->bytes;
        sum.failed += c->failed;
        sum.least = !clients || rate < sum.least ? rate : sum.least;
        sum.most = rate > sum.most ? rate : sum.most;
        sum.mean += rate;
        clients++;
        if (c->begun_ns && c->begun_ns < begun)
            begun = c->begun_ns;
        ended = c->ended_ns > ended ? c->ended_ns : ended;
    }
    sum.mean = clients ? sum.mean / (double)clients : 0;
    if (ended > begun)
        sum.seconds = (double)(ended - begun) / 1e9;
    if (sum.seconds > 0) {
        sum.rate = (double)sum.messages / sum.seconds;
        sum.byte_rate = (double)sum.bytes / sum.seconds;
    }
    return sum;
}

cli_latencies *bench_latencies_of(const bench_result *result)
{
    cli_latencies *all = NULL;

    for (size_t i = 0; i < result->client_count; i++) {
        const bench_client *c = &result->clients[i];

        if (!c->latencies || !cli_latencies_count(c->latencies))
            continue;
        if (!all)
            all = cli_latencies_new();
        cli_latencies_merge(all, c->latencies);
    }
    return all;
}

/* Messages that the server has dealt with: those that came in, or, if none did from here, went out.
 */
static uint64_t dealt_with(const bench_result *result)
{
    static const bench_role roles[] = {BENCH_PUB, BENCH_REQUEST, BENCH_SERVICE, BENCH_SUB};
    uint64_t messages = 0;

    for (size_t i = 0; i < BENCH_ROLES && !messages; i++)
        messages = bench_sum_of(result, roles[i]).messages;
    return messages;
}

static double cpu_per_million(const bench_result *result)
{
    uint64_t messages = dealt_with(result);

    return result->server_cpu_s >= 0 && messages ? result->server_cpu_s * 1e6 / (double)messages
                                                 : -1;
}

static uint64_t missing(const bench_result *result)
{
    const bench_plan *plan = result->plan;
    uint64_t wanted = bench_sum_of(result, BENCH_PUB).messages, heard;

    if (!plan->clients[BENCH_PUB] || !plan->clients[BENCH_SUB] || result->interrupted)
        return 0;
    wanted *= plan->queue ? 1 : (uint64_t)plan->clients[BENCH_SUB];
    heard = bench_sum_of(result, BENCH_SUB).messages;
    return heard < wanted ? wanted - heard : 0;
}

/* --- for people --------------------------------------------------------------------------- */

static void show_role(const bench_result *result, bench_role role)
{
    bench_sum sum = bench_sum_of(result, role);
    char messages[CLI_VALUE_BYTES], rate[CLI_VALUE_BYTES], bytes[CLI_VALUE_BYTES],
        seconds[CLI_VALUE_BYTES], least[CLI_VALUE_BYTES], mean[CLI_VALUE_BYTES],
        most[CLI_VALUE_BYTES];

    cli_count_format(sum.messages, messages);
    cli_count_format((uint64_t)sum.rate, rate);
    cli_size_format(sum.byte_rate, bytes);
    cli_duration_format((int64_t)(sum.seconds * 1e9), seconds);
    (void)printf("%-8s %s msgs/s, %s/s: %s messages in %s\n", bench_role_name(role), rate, bytes,
                 messages, seconds);
    if (result->plan->clients[role] > 1) {
        cli_count_format((uint64_t)sum.least, least);
        cli_count_format((uint64_t)sum.mean, mean);
        cli_count_format((uint64_t)sum.most, most);
        (void)printf("%-8s each of %lld clients: least %s, mean %s, most %s msgs/s\n", "",
                     (long long)result->plan->clients[role], least, mean, most);
    }
    if (sum.failed)
        (void)printf("%-8s %" PRIu64 " without an answer\n", "", sum.failed);
}

void bench_report_show(const bench_result *result)
{
    cli_latencies *latencies = bench_latencies_of(result);
    double cpu = cpu_per_million(result);

    for (size_t r = 0; r < BENCH_ROLES; r++) {
        if (result->plan->clients[r])
            show_role(result, (bench_role)r);
    }
    if (missing(result))
        (void)printf("%-8s %" PRIu64 " messages were not heard\n", "lost", missing(result));
    if (latencies) {
        (void)printf("%-8s ", "latency");
        cli_latencies_show(latencies, stdout);
    }
    if (cpu >= 0)
        (void)printf("%-8s %.3f CPU s per million messages%s\n", "server", cpu,
                     result->server_cpu_estimated ? ", estimated" : "");
    cli_latencies_free(latencies);
}

/* --- for scripts -------------------------------------------------------------------------- */

static json_t *sum_json(const bench_sum *sum)
{
    json_t *json = cli_json_object();

    cli_json_set_count(json, "messages", sum->messages);
    cli_json_set_count(json, "bytes", sum->bytes);
    cli_json_set_count(json, "failed", sum->failed);
    cli_json_set_real(json, "seconds", sum->seconds);
    cli_json_set_real(json, "messages_per_second", sum->rate);
    cli_json_set_real(json, "bytes_per_second", sum->byte_rate);
    return json;
}

int bench_report_json(const bench_result *result)
{
    const bench_plan *plan = result->plan;
    cli_latencies *latencies = bench_latencies_of(result);
    json_t *json = cli_json_object();
    double cpu = cpu_per_million(result);

    cli_json_set_text(json, "benchmark", plan->what);
    cli_json_set_text(json, "subject", plan->subject);
    cli_json_set_count(json, "size", (uint64_t)plan->size);
    cli_json_set_real(json, "rate", plan->rate);
    cli_json_set_flag(json, "interrupted", result->interrupted);
    for (size_t r = 0; r < BENCH_ROLES; r++) {
        bench_sum sum = bench_sum_of(result, (bench_role)r);
        json_t *one;

        if (!plan->clients[r])
            continue;
        one = sum_json(&sum);
        cli_json_set_count(one, "clients", (uint64_t)plan->clients[r]);
        cli_json_set(json, bench_role_name((bench_role)r), one);
    }
    if (plan->clients[BENCH_PUB] && plan->clients[BENCH_SUB])
        cli_json_set_count(json, "lost", missing(result));
    if (latencies)
        cli_json_set(json, "latency_ns", cli_latencies_json(latencies));
    if (cpu >= 0) {
        cli_json_set_real(json, "server_cpu_seconds", result->server_cpu_s);
        cli_json_set_real(json, "server_cpu_seconds_per_million", cpu);
        cli_json_set_flag(json, "server_cpu_estimated", result->server_cpu_estimated);
    }
    cli_latencies_free(latencies);
    return cli_json_print(json);
}

static void csv_line(FILE *file, const char *role, const char *client, uint64_t messages,
                     uint64_t bytes, double seconds, const cli_latencies *latencies)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};

    (void)fprintf(file, "%s,%s,%" PRIu64 ",%" PRIu64 ",%.6f,%.1f", role, client, messages, bytes,
                  seconds, seconds > 0 ? (double)messages / seconds : 0);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        if (latencies && cli_latencies_count(latencies))
            (void)fprintf(file, ",%" PRId64, cli_latencies_at(latencies, shares[i]));
        else
            (void)fputc(',', file);
    }
    (void)fputc('\n', file);
}

int bench_report_csv(const bench_result *result, const char *path)
{
    FILE *file = fopen(path, "we");
    bool bad;

    if (!file)
        return cli_fail(CLI_USAGE, "cannot write %s: %s", path, strerror(errno));
    (void)fputs("role,client,messages,bytes,seconds,messages_per_second,p50_ns,p90_ns,p99_ns,"
                "p99_9_ns,max_ns\n",
                file);
    for (size_t i = 0; i < result->client_count; i++) {
        const bench_client *c = &result->clients[i];
        char client[16];

        (void)snprintf(client, sizeof(client), "%u", c->index + 1);
        csv_line(file, bench_role_name(c->role), client, atomic_load(&c->done), c->bytes,
                 c->begun_ns ? (double)(c->ended_ns - c->begun_ns) / 1e9 : 0, c->latencies);
    }
    bad = ferror(file);
    bad = fclose(file) != 0 || bad;
    return bad ? cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno)) : CLI_DONE;
}
