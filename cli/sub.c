/* pipit sub -- show what is published. */
#include "cli/sub.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/graph.h"
#include "cli/json.h"
#include "cli/matches.h"
#include "cli/memory.h"
#include "cli/message.h"
#include "cli/program.h"
#include "cli/say.h"
#include "cli/tally.h"
#include "cli/terminal.h"
#include "cli/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct sub_options {
    cli_texts subjects, ignored;
    const char *queue, *translate, *dump;
    bool raw, headers_only, match_replies, inbox, timestamp, graph, report_subjects;
    int64_t count, wait_ns, report_top;
} sub_options;

struct listener {
    const cli_call *call;
    const sub_options *options;
    cli_connection connection;
    cli_program *translate;
    cli_matches *matches;
    cli_graph *graph;
    cli_tally *tally;
    uint64_t heard;
    int64_t last_ns; /* when */
    bool over;
    int status;
};

/* --- one message -------------------------------------------------------------------------- */

/* As the nats CLI dumps them. */
static json_t *dump_json(const pipit_msg *msg)
{
    json_t *plain = cli_message_json(msg), *json = cli_json_object();
    json_t *headers = json_object_get(plain, "headers");

    cli_json_set(json, "Subject", cli_json_text(msg->subject, msg->subject_bytes));
    cli_json_set(json, "Reply", cli_json_text(msg->reply, msg->reply_bytes));
    cli_json_set(json, "Header", headers ? json_incref(headers) : json_null());
    cli_json_set(json, "Data", cli_json_base64(msg->payload, msg->payload_bytes));
    cli_json_set(json, "Sub", json_null());
    json_decref(plain);
    return json;
}

static void fail(struct listener *l, int status)
{
    l->status = status;
    l->over = true;
}

static void dump(struct listener *l, const pipit_msg *msg)
{
    bool to_stdout = strcmp(l->options->dump, "-") == 0;
    json_t *json = dump_json(msg);
    char *text = json_dumps(json, JSON_COMPACT), *path;
    FILE *file;

    if (!text)
        cli_out_of_memory();
    json_decref(json);
    path = cli_format("%s/%llu.json", l->options->dump, (unsigned long long)l->heard);
    file = to_stdout ? stdout : fopen(path, "we");
    if (!file || fputs(text, file) < 0 || (to_stdout && putc(0, file) < 0) || fflush(file) != 0)
        fail(l,
             cli_fail(CLI_FAILED, "cannot write %s: %s", to_stdout ? "it" : path, strerror(errno)));
    if (file && !to_stdout)
        (void)fclose(file); /* flushed */
    free(path);
    free(text);
}

static void show_head(const struct listener *l, const pipit_msg *msg, uint64_t number,
                      bool is_reply)
{
    char *subject = cli_escape(msg->subject, msg->subject_bytes, 200);
    char *reply = cli_escape(msg->reply, msg->reply_bytes, 200);
    char clock[16] = "";

    if (l->options->timestamp)
        cli_clock_text(clock);
    (void)printf("%s[#%llu]%s%s%s %s on \"%s\"", cli_style_text(stdout, CLI_BOLD),
                 (unsigned long long)number, *clock ? " @ " : "", clock,
                 cli_style_text(stdout, CLI_PLAIN), is_reply ? "Matched reply" : "Received",
                 subject);
    if (msg->reply_bytes)
        (void)printf(" with reply \"%s\"", reply);
    (void)putchar('\n');
    free(subject);
    free(reply);
}

