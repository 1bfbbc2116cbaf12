#include "cli/top.h"

#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/table.h"
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *monitor, *sort;
    int64_t interval_ns, number, count;
    bool batch, reverse, raw, subscriptions, closed;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "interval",
     .letter = 'd',
     .type = CLI_DURATION,
     .value = "DURATION",
     .help = "Time between two looks",
     .fallback = "1s",
     .min = 100000000,
     .max = 3600000000000,
     .offset = offsetof(struct options, interval_ns)},
    {.name = "number",
     .letter = 'n',
     .type = CLI_COUNT,
     .value = "N",
     .help = "Connections to show at most",
     .fallback = "1024",
     .min = 1,
     .max = 100000,
     .offset = offsetof(struct options, number)},
    {.name = "sort",
     .letter = 'o',
     .type = CLI_CHOICE,
     .value = "KEY",
     .choices = CLI_TOP_SORTS,
     .help = "What comes first; _to is what clients get, rate is messages per second both ways, "
             "stop and reason are for --closed",
     .offset = offsetof(struct options, sort)},
    {.name = "reverse",
     .letter = 'R',
     .type = CLI_SWITCH,
     .help = "The other way round",
     .offset = offsetof(struct options, reverse)},
    {.name = "raw",
     .type = CLI_SWITCH,
     .help = "Show whole numbers, not 1.2 MiB",
     .offset = offsetof(struct options, raw)},
    {.name = "subscriptions",
     .letter = 'u',
     .type = CLI_SWITCH,
     .help = "Show what connections subscribe to",
     .offset = offsetof(struct options, subscriptions)},
    {.name = "closed",
     .type = CLI_SWITCH,
     .help = "Show connections that have been closed, and why",
     .offset = offsetof(struct options, closed)},
    {.name = "batch",
     .letter = 'b',
     .type = CLI_SWITCH,
     .help = "Print looks below one another, also at a terminal",
     .offset = offsetof(struct options, batch)},
    {.name = "count",
     .type = CLI_COUNT,
     .value = "N",
     .help = "End after N looks, in batches (default: when interrupted)",
     .min = 1,
     .offset = offsetof(struct options, count)},
    {0},
};

static const cli_example examples[] = {
    {"pipit top --batch --count 2 --interval 200ms --sort msgs_to",
     "Two looks, for a file or a pipe."},
    {"pipit top --json --count 1 --number 3", "Numbers for a script."},
    {0},
};

/* --- orders ----------------------------------------------------------------------------------- */

static const char *const sorts[] = {"cid",       "start",    "subs",       "pending", "msgs_to",
                                    "msgs_from", "bytes_to", "bytes_from", "last",    "idle",
                                    "uptime",    "rtt",      "rate",       "stop",    "reason"};
enum { SORTS = sizeof(sorts) / sizeof(sorts[0]), OPEN_SORTS = SORTS - 2 };

static size_t index_of(const char *name)
{
    size_t i = 0;

    while (i < SORTS && strcmp(sorts[i], name) != 0)
        i++;
    return i;
}

const char *cli_top_find_sort(const char *name)
{
    size_t i = index_of(name);

    return i < SORTS ? sorts[i] : NULL;
}

const char *cli_top_step_sort(const char *name, int step)
{
    size_t i = index_of(name);

    return sorts[(i + (step < 0 ? OPEN_SORTS - 1 : 1)) % OPEN_SORTS];
}

/* --- batches ---------------------------------------------------------------------------------- */

static void show(const cli_top_look *look, const cli_top_view *view, bool first)
{
    size_t count, i;
    const cli_top_column *columns = cli_top_columns(view, &count);
    cli_table *table = cli_table_new(NULL);
    char **head = cli_top_head(look, view);
    json_t *connection;

    for (i = 0; head[i]; i++)
        (void)printf("%s%s\n", i || first ? "" : "\n", head[i]);
    cli_top_head_free(head);
    (void)printf("\n");
    for (i = 0; i < count; i++)
        cli_table_column(table, columns[i].head, columns[i].right ? CLI_RIGHT : CLI_LEFT);
    json_array_foreach(cli_top_connections(look), i, connection)
    {
        for (size_t k = 0; k < count; k++) {
            char *cell = cli_top_cell(look, view, connection, k);

            cli_table_cell(table, cell);
            free(cell);
        }
    }
    cli_table_print(table, stdout);
    cli_table_free(table);
    (void)fflush(stdout); /* ferror tells */
}

