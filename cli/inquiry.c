/* By requests, answers are waited for until as many have come as there are servers, which the first
 * answer of all tells; where that is not known, until none has come for a while. */
#include "cli/inquiry.h"

#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/inquiry_http.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_MS = 500, ANSWERS_MAX = 4096, SUBJECT_BYTES = 256, ID_BYTES = 56 };

struct cli_inquiry {
    cli_connection connection;
    const cli_call *call;
    cli_inquiry_http *http; /* NULL: by requests */
    int64_t expected;       /* servers; 0: not known yet */
    bool expected_by_user;
    bool nobody; /* the last question reached nobody at all */
};

static cli_inquiry *open_by(const cli_call *call, const char *monitor, bool lasting,
                            int *out_status)
{
    const cli_wish wish = {.name = "pipit server", .stays = lasting};
    cli_inquiry *inquiry = cli_alloc(sizeof(*inquiry));

    inquiry->call = call;
    if (monitor)
        *out_status = cli_inquiry_http_open(&inquiry->http, monitor, call);
    else
        *out_status = cli_connection_open(&inquiry->connection, call, &wish);
    if (*out_status) {
        free(inquiry);
        return NULL;
    }
    return inquiry;
}

cli_inquiry *cli_inquiry_open(const cli_call *call, const char *monitor, int *out_status)
{
    return open_by(call, monitor, false, out_status);
}

cli_inquiry *cli_inquiry_open_lasting(const cli_call *call, const char *monitor, int *out_status)
{
    return open_by(call, monitor, true, out_status);
}

void cli_inquiry_close(cli_inquiry *inquiry)
{
    if (!inquiry)
        return;
    if (inquiry->http)
        cli_inquiry_http_close(inquiry->http);
    else
        cli_connection_close(&inquiry->connection);
    free(inquiry);
}

pipit_client *cli_inquiry_client(const cli_inquiry *inquiry)
{
    return inquiry->http ? NULL : inquiry->connection.client;
}

void cli_inquiry_expect(cli_inquiry *inquiry, int64_t servers)
{
    inquiry->expected = servers;
    inquiry->expected_by_user = servers > 0;
}

/* --- requests ------------------------------------------------------------------------------ */

/* An answer, without what it is wrapped in. NULL: it is none. */
static json_t *read_answer(const pipit_msg *msg, int64_t rtt_ns)
{
    json_t *answer = cli_json_read(msg->payload, msg->payload_bytes);

    if (!json_is_object(answer)) {
        json_decref(answer);
        return NULL;
    }
    if (json_object_get(answer, "statsz")) {
        cli_json_set(answer, "data", json_incref(json_object_get(answer, "statsz")));
        (void)json_object_del(answer, "statsz"); /* it is there */
    }
    cli_json_set(answer, "rtt_ns", json_integer(rtt_ns));
    return answer;
}

static void collect(cli_inquiry *inquiry, pipit_sub *sub, int64_t start, int64_t wanted,
                    json_t *answers)
{
    bool gap = !inquiry->expected_by_user;
    int64_t wait_ms = cli_timeout_ms(inquiry->call);
    pipit_msg *msg;

    inquiry->nobody = false;
    while (json_array_size(answers) < ANSWERS_MAX && !pipit_sub_next(sub, wait_ms, &msg)) {
        json_t *answer = read_answer(msg, cli_now_ns() - start);

        inquiry->nobody = pipit_msg_status(msg) == 503;
        pipit_msg_free(msg);
        if (inquiry->nobody)
            return;
        if (!answer)
            continue;
        cli_json_append(answers, answer);
        if (wanted && (int64_t)json_array_size(answers) >= wanted)
            return;
        if (gap && wait_ms > GAP_MS)
            wait_ms = GAP_MS;
    }
}

/* Takes nothing: options are borrowed. wanted 0: it is not known how many there will be. */
static json_t *request(cli_inquiry *inquiry, const char *subject, const json_t *options,
                       int64_t wanted)
{
    pipit_client *client = inquiry->connection.client;
    char inbox[256], *payload = options ? json_dumps(options, JSON_COMPACT) : NULL;
    json_t *answers = cli_json_array();
    pipit_sub *sub = NULL;
    int64_t start;
    pipit_err err = pipit_client_inbox(client, inbox, sizeof(inbox));

    if (options && !payload)
        cli_out_of_memory();
    if (!err)
        err = pipit_client_subscribe(client, inbox, NULL, NULL, NULL, &sub);
    start = cli_now_ns();
    if (!err)
        err = pipit_client_publish(client, subject, inbox, payload, payload ? strlen(payload) : 0);
    if (!err)
        collect(inquiry, sub, start, wanted, answers);
    pipit_sub_end(sub);
    free(payload);
    return answers;
}

