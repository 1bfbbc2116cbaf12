/* pipit events -- what servers tell of their own accord, as it happens. */
#include "cli/events.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/terminal.h"
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_NS = 50000000, SHOWN_COLUMNS = 120 };

struct options {
    cli_texts subjects;
    int64_t count;
    bool all;
};

static const cli_flag flags[] = {
    {.name = "all",
     .letter = 'a',
     .type = CLI_SWITCH,
     .help = "Also the numbers that servers publish every few seconds",
     .offset = offsetof(struct options, all)},
    {.name = "subjects",
     .type = CLI_TEXTS,
     .value = "SUBJECT",
     .help = "What is said on this subject instead; may be given again",
     .offset = offsetof(struct options, subjects)},
    {.name = "count",
     .type = CLI_COUNT,
     .value = "N",
     .help = "End after N events (default: when interrupted)",
     .min = 1,
     .offset = offsetof(struct options, count)},
    {0},
};

static const char *const usual[] = {"$SYS.ACCOUNT.*.CONNECT",        "$SYS.ACCOUNT.*.DISCONNECT",
                                    "$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.CLIENT.AUTH.ERR",
                                    "$SYS.SERVER.*.SHUTDOWN",        "$SYS.SERVER.*.LAMEDUCK",
                                    "$JS.EVENT.ADVISORY.>",          NULL};
static const char *const further[] = {"$SYS.SERVER.*.STATSZ", "$SYS.ACCOUNT.*.SERVER.CONNS",
                                      "$SYS.ACCOUNT.*.CLAIMS.UPDATE", NULL};

/* Touched by the client's thread, but for done. */
struct hearing {
    const struct options *options;
    bool json;
    int64_t heard;
    atomic_bool done;
};

/* --- a line for each ------------------------------------------------------------------------- */

/* Like what: the last tokens of a subject that are names of events. */
static const struct {
    const char *ending, *name;
    cli_style style;
} kinds[] = {
    {".CONNECT", "connect", CLI_GREEN},        {".DISCONNECT", "disconnect", CLI_YELLOW},
    {".AUTH.ERR", "refused", CLI_RED},         {".SHUTDOWN", "shutdown", CLI_RED},
    {".LAMEDUCK", "lame duck", CLI_YELLOW},    {".STATSZ", "numbers", CLI_DIM},
    {".SERVER.CONNS", "connections", CLI_DIM}, {".CLAIMS.UPDATE", "claims", CLI_BLUE},
};

static bool ends_with(const char *text, size_t bytes, const char *ending)
{
    size_t len = strlen(ending);

    return bytes >= len && memcmp(text + bytes - len, ending, len) == 0;
}

static void put(const char *before, const json_t *event, const char *path)
{
    size_t bytes;
    const char *text = cli_json_text_at(event, path, &bytes);
    char *safe;

    if (!bytes)
        return;
    safe = cli_escape(text, bytes, SHOWN_COLUMNS);
    (void)printf("%s%s", before, safe);
    free(safe);
}

static void put_count(const char *before, const json_t *event, const char *path)
{
    if (cli_json_at(event, path))
        (void)printf("%s%llu", before, (unsigned long long)cli_json_count_at(event, path));
}

static void put_time(const json_t *event)
{
    size_t bytes;
    const char *text = cli_json_text_at(event, "timestamp", &bytes);

    if (!bytes)
        text = cli_json_text_at(event, "server.time", &bytes);
    if (bytes < 19)
        return;
    cli_escape_write(stdout, text + 11, 8, false); /* 2026-11-21T12:00:00... */
    (void)putchar(' ');
}

static void put_client(const json_t *event)
{
    put(" account ", event, "client.acc");
    put(" user ", event, "client.user");
    put_count(" cid ", event, "client.id");
    put(" from ", event, "client.host");
    put(" name ", event, "client.name");
    put(" lang ", event, "client.lang");
    put(" rtt ", event, "client.rtt");
    put_count(" received ", event, "received.msgs");
    put_count(" sent ", event, "sent.msgs");
    put(": ", event, "reason");
}

