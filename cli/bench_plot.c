/* Results as a picture: rates over time, and below them the latencies by their percentile. One SVG
 * without anything from elsewhere. */
#include "cli/bench.h"

#include "cli/memory.h"
#include "cli/say.h"
#include "cli/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 800, PLOT_HEIGHT = 260, LEFT = 90, RIGHT = 20, TOP = 50, GAP = 70, GRID = 4 };

static const char *const colours[] = {"#2f6fb0", "#c4572e", "#3b8a57", "#8a5aa8"};

/* Texts of the command line stand in the picture. */
static void write_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || (unsigned char)*text < ' ' ||
            (unsigned char)*text >= 0x7f)
            (void)fprintf(out, *text == '<'   ? "&lt;"
                               : *text == '>' ? "&gt;"
                               : *text == '&' ? "&amp;"
                                              : "?");
        else
            (void)fputc(*text, out);
    }
}

static void label(FILE *out, double x, double y, const char *anchor, const char *text)
{
    (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    write_text(out, text);
    (void)fputs("</text>\n", out);
}

/* Lines across, with what they stand for. */
static void grid(FILE *out, double top, double most, void (*format)(double, char *))
{
    for (int i = 0; i <= GRID; i++) {
        double y = top + PLOT_HEIGHT * (1 - (double)i / GRID);
        char text[CLI_VALUE_BYTES];

        format(most * i / GRID, text);
        (void)fprintf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, WIDTH - RIGHT);
        label(out, LEFT - 8, y + 4, "end", text);
    }
}

static void format_rate(double value, char *out)
{
    cli_count_format((uint64_t)value, out);
}

static void format_latency(double value, char *out)
{
    cli_duration_format((int64_t)value, out);
}

/* --- rates over time ---------------------------------------------------------------------- */

static double rate_at(const bench_result *r, size_t role, size_t i)
{
    uint64_t before = i ? r->samples[role][i - 1] : 0;

    return (double)(r->samples[role][i] - before) * 1e9 / (double)r->sample_ns;
}

/* The last sample is of a shorter time than the others, if there are any. */
static size_t samples_shown(const bench_result *r)
{
    return r->sample_count > 1 ? r->sample_count - 1 : r->sample_count;
}

static void plot_rates(FILE *out, const bench_result *r, double top)
{
    size_t count = samples_shown(r), row = 0;
    double most = 1, step = (double)(WIDTH - LEFT - RIGHT) / (double)(count > 1 ? count - 1 : 1);
    char text[CLI_VALUE_BYTES];

    for (size_t role = 0; role < BENCH_ROLES; role++) {
        for (size_t i = 0; i < count; i++)
            most = fmax(most, rate_at(r, role, i));
    }
    grid(out, top, most, format_rate);
    for (size_t role = 0; role < BENCH_ROLES; role++) {
        if (!r->plan->clients[role])
            continue;
        (void)fprintf(out, "<path class=\"line\" stroke=\"%s\" d=\"", colours[role]);
        for (size_t i = 0; i < count; i++)
            (void)fprintf(out, "%c%.1f %.1f", i ? 'L' : 'M', LEFT + step * (double)i,
                          top + PLOT_HEIGHT * (1 - rate_at(r, role, i) / most));
        (void)fprintf(out, "\"/>\n<text class=\"key\" fill=\"%s\" x=\"%d\" y=\"%.1f\">%s</text>\n",
                      colours[role], LEFT + 10, top + 16 + 16 * (double)row++,
                      bench_role_name((bench_role)role));
    }
    cli_duration_format((int64_t)count * r->sample_ns, text);
    label(out, LEFT, top + PLOT_HEIGHT + 18, "start", "messages each second, over time");
    label(out, WIDTH - RIGHT, top + PLOT_HEIGHT + 18, "end", text);
}

/* --- latencies by percentile -------------------------------------------------------------- */

/* The further right, the fewer are slower: 0, 90 %, 99 %, 99.9 %... are as far from each other. */
static void plot_latencies(FILE *out, const cli_latencies *latencies, double top)
{
    static const char *const names[] = {"0", "90 %", "99 %", "99.9 %", "99.99 %"};
    double most = (double)cli_latencies_at(latencies, 0.9999), decades = 4;

    most = most > 0 ? most : 1;
    grid(out, top, most, format_latency);
    (void)fprintf(out, "<path class=\"line\" stroke=\"%s\" d=\"", colours[0]);
    for (int i = 0; i <= 400; i++) {
        double at = decades * i / 400, share = 1 - pow(10, -at);

        (void)fprintf(out, "%c%.1f %.1f", i ? 'L' : 'M',
                      LEFT + (WIDTH - LEFT - RIGHT) * at / decades,
                      top + PLOT_HEIGHT * (1 - (double)cli_latencies_at(latencies, share) / most));
    }
    (void)fputs("\"/>\n", out);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        label(out, LEFT + (WIDTH - LEFT - RIGHT) * (double)i / decades, top + PLOT_HEIGHT + 18,
              i ? i == 4 ? "end" : "middle" : "start", i ? names[i] : "latency, by percentile");
}

int bench_plot_store(const bench_result *result, const char *path)
{
    cli_latencies *latencies = bench_latencies_of(result);
    int height = TOP + PLOT_HEIGHT + GAP + (latencies ? PLOT_HEIGHT + GAP : 0);
    FILE *out = fopen(path, "we");
    char *title;
    bool bad;

    if (!out) {
        cli_latencies_free(latencies);
        return cli_fail(CLI_USAGE, "cannot write %s: %s", path, strerror(errno));
    }
    title = cli_format("pipit bench %s %s, %lld B", result->plan->what, result->plan->subject,
                       (long long)result->plan->size);
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<style>.grid{stroke:#ccc}.line{fill:none;stroke-width:1.5}.key{font-weight:bold}"
                  "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                  WIDTH, height, WIDTH);
    label(out, LEFT, 28, "start", title);
    plot_rates(out, result, TOP);
    if (latencies)
        plot_latencies(out, latencies, TOP + PLOT_HEIGHT + GAP);
    (void)fputs("</svg>\n", out);
    bad = ferror(out);
    bad = fclose(out) != 0 || bad;
    free(title);
    cli_latencies_free(latencies);
    return bad ? cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno)) : CLI_DONE;
}
