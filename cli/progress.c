#include "cli/progress.h"

#include "cli/terminal.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 512, TEXT_COLUMNS = 56, INTERVAL_NS = 100000000 };

void cli_progress_begin(cli_progress *p, const char *title, uint64_t goal, bool wanted)
{
    *p = (cli_progress){
        .title = title, .goal = goal, .begun_ns = cli_now_ns(), .shown_ns = cli_now_ns()};
    p->wanted = wanted && isatty(fileno(stderr));
}

/* "[=====>    ]", as wide as there is room. */
static void draw_bar(const cli_progress *p, uint64_t done, char *out)
{
    unsigned columns = cli_terminal_columns(stderr);
    unsigned width = columns > TEXT_COLUMNS + 60  ? 60
                     : columns > TEXT_COLUMNS + 4 ? columns - TEXT_COLUMNS
                                                  : 4;
    unsigned filled = (unsigned)((double)done / (double)p->goal * width);

    filled = filled > width ? width : filled;
    *out++ = '[';
    for (unsigned i = 0; i < width; i++)
        *out++ = i < filled ? '=' : i == filled ? '>' : ' ';
    memcpy(out, "] ", 3);
}

void cli_progress_show(cli_progress *p, uint64_t done)
{
    int64_t now = cli_now_ns();
    char bar[LINE_BYTES] = "", rate_text[CLI_VALUE_BYTES], left[CLI_VALUE_BYTES] = "";
    double rate, mean;

    if (!p->wanted || now - p->shown_ns < INTERVAL_NS)
        return;
    rate = (double)(done - p->before) * 1e9 / (double)(now - p->shown_ns);
    mean = (double)done / (double)(now - p->begun_ns);
    if (p->goal)
        draw_bar(p, done, bar);
    if (p->goal && mean > 0 && done < p->goal)
        cli_duration_format((int64_t)((double)(p->goal - done) / mean), left);
    cli_count_format((uint64_t)rate, rate_text);
    (void)fprintf(stderr, "\r\033[K%-8s %s", p->title, bar);
    if (p->goal)
        (void)fprintf(stderr, "%3u%%  ", (unsigned)(100 * (double)done / (double)p->goal));
    (void)fprintf(stderr, "%s/s%s%s", rate_text, *left ? "  ETA " : "", left);
    (void)fflush(stderr);
    p->drawn = true;
    p->before = done;
    p->shown_ns = now;
}

void cli_progress_end(cli_progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    p->drawn = false;
}
