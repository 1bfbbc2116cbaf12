/* pipit server list -- servers, one a line. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/moment.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

struct options {
    const char *monitor, *sort;
    int64_t expect;
    bool reverse;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "sort",
     .type = CLI_CHOICE,
     .value = "KEY",
     .choices = "name|cluster|conns|subs|routes|gws|mem|cpu|slow|uptime|rtt",
     .help = "What comes first",
     .fallback = "rtt",
     .offset = offsetof(struct options, sort)},
    {.name = "reverse",
     .letter = 'R',
     .type = CLI_SWITCH,
     .help = "The other way round",
     .offset = offsetof(struct options, reverse)},
    {0},
};

static const cli_argument arguments[] = {
    CLI_EXPECT_ARGUMENT(struct options, expect),
    {0},
};

static const cli_example examples[] = {
    {"pipit server list", "All servers, the nearest first."},
    {"pipit server list --monitor http://127.0.0.1:8222 --json", "One, over HTTP, for a script."},
    {0},
};

static const struct {
    const char *key, *path;
    bool descending;
} orders[] = {
    {"name", "server.name", false},
    {"cluster", "server.cluster", false},
    {"conns", "data.connections", true},
    {"subs", "data.subscriptions", true},
    {"routes", "data.routes", true},
    {"gws", "gateways", true},
    {"mem", "data.mem", true},
    {"cpu", "data.cpu", true},
    {"slow", "data.slow_consumers", true},
    {"uptime", "uptime_s", true},
    {"rtt", "rtt_ns", false},
};

static const struct {
    const char *head;
    cli_align align;
} columns[] = {
    {"Name", CLI_LEFT},  {"Cluster", CLI_LEFT}, {"Host", CLI_LEFT},   {"Version", CLI_LEFT},
    {"JS", CLI_LEFT},    {"Conns", CLI_RIGHT},  {"Subs", CLI_RIGHT},  {"Routes", CLI_RIGHT},
    {"GWs", CLI_RIGHT},  {"Mem", CLI_RIGHT},    {"CPU %", CLI_RIGHT}, {"Cores", CLI_RIGHT},
    {"Slow", CLI_RIGHT}, {"Uptime", CLI_RIGHT}, {"RTT", CLI_RIGHT},
};

/* Members to sort by that pages have in another form. */
static void prepare(json_t *answers)
{
    json_t *answer;
    size_t i;

    json_array_foreach(answers, i, answer)
    {
        cli_json_set(answer, "uptime_s",
                     json_integer(cli_uptime_read(cli_json_text_at(answer, "data.uptime", NULL))));
        cli_json_set_count(answer, "gateways",
                           json_array_size(cli_json_at(answer, "data.gateway.gateways")));
    }
}

static void sort(json_t *answers, const struct options *options)
{
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        if (strcmp(orders[i].key, options->sort) == 0)
            cli_json_sort(answers, orders[i].path, orders[i].descending != options->reverse);
    }
}

static void add_row(cli_table *table, const json_t *answer)
{
    char text[CLI_VALUE_BYTES], span[CLI_SPAN_BYTES];
    const char *name;
    size_t bytes;

    name = cli_server_name(answer, &bytes);
    cli_table_cell_bytes(table, name, bytes);
    cli_server_cell_text(table, answer, "server.cluster");
    cli_server_cell_text(table, answer, "data.host");
    cli_server_cell_text(table, answer, "data.version");
    cli_table_cell(table, cli_json_at(answer, "data.jetstream.config") ? "yes" : "no");
    cli_server_cell_count(table, answer, "data.connections");
    cli_server_cell_count(table, answer, "data.subscriptions");
    cli_server_cell_count(table, answer, "data.routes");
    cli_server_cell_count(table, answer, "gateways");
    cli_size_format(cli_json_real_at(answer, "data.mem"), text);
    cli_table_cell(table, text);
    cli_table_cellf(table, "%.1f", cli_json_real_at(answer, "data.cpu"));
    cli_server_cell_count(table, answer, "data.cores");
    cli_server_cell_count(table, answer, "data.slow_consumers");
    cli_span_show((int64_t)cli_json_count_at(answer, "uptime_s"), span);
    cli_table_cell(table, span);
    cli_duration_format((int64_t)cli_json_count_at(answer, "rtt_ns"), text);
    cli_table_cell(table, text);
}

static void show(const json_t *answers)
{
    cli_table *table = cli_table_new("Servers");
    json_t *answer;
    size_t i;

    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        cli_table_column(table, columns[i].head, columns[i].align);
    json_array_foreach(answers, i, answer) add_row(table, answer);
    cli_table_print(table, stdout);
    cli_table_free(table);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    int status;
    json_t *answers =
        cli_inquiry_once(call, options->monitor, options->expect, "VARZ", NULL, &status);
    int64_t came = answers ? (int64_t)json_array_size(answers) : 0;

    if (!answers)
        return status;
    prepare(answers);
    sort(answers, options);
    if (call->globals->json) {
        (void)cli_json_print(answers);
    } else {
        show(answers);
        json_decref(answers);
    }
    return cli_server_missing(options->expect, came);
}

const cli_command cli_server_list = {
    .name = "list",
    .aliases = "ls",
    .help = "Servers, one a line",
    .text = CLI_INQUIRY_TEXT,
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
