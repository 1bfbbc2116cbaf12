#include "cli/latencies.h"

#include "cli/command.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "cli/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, POWERS = 35, CELLS = (POWERS + 1) << STEP_BITS };

struct cli_latencies {
    uint64_t cells[CELLS];
    uint64_t count;
    int64_t largest;
};

static const struct {
    const char *name;
    double share;
} told[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

enum { TOLD = sizeof(told) / sizeof(told[0]) };

cli_latencies *cli_latencies_new(void)
{
    return cli_alloc(sizeof(cli_latencies));
}

void cli_latencies_free(cli_latencies *latencies)
{
    free(latencies);
}

/* Cells of one nanosecond up to STEPS, then STEPS of them for each power of two. */
static size_t cell_of(int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    int high = value ? 63 - __builtin_clzll(value) : 0, shift = high - STEP_BITS;
    size_t cell;

    if (shift < 0)
        return (size_t)value;
    cell = ((size_t)shift << STEP_BITS) + (size_t)(value >> shift);
    return cell < CELLS ? cell : CELLS - 1;
}

/* The least latency that falls into a cell. */
static int64_t floor_of(size_t cell)
{
    size_t shift = cell >> STEP_BITS;

    if (shift < 2)
        return (int64_t)cell;
    return (int64_t)(STEPS + (cell & (STEPS - 1))) << (shift - 1);
}

void cli_latencies_add(cli_latencies *l, int64_t ns)
{
    l->cells[cell_of(ns)]++;
    l->count++;
    if (ns > l->largest)
        l->largest = ns;
}

void cli_latencies_merge(cli_latencies *into, const cli_latencies *from)
{
    for (size_t i = 0; i < CELLS; i++)
        into->cells[i] += from->cells[i];
    into->count += from->count;
    if (from->largest > into->largest)
        into->largest = from->largest;
}

uint64_t cli_latencies_count(const cli_latencies *l)
{
    return l->count;
}

int64_t cli_latencies_at(const cli_latencies *l, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)l->count + 0.5), seen = 0;

    if (share >= 1 || !l->count)
        return l->largest;
    for (size_t i = 0; i + 1 < CELLS; i++) {
        seen += l->cells[i];
        if (seen && seen >= wanted) {
            int64_t middle = (floor_of(i) + floor_of(i + 1)) / 2;

            return middle < l->largest ? middle : l->largest;
        }
    }
    return l->largest;
}

void cli_latencies_show(const cli_latencies *l, FILE *out)
{
    char text[CLI_VALUE_BYTES];

    for (size_t i = 0; i < TOLD; i++) {
        cli_duration_format(cli_latencies_at(l, told[i].share), text);
        (void)fprintf(out, "%s%s %s", i ? ", " : "", told[i].name, text);
    }
    (void)fputc('\n', out);
}

json_t *cli_latencies_json(const cli_latencies *l)
{
    json_t *json = cli_json_object();

    cli_json_set_count(json, "count", l->count);
    for (size_t i = 0; i < TOLD; i++)
        cli_json_set_count(json, told[i].name, (uint64_t)cli_latencies_at(l, told[i].share));
    return json;
}

void cli_latencies_draw(const cli_latencies *l, FILE *out)
{
    unsigned width = cli_terminal_columns(out) > 60 ? cli_terminal_columns(out) - 40 : 20;
    uint64_t bars[64] = {0}, most = 1;
    int first = 64, last = 0;

    for (size_t i = 0; i < CELLS; i++) {
        int64_t from = floor_of(i);
        int power = from ? 63 - __builtin_clzll((uint64_t)from) : 0;

        bars[power] += l->cells[i];
        most = bars[power] > most ? bars[power] : most;
        if (l->cells[i]) {
            first = power < first ? power : first;
            last = power;
        }
    }
    for (int power = first; power <= last; power++) {
        char from[CLI_VALUE_BYTES];
        unsigned columns = (unsigned)((double)bars[power] / (double)most * width + 0.5);

        cli_duration_format(INT64_C(1) << power, from);
        (void)fprintf(out, "%12s .. %10" PRIu64 " ", from, bars[power]);
        for (unsigned i = 0; i < columns; i++)
            (void)fputs("\xe2\x96\x88", out);
        (void)fputc('\n', out);
    }
}

int cli_latencies_store(const cli_latencies *l, const char *path)
{
    FILE *file = fopen(path, "we");
    uint64_t seen = 0;
    bool bad;

    if (!file)
        return cli_fail(CLI_USAGE, "cannot write %s: %s", path, strerror(errno));
    (void)fputs("Value(us) Percentile TotalCount 1/(1-Percentile)\n\n", file);
    for (size_t i = 0; i < CELLS; i++) {
        double share;

        if (!l->cells[i])
            continue;
        seen += l->cells[i];
        share = (double)seen / (double)l->count;
        (void)fprintf(file, "%.3f %.9f %" PRIu64, (double)floor_of(i) / 1e3, share, seen);
        (void)fprintf(file, share < 1 ? " %.2f\n" : " inf\n", 1 / (1 - share));
    }
    bad = ferror(file);
    bad = fclose(file) != 0 || bad;
    return bad ? cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno)) : CLI_DONE;
}
