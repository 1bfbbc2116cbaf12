/* pipit pub -- publish messages. */
#include "cli/pub.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/payload.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD_MAX = 20 }; /* of more messages than these only the sum is told */

typedef struct pub_options {
    const char *subject;
    cli_payload_options payload;
    const char *reply;
    int64_t count, sleep_ns;
    bool quiet;
} pub_options;

struct publisher {
    const cli_call *call;
    const pub_options *options;
    cli_connection connection;
    cli_payload payload;
    char *shown; /* the subject */
    uint64_t sent, bytes;
};

static void tell(const struct publisher *p, size_t bytes)
{
    char clock[16];

    if (p->options->quiet || p->call->globals->json || p->options->count > TOLD_MAX)
        return;
    cli_clock_text(clock);
    (void)fprintf(stderr, "%s Published %zu bytes to \"%s\"\n", clock, bytes, p->shown);
}

static int send_one(struct publisher *p, const cli_filled *filled)
{
    const pub_options *o = p->options;
    int64_t deadline = cli_now_ns() + p->call->globals->timeout_ns;
    pipit_msg msg = {
        .subject = o->subject,
        .subject_bytes = strlen(o->subject),
        .reply = o->reply,
        .reply_bytes = o->reply ? strlen(o->reply) : 0,
    };
    pipit_err err;

    cli_filled_set(filled, &msg);
    do
        err = pipit_client_publish_msg(p->connection.client, &msg);
    while (err == PIPIT_EAGAIN && cli_now_ns() < deadline);
    if (err)
        return cli_client_fail(err, "cannot publish on %s", p->shown);
    p->sent++;
    p->bytes += filled->count;
    tell(p, filled->count);
    return CLI_DONE;
}

static int pause_between(struct publisher *p)
{
    int64_t deadline = cli_now_ns() + p->options->sleep_ns;

    /* Somebody may wait for what has been sent. */
    if (pipit_client_flush(p->connection.client, cli_timeout_ms(p->call)))
        return cli_fail(CLI_FAILED, "the connection to %s has ended", p->connection.url);
    while (cli_now_ns() < deadline) {
        switch (cli_turn(&p->connection, deadline)) {
        case CLI_TURN_INTERRUPTED:
            return cli_fail(CLI_FAILED, "interrupted");
        case CLI_TURN_CLOSED:
            return cli_fail(CLI_FAILED, "the connection to %s has ended", p->connection.url);
        case CLI_TURN_WORKED:
            break;
        }
    }
    return CLI_DONE;
}

/* All of count; lines and files are sent once each. */
static int send_all(struct publisher *p)
{
    const pub_options *o = p->options;
    bool once = p->payload.lines || o->payload.files.count, more = true;
    int status = CLI_DONE;

    for (uint64_t i = 1; (once || i <= (uint64_t)o->count) && !status; i++) {
        const cli_template_values values = {
            .count = i, .subject = o->subject, .subject_bytes = strlen(o->subject)};
        cli_filled filled;

        if (i > 1 && o->sleep_ns)
            status = pause_between(p);
        if (!status)
            status = cli_payload_next(&p->payload, &values, &filled, &more);
        if (status || !more)
            break;
        status = send_one(p, &filled);
        cli_filled_free(&filled);
    }
    return status;
}

static int report(const struct publisher *p)
{
    json_t *json;

    if (!p->call->globals->json) {
        if (p->options->count > TOLD_MAX && !p->options->quiet)
            (void)fprintf(stderr, "Published %llu messages, %llu bytes, to \"%s\"\n",
                          (unsigned long long)p->sent, (unsigned long long)p->bytes, p->shown);
        return CLI_DONE;
    }
    json = cli_json_object();
    cli_json_set_text(json, "subject", p->options->subject);
    cli_json_set_count(json, "messages", p->sent);
    cli_json_set_count(json, "bytes", p->bytes);
    return cli_json_print(json);
}

static int pub(const cli_call *call)
{
    const pub_options *o = call->options;
    struct publisher p = {.call = call, .options = o};
    const cli_wish wish = {.own_loop = true, .name = "pipit pub"};
    int status = cli_payload_open(&p.payload, &o->payload);

    if (status)
        return status;
    cli_turn_catch();
    p.payload.connection = &p.connection;
    p.shown = cli_escape(o->subject, strlen(o->subject), 200);
    status = cli_connection_open(&p.connection, call, &wish);
    if (!status) {
        int flushed;

        status = send_all(&p);
        flushed = cli_connection_flush(&p.connection, call);
        status = status ? status : flushed;
        if (!status)
            status = report(&p);
        cli_connection_close(&p.connection);
    }
    cli_payload_close(&p.payload);
    free(p.shown);
    return status;
}

static const cli_argument arguments[] = {
    {"SUBJECT", CLI_TEXT, false, "Where to publish", offsetof(pub_options, subject)},
    {"BODY", CLI_TEXT, true, "What to publish", offsetof(pub_options, payload.body)},
    {NULL},
};

static const cli_flag flags[] = {
    {"reply", 0, CLI_TEXT, "SUBJECT", "Where answers are to go", offsetof(pub_options, reply)},
    CLI_PAYLOAD_FLAGS(pub_options),
    {"count", 0, CLI_COUNT, "N", "Publish as many messages", offsetof(pub_options, count),
     .fallback = "1", .min = 1},
    {"sleep", 0, CLI_DURATION, "DURATION", "Wait between messages",
     offsetof(pub_options, sleep_ns)},
    {"quiet", 'q', CLI_SWITCH, NULL, "Tell nothing but errors", offsetof(pub_options, quiet)},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit pub orders.new 'two teas'", "Publish a message"},
    {"pipit pub orders.new 'order {{Count}} of {{TimeStamp}}' --count 10",
     "Publish ten, each with its number and the time"},
    {"pipit pub orders.new -H 'Shop: 7' -H 'Trace: {{ID}}' tea", "Publish with headers"},
    {"echo 'two teas' | pipit pub orders.new", "Publish what another program writes"},
    {"seq 5 | pipit pub orders.new --send-on newline", "Publish each line"},
    {NULL, NULL},
};

const cli_command cli_pub_command = {
    .name = "pub",
    .aliases = "publish",
    .help = "Publish messages",
    .text = CLI_PAYLOAD_TEXT "\n\nReturns when the server has taken everything: a subject that is "
                             "not allowed is an error.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(pub_options),
    .run = pub,
};