static void put_rest(const json_t *event)
{
    put(" account ", event, "acc");
    put_count(" connections ", event, "conns");
    put_count(" connections ", event, "statsz.connections");
    put_count(" subscriptions ", event, "statsz.subscriptions");
    put_count(" slow consumers ", event, "statsz.slow_consumers");
    put(" ", event, "type");
}

static void show(const pipit_msg *msg, const json_t *event)
{
    size_t i = 0, count = sizeof(kinds) / sizeof(kinds[0]);

    while (i < count && !ends_with(msg->subject, msg->subject_bytes, kinds[i].ending))
        i++;
    put_time(event);
    if (i < count) {
        (void)printf("%s%-11s%s", cli_style_text(stdout, kinds[i].style), kinds[i].name,
                     cli_style_text(stdout, CLI_PLAIN));
    } else {
        char *safe = cli_escape(msg->subject, msg->subject_bytes, SHOWN_COLUMNS);

        (void)printf("%s", safe);
        free(safe);
    }
    put(" ", event, "server.name");
    if (cli_json_at(event, "client"))
        put_client(event);
    else
        put_rest(event);
    (void)printf("\n");
}

static void show_json(const pipit_msg *msg, json_t *event)
{
    json_t *all = cli_json_object();

    cli_json_set(all, "subject", cli_json_text(msg->subject, msg->subject_bytes));
    if (event)
        cli_json_set(all, "event", json_incref(event));
    else
        cli_json_set_bytes(all, "payload", msg->payload, msg->payload_bytes);
    (void)cli_json_line(all);
}

static void on_event(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct hearing *hearing = context;
    json_t *event;

    (void)sub;
    if (atomic_load(&hearing->done))
        return;
    event = cli_json_read(msg->payload, msg->payload_bytes);
    if (hearing->json)
        show_json(msg, event);
    else
        show(msg, event);
    (void)fflush(stdout); /* ferror tells */
    json_decref(event);
    hearing->heard++;
    if ((hearing->options->count && hearing->heard >= hearing->options->count) || ferror(stdout))
        atomic_store(&hearing->done, true);
}

/* --- the command ------------------------------------------------------------------------------ */

static pipit_err listen_to(pipit_client *client, const char *const *subjects, size_t count,
                           struct hearing *hearing)
{
    pipit_err err = PIPIT_OK;
    pipit_sub *sub;

    for (size_t i = 0; i < count && subjects[i] && !err; i++)
        err = pipit_client_subscribe(client, subjects[i], NULL, on_event, hearing, &sub);
    return err;
}

static int run(const cli_call *call)
{
    static const cli_wish wish = {.name = "pipit events", .stays = true};
    const struct options *options = call->options;
    struct hearing hearing = {.options = options, .json = call->globals->json};
    cli_connection connection = {0};
    pipit_err err;
    int status;

    cli_turn_catch();
    status = cli_connection_open(&connection, call, &wish);
    if (status)
        return status;
    if (options->subjects.count) {
        err = listen_to(connection.client, options->subjects.items, options->subjects.count,
                        &hearing);
    } else {
        err = listen_to(connection.client, usual, SIZE_MAX, &hearing);
        if (!err && options->all)
            err = listen_to(connection.client, further, SIZE_MAX, &hearing);
    }
    if (err)
        status = cli_client_fail(err, "cannot listen");
    else
        status = cli_connection_flush(&connection, call);
    if (!status && !call->globals->json)
        cli_note("listening; events are for users of the system account");
    while (!status && !atomic_load(&hearing.done) && !atomic_load(&connection.closed) &&
           !cli_turn_wait(LOOK_NS))
        ;
    cli_connection_close(&connection);
    return status;
}

static const cli_example examples[] = {
    {"pipit events", "Who comes and goes, who is refused, which servers leave."},
    {"pipit events --all --json --count 1", "The first event of all, for a script."},
    {0},
};

const cli_command cli_events_command = {
    .name = "events",
    .aliases = "event",
    .help = "What servers tell as it happens",
    .text = "Servers publish events in the system account: connections that come and go, "
            "credentials that are refused, servers that shut down. With --json each event is a "
            "line.",
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
