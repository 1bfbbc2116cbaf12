/* Reports of traced messages, as people read them. Source of the form: NATS accounts and subjects,
 * section 11. */
#include "cli/escape.h"
#include "cli/json_path.h"
#include "cli/terminal.h"
#include "cli/trace.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_COLUMNS = 200, DAY_S = 86400 };

static bool is(const json_t *event, const char *type)
{
    return strcmp(cli_json_text_at(event, "type", NULL), type) == 0;
}

/* Nanoseconds since midnight of "2026-11-21T13:13:11.202819792Z"; negative: it is none. */
static int64_t time_of(const json_t *event)
{
    const char *text = cli_json_text_at(event, "ts", NULL);
    int hour, minute, second, used = 0;
    int64_t ns = 0, unit = 100000000;

    if (strlen(text) < 19 ||
        sscanf(text + 11, "%2d:%2d:%2d%n", &hour, &minute, &second, &used) != 3)
        return -1;
    text += 11 + used;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++, unit /= 10)
            ns += (*text - '0') * unit;
    }
    return (((int64_t)hour * 60 + minute) * 60 + second) * 1000000000 + ns;
}

static void put(const char *before, const json_t *from, const char *path, const char *behind)
{
    size_t bytes;
    const char *text = cli_json_text_at(from, path, &bytes);
    char *safe;

    if (!bytes)
        return;
    safe = cli_escape(text, bytes, SHOWN_COLUMNS);
    (void)printf("%s%s%s", before, safe, behind);
    free(safe);
}

static void put_whom(const json_t *event)
{
    static const char *const kinds[] = {"client", "route",     "gateway", "system",
                                        "leaf",   "jetstream", "account"};
    uint64_t kind = cli_json_count_at(event, "kind");

    (void)printf(" %s", kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : "connection");
    if (cli_json_count_at(event, "cid"))
        (void)printf(" %llu", (unsigned long long)cli_json_count_at(event, "cid"));
    put(" \"", event, "name", "\"");
}

static void show_in(const json_t *event)
{
    (void)printf("from");
    put_whom(event);
    put(", account ", event, "acc", "");
    put(", on ", event, "subj", "");
}

static void show_out(const json_t *event)
{
    (void)printf("to");
    put_whom(event);
    put(", account ", event, "acc", "");
    put(", subscription ", event, "sub", "");
    put(", queue ", event, "queue", "");
    put(", hop ", event, "hop", "");
}

static void show_stream(const json_t *event)
{
    put("stream ", event, "stream", "");
    put(", as ", event, "subject", "");
    if (cli_json_flag_at(event, "nointerest"))
        (void)printf(", which nobody is interested in");
}

static const struct {
    const char *type, *name;
    cli_style style;
} kinds[] = {
    {"in", "in", CLI_BOLD},     {"sm", "mapped", CLI_BLUE},  {"se", "export", CLI_BLUE},
    {"si", "import", CLI_BLUE}, {"js", "stored", CLI_GREEN}, {"eg", "out", CLI_GREEN},
};

static void show_event(const json_t *event, int64_t start_ns)
{
    size_t i = 0, count = sizeof(kinds) / sizeof(kinds[0]);
    bool wrong = *cli_json_text_at(event, "error", NULL) != '\0';
    int64_t at = time_of(event);
    char text[CLI_VALUE_BYTES] = "";

    while (i < count && !is(event, kinds[i].type))
        i++;
    if (at >= 0 && start_ns >= 0)
        cli_duration_format(at >= start_ns ? at - start_ns : at + DAY_S * 1000000000LL - start_ns,
                            text);
    (void)printf("  %10s  %s%-7s%s ", text,
                 cli_style_text(stdout, wrong       ? CLI_RED
                                        : i < count ? kinds[i].style
                                                    : CLI_PLAIN),
                 i < count ? kinds[i].name : "?", cli_style_text(stdout, CLI_PLAIN));
    if (is(event, "in"))
        show_in(event);
    else if (is(event, "eg"))
        show_out(event);
    else if (is(event, "js"))
        show_stream(event);
    else {
        put("from ", event, "from", " ");
        put("to ", event, "to", "");
        put(", account ", event, "acc", "");
    }
    put(": ", event, "error", "");
    (void)printf("\n");
}

void cli_trace_show(const json_t *report)
{
    const json_t *events = cli_json_at(report, "events");
    int64_t start_ns = time_of(json_array_get(events, 0));
    json_t *event;
    size_t i;

    put("Server ", report, "server.name", "");
    put(" (", report, "server.ver", ")");
    put(", cluster ", report, "server.cluster", "");
    if (json_array_size(cli_json_at(report, "request.header.Nats-Trace-Hop"))) {
        char *hops = cli_json_join(cli_json_at(report, "request.header.Nats-Trace-Hop"), " ");
        char *safe = cli_escape(hops, strlen(hops), SHOWN_COLUMNS);

        (void)printf(", hop %s", safe);
        free(safe);
        free(hops);
    }
    (void)printf(", %llu bytes\n",
                 (unsigned long long)cli_json_count_at(report, "request.msgsize"));
    json_array_foreach(events, i, event) show_event(event, start_ns);
}

size_t cli_trace_reached(const json_t *report)
{
    size_t reached = 0, i;
    json_t *event;

    json_array_foreach(cli_json_at(report, "events"), i, event)
    {
        bool to_client = is(event, "eg") && *cli_json_text_at(event, "sub", NULL);

        reached += (to_client || is(event, "js")) && !*cli_json_text_at(event, "error", NULL);
    }
    return reached;
}