/* How many servers there are, as the first that answers knows. */
static int64_t count_servers(cli_inquiry *inquiry)
{
    if (!inquiry->expected) {
        json_t *answers = request(inquiry, "$SYS.REQ.SERVER.PING", NULL, 1);

        inquiry->expected =
            (int64_t)cli_json_count_at(json_array_get(answers, 0), "data.active_servers");
        json_decref(answers);
    }
    return inquiry->expected;
}

static bool is_filtered(const json_t *options)
{
    static const char *const filters[] = {"server_name", "host", "cluster", "tags", "domain"};

    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (json_object_get(options, filters[i]))
            return true;
    }
    return false;
}

static json_t *request_all(cli_inquiry *inquiry, const char *page, const json_t *options)
{
    char subject[SUBJECT_BYTES];
    int64_t wanted =
        inquiry->expected_by_user || !is_filtered(options) ? count_servers(inquiry) : 0;

    if (inquiry->nobody)
        return cli_json_array();
    if (strcmp(page, "ACCSTATZ") == 0)
        (void)snprintf(subject, sizeof(subject), "$SYS.REQ.ACCOUNT.PING.STATZ");
    else
        (void)snprintf(subject, sizeof(subject), "$SYS.REQ.SERVER.PING.%s", page);
    return request(inquiry, subject, options, wanted);
}

/* --- one of them ---------------------------------------------------------------------------- */

static bool looks_like_id(const char *text)
{
    return strlen(text) == ID_BYTES && text[0] == 'N' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ID_BYTES;
}

/* The server that we are connected to. Owner: the caller. NULL: it does not say. */
static char *own_server(cli_inquiry *inquiry)
{
    json_t *answers = request(inquiry, "$SYS.REQ.USER.INFO", NULL, 1);
    size_t bytes;
    const char *id = cli_json_text_at(json_array_get(answers, 0), "server.id", &bytes);
    char *copy = bytes && looks_like_id(id) ? cli_copy(id, bytes) : NULL;

    json_decref(answers);
    return copy;
}

static json_t *request_one(cli_inquiry *inquiry, const char *server, const char *page,
                           json_t *options)
{
    char subject[SUBJECT_BYTES], *own = server ? NULL : own_server(inquiry);
    const char *id = server ? server : own;
    json_t *filters, *answers;

    if (id && looks_like_id(id) && strcmp(page, "ACCSTATZ") != 0) {
        (void)snprintf(subject, sizeof(subject), "$SYS.REQ.SERVER.%s.%s", id, page);
        answers = request(inquiry, subject, options, 1);
        free(own);
        return answers;
    }
    free(own);
    if (!server) { /* an old one, that does not know its users; or nobody */
        if (!inquiry->nobody)
            inquiry->nobody = true;
        return cli_json_array();
    }
    filters = options ? json_copy(options) : cli_json_object();
    cli_json_set_text(filters, "server_name", server);
    cli_json_set_flag(filters, "exact_match", 1);
    (void)snprintf(subject, sizeof(subject),
                   strcmp(page, "ACCSTATZ") == 0 ? "$SYS.REQ.ACCOUNT.PING.STATZ"
                                                 : "$SYS.REQ.SERVER.PING.%s",
                   page);
    answers = request(inquiry, subject, filters, 1);
    json_decref(filters);
    return answers;
}

/* --- what came ------------------------------------------------------------------------------ */

static int say_nobody(const cli_inquiry *inquiry, const char *server)
{
    char *shown = server ? cli_escape(server, strlen(server), 200) : NULL;

    if (inquiry->nobody)
        (void)cli_fail(CLI_NO_ANSWER,
                       "no server answers such requests from here: sign in as a user of the system "
                       "account, or name a monitoring port with --monitor");
    else if (server)
        (void)cli_fail(CLI_NO_ANSWER, "there is no server %s", shown);
    else
        (void)cli_fail(CLI_NO_ANSWER, "no server has answered; --timeout gives them longer");
    free(shown);
    return CLI_NO_ANSWER;
}

/* What was done without anything to tell has no data. */
static bool is_refusal(const json_t *answer)
{
    return json_is_object(json_object_get(answer, "error")) ||
           (!json_object_get(answer, "data") && !json_object_get(answer, "server"));
}

/* Leave out answers that are errors; where nothing is left, say the first of them. */
static int keep_good(json_t *answers, bool quiet)
{
    json_t *wrong = NULL;
    char *shown;

    for (size_t i = json_array_size(answers); i-- > 0;) {
        json_t *answer = json_array_get(answers, i);

        if (is_refusal(answer)) {
            json_decref(wrong);
            wrong = json_incref(answer);
            (void)json_array_remove(answers, i); /* it is there */
        }
    }
    if (!json_array_size(answers) && wrong && !quiet) {
        size_t bytes;
        const char *text = cli_json_text_at(wrong, "error.description", &bytes);

        shown = cli_escape(text, bytes, 400);
        (void)cli_fail(CLI_FAILED, "the server says: %s", shown);
        free(shown);
    }
    json_decref(wrong);
    return json_array_size(answers) ? CLI_DONE : CLI_FAILED;
}

