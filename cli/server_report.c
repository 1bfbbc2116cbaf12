/* pipit server report -- connections and accounts over all servers. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_LIMIT = 1024, CONNECTIONS_MAX = 1000000 };

struct options {
    const char *monitor, *account, *sort, *subject, *username, *state, *reason;
    cli_server_filter filter;
    int64_t top, limit;
    bool reverse;
};

/* --- what both have -------------------------------------------------------------------------- */

#define SERVER_FLAGS                                                                               \
    CLI_MONITOR_FLAG(struct options, monitor), CLI_SERVER_FILTER_FLAGS(struct options, filter),    \
        {.name = "top",                                                                            \
         .type = CLI_COUNT,                                                                        \
         .value = "N",                                                                             \
         .help = "Show no more than N",                                                            \
         .fallback = "1000",                                                                       \
         .min = 1,                                                                                 \
         .max = CONNECTIONS_MAX,                                                                   \
         .offset = offsetof(struct options, top)},                                                 \
    {                                                                                              \
        .name = "reverse", .letter = 'R', .type = CLI_SWITCH, .help = "The other way round",       \
        .offset = offsetof(struct options, reverse)                                                \
    }

static json_t *filters(const struct options *options)
{
    json_t *with = cli_json_object();

    cli_server_filter_add(&options->filter, with);
    return with;
}

static void sort(json_t *rows, const struct options *options)
{
    static const struct {
        const char *key, *path;
        bool descending;
    } orders[] = {
        {"in-bytes", "in_bytes", true},     {"out-bytes", "out_bytes", true},
        {"in-msgs", "in_msgs", true},       {"out-msgs", "out_msgs", true},
        {"uptime", "uptime_s", true},       {"cid", "cid", false},
        {"subs", "subscriptions", true},    {"conns", "connections", true},
        {"pending", "pending_bytes", true}, {"rtt", "rtt", true},
    };

    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        if (strcmp(orders[i].key, options->sort) == 0)
            cli_json_sort(rows, orders[i].path, orders[i].descending != options->reverse);
    }
    while (json_array_size(rows) > (size_t)options->top)
        (void)json_array_remove(rows, json_array_size(rows) - 1); /* it is there */
}

/* Print rows as JSON, or with their columns. Takes rows. */
static int finish(const cli_call *call, json_t *rows, void (*show)(const json_t *rows))
{
    if (call->globals->json)
        return cli_json_print(rows);
    show(rows);
    json_decref(rows);
    return CLI_DONE;
}

/* --- connections ----------------------------------------------------------------------------- */

static const cli_flag connection_flags[] = {
    SERVER_FLAGS,
    {.name = "account",
     .type = CLI_TEXT,
     .value = "ACCOUNT",
     .help = "Only connections of this account",
     .offset = offsetof(struct options, account)},
    {.name = "sort",
     .type = CLI_CHOICE,
     .value = "KEY",
     .choices = "subs|in-bytes|out-bytes|in-msgs|out-msgs|uptime|cid|pending",
     .help = "What comes first",
     .fallback = "subs",
     .offset = offsetof(struct options, sort)},
    {.name = "subject",
     .type = CLI_TEXT,
     .value = "SUBJECT",
     .help = "Only those with a subscription that hears SUBJECT; not with --monitor",
     .offset = offsetof(struct options, subject)},
    {.name = "username",
     .type = CLI_TEXT,
     .value = "USER",
     .help = "Only those of this user",
     .offset = offsetof(struct options, username)},
    {.name = "state",
     .type = CLI_CHOICE,
     .value = "STATE",
     .choices = "open|closed|all",
     .help = "Which",
     .fallback = "open",
     .offset = offsetof(struct options, state)},
    {.name = "closed-reason",
     .type = CLI_TEXT,
     .value = "REASON",
     .help = "Only those that were closed for this: 'Slow Consumer (Pending Bytes)'",
     .offset = offsetof(struct options, reason)},
    {0},
};

static const cli_argument connection_arguments[] = {
    CLI_EXPECT_ARGUMENT(struct options, limit),
    {0},
};

static const cli_example connection_examples[] = {
    {"pipit server report connections --sort out-msgs --top 10", "Who gets the most messages."},
    {"pipit server report connections --state closed", "Who has left, and why."},
    {0},
};

static json_t *connection_question(const struct options *options, uint64_t offset)
{
    json_t *with = filters(options);
    bool closed = strcmp(options->state, "closed") == 0 || options->reason;

    cli_json_set_flag(with, "auth", 1);
    cli_json_set_count(with, "limit", PAGE_LIMIT);
    cli_json_set_count(with, "offset", offset);
    cli_json_set_count(with, "state", strcmp(options->state, "all") == 0 ? 2 : closed);
    if (options->account)
        cli_json_set_text(with, "acc", options->account);
    if (options->username)
        cli_json_set_text(with, "user", options->username);
    if (options->subject)
        cli_json_set_text(with, "filter_subject", options->subject);
    return with;
}

