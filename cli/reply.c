/* pipit reply -- a service for trying out: it answers with a text, what it was asked, or what a
 * program says. */
#include "cli/reply.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/message.h"
#include "cli/program.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef struct reply_options {
    const char *subject, *body, *command, *queue;
    cli_texts headers;
    bool echo, no_templates, quiet;
    int64_t sleep_ns, count;
} reply_options;

struct replier {
    const cli_call *call;
    const reply_options *options;
    cli_connection connection;
    cli_template *body;
    cli_program *command;
    cli_header_set headers;
    uint64_t answered;
    bool over, interrupted;
};

static void tell(const struct replier *r, const pipit_msg *msg)
{
    char clock[16], *subject;

    if (r->call->globals->json) {
        json_t *json = cli_message_json(msg);

        cli_json_set_count(json, "number", r->answered);
        (void)cli_json_line(json);
        return;
    }
    if (r->options->quiet)
        return;
    cli_clock_text(clock);
    subject = cli_escape(msg->subject, msg->subject_bytes, 200);
    (void)fprintf(stderr, "%s [#%llu] Received on subject \"%s\":\n", clock,
                  (unsigned long long)r->answered, subject);
    free(subject);
    cli_message_show(stdout, msg, false);
    (void)fflush(stdout);
}

/* A random part of the longest time; interruptions end it. */
static void sleep_some(struct replier *r)
{
    uint64_t random = 0;
    int64_t deadline;

    (void)!getrandom(&random, sizeof(random), 0); /* without luck: no time at all */
    deadline = cli_now_ns() + (int64_t)(random % (uint64_t)(r->options->sleep_ns + 1));
    while (cli_now_ns() < deadline && !r->interrupted)
        r->interrupted = cli_turn(NULL, deadline) == CLI_TURN_INTERRUPTED;
}

static void copy_header(void *context, const char *name, size_t name_bytes, const char *value,
                        size_t value_bytes)
{
    char *n = cli_copy(name, name_bytes), *v = cli_copy(value, value_bytes);

    (void)pipit_headers_add(context, n, v); /* what no header can be is not sent back */
    free(n);
    free(v);
}

static int add_headers(const struct replier *r, const pipit_msg *msg,
                       const cli_template_values *values, pipit_headers *out)
{
    char number[24];

    if (r->options->echo) {
        cli_message_headers(msg, copy_header, out);
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)values->count);
        if (pipit_headers_add(out, "NATS-Reply-Counter", number) == PIPIT_ENOMEM)
            cli_out_of_memory();
    }
    return cli_header_set_add(&r->headers, values, out);
}

/* Owner: *out_body is the caller's. False: there is no answer, and why has been said. */
static bool make_body(struct replier *r, const pipit_msg *msg, const cli_template_values *values,
                      char **out_body, size_t *out_bytes)
{
    const cli_program_input input = {values, msg->payload, msg->payload_bytes, true};
    int status;

    if (r->options->echo) {
        *out_body = cli_copy(msg->payload, msg->payload_bytes);
        *out_bytes = msg->payload_bytes;
        return true;
    }
    if (!r->command) {
        *out_body = cli_template_fill(r->body, values, out_bytes);
        return true;
    }
    status = cli_program_run(r->command, &input, out_body, out_bytes);
    /* A turn may bring thousands of requests, each of which takes this long. */
    r->interrupted = r->interrupted || cli_turn(NULL, 0) == CLI_TURN_INTERRUPTED;
    if (status != 0)
        cli_note("the command failed with status %d: the request is not answered", status);
    return status == 0;
}

static void answer(struct replier *r, const pipit_msg *msg)
{
    const cli_template_values values = {
        .count = r->answered,
        .subject = msg->subject,
        .subject_bytes = msg->subject_bytes,
        .request = msg->payload ? msg->payload : "",
        .request_bytes = msg->payload_bytes,
    };
    pipit_msg reply = {.subject = msg->reply, .subject_bytes = msg->reply_bytes};
    pipit_headers *headers = NULL;
    char *body = NULL;
    pipit_err err;

    if (!msg->reply_bytes || !make_body(r, msg, &values, &body, &reply.payload_bytes)) {
        free(body);
        return;
    }
    reply.payload = body;
    if (pipit_headers_new(&headers))
        cli_out_of_memory();
    if (add_headers(r, msg, &values, headers) == CLI_DONE) {
        if (r->headers.count || r->options->echo)
            reply.header = pipit_headers_block(headers, &reply.header_bytes);
        err = pipit_client_publish_msg(r->connection.client, &reply);
        if (err)
            (void)cli_client_fail(err, "cannot answer");
    }
    pipit_headers_free(headers);
    free(body);
}