/* Takes answers. */
static json_t *judge(const cli_inquiry *inquiry, const char *server, json_t *answers,
                     int *out_status)
{
    if (!json_array_size(answers))
        *out_status = say_nobody(inquiry, server);
    else
        *out_status = keep_good(answers, false);
    if (!*out_status)
        return answers;
    json_decref(answers);
    return NULL;
}

json_t *cli_inquiry_ask(cli_inquiry *inquiry, const char *page, json_t *options, int *out_status)
{
    json_t *answers;

    if (inquiry->http)
        answers = cli_inquiry_http_ask(inquiry->http, page, options, out_status);
    else
        answers = judge(inquiry, NULL, request_all(inquiry, page, options), out_status);
    json_decref(options);
    return answers;
}

json_t *cli_inquiry_ask_one(cli_inquiry *inquiry, const char *server, const char *page,
                            json_t *options, int *out_status)
{
    json_t *answers;

    if (inquiry->http)
        answers = cli_inquiry_http_ask(inquiry->http, page, options, out_status);
    else
        answers = judge(inquiry, server, request_one(inquiry, server, page, options), out_status);
    json_decref(options);
    return answers;
}

json_t *cli_inquiry_send(cli_inquiry *inquiry, const char *subject, json_t *options,
                         int *out_status)
{
    json_t *answers = judge(inquiry, NULL, request(inquiry, subject, options, 1), out_status);
    json_t *answer = json_incref(json_array_get(answers, 0));

    json_decref(options);
    json_decref(answers);
    return answer;
}

/* The id of a server that is known by its name. Owner: the caller. NULL: that there is none has
 * been said. */
static char *find_id(cli_inquiry *inquiry, const char *server, int *out_status)
{
    json_t *answers = cli_inquiry_ask_one(inquiry, server, "STATSZ", NULL, out_status);
    size_t bytes;
    const char *id = cli_json_text_at(json_array_get(answers, 0), "server.id", &bytes);
    char *copy = bytes && looks_like_id(id) ? cli_copy(id, bytes) : NULL;

    json_decref(answers);
    if (!copy && !*out_status)
        *out_status = cli_fail(CLI_NO_ANSWER, "the server does not tell its id");
    return copy;
}

json_t *cli_inquiry_order(cli_inquiry *inquiry, const char *server, const char *what,
                          json_t *options, int *out_status)
{
    char subject[SUBJECT_BYTES], *id;
    json_t *answer = NULL;

    if (server && looks_like_id(server))
        id = cli_copy(server, strlen(server));
    else
        id = find_id(inquiry, server, out_status);
    if (id) {
        (void)snprintf(subject, sizeof(subject), "$SYS.REQ.SERVER.%s.%s", id, what);
        answer = cli_inquiry_send(inquiry, subject, options, out_status);
    } else {
        json_decref(options);
    }
    free(id);
    return answer;
}

json_t *cli_inquiry_once(const cli_call *call, const char *monitor, int64_t expect,
                         const char *page, json_t *options, int *out_status)
{
    cli_inquiry *inquiry = cli_inquiry_open(call, monitor, out_status);
    json_t *answers;

    if (!inquiry) {
        json_decref(options);
        return NULL;
    }
    cli_inquiry_expect(inquiry, expect);
    answers = cli_inquiry_ask(inquiry, page, options, out_status);
    cli_inquiry_close(inquiry);
    return answers;
}

json_t *cli_inquiry_once_one(const cli_call *call, const char *monitor, const char *server,
                             const char *page, json_t *options, int *out_status)
{
    cli_inquiry *inquiry = cli_inquiry_open(call, monitor, out_status);
    json_t *answers = NULL;

    if (inquiry)
        answers = cli_inquiry_ask_one(inquiry, server, page, options, out_status);
    else
        json_decref(options);
    cli_inquiry_close(inquiry);
    return answers;
}

json_t *cli_inquiry_try(cli_inquiry *inquiry, const char *server, const char *page, json_t *options)
{
    json_t *answers;

    if (inquiry->http)
        answers = cli_inquiry_http_try(inquiry->http, page, options);
    else
        answers = request_one(inquiry, server, page, options);
    json_decref(options);
    if (answers && keep_good(answers, true)) {
        json_decref(answers);
        answers = NULL;
    }
    return answers;
}
