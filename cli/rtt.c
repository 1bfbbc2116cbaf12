/* pipit rtt -- how long it takes to the server and back. */
#include "cli/rtt.h"

#include "cli/connection.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/moment.h"
#include "cli/say.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMES_DEFAULT = 5 };

typedef struct rtt_options {
    int64_t times;
} rtt_options;

static json_t *result_json(const char *url, int64_t rtt_ns)
{
    json_t *json = cli_json_object();
    struct timespec now;
    char text[CLI_STAMP_BYTES];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    cli_moment_stamp(now.tv_sec * INT64_C(1000000000) + now.tv_nsec, text);
    cli_json_set_text(json, "time", text);
    cli_json_set_count(json, "rtt", (uint64_t)rtt_ns);
    cli_json_set_text(json, "url", url);
    return json;
}

/* Times of one server. Returns the exit status. */
static int measure(const cli_call *call, cli_connection *c, json_t *results)
{
    const rtt_options *o = call->options;
    int64_t times = o->times ? o->times : TIMES_DEFAULT, least = INT64_MAX, most = 0, sum = 0;
    char a[CLI_VALUE_BYTES], b[CLI_VALUE_BYTES], mean[CLI_VALUE_BYTES];

    for (int64_t i = 0; i < times; i++) {
        int64_t begun = cli_now_ns(), rtt;
        pipit_err err = pipit_client_flush(c->client, cli_timeout_ms(call));

        if (err)
            return cli_client_fail(err, "%s", c->url);
        rtt = cli_now_ns() - begun;
        least = rtt < least ? rtt : least;
        most = rtt > most ? rtt : most;
        sum += rtt;
        cli_json_append(results, result_json(c->url, rtt));
    }
    if (call->globals->json)
        return CLI_DONE;
    cli_duration_format(least, a);
    cli_duration_format(sum / times, mean);
    cli_duration_format(most, b);
    (void)printf("%s: %s (least %s, most %s, of %lld)\n", c->url, mean, a, b, (long long)times);
    return CLI_DONE;
}

static int measure_one(const cli_call *call, const char *url, json_t *list)
{
    const cli_wish wish = {.own_loop = true, .name = "pipit rtt", .server = url};
    cli_connection connection;
    json_t *results, *one;
    int status = cli_connection_open(&connection, call, &wish);

    if (status)
        return status;
    results = cli_json_array();
    status = measure(call, &connection, results);
    one = cli_json_object();
    cli_json_set_text(one, "url", connection.url);
    cli_json_set(one, "results", results);
    cli_json_append(list, one);
    cli_connection_close(&connection);
    return status;
}

/* Each server of the list on its own. */
static int rtt(const cli_call *call)
{
    cli_settings settings;
    json_t *list;
    char *rest, *url;
    int status = cli_settings_read(call->globals, &settings), worst = CLI_DONE;

    if (status)
        return status;
    list = cli_json_array();
    rest = settings.url;
    while (rest && (url = strsep(&rest, ","))) {
        if (*url)
            status = measure_one(call, url, list);
        worst = status ? status : worst;
    }
    if (!settings.url)
        worst = measure_one(call, NULL, list);
    if (call->globals->json && json_array_size(list))
        (void)cli_json_print(json_incref(list));
    json_decref(list);
    cli_settings_free(&settings);
    return worst;
}

static const cli_argument arguments[] = {
    {"TIMES", CLI_COUNT, true, "How often to measure; 5 if not given", offsetof(rtt_options, times),
     .min = 1, .max = 1000000},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit rtt", "How far is the server?"},
    {"pipit rtt 20 --json", "Twenty times, for scripts"},
    {NULL, NULL},
};

const cli_command cli_rtt_command = {
    .name = "rtt",
    .help = "Measure how long it takes to the server and back",
    .text = "A PING and its PONG on one connection, for each of the servers that -s names.",
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(rtt_options),
    .run = rtt,
};