static void on_request(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct replier *r = context;

    (void)sub;
    if (r->over || r->interrupted)
        return;
    tell(r, msg);
    if (r->options->sleep_ns)
        sleep_some(r);
    answer(r, msg);
    r->answered++;
    r->over = r->options->count && r->answered >= (uint64_t)r->options->count;
}

static int serve(struct replier *r)
{
    const reply_options *o = r->options;
    char clock[16], *subject, *queue;
    pipit_sub *sub;
    pipit_err err =
        pipit_client_subscribe(r->connection.client, o->subject, o->queue, on_request, r, &sub);
    int status;

    if (err)
        return cli_client_fail(err, "cannot listen");
    status = cli_connection_flush(&r->connection, r->call);
    if (status)
        return status;
    cli_clock_text(clock);
    subject = cli_escape(o->subject, strlen(o->subject), 200);
    queue = cli_escape(o->queue, strlen(o->queue), 100);
    (void)fprintf(stderr, "%s Listening on \"%s\" in group \"%s\"\n", clock, subject, queue);
    free(subject);
    free(queue);
    while (!r->over && !r->interrupted) {
        cli_turn_end end = cli_turn(&r->connection, INT64_MAX);

        if (end == CLI_TURN_CLOSED)
            return cli_fail(CLI_FAILED, "the connection to %s has ended: %s", r->connection.url,
                            r->connection.reason);
        r->interrupted = r->interrupted || end == CLI_TURN_INTERRUPTED;
    }
    return cli_connection_flush(&r->connection, r->call); /* the last answers are to arrive */
}

static int reply(const cli_call *call)
{
    const reply_options *o = call->options;
    struct replier r = {.call = call, .options = o};
    const cli_wish wish = {.own_loop = true, .stays = true, .name = "pipit reply"};
    int status;

    if (!!o->body + o->echo + !!o->command != 1)
        return cli_fail(CLI_USAGE, "give one of BODY, --echo and --command");
    cli_turn_catch();
    status = cli_header_set_read(&r.headers, &o->headers, o->no_templates);
    if (!status && o->body)
        status = cli_template_read(o->body, o->no_templates, &r.body);
    if (!status && o->command)
        status = cli_program_read(o->command, &r.command);
    if (!status)
        status = cli_connection_open(&r.connection, call, &wish);
    if (!status) {
        status = serve(&r);
        cli_connection_close(&r.connection);
    }
    cli_template_free(r.body);
    cli_program_free(r.command);
    cli_header_set_free(&r.headers);
    return status;
}

#define AT(member) offsetof(reply_options, member)

static const cli_argument arguments[] = {
    {"SUBJECT", CLI_TEXT, false, "Where to listen; may hold wildcards", AT(subject)},
    {"BODY", CLI_TEXT, true, "What to answer", AT(body)},
    {NULL},
};

static const cli_flag flags[] = {
    {"echo", 0, CLI_SWITCH, NULL, "Answer with what was asked", AT(echo)},
    {"command", 0, CLI_TEXT, "COMMAND",
     "Answer with what a program writes, if it ends with status 0", AT(command)},
    {"queue", 'q', CLI_TEXT, "GROUP", "Queue group", AT(queue), .fallback = "NATS-RPLY-22"},
    {"sleep", 0, CLI_DURATION, "MAX", "Wait for a random time before each answer, up to this",
     AT(sleep_ns)},
    {"header", 'H', CLI_TEXTS, "NAME:VALUE", "Add a header; the value may hold templates",
     AT(headers)},
    {"count", 0, CLI_COUNT, "N", "End after as many requests", AT(count)},
    {"no-templates", 0, CLI_SWITCH, NULL, "Take {{ and }} as they are", AT(no_templates)},
    {"quiet", 0, CLI_SWITCH, NULL, "Do not show requests", AT(quiet)},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit reply help.you 'take {{Random 3 8}} number {{Count}}'", "Answer with a text"},
    {"pipit reply help.you --echo", "Answer with what was asked"},
    {"pipit reply 'weather.>' --command 'echo fine weather in {{1}}'",
     "Answer with what a program says of a word of the subject"},
    {NULL, NULL},
};

const cli_command cli_reply_command = {
    .name = "reply",
    .help = "Answer requests, for trying things out",
    .text =
        "BODY, values of headers and words of COMMAND may hold the templates of pipit pub, and "
        "also {{Request}}, what was asked, and {{0}}, {{1}} and so on, words of the subject: of a "
        "request on weather.london, {{1}} is london.\n\n"
        "COMMAND is split into words as by a shell, and run without one, so that requests "
        "cannot smuggle commands in. It gets the request on standard input, and in the "
        "variables NATS_REQUEST_SUBJECT and NATS_REQUEST_BODY. One request is answered after "
        "another.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(reply_options),
    .run = reply,
};
