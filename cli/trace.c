/* Each server that a traced message passes reports on it to a subject of ours, and how many servers
 * it has sent it on to; so the last report is known to be the last. */
#include "cli/trace.h"

#include "cli/connection.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORTS_MAX = 1000 };

struct options {
    const char *subject, *body;
    cli_texts headers;
    const char *reply;
    bool deliver;
};

static const cli_flag flags[] = {
    {.name = "deliver",
     .type = CLI_SWITCH,
     .help = "Deliver the message, too; without it nobody gets it",
     .offset = offsetof(struct options, deliver)},
    {.name = "header",
     .letter = 'H',
     .type = CLI_TEXTS,
     .value = "NAME:VALUE",
     .help = "Give it this header; may be given again",
     .offset = offsetof(struct options, headers)},
    {.name = "reply",
     .type = CLI_TEXT,
     .value = "SUBJECT",
     .help = "Give it this reply subject",
     .offset = offsetof(struct options, reply)},
    {0},
};

static const cli_argument arguments[] = {
    {.name = "SUBJECT",
     .type = CLI_TEXT,
     .help = "What the message is on",
     .offset = offsetof(struct options, subject)},
    {.name = "BODY",
     .type = CLI_TEXT,
     .optional = true,
     .help = "What is in it (default: nothing)",
     .offset = offsetof(struct options, body)},
    {0},
};

static const cli_example examples[] = {
    {"pipit trace orders.new", "Who would hear a message on orders.new, and by which way?"},
    {"pipit trace orders.new hello --deliver --json", "Send one, and see where it went."},
    {0},
};

/* Returns the exit status. */
static int add_header(pipit_headers *headers, const char *text)
{
    const char *colon = strchr(text, ':'), *value;
    char *name;
    pipit_err err;

    if (!colon)
        return cli_fail(CLI_USAGE,
                        "-H takes a name and a value with a colon between: -H 'Name: value'");
    name = cli_copy(text, (size_t)(colon - text));
    for (value = colon + 1; *value == ' '; value++)
        ;
    err = pipit_headers_add(headers, name, value);
    free(name);
    return err ? cli_fail(CLI_USAGE, "-H: this cannot be a header: %s", pipit_strerror(err))
               : CLI_DONE;
}

static int make_headers(const struct options *options, const char *inbox, pipit_headers **out)
{
    pipit_headers *headers;
    int status = CLI_DONE;

    if (pipit_headers_new(&headers))
        cli_out_of_memory();
    if (pipit_headers_add(headers, "Nats-Trace-Dest", inbox) ||
        (!options->deliver && pipit_headers_add(headers, "Nats-Trace-Only", "true")))
        cli_out_of_memory(); /* nothing is wrong with them */
    for (size_t i = 0; i < options->headers.count && !status; i++)
        status = add_header(headers, options->headers.items[i]);
    if (status)
        pipit_headers_free(headers);
    else
        *out = headers;
    return status;
}

static pipit_err publish(pipit_client *client, const struct options *options,
                         const pipit_headers *headers)
{
    const char *body = options->body ? options->body : "";
    pipit_msg msg = {.subject = options->subject,
                     .subject_bytes = strlen(options->subject),
                     .reply = options->reply,
                     .reply_bytes = options->reply ? strlen(options->reply) : 0,
                     .payload = body,
                     .payload_bytes = strlen(body)};

    msg.header = pipit_headers_block(headers, &msg.header_bytes);
    return pipit_client_publish_msg(client, &msg);
}

/* Until all have come, or no more do. */
static json_t *collect(pipit_sub *sub, int64_t timeout_ms)
{
    json_t *reports = cli_json_array();
    size_t wanted = 1;
    pipit_msg *msg;

    while (json_array_size(reports) < wanted && wanted < REPORTS_MAX &&
           !pipit_sub_next(sub, timeout_ms, &msg)) {
        json_t *report = cli_json_read(msg->payload, msg->payload_bytes);

        pipit_msg_free(msg);
        if (json_is_object(report) && json_is_array(json_object_get(report, "events"))) {
            wanted += cli_json_count_at(report, "hops");
            cli_json_append(reports, report);
        } else {
            json_decref(report);
        }
    }
    return reports;
}

static int show(const cli_call *call, json_t *reports)
{
    const struct options *options = call->options;
    size_t reached = 0, i;
    json_t *report, *all;

    json_array_foreach(reports, i, report) reached += cli_trace_reached(report);
    if (call->globals->json) {
        all = cli_json_object();
        cli_json_set(all, "subject", cli_json_text(options->subject, strlen(options->subject)));
        cli_json_set_flag(all, "delivered", options->deliver);
        cli_json_set_count(all, "reached", reached);
        cli_json_set(all, "reports", reports);
        return cli_json_print(all);
    }
    json_array_foreach(reports, i, report)
    {
        cli_trace_show(report);
        (void)printf("\n");
    }
    if (!reached)
        (void)printf("Nobody hears it.\n");
    else
        (void)printf(options->deliver ? "Delivered to %zu.\n" : "Would be delivered to %zu.\n",
                     reached);
    json_decref(reports);
    return CLI_DONE;
}

static int trace(cli_connection *connection, const cli_call *call)
{
    const struct options *options = call->options;
    pipit_headers *headers = NULL;
    pipit_sub *sub = NULL;
    char inbox[256];
    json_t *reports;
    pipit_err err = pipit_client_inbox(connection->client, inbox, sizeof(inbox));
    int status;

    if (err)
        return cli_client_fail(err, "cannot make a subject for reports");
    status = make_headers(options, inbox, &headers);
    if (status)
        return status;
    err = pipit_client_subscribe(connection->client, inbox, NULL, NULL, NULL, &sub);
    if (!err)
        err = publish(connection->client, options, headers);
    pipit_headers_free(headers);
    if (err) {
        pipit_sub_end(sub);
        return cli_client_fail(err, "cannot publish");
    }
    status = cli_connection_flush(connection, call);
    reports = status ? NULL : collect(sub, cli_timeout_ms(call));
    pipit_sub_end(sub);
    if (status)
        return status;
    if (json_array_size(reports))
        return show(call, reports);
    json_decref(reports);
    return cli_fail(CLI_NO_ANSWER,
                    "no server has reported: it is older than message tracing, or "
                    "the user may not publish on %s",
                    inbox);
}

static int run(const cli_call *call)
{
    static const cli_wish wish = {.name = "pipit trace"};
    cli_connection connection = {0};
    int status = cli_connection_open(&connection, call, &wish);

    if (status)
        return status;
    status = trace(&connection, call);
    cli_connection_close(&connection);
    return status;
}

const cli_command cli_trace_command = {
    .name = "trace",
    .help = "The way of a message: who hears it, and why others do not",
    .text = "Publishes a message that asks each server on its way to report: mappings, imports and "
            "exports it passes, streams that keep it, every client that it goes to, and those that "
            "it does not, with the reason. Nobody gets it, unless with --deliver.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