/* Take the connections of one answer over into rows; how many more there may be. */
static uint64_t take(const json_t *answer, const struct options *options, json_t *rows)
{
    json_t *connection;
    size_t i, bytes;
    const char *name = cli_server_name(answer, &bytes);
    const json_t *list = cli_json_at(answer, "data.connections");

    json_array_foreach(list, i, connection)
    {
        const char *uptime = cli_json_text_at(connection, "uptime", NULL);

        if (!json_is_object(connection) ||
            (options->reason &&
             strcmp(cli_json_text_at(connection, "reason", NULL), options->reason) != 0) ||
            json_array_size(rows) >= CONNECTIONS_MAX)
            continue;
        cli_json_set(connection, "server", cli_json_text(name, bytes));
        cli_json_set(connection, "uptime_s", json_integer(cli_uptime_read(uptime)));
        cli_json_append(rows, json_incref(connection));
    }
    return json_array_size(list) ? cli_json_count_at(answer, "data.total") : 0;
}

static void show_connections(const json_t *rows)
{
    static const struct {
        const char *head;
        cli_align align;
    } columns[] = {
        {"CID", CLI_RIGHT},      {"Name", CLI_LEFT},       {"Server", CLI_LEFT},
        {"Address", CLI_LEFT},   {"Account", CLI_LEFT},    {"User", CLI_LEFT},
        {"Uptime", CLI_RIGHT},   {"In Msgs", CLI_RIGHT},   {"Out Msgs", CLI_RIGHT},
        {"In Bytes", CLI_RIGHT}, {"Out Bytes", CLI_RIGHT}, {"Pending", CLI_RIGHT},
        {"Subs", CLI_RIGHT},     {"Closed for", CLI_LEFT},
    };
    cli_table *table;
    bool closed = false;
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row) closed = closed || *cli_json_text_at(row, "reason", NULL);
    table = cli_table_new("Connections");
    for (i = 0; i + !closed < sizeof(columns) / sizeof(columns[0]); i++)
        cli_table_column(table, columns[i].head, columns[i].align);
    json_array_foreach(rows, i, row)
    {
        size_t bytes;
        const char *ip = cli_json_text_at(row, "ip", &bytes);

        cli_table_cellf(table, "%llu", (unsigned long long)cli_json_count_at(row, "cid"));
        cli_server_cell_text(table, row, "name");
        cli_server_cell_text(table, row, "server");
        cli_table_cellf(table, "%.*s:%llu", (int)bytes, ip,
                        (unsigned long long)cli_json_count_at(row, "port"));
        cli_server_cell_text(table, row, "account");
        cli_server_cell_text(table, row, "authorized_user");
        cli_server_cell_text(table, row, "uptime");
        cli_server_cell_count(table, row, "in_msgs");
        cli_server_cell_count(table, row, "out_msgs");
        cli_server_cell_size(table, row, "in_bytes");
        cli_server_cell_size(table, row, "out_bytes");
        cli_server_cell_size(table, row, "pending_bytes");
        cli_server_cell_count(table, row, "subscriptions");
        if (closed)
            cli_server_cell_text(table, row, "reason");
    }
    cli_table_print(table, stdout);
    cli_table_free(table);
}

static int run_connections(const cli_call *call)
{
    const struct options *options = call->options;
    uint64_t offset = 0, total = 1;
    int status = CLI_DONE;
    json_t *rows;
    cli_inquiry *inquiry = cli_inquiry_open(call, options->monitor, &status);

    if (!inquiry)
        return status;
    rows = cli_json_array();
    cli_inquiry_expect(inquiry, options->limit);
    for (; !status && offset < total; offset += PAGE_LIMIT) {
        json_t *answers =
            cli_inquiry_ask(inquiry, "CONNZ", connection_question(options, offset), &status);
        json_t *answer;
        size_t i;

        total = 0;
        json_array_foreach(answers, i, answer)
        {
            uint64_t there = take(answer, options, rows);

            total = there > total ? there : total;
        }
        json_decref(answers);
    }
    cli_inquiry_close(inquiry);
    if (status) {
        json_decref(rows);
        return status;
    }
    sort(rows, options);
    return finish(call, rows, show_connections);
}

static const cli_command report_connections = {
    .name = "connections",
    .aliases = "conn connz conns",
    .help = "Connections of all servers",
    .text = CLI_INQUIRY_TEXT,
    .flags = connection_flags,
    .arguments = connection_arguments,
    .examples = connection_examples,
    .options_bytes = sizeof(struct options),
    .run = run_connections,
};

