/* pipit request -- ask, and show what is answered. */
#include "cli/request.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/payload.h"
#include "cli/program.h"
#include "cli/say.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct request_options {
    const char *subject;
    cli_payload_options payload;
    bool raw;
    int64_t count, replies, reply_timeout_ns;
    const char *translate;
} request_options;

struct asker {
    const cli_call *call;
    const request_options *options;
    cli_connection connection;
    cli_payload payload;
    cli_program *translate;
    char *shown; /* the subject */
    /* Of the request under way. */
    int64_t asked_ns;
    uint64_t answers;
    bool over;
    pipit_err err;
};

/* What the program of --translate makes of an answer. True: *msg is to be shown so. */
static bool translate(const struct asker *a, pipit_msg *msg, char **out)
{
    const cli_template_values values = {.subject = msg->subject,
                                        .subject_bytes = msg->subject_bytes};
    const cli_program_input input = {&values, msg->payload, msg->payload_bytes, false};
    size_t bytes;
    int status = cli_program_run(a->translate, &input, out, &bytes);

    if (status != 0) {
        (void)cli_fail(CLI_FAILED, "the command of --translate failed with status %d", status);
        return false;
    }
    msg->payload = *out;
    msg->payload_bytes = bytes;
    return true;
}

static void show(struct asker *a, const pipit_msg *msg, int64_t rtt_ns)
{
    char text[CLI_VALUE_BYTES], clock[16];

    if (a->call->globals->json) {
        json_t *json = cli_message_json(msg);

        cli_json_set_count(json, "rtt_ns", (uint64_t)rtt_ns);
        (void)cli_json_line(json);
    } else if (a->options->raw) {
        cli_message_show_raw(stdout, msg->payload, msg->payload_bytes);
    } else {
        cli_duration_format(rtt_ns, text);
        cli_clock_text(clock);
        (void)fprintf(stderr, "%s Received with rtt %s\n", clock, text);
        cli_message_show(stdout, msg, false);
        (void)fputc('\n', stdout);
    }
    (void)fflush(stdout); /* the end looks at ferror */
}

static void on_answer(void *context, pipit_request *request, pipit_err err, const pipit_msg *msg)
{
    struct asker *a = context;
    pipit_msg shown;
    char *translated = NULL;

    (void)request;
    if (!msg) {
        a->over = true;
        a->err = err;
        return;
    }
    a->answers++;
    shown = *msg;
    if (!a->translate || translate(a, &shown, &translated))
        show(a, &shown, cli_now_ns() - a->asked_ns);
    free(translated);
}

static int await_answers(struct asker *a)
{
    while (!a->over) {
        switch (cli_turn(&a->connection, INT64_MAX)) {
        case CLI_TURN_INTERRUPTED:
            return cli_fail(CLI_FAILED, "interrupted");
        case CLI_TURN_CLOSED:
            return cli_fail(CLI_FAILED, "the connection to %s has ended: %s", a->connection.url,
                            a->connection.reason);
        case CLI_TURN_WORKED:
            break;
        }
    }
    /* Silence after the first answers is an end like another. */
    if (a->err == PIPIT_OK || (a->err == PIPIT_ETIMEOUT && a->answers))
        return CLI_DONE;
    return cli_client_fail(a->err, "request on %s", a->shown);
}

static int ask(struct asker *a, const cli_filled *filled)
{
    const request_options *o = a->options;
    pipit_msg msg = {.subject = o->subject, .subject_bytes = strlen(o->subject)};
    int64_t gap_ms = o->replies > 1 ? o->reply_timeout_ns / 1000000 : 0;
    char clock[16];
    pipit_err err;

    cli_filled_set(filled, &msg);
    a->over = false;
    a->answers = 0;
    if (!o->raw && !a->call->globals->json) {
        cli_clock_text(clock);
        (void)fprintf(stderr, "%s Sending request on \"%s\"\n", clock, a->shown);
    }
    a->asked_ns = cli_now_ns();
    err = pipit_client_request_start(a->connection.client, &msg, (uint32_t)o->replies,
                                     cli_timeout_ms(a->call), gap_ms, on_answer, a, NULL);
    return err ? cli_client_fail(err, "request on %s", a->shown) : await_answers(a);
}

static int ask_all(struct asker *a)
{
    const request_options *o = a->options;
    bool once = a->payload.lines || o->payload.files.count, more = true;
    int status = CLI_DONE;

    for (uint64_t i = 1; (once || i <= (uint64_t)o->count) && !status; i++) {
        const cli_template_values values = {
            .count = i, .subject = o->subject, .subject_bytes = strlen(o->subject)};
        cli_filled filled;

        status = cli_payload_next(&a->payload, &values, &filled, &more);
        if (status || !more)
            break;
        status = ask(a, &filled);
        cli_filled_free(&filled);
    }
    return status;
}

static int request(const cli_call *call)
{
    const request_options *o = call->options;
    struct asker a = {.call = call, .options = o};
    const cli_wish wish = {.own_loop = true, .name = "pipit request"};
    int status = cli_payload_open(&a.payload, &o->payload);

    if (status)
        return status;
    cli_turn_catch();
    a.payload.connection = &a.connection;
    a.shown = cli_escape(o->subject, strlen(o->subject), 200);
    if (o->translate)
        status = cli_program_read(o->translate, &a.translate);
    if (!status)
        status = cli_connection_open(&a.connection, call, &wish);
    if (!status) {
        status = ask_all(&a);
        if (!status && atomic_load(&a.connection.errors))
            status = CLI_FAILED;
        cli_connection_close(&a.connection);
    }
    cli_program_free(a.translate);
    cli_payload_close(&a.payload);
    free(a.shown);
    return status;
}

static const cli_argument arguments[] = {
    {"SUBJECT", CLI_TEXT, false, "Whom to ask", offsetof(request_options, subject)},
    {"BODY", CLI_TEXT, true, "What to ask", offsetof(request_options, payload.body)},
    {NULL},
};

static const cli_flag flags[] = {
    {"raw", 'r', CLI_SWITCH, NULL, "Show the payload of answers, byte by byte, and nothing else",
     offsetof(request_options, raw)},
    {"replies", 0, CLI_COUNT, "N", "Wait for as many answers; 0: until the time is over",
     offsetof(request_options, replies), .fallback = "1", .max = 1000000000},
    {"reply-timeout", 0, CLI_DURATION, "DURATION",
     "With more answers than one: the longest time between two",
     offsetof(request_options, reply_timeout_ns), .fallback = "300ms", .min = 1000000},
    CLI_PAYLOAD_FLAGS(request_options),
    {"count", 0, CLI_COUNT, "N", "Ask as many times, one after another",
     offsetof(request_options, count), .fallback = "1", .min = 1},
    {"translate", 0, CLI_TEXT, "COMMAND", "Show what a program makes of an answer's payload",
     offsetof(request_options, translate)},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit request help.me 'which tea?'", "Ask, and show the answer"},
    {"pipit request help.me --raw 'which tea?'", "The payload alone, for scripts"},
    {"pipit request help.me --replies 0 --timeout 500ms 'who is there?'",
     "Everybody who answers within half a second"},
    {"pipit request help.me --json 'which tea?'", "The answer with its headers, as JSON"},
    {NULL, NULL},
};

const cli_command cli_request_command = {
    .name = "request",
    .aliases = "req",
    .help = "Ask, and show what is answered",
    .text = CLI_PAYLOAD_TEXT "\n\nStatus 3 says that nobody listens there (no responders), or that "
                             "no answer came within --timeout.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(request_options),
    .run = request,
};
