/* options.c -- one table row per option: name, how its value is read, where it goes, what it means.
 */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fatal.h"

enum kind {
    KIND_FLAG,
    KIND_COUNT,   /* unsigned */
    KIND_COUNT64, /* uint64_t */
    KIND_SIZE,    /* size_t */
    KIND_PID,
    KIND_NUMBER,  /* double */
    KIND_SECONDS, /* seconds, kept as int64_t nanoseconds */
    KIND_TEXT,
    KIND_SERVER, /* host:port */
};

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *help;
} rows[] = {
    {"--server", KIND_SERVER, offsetof(bench_options, target),
     "HOST:PORT of the server (127.0.0.1:4222)"},
    {"--unix", KIND_TEXT, offsetof(bench_options, target.unix_path),
     "PATH of the server's Unix socket"},
    {"--websocket", KIND_FLAG, offsetof(bench_options, target.websocket),
     "publish, deliver, request: by WebSocket, every operation in a frame of its own"},
    {"--pid", KIND_PID, offsetof(bench_options, pid),
     "the server's process: report its CPU and memory"},
    {"--size", KIND_SIZE, offsetof(bench_options, payload_bytes), "payload bytes (16)"},
    {"--msgs", KIND_COUNT64, offsetof(bench_options, message_count),
     "messages, requests or handshakes in all"},
    {"--seconds", KIND_SECONDS, offsetof(bench_options, duration_ns), "run that long instead (2)"},
    {"--pubs", KIND_COUNT, offsetof(bench_options, publisher_count),
     "publishers or requesters (1)"},
    {"--subs", KIND_COUNT, offsetof(bench_options, subscriber_count),
     "subscribers or responders (1)"},
    {"--subjects", KIND_COUNT, offsetof(bench_options, subject_count),
     "subjects each publisher cycles through (1)"},
    {"--wildcard", KIND_FLAG, offsetof(bench_options, wildcard),
     "one wildcard subscription instead of a literal one per subject"},
    {"--groups", KIND_COUNT, offsetof(bench_options, group_count),
     "spread the subscribers over that many queue groups (0: none)"},
    {"--in-flight", KIND_COUNT, offsetof(bench_options, in_flight),
     "requests in flight per requester (1)"},
    {"--rate", KIND_NUMBER, offsetof(bench_options, rate),
     "paced, announce: messages a second in all (50000)"},
    {"--warmup", KIND_SECONDS, offsetof(bench_options, warmup_ns),
     "latencies of the first seconds are not counted (0.25)"},
    {"--connections", KIND_COUNT, offsetof(bench_options, connection_count),
     "idle: connections (10000)"},
    {"--subscriptions", KIND_COUNT, offsetof(bench_options, subscription_count),
     "churn: distinct subscriptions (1000000)"},
    {"--settle", KIND_SECONDS, offsetof(bench_options, settle_ns),
     "wait before memory is read again (1)"},
    {"--patience", KIND_SECONDS, offsetof(bench_options, patience_ns),
     "without progress for that long, the missing messages are lost (5)"},
    {"--verify", KIND_FLAG, offsetof(bench_options, verify),
     "number every message and check each one; slower"},
    {"--tls", KIND_FLAG, offsetof(bench_options, target.tls),
     "publish, deliver, handshake, churn: TLS after INFO"},
    {"--fanout", KIND_FLAG, offsetof(bench_options, fanout), "announce: by the fanout protocol"},
    {"--stalled", KIND_COUNT, offsetof(bench_options, stalled_count),
     "announce: subscribers beside the others that do not read (0)"},
    {"--keep", KIND_FLAG, offsetof(bench_options, keep), "handshake: --connections, which stay"},
    {"--tickets", KIND_FLAG, offsetof(bench_options, tickets),
     "handshake: ask for what sessions are resumed with, as some clients do"},
    {"--json", KIND_FLAG, offsetof(bench_options, json), "report one JSON object"},
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    bench_fatal("unknown option %s; --help lists them", name);
}

static double parse_number(const char *name, const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= 0 && value < 1e15))
        bench_fatal("%s takes a number, not %s", name, text);
    return value;
}

static void parse_server(bench_target *target, char *text)
{
    char *colon = strrchr(text, ':');

    if (!colon)
        bench_fatal("--server takes HOST:PORT, not %s", text);
    *colon = '\0';
    target->port = colon + 1;
    if (text[0] == '[' && colon > text && colon[-1] == ']') {
        colon[-1] = '\0';
        text++;
    }
    target->host = text;
}

static void store(const struct row *row, bench_options *options, char *text)
{
    void *field = (char *)options + row->offset;
    double number =
        row->kind == KIND_TEXT || row->kind == KIND_SERVER ? 0 : parse_number(row->name, text);

    switch (row->kind) {
    case KIND_COUNT:
        if (number > 1e9)
            bench_fatal("%s is too large", row->name);
        *(unsigned *)field = (unsigned)number;
        break;
    case KIND_COUNT64:
        *(uint64_t *)field = (uint64_t)number;
        break;
    case KIND_SIZE:
        *(size_t *)field = (size_t)number;
        break;
    case KIND_PID:
        *(pid_t *)field = (pid_t)number;
        break;
    case KIND_NUMBER:
        *(double *)field = number;
        break;
    case KIND_SECONDS:
        *(int64_t *)field = (int64_t)(number * 1e9);
        break;
    case KIND_TEXT:
        *(const char **)field = text;
        break;
    case KIND_SERVER:
        parse_server(field, text);
        break;
    case KIND_FLAG:
        break;
    }
}

void bench_options_parse(bench_options *out_options, int argc, char **argv)
{
    *out_options = (bench_options){
        .target = {.host = "127.0.0.1", .port = "4222"},
        .payload_bytes = 16,
        .duration_ns = 2000000000,
        .warmup_ns = 250000000,
        .patience_ns = 5000000000,
        .settle_ns = 1000000000,
        .publisher_count = 1,
        .subscriber_count = 1,
        .subject_count = 1,
        .in_flight = 1,
        .connection_count = 10000,
        .subscription_count = 1000000,
        .rate = 50000,
    };
    for (int i = 0; i < argc; i++) {
        const struct row *row;

        if (strcmp(argv[i], "--") == 0) {
            out_options->command = argv + i + 1;
            break;
        }
        row = find_row(argv[i]);
        if (row->kind == KIND_FLAG)
            *(bool *)((char *)out_options + row->offset) = true;
        else if (++i < argc)
            store(row, out_options, argv[i]);
        else
            bench_fatal("%s takes a value", row->name);
    }
    if (!out_options->publisher_count || !out_options->subject_count || !out_options->in_flight ||
        !(out_options->rate > 0))
        bench_fatal("--pubs, --subjects, --in-flight and --rate must be greater than 0");
}

void bench_options_print(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        (void)printf("  %-16s %s\n", rows[i].name, rows[i].help);
}