static void show_json(const cli_top_look *look)
{
    static const char *const names[CLI_TOP_NUMBERS] = {"in_msgs_per_s", "out_msgs_per_s",
                                                       "in_bytes_per_s", "out_bytes_per_s"};
    json_t *all = cli_json_object(), *rates = cli_json_object(), *connections, *connection;
    size_t i;

    connections = json_deep_copy(cli_top_connections(look));
    if (!connections)
        cli_out_of_memory();
    json_array_foreach(connections, i, connection)
    {
        for (int k = 0; k < CLI_TOP_NUMBERS; k++) {
            double rate = cli_top_rate(look, connection, (cli_top_number)k);

            if (rate >= 0)
                cli_json_set_real(connection, names[k], rate);
        }
    }
    for (int k = 0; k < CLI_TOP_NUMBERS; k++) {
        double rate = cli_top_server_rate(look, (cli_top_number)k);

        if (rate >= 0)
            cli_json_set_real(rates, names[k], rate);
    }
    cli_json_set(all, "server", json_incref((json_t *)(uintptr_t)cli_top_server(look)));
    cli_json_set(all, "rates", rates);
    cli_json_set_count(all, "total", cli_top_total(look));
    cli_json_set(all, "connections", connections);
    (void)cli_json_line(all);
    (void)fflush(stdout); /* ferror tells */
}

static int run_batch(cli_inquiry *inquiry, const cli_top_view *view, const cli_call *call)
{
    const struct options *options = call->options;
    cli_top_look *look = cli_top_look_new();
    int64_t looks = 0;
    bool good;

    while ((good = cli_top_look_again(look, inquiry, view))) {
        if (call->globals->json)
            show_json(look);
        else
            show(look, view, looks == 0);
        if (++looks == options->count || ferror(stdout) || cli_turn_wait(options->interval_ns))
            break;
    }
    cli_top_look_free(look);
    return good ? CLI_DONE : cli_fail(CLI_NO_ANSWER, "the server does not answer any more");
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    bool batch = options->batch || call->globals->json || options->count ||
                 !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    const cli_top_view view = {
        .sort = options->sort     ? options->sort
                : options->closed ? "stop"
                                  : "cid",
        .reverse = options->reverse,
        .raw = options->raw,
        .subscriptions = options->subscriptions,
        .closed = options->closed,
        .limit = options->number,
    };
    json_t *first;
    cli_inquiry *inquiry;
    int status;

    if (!view.closed && index_of(view.sort) >= OPEN_SORTS)
        return cli_fail(CLI_USAGE, "--sort %s is for --closed", view.sort);
    cli_turn_catch();
    inquiry = cli_inquiry_open_lasting(call, options->monitor, &status);
    if (!inquiry)
        return status;
    first =
        cli_inquiry_ask_one(inquiry, NULL, "VARZ", NULL, &status); /* which says what is wrong */
    if (first && batch)
        status = run_batch(inquiry, &view, call);
    else if (first)
        status = cli_top_screen(inquiry, view, options->interval_ns);
    json_decref(first);
    cli_inquiry_close(inquiry);
    return status;
}

const cli_command cli_top_command = {
    .name = "top",
    .help = "Connections at work, live",
    .text = "Shows one server and its connections, again and again: at a terminal in place, with "
            "keys to sort and look (? shows them), otherwise and with --batch look after "
            "look. " CLI_INQUIRY_TEXT "\n\n"
            "Connections are in the order that the server makes and as many as are shown, which "
            "costs it little; by rate and reversed it has to tell of all.",
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