/* --- accounts -------------------------------------------------------------------------------- */

static const cli_flag account_flags[] = {
    SERVER_FLAGS,
    {.name = "sort",
     .type = CLI_CHOICE,
     .value = "KEY",
     .choices = "subs|in-bytes|out-bytes|in-msgs|out-msgs|conns",
     .help = "What comes first",
     .fallback = "subs",
     .offset = offsetof(struct options, sort)},
    {0},
};

static const cli_argument account_arguments[] = {
    {.name = "ACCOUNT",
     .type = CLI_TEXT,
     .optional = true,
     .help = "Only this account",
     .offset = offsetof(struct options, account)},
    CLI_EXPECT_ARGUMENT(struct options, limit),
    {0},
};

static const cli_example account_examples[] = {
    {"pipit server report accounts --sort in-msgs", "Accounts, the busiest first."},
    {0},
};

static void add_to(json_t *row, const char *name, const json_t *from, const char *path)
{
    cli_json_set_count(row, name, cli_json_count_at(row, name) + cli_json_count_at(from, path));
}

/* One row for an account, over all servers. */
static void sum(json_t *by_account, const json_t *account)
{
    size_t bytes;
    const char *name = cli_json_text_at(account, "acc", &bytes);
    json_t *row = json_object_getn(by_account, name, bytes);

    if (!row) {
        row = cli_json_object();
        cli_json_set(row, "account", cli_json_text(name, bytes));
        if (json_object_setn_new(by_account, name, bytes, row) != 0)
            cli_out_of_memory();
    }
    add_to(row, "connections", account, "conns");
    add_to(row, "leafnodes", account, "leafnodes");
    add_to(row, "in_msgs", account, "received.msgs");
    add_to(row, "out_msgs", account, "sent.msgs");
    add_to(row, "in_bytes", account, "received.bytes");
    add_to(row, "out_bytes", account, "sent.bytes");
    add_to(row, "subscriptions", account, "num_subscriptions");
    add_to(row, "slow_consumers", account, "slow_consumers");
}

static void show_accounts(const json_t *rows)
{
    static const char *const heads[] = {"Account",  "Connections", "Leafs", "In Msgs", "Out Msgs",
                                        "In Bytes", "Out Bytes",   "Subs",  "Slow"};
    cli_table *table = cli_table_new("Accounts");
    json_t *row;
    size_t i;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_column(table, heads[i], i ? CLI_RIGHT : CLI_LEFT);
    json_array_foreach(rows, i, row)
    {
        cli_server_cell_text(table, row, "account");
        cli_server_cell_count(table, row, "connections");
        cli_server_cell_count(table, row, "leafnodes");
        cli_server_cell_count(table, row, "in_msgs");
        cli_server_cell_count(table, row, "out_msgs");
        cli_server_cell_size(table, row, "in_bytes");
        cli_server_cell_size(table, row, "out_bytes");
        cli_server_cell_count(table, row, "subscriptions");
        cli_server_cell_count(table, row, "slow_consumers");
    }
    cli_table_print(table, stdout);
    cli_table_free(table);
}

static json_t *sum_all(const json_t *answers, const char *only)
{
    json_t *by_account = cli_json_object(), *rows = cli_json_array(), *answer, *account;
    const char *name;
    size_t i, k;

    json_array_foreach(answers, i, answer)
    {
        json_array_foreach(cli_json_at(answer, "data.account_statz"), k, account)
        {
            if (!only || strcmp(cli_json_text_at(account, "acc", NULL), only) == 0)
                sum(by_account, account);
        }
    }
    json_object_foreach(by_account, name, account) cli_json_append(rows, json_incref(account));
    json_decref(by_account);
    return rows;
}

static int run_accounts(const cli_call *call)
{
    const struct options *options = call->options;
    int status;
    json_t *answers, *rows, *with = filters(options);

    cli_json_set_flag(with, "include_unused", 1);
    answers = cli_inquiry_once(call, options->monitor, options->limit, "ACCSTATZ", with, &status);
    if (!answers)
        return status;
    rows = sum_all(answers, options->account);
    json_decref(answers);
    sort(rows, options);
    return finish(call, rows, show_accounts);
}

static const cli_command report_accounts = {
    .name = "accounts",
    .aliases = "acct acc",
    .help = "Accounts over all servers",
    .text = CLI_INQUIRY_TEXT,
    .flags = account_flags,
    .arguments = account_arguments,
    .examples = account_examples,
    .options_bytes = sizeof(struct options),
    .run = run_accounts,
};

static const cli_command *const reports[] = {&report_connections, &report_accounts, NULL};

const cli_command cli_server_report = {
    .name = "report",
    .aliases = "rep",
    .help = "Connections and accounts over all servers",
    .commands = reports,
};
