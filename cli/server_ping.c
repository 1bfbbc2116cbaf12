/* pipit server ping -- how long servers take to answer. */
#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/server.h"
#include "cli/terminal.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>

enum { BARS = 20, BAR_COLUMNS = 40 };

struct options {
    const char *monitor;
    int64_t expect;
    bool graph, id;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "graph",
     .type = CLI_SWITCH,
     .help = "Show how answers spread over time",
     .offset = offsetof(struct options, graph)},
    {.name = "id",
     .type = CLI_SWITCH,
     .help = "Show ids, too",
     .offset = offsetof(struct options, id)},
    {0},
};

static const cli_argument arguments[] = {
    CLI_EXPECT_ARGUMENT(struct options, expect),
    {0},
};

static const cli_example examples[] = {
    {"pipit server ping", "Every server, and how long it takes."},
    {0},
};

static double rtt_of(const json_t *answers, size_t i)
{
    return cli_json_real_at(json_array_get(answers, i), "rtt_ns");
}

/* Answers are in the order of their coming. */
static void show_graph(const json_t *answers)
{
    size_t count = json_array_size(answers), shown = 0;
    double last = rtt_of(answers, count - 1);
    char text[CLI_VALUE_BYTES];

    (void)printf("\n");
    for (int bar = 0; bar < BARS; bar++) {
        double until = last * (bar + 1) / BARS;
        size_t in = 0, dots;

        while (shown < count && (rtt_of(answers, shown) <= until || bar == BARS - 1)) {
            in++;
            shown++;
        }
        cli_duration_format((int64_t)until, text);
        (void)printf("%12s |", text);
        dots = (in * BAR_COLUMNS + count - 1) / count;
        while (dots--)
            (void)putchar('#');
        (void)printf(" %zu\n", in);
    }
}

static void show(const json_t *answers, const struct options *options)
{
    size_t count = json_array_size(answers), i, bytes;
    double sum = 0, least = rtt_of(answers, 0), most = 0;
    char text[3][CLI_VALUE_BYTES];
    json_t *answer;

    json_array_foreach(answers, i, answer)
    {
        double rtt = rtt_of(answers, i);
        const char *name = cli_server_name(answer, &bytes);
        char *safe = cli_escape(name, bytes, 60), *id;

        name = cli_json_text_at(answer, "server.id", &bytes);
        id = cli_escape(name, bytes, 60);
        cli_duration_format((int64_t)rtt, text[0]);
        (void)printf("%s%s%-40s rtt=%s\n", options->id ? id : "", options->id ? " " : "", safe,
                     text[0]);
        free(safe);
        free(id);
        sum += rtt;
        least = rtt < least ? rtt : least;
        most = rtt > most ? rtt : most;
    }
    cli_duration_format((int64_t)least, text[0]);
    cli_duration_format((int64_t)(sum / (double)count), text[1]);
    cli_duration_format((int64_t)most, text[2]);
    (void)printf("\n%zu %s, least %s, mean %s, most %s\n", count, count == 1 ? "answer" : "answers",
                 text[0], text[1], text[2]);
    if (options->graph)
        show_graph(answers);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    int status;
    json_t *answers = cli_inquiry_once(call, options->monitor, options->expect,
                                       options->monitor ? "HEALTHZ" : "STATSZ", NULL, &status);
    int64_t came = answers ? (int64_t)json_array_size(answers) : 0;

    if (!answers)
        return status;
    if (call->globals->json) {
        (void)cli_json_print(answers);
    } else {
        show(answers, options);
        json_decref(answers);
    }
    return cli_server_missing(options->expect, came);
}

const cli_command cli_server_ping = {
    .name = "ping",
    .help = "How long servers take to answer",
    .text = CLI_INQUIRY_TEXT,
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
