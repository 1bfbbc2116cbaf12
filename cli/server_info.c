/* pipit server info -- everything about one. */
#include "cli/fields.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/server.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

struct options {
    const char *monitor, *server;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {0},
};

static const cli_argument arguments[] = {
    CLI_SERVER_ARGUMENT(struct options, server),
    {0},
};

static const cli_example examples[] = {
    {"pipit server info", "The server that we are connected to."},
    {"pipit server info --monitor http://127.0.0.1:8222", "The one with that monitoring port."},
    {0},
};

static void put_count(cli_fields *fields, const char *name, const json_t *data, const char *path)
{
    if (cli_json_at(data, path))
        cli_fields_count(fields, name, cli_json_count_at(data, path));
}

static void put_flag(cli_fields *fields, const char *name, const json_t *data, const char *path)
{
    cli_fields_text(fields, name, cli_json_flag_at(data, path) ? "yes" : "no");
}

static void put_span(cli_fields *fields, const char *name, const json_t *data, const char *path)
{
    char text[CLI_VALUE_BYTES];

    cli_duration_format((int64_t)cli_json_count_at(data, path), text);
    if (cli_json_at(data, path))
        cli_fields_text(fields, name, text);
}

static void show_process(cli_fields *fields, const json_t *data)
{
    cli_fields_part(fields, "Process");
    cli_fields_at(fields, "Name", data, "server_name");
    cli_fields_at(fields, "Id", data, "server_id");
    cli_fields_at(fields, "Version", data, "version");
    cli_fields_at(fields, "Git commit", data, "git_commit");
    cli_fields_at(fields, "Started", data, "start");
    cli_fields_at(fields, "Configuration loaded", data, "config_load_time");
    cli_fields_at(fields, "Uptime", data, "uptime");
}

static void show_reach(cli_fields *fields, const json_t *data)
{
    size_t bytes;
    const char *host = cli_json_text_at(data, "host", &bytes);
    char *urls = cli_json_join(cli_json_at(data, "connect_urls"), ", ");

    cli_fields_part(fields, "Connecting");
    cli_fieldsf(fields, "Address", "%.*s:%llu", (int)bytes, host,
                (unsigned long long)cli_json_count_at(data, "port"));
    cli_fields_text(fields, "Told to clients", *urls ? urls : NULL);
    free(urls);
    put_flag(fields, "Credentials needed", data, "auth_required");
    put_flag(fields, "TLS needed", data, "tls_required");
    put_flag(fields, "Certificates of clients", data, "tls_verify");
    if (cli_json_at(data, "websocket.port"))
        put_count(fields, "WebSocket port", data, "websocket.port");
    cli_fields_at(fields, "System account", data, "system_account");
}

static void show_cluster(cli_fields *fields, const json_t *data)
{
    cli_fields_part(fields, "Cluster");
    if (!*cli_json_text_at(data, "cluster.name", NULL))
        return;
    cli_fields_at(fields, "Name", data, "cluster.name");
    put_count(fields, "Routes", data, "routes");
    put_count(fields, "Servers beside it", data, "remotes");
    put_count(fields, "Leaf nodes", data, "leafnodes");
}

static void show_limits(cli_fields *fields, const json_t *data)
{
    cli_fields_part(fields, "Limits");
    put_count(fields, "Connections", data, "max_connections");
    if (cli_json_count_at(data, "max_subscriptions"))
        put_count(fields, "Subscriptions of each", data, "max_subscriptions");
    cli_fields_size(fields, "Payload", cli_json_count_at(data, "max_payload"));
    cli_fields_size(fields, "Waiting for each", cli_json_count_at(data, "max_pending"));
    put_span(fields, "Time to take it", data, "write_deadline");
    put_span(fields, "Between pings", data, "ping_interval");
    put_count(fields, "Pings without answer", data, "ping_max");
}

static void show_numbers(cli_fields *fields, const json_t *data)
{
    cli_fields_part(fields, "Numbers");
    cli_fieldsf(fields, "CPU", "%.1f %% of %llu cores", cli_json_real_at(data, "cpu"),
                (unsigned long long)cli_json_count_at(data, "cores"));
    cli_fields_size(fields, "Memory", cli_json_count_at(data, "mem"));
    put_count(fields, "Connections", data, "connections");
    put_count(fields, "Connections ever", data, "total_connections");
    put_count(fields, "Subscriptions", data, "subscriptions");
    put_count(fields, "Messages in", data, "in_msgs");
    put_count(fields, "Messages out", data, "out_msgs");
    cli_fields_size(fields, "Bytes in", cli_json_count_at(data, "in_bytes"));
    cli_fields_size(fields, "Bytes out", cli_json_count_at(data, "out_bytes"));
    put_count(fields, "Slow consumers", data, "slow_consumers");
    put_count(fields, "Stalled publishers", data, "stalled_clients");
    put_count(fields, "Stale connections", data, "stale_connections");
}

static void show(const json_t *data)
{
    cli_fields *fields = cli_fields_new();

    show_process(fields, data);
    show_reach(fields, data);
    show_cluster(fields, data);
    show_limits(fields, data);
    show_numbers(fields, data);
    cli_fields_print(fields);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    int status;
    json_t *answers =
        cli_inquiry_once_one(call, options->monitor, options->server, "VARZ", NULL, &status);
    const json_t *data;

    if (!answers)
        return status;
    data = cli_json_at(json_array_get(answers, 0), "data");
    if (call->globals->json)
        (void)cli_json_print(json_deep_copy(data));
    else
        show(data);
    json_decref(answers);
    return CLI_DONE;
}

const cli_command cli_server_info = {
    .name = "info",
    .help = "Everything about one server",
    .text = CLI_INQUIRY_TEXT,
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
