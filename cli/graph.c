#include "cli/graph.h"

#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/terminal.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS_KEPT = 240, ROWS = 8, LABEL = 11, EIGHTHS = 8 };

static const int64_t second_ns = 1000000000;

struct cli_graph {
    char *title;
    const char *what;
    double rates[SECONDS_KEPT]; /* the last one at [count - 1] */
    size_t count;
    uint64_t messages, bytes, all;
    int64_t since_ns;
    bool drawn;
};

cli_graph *cli_graph_new(const char *title, const char *what)
{
    cli_graph *graph = cli_alloc(sizeof(*graph));

    graph->title = cli_escape(title, strlen(title), 60);
    graph->what = what;
    graph->since_ns = cli_now_ns();
    return graph;
}

void cli_graph_free(cli_graph *graph)
{
    if (graph)
        free(graph->title);
    free(graph);
}

void cli_graph_count(cli_graph *graph, uint64_t messages, uint64_t bytes)
{
    graph->messages += messages;
    graph->bytes += bytes;
}

int64_t cli_graph_due_ns(const cli_graph *graph)
{
    return graph->since_ns + second_ns;
}

static void keep(cli_graph *graph, double rate)
{
    if (graph->count == SECONDS_KEPT) {
        memmove(graph->rates, graph->rates + 1, (SECONDS_KEPT - 1) * sizeof(*graph->rates));
        graph->count--;
    }
    graph->rates[graph->count++] = rate;
}

/* Columns of eighths of a block, the last second at the right. */
static void draw(cli_graph *graph, FILE *out)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    size_t width = cli_terminal_columns(out) - LABEL - 2;
    size_t from = graph->count > width ? graph->count - width : 0;
    double most = 1;

    for (size_t i = from; i < graph->count; i++)
        most = graph->rates[i] > most ? graph->rates[i] : most;
    if (graph->drawn)
        (void)fprintf(out, "\033[%dA\r", ROWS);
    graph->drawn = true;
    for (int row = ROWS - 1; row >= 0; row--) {
        char label[CLI_VALUE_BYTES] = "";

        if (row == ROWS - 1 || row == 0)
            cli_count_format(row ? (uint64_t)most : 0, label);
        (void)fprintf(out, "\033[K%*s %s", LABEL, label, cli_style_text(out, CLI_GREEN));
        for (size_t i = from; i < graph->count; i++) {
            int filled = (int)(graph->rates[i] / most * ROWS * EIGHTHS + 0.5) - row * EIGHTHS;

            (void)fputs(blocks[filled < 0 ? 0 : filled > EIGHTHS ? EIGHTHS : filled], out);
        }
        (void)fprintf(out, "%s\n", cli_style_text(out, CLI_PLAIN));
    }
}

void cli_graph_show(cli_graph *graph, FILE *out)
{
    int64_t now = cli_now_ns();
    double seconds = (double)(now - graph->since_ns) / (double)second_ns;
    double rate = seconds > 0 ? (double)graph->messages / seconds : 0;
    char rate_text[CLI_VALUE_BYTES], size[CLI_VALUE_BYTES], sum[CLI_VALUE_BYTES], clock[16];
    bool terminal = isatty(fileno(out));

    graph->all += graph->messages;
    keep(graph, rate);
    if (terminal && graph->drawn)
        (void)fputs("\033[1A", out);
    if (terminal)
        draw(graph, out);
    cli_count_format((uint64_t)rate, rate_text);
    cli_size_format(seconds > 0 ? (double)graph->bytes / seconds : 0, size);
    cli_count_format(graph->all, sum);
    cli_clock_text(clock);
    (void)fprintf(out, "%s%s %s: %s %s/s, %s/s, %s in all\n", terminal ? "\033[K" : "", clock,
                  graph->title, rate_text, graph->what, size, sum);
    (void)fflush(out);
    graph->messages = graph->bytes = 0;
    graph->since_ns = now;
}