static void show_json(const struct listener *l, const pipit_msg *msg, uint64_t number,
                      bool is_reply)
{
    json_t *json = cli_message_json(msg);
    struct timespec now;

    cli_json_set_count(json, "number", number);
    if (is_reply)
        cli_json_set_flag(json, "matched_reply", true);
    if (l->options->timestamp) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        cli_json_set_real(json, "time", (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    }
    if (l->options->headers_only) {
        (void)json_object_del(json, "data"); /* one of the two is there */
        (void)json_object_del(json, "data_base64");
    }
    (void)cli_json_line(json);
}

/* What the program of --translate makes of it; it is shown as it came if that fails. */
static char *translate(struct listener *l, pipit_msg *msg)
{
    const cli_template_values values = {.subject = msg->subject,
                                        .subject_bytes = msg->subject_bytes};
    const cli_program_input input = {&values, msg->payload, msg->payload_bytes, false};
    char *out = NULL;
    size_t bytes;
    int status = cli_program_run(l->translate, &input, &out, &bytes);

    /* A turn may bring thousands of messages, each of which takes this long. */
    if (cli_turn(NULL, 0) == CLI_TURN_INTERRUPTED)
        l->over = true;
    if (status == 0) {
        msg->payload = out;
        msg->payload_bytes = bytes;
    } else if (!l->over) {
        cli_note("the command of --translate failed with status %d", status);
    }
    return out;
}

static void show(struct listener *l, const pipit_msg *msg, uint64_t number, bool is_reply)
{
    const sub_options *o = l->options;
    pipit_msg shown = *msg;
    char *translated = NULL;

    if (o->dump) {
        dump(l, msg);
        return;
    }
    if (l->translate)
        translated = translate(l, &shown);
    if (l->call->globals->json) {
        show_json(l, &shown, number, is_reply);
    } else if (o->raw) {
        cli_message_show_raw(stdout, shown.payload, shown.payload_bytes);
    } else {
        show_head(l, &shown, number, is_reply);
        cli_message_show(stdout, &shown, o->headers_only);
        (void)putchar('\n');
    }
    free(translated);
}

/* --- which messages ----------------------------------------------------------------------- */

/* Does a subject fall under a pattern? By tokens: * is any one, a last > any that follow. */
static bool matches(const char *pattern, const char *subject, size_t bytes)
{
    const char *end = subject + bytes;

    while (*pattern) {
        size_t p = strcspn(pattern, ".");
        const char *dot = memchr(subject, '.', (size_t)(end - subject));
        size_t s = (size_t)((dot ? dot : end) - subject);

        if (p == 1 && *pattern == '>')
            return s > 0;
        if (!(p == 1 && *pattern == '*') && (p != s || memcmp(pattern, subject, p) != 0))
            return false;
        if ((pattern[p] != '\0') != (dot != NULL))
            return false;
        pattern += p + (pattern[p] == '.');
        subject += s + (dot != NULL);
    }
    return true;
}

static bool is_ignored(const struct listener *l, const pipit_msg *msg)
{
    for (size_t i = 0; i < l->options->ignored.count; i++) {
        if (matches(l->options->ignored.items[i], msg->subject, msg->subject_bytes))
            return true;
    }
    return false;
}

static void count(struct listener *l)
{
    l->over = l->over || (l->options->count && l->heard >= (uint64_t)l->options->count);
}

static void on_message(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct listener *l = context;

    (void)sub;
    if (l->over || is_ignored(l, msg))
        return;
    l->heard++;
    l->last_ns = cli_now_ns();
    if (l->graph)
        cli_graph_count(l->graph, 1, msg->payload_bytes + msg->header_bytes);
    else if (l->tally)
        cli_tally_count(l->tally, msg->subject, msg->subject_bytes,
                        msg->payload_bytes + msg->header_bytes);
    else
        show(l, msg, l->heard, false);
    if (l->matches && msg->reply_bytes)
        cli_matches_ask(l->matches, msg->reply, msg->reply_bytes, l->heard);
    else
        count(l);
}

/* With --match-replies a request counts when it has been answered. */
static void on_reply(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct listener *l = context;
    uint64_t number;

    (void)sub;
    if (l->over || !cli_matches_find(l->matches, msg->subject, msg->subject_bytes, &number))
        return;
    l->last_ns = cli_now_ns();
    show(l, msg, number, true);
    count(l);
}

/* --- the whole ---------------------------------------------------------------------------- */

static int subscribe_one(struct listener *l, const char *subject, const char *queue,
                         pipit_sub_fn callback)
{
    pipit_sub *sub;
    pipit_err err = pipit_client_subscribe(l->connection.client, subject, queue, callback, l, &sub);
    char *shown = cli_escape(subject, strlen(subject), 200), clock[16];
    int status = err ? cli_client_fail(err, "cannot subscribe to %s", shown)
                     : cli_connection_flush(&l->connection, l->call);

    cli_clock_text(clock);
    if (!status) /* said when the server has it: who reads this may publish */
        (void)fprintf(stderr, "%s Subscribing on %s%s\n", clock, shown,
                      callback == on_reply ? " for replies" : "");
    free(shown);
    return status;
}

static int subscribe(struct listener *l)
{
    const sub_options *o = l->options;
    const char *prefix = l->call->globals->inbox_prefix;
    char inbox[128];
    int status = CLI_DONE;

    if (o->match_replies) {
        char *replies = cli_format("%s.>", prefix ? prefix : "_INBOX");

        status = subscribe_one(l, replies, NULL, on_reply);
        free(replies);
    }
    for (size_t i = 0; i < o->subjects.count && !status; i++)
        status = subscribe_one(l, o->subjects.items[i], o->queue, on_message);
    if (status || !o->inbox)
        return status;
    if (pipit_client_inbox(l->connection.client, inbox, sizeof(inbox)))
        return cli_fail(CLI_FAILED, "the prefix of the inbox is too long");
    return subscribe_one(l, inbox, o->queue, on_message);
}

static int64_t next_deadline(const struct listener *l)
{
    int64_t deadline = INT64_MAX;

    if (l->options->wait_ns)
        deadline = l->last_ns + l->options->wait_ns;
    if (l->graph && cli_graph_due_ns(l->graph) < deadline)
        deadline = cli_graph_due_ns(l->graph);
    return deadline;
}

static int listen_on(struct listener *l)
{
    l->last_ns = cli_now_ns();
    while (!l->over) {
        switch (cli_turn(&l->connection, next_deadline(l))) {
        case CLI_TURN_INTERRUPTED:
            return l->status;
        case CLI_TURN_CLOSED:
            return cli_fail(CLI_FAILED, "the connection to %s has ended: %s", l->connection.url,
                            l->connection.reason);
        case CLI_TURN_WORKED:
            break;
        }
        if (l->graph && cli_now_ns() >= cli_graph_due_ns(l->graph))
            cli_graph_show(l->graph, stdout);
        if (fflush(stdout) != 0)
            return cli_fail(CLI_FAILED, "cannot write to standard output");
        if (l->options->wait_ns && cli_now_ns() - l->last_ns >= l->options->wait_ns)
            break;
    }
    return l->status;
}

static int report(struct listener *l)
{
    if (!l->tally)
        return CLI_DONE;
    if (l->call->globals->json)
        return cli_json_print(cli_tally_json(l->tally, (size_t)l->options->report_top));
    cli_tally_show(l->tally, (size_t)l->options->report_top, stdout);
    return CLI_DONE;
}

static int prepare(struct listener *l)
{
    const sub_options *o = l->options;

    if (!o->subjects.count && !o->inbox)
        return cli_fail(CLI_USAGE, "give a SUBJECT, or --inbox for one of the connection's own");
    if (o->graph && l->call->globals->json)
        return cli_fail(CLI_USAGE, "--graph is to look at: leave out --json");
    if (o->graph + o->report_subjects + o->raw + !!o->dump > 1)
        return cli_fail(CLI_USAGE,
                        "give one of --graph, --report-subjects, --raw and --dump, not several");
    if (o->dump && strcmp(o->dump, "-") != 0 && mkdir(o->dump, 0777) != 0 && errno != EEXIST)
        return cli_fail(CLI_USAGE, "cannot make the folder %s: %s", o->dump, strerror(errno));
    if (o->graph)
        l->graph = cli_graph_new(o->subjects.count ? o->subjects.items[0] : "inbox", "messages");
    if (o->report_subjects)
        l->tally = cli_tally_new();
    if (o->match_replies)
        l->matches = cli_matches_new();
    return o->translate ? cli_program_read(o->translate, &l->translate) : CLI_DONE;
}

static int sub(const cli_call *call)
{
    struct listener l = {.call = call, .options = call->options};
    const cli_wish wish = {.own_loop = true, .stays = true, .name = "pipit sub"};
    int status = prepare(&l);

    cli_turn_catch();
    if (!status)
        status = cli_connection_open(&l.connection, call, &wish);
    if (!status) {
        status = subscribe(&l);
        if (!status)
            status = listen_on(&l);
        if (!status)
            status = report(&l);
        cli_connection_close(&l.connection);
    }
    cli_graph_free(l.graph);
    cli_tally_free(l.tally);
    cli_matches_free(l.matches);
    cli_program_free(l.translate);
    return status;
}

#define AT(member) offsetof(sub_options, member)

static const cli_argument arguments[] = {
    {"SUBJECT", CLI_TEXTS, true, "What to show; may hold wildcards, and there may be several",
     AT(subjects)},
    {NULL},
};

static const cli_flag flags[] = {
    {"queue", 'q', CLI_TEXT, "GROUP", "Share the messages with other members of a queue group",
     AT(queue)},
    {"count", 0, CLI_COUNT, "N", "End after as many messages", AT(count)},
    {"wait", 0, CLI_DURATION, "DURATION", "End when nothing has come for so long", AT(wait_ns)},
    {"raw", 'r', CLI_SWITCH, NULL, "Show payloads, byte by byte, and nothing else", AT(raw)},
    {"headers-only", 0, CLI_SWITCH, NULL, "Show headers, no payloads", AT(headers_only)},
    {"timestamp", 't', CLI_SWITCH, NULL, "Show when messages come", AT(timestamp)},
    {"translate", 0, CLI_TEXT, "COMMAND", "Show what a program makes of each payload",
     AT(translate)},
    {"dump", 0, CLI_FOLDER, "FOLDER",
     "Write each message to a file there; with - to standard output, with NUL between them",
     AT(dump)},
    {"match-replies", 0, CLI_SWITCH, NULL, "Show the answers to requests, too", AT(match_replies)},
    {"inbox", 'i', CLI_SWITCH, NULL, "Listen on a subject of the connection's own", AT(inbox)},
    {"ignore-subject", 'I', CLI_TEXTS, "SUBJECT", "Do not show these; may hold wildcards",
     AT(ignored)},
    {"graph", 0, CLI_SWITCH, NULL, "Show the rate over time instead", AT(graph)},
    {"report-subjects", 0, CLI_SWITCH, NULL, "At the end, show which subjects were seen how often",
     AT(report_subjects)},
    {"report-top", 0, CLI_COUNT, "N", "So many of them", AT(report_top), .fallback = "10",
     .min = 1},
    {NULL},
};

static const cli_example examples[] = {
    {"pipit sub 'orders.>'", "Show all orders"},
    {"pipit sub 'orders.>' --count 3 --raw", "The payloads of three, for scripts"},
    {"pipit sub 'orders.>' --translate 'tr a-z A-Z'", "Through a program"},
    {"pipit sub 'orders.>' --json", "One JSON object for each, with its headers"},
    {"pipit sub 'orders.>' --graph", "How many come each second?"},
    {"pipit sub '>' --report-subjects --wait 2s", "Who talks about what?"},
    {NULL, NULL},
};

const cli_command cli_sub_command = {
    .name = "sub",
    .aliases = "subscribe",
    .help = "Show what is published",
    .text =
        "Ends by Ctrl-C, or by --count or --wait. When the connection is lost it tries again. "
        "Bytes that would command the terminal are shown by their numbers; --raw leaves them "
        "as they are. COMMAND of --translate is split into words as by a shell, and run without "
        "one; it gets the payload on standard input.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(sub_options),
    .run = sub,
};
