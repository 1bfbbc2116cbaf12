/* pipit server watch -- servers, again and again, with rates. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *monitor;
    int64_t interval_ns, count;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "interval",
     .letter = 'i',
     .type = CLI_DURATION,
     .value = "DURATION",
     .help = "Time between two looks",
     .fallback = "2s",
     .min = 100000000,
     .offset = offsetof(struct options, interval_ns)},
    {.name = "count",
     .type = CLI_COUNT,
     .value = "N",
     .help = "End after N looks (default: when interrupted)",
     .min = 1,
     .offset = offsetof(struct options, count)},
    {0},
};

static const cli_example examples[] = {
    {"pipit server watch --interval 1s", "What each server does, once a second."},
    {"pipit server watch --count 2 --interval 100ms --json", "The same for a script, twice."},
    {0},
};

/* Numbers that rates are made of, and what they are called. */
static const struct {
    const char *path, *name, *head;
    bool bytes;
} rates[] = {{"in_msgs", "in_msgs_per_s", "In Msgs/s", false},
             {"out_msgs", "out_msgs_per_s", "Out Msgs/s", false},
             {"in_bytes", "in_bytes_per_s", "In/s", true},
             {"out_bytes", "out_bytes_per_s", "Out/s", true}};
enum { RATES = sizeof(rates) / sizeof(rates[0]) };

static const json_t *find_same(const json_t *answers, const json_t *answer)
{
    const char *id = cli_json_text_at(answer, "data.server_id", NULL);
    json_t *other;
    size_t i;

    json_array_foreach(answers, i, other)
    {
        if (strcmp(cli_json_text_at(other, "data.server_id", NULL), id) == 0)
            return cli_json_at(other, "data");
    }
    return NULL;
}

/* One server: what is there now, and what has been since the last look. */
static json_t *make_row(const json_t *answer, const json_t *before, double seconds)
{
    static const char *const counts[] = {"connections", "subscriptions", "slow_consumers", "mem"};
    const json_t *data = cli_json_at(answer, "data"), *old = find_same(before, answer);
    json_t *row = cli_json_object();
    size_t bytes;
    const char *name = cli_server_name(answer, &bytes);

    cli_json_set(row, "server", cli_json_text(name, bytes));
    cli_json_set_real(row, "cpu", cli_json_real_at(data, "cpu"));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        cli_json_set_count(row, counts[i], cli_json_count_at(data, counts[i]));
    for (size_t i = 0; i < RATES && old; i++) {
        double more = cli_json_real_at(data, rates[i].path) - cli_json_real_at(old, rates[i].path);

        cli_json_set_real(row, rates[i].name, more > 0 && seconds > 0 ? more / seconds : 0);
    }
    return row;
}

static void show(const json_t *rows)
{
    static const char *const heads[] = {"Server", "Conns", "Subs", "Slow", "Mem", "CPU %"};
    static const char *const counts[] = {"connections", "subscriptions", "slow_consumers"};
    cli_table *table = cli_table_new("Servers");
    char text[CLI_VALUE_BYTES];
    json_t *row;
    size_t i;

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_column(table, heads[i], i ? CLI_RIGHT : CLI_LEFT);
    for (i = 0; i < RATES; i++)
        cli_table_column(table, rates[i].head, CLI_RIGHT);
    json_array_foreach(rows, i, row)
    {
        size_t bytes;
        const char *name = cli_json_text_at(row, "server", &bytes);

        cli_table_cell_bytes(table, name, bytes);
        for (size_t k = 0; k < 3; k++) {
            cli_count_format(cli_json_count_at(row, counts[k]), text);
            cli_table_cell(table, text);
        }
        cli_size_format(cli_json_real_at(row, "mem"), text);
        cli_table_cell(table, text);
        cli_table_cellf(table, "%.1f", cli_json_real_at(row, "cpu"));
        for (size_t k = 0; k < RATES; k++) {
            double rate = cli_json_real_at(row, rates[k].name);

            if (rates[k].bytes)
                cli_size_format(rate, text);
            else
                cli_count_format((uint64_t)(rate + 0.5), text);
            cli_table_cell(table, cli_json_at(row, rates[k].name) ? text : "");
        }
    }
    if (isatty(STDOUT_FILENO))
        (void)printf("\x1b[H\x1b[J"); /* from the top */
    cli_table_print(table, stdout);
    cli_table_free(table);
    (void)fflush(stdout); /* ferror tells */
}

static void look(const cli_call *call, const json_t *answers, const json_t *before, double seconds)
{
    json_t *rows = cli_json_array(), *answer;
    size_t i;

    json_array_foreach(answers, i, answer) cli_json_append(rows, make_row(answer, before, seconds));
    cli_json_sort(rows, "server", false);
    if (call->globals->json) {
        (void)cli_json_line(rows);
        (void)fflush(stdout); /* ferror tells */
        return;
    }
    show(rows);
    json_decref(rows);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    json_t *answers, *before = NULL;
    int64_t looks = 0, then = 0;
    cli_inquiry *inquiry;
    int status;

    cli_turn_catch();
    inquiry = cli_inquiry_open_lasting(call, options->monitor, &status);
    if (!inquiry)
        return status;
    while ((answers = cli_inquiry_ask(inquiry, "VARZ", NULL, &status))) {
        int64_t now = cli_now_ns();

        look(call, answers, before, (double)(now - then) / 1e9);
        json_decref(before);
        before = answers;
        then = now;
        if (++looks == options->count || ferror(stdout) || cli_turn_wait(options->interval_ns))
            break;
    }
    json_decref(before);
    cli_inquiry_close(inquiry);
    return status;
}

const cli_command cli_server_watch = {
    .name = "watch",
    .help = "Servers, again and again, with rates",
    .text = "Each look shows what is there, and from the second on what has been since the one "
            "before. " CLI_INQUIRY_TEXT,
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
