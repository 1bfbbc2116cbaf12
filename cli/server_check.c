/* pipit server check -- is all well? For Nagios, Prometheus, scripts. */
#include "cli/connection.h"
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/server.h"
#include "cli/turn.h"
#include "cli/verdict.h"
#include "cli/whole_file.h"
#include "pipit/keys.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* --- connection ------------------------------------------------------------------------------ */

struct connection_options {
    cli_verdict_form form; /* first */
    int64_t connect_warn, connect_critical, rtt_warn, rtt_critical, req_warn, req_critical;
};

#define LIMIT(flag, text, member, preset)                                                          \
    {                                                                                              \
        .name = flag, .type = CLI_DURATION, .value = "DURATION", .help = text, .fallback = preset, \
        .offset = offsetof(struct connection_options, member)                                      \
    }

static const cli_flag connection_flags[] = {
    CLI_VERDICT_FLAGS,
    LIMIT("connect-warn", "Warn if connecting takes as long", connect_warn, "500ms"),
    LIMIT("connect-critical", "It is critical then", connect_critical, "1s"),
    LIMIT("rtt-warn", "Warn if the server takes as long to answer a ping", rtt_warn, "500ms"),
    LIMIT("rtt-critical", "It is critical then", rtt_critical, "1s"),
    LIMIT("req-warn", "Warn if a message to ourselves takes as long", req_warn, "500ms"),
    LIMIT("req-critical", "It is critical then", req_critical, "1s"),
    {0},
};

static const cli_example connection_examples[] = {
    {"pipit server check connection", "Can we connect, and is it fast?"},
    {0},
};

/* A message to ourselves, there and back. */
static pipit_err round_trip(pipit_client *client, int64_t timeout_ms)
{
    char inbox[256];
    pipit_sub *sub = NULL;
    pipit_msg *msg = NULL;
    pipit_err err = pipit_client_inbox(client, inbox, sizeof(inbox));

    if (!err)
        err = pipit_client_subscribe(client, inbox, NULL, NULL, NULL, &sub);
    if (!err)
        err = pipit_client_publish(client, inbox, NULL, "check", 5);
    if (!err)
        err = pipit_sub_next(sub, timeout_ms, &msg);
    pipit_msg_free(msg);
    pipit_sub_end(sub);
    return err;
}

static void time_pings(cli_verdict *verdict, const cli_call *call, pipit_client *client)
{
    const struct connection_options *o = call->options;
    int64_t start = cli_now_ns();
    pipit_err err = pipit_client_flush(client, cli_timeout_ms(call));

    if (err) {
        cli_verdict_add(verdict, CLI_CRITICAL, "no answer to a ping: %s", pipit_strerror(err));
        return;
    }
    cli_verdict_value(verdict, "rtt", "s", "Time that the server takes to answer a ping",
                      seconds(cli_now_ns() - start));
    cli_verdict_judge(verdict, "rtt", seconds(o->rtt_warn), seconds(o->rtt_critical));
    start = cli_now_ns();
    err = round_trip(client, cli_timeout_ms(call));
    if (err) {
        cli_verdict_add(verdict, CLI_CRITICAL, "a message to ourselves did not come: %s",
                        pipit_strerror(err));
        return;
    }
    cli_verdict_value(verdict, "request_time", "s", "Time that a message to ourselves takes",
                      seconds(cli_now_ns() - start));
    cli_verdict_judge(verdict, "round trip", seconds(o->req_warn), seconds(o->req_critical));
}

static int run_connection(const cli_call *call)
{
    static const cli_wish wish = {.name = "pipit check", .quiet = true};
    const struct connection_options *o = call->options;
    cli_verdict *verdict = cli_verdict_new("connections", "Connection");
    cli_connection connection = {0};
    int64_t start = cli_now_ns();
    int status = cli_connection_open(&connection, call, &wish);

    if (status == CLI_USAGE) {
        cli_verdict_add(verdict, CLI_UNKNOWN, "the flags are not right");
    } else if (status) {
        cli_verdict_add(verdict, CLI_CRITICAL, "no connection to %s",
                        connection.url ? connection.url : "the server");
    } else {
        cli_verdict_value(verdict, "connect_time", "s", "Time that connecting takes",
                          seconds(cli_now_ns() - start));
        cli_verdict_judge(verdict, "connected after", seconds(o->connect_warn),
                          seconds(o->connect_critical));
        time_pings(verdict, call, connection.client);
    }
    cli_connection_close(&connection);
    return cli_verdict_finish(verdict, call);
}

const cli_command cli_server_check_connection = {
    .name = "connection",
    .aliases = "conn",
    .help = "Can we connect, and how fast is it?",
    .text = CLI_VERDICT_TEXT,
    .flags = connection_flags,
    .examples = connection_examples,
    .options_bytes = sizeof(struct connection_options),
    .run = run_connection,
};

/* --- server ---------------------------------------------------------------------------------- */

struct server_options {
    cli_verdict_form form; /* first */
    const char *monitor, *name;
    int64_t cpu_warn, cpu_critical, mem_warn, mem_critical, conn_warn, conn_critical, subs_warn,
        subs_critical, uptime_warn, uptime_critical, slow_warn, slow_critical;
    bool auth_required;
};

#define NUMBER(flag, kind, text, member)                                                           \
    {                                                                                              \
        .name = flag, .type = kind, .value = "LIMIT", .help = text,                                \
        .offset = offsetof(struct server_options, member)                                          \
    }

static const cli_flag server_flags[] = {
    CLI_VERDICT_FLAGS,
    CLI_MONITOR_FLAG(struct server_options, monitor),
    {.name = "name",
     .type = CLI_TEXT,
     .value = "SERVER",
     .help = "Which: its name or id (default: the one that we are connected to)",
     .offset = offsetof(struct server_options, name)},
    NUMBER("cpu-warn", CLI_COUNT, "Warn at this CPU use in percent", cpu_warn),
    NUMBER("cpu-critical", CLI_COUNT, "It is critical then", cpu_critical),
    NUMBER("mem-warn", CLI_SIZE, "Warn at this much memory", mem_warn),
    NUMBER("mem-critical", CLI_SIZE, "It is critical then", mem_critical),
    NUMBER("conn-warn", CLI_COUNT, "Warn at as many connections", conn_warn),
    NUMBER("conn-critical", CLI_COUNT, "It is critical then; below --conn-warn: few are bad",
           conn_critical),
    NUMBER("subs-warn", CLI_COUNT, "Warn at as many subscriptions", subs_warn),
    NUMBER("subs-critical", CLI_COUNT, "It is critical then; below --subs-warn: few are bad",
           subs_critical),
    NUMBER("slow-warn", CLI_COUNT, "Warn at as many slow consumers since the start", slow_warn),
    NUMBER("slow-critical", CLI_COUNT, "It is critical then", slow_critical),
    NUMBER("uptime-warn", CLI_DURATION, "Warn if it has run for no longer", uptime_warn),
    NUMBER("uptime-critical", CLI_DURATION, "It is critical then", uptime_critical),
    {.name = "auth-required",
     .type = CLI_SWITCH,
     .help = "It is critical if the server takes clients without credentials",
     .offset = offsetof(struct server_options, auth_required)},
    {0},
};

static const cli_example server_examples[] = {
    {"pipit server check server --mem-warn 1G --mem-critical 2G --cpu-warn 80",
     "Limits for memory and CPU."},
    {0},
};

/* Short uptimes are the bad ones, with one limit, too. */
static void judge_uptime(cli_verdict *verdict, const struct server_options *o, int64_t uptime_s)
{
    double warn = seconds(o->uptime_warn), critical = seconds(o->uptime_critical);

    cli_verdict_value(verdict, "uptime", "s", "Time since the start", (double)uptime_s);
    if (!(warn > 0) && !(critical > 0))
        return;
    if (critical > 0 && (double)uptime_s <= critical)
        cli_verdict_add(verdict, CLI_CRITICAL, "uptime %llds", (long long)uptime_s);
    else
        cli_verdict_add(verdict, warn > 0 && (double)uptime_s <= warn ? CLI_WARNING : CLI_GOOD,
                        "uptime %llds", (long long)uptime_s);
}

static void judge_server(cli_verdict *verdict, const struct server_options *o, const json_t *data)
{
    judge_uptime(verdict, o, cli_uptime_read(cli_json_text_at(data, "uptime", NULL)));
    cli_verdict_value(verdict, "cpu", "%", "CPU use", cli_json_real_at(data, "cpu"));
    cli_verdict_judge(verdict, "CPU", (double)o->cpu_warn, (double)o->cpu_critical);
    cli_verdict_value(verdict, "mem", "", "Memory in bytes", cli_json_real_at(data, "mem"));
    cli_verdict_judge(verdict, "memory", (double)o->mem_warn, (double)o->mem_critical);
    cli_verdict_value(verdict, "connections", "", "Connections there are",
                      cli_json_real_at(data, "connections"));
    cli_verdict_judge_few(verdict, "connections", (double)o->conn_warn, (double)o->conn_critical);
    cli_verdict_value(verdict, "subscriptions", "", "Subscriptions there are",
                      cli_json_real_at(data, "subscriptions"));
    cli_verdict_judge_few(verdict, "subscriptions", (double)o->subs_warn, (double)o->subs_critical);
    cli_verdict_value(verdict, "slow_consumers", "", "Slow consumers since the start",
                      cli_json_real_at(data, "slow_consumers"));
    cli_verdict_judge(verdict, "slow consumers", (double)o->slow_warn, (double)o->slow_critical);
    if (o->auth_required)
        cli_verdict_add(verdict, cli_json_flag_at(data, "auth_required") ? CLI_GOOD : CLI_CRITICAL,
                        cli_json_flag_at(data, "auth_required") ? "credentials are asked for"
                                                                : "no credentials are asked for");
}

static int run_server(const cli_call *call)
{
    const struct server_options *o = call->options;
    cli_verdict *verdict;
    int status;
    size_t bytes;
    char *name;
    json_t *answers = cli_inquiry_once_one(call, o->monitor, o->name, "VARZ", NULL, &status);
    const char *found = answers ? cli_server_name(json_array_get(answers, 0), &bytes) : NULL;

    if (!found) /* why has been said, on standard error */
        found = o->name ? o->name : "server";
    else if (!*found)
        found = "server";
    name = cli_copy(found, strlen(found));
    verdict = cli_verdict_new("server", name);
    if (!answers)
        cli_verdict_add(verdict, status == CLI_USAGE ? CLI_UNKNOWN : CLI_CRITICAL,
                        "the server cannot be asked");
    else if (o->monitor && o->name && strcmp(o->name, name) != 0)
        cli_verdict_add(verdict, CLI_CRITICAL, "this is not server %s", o->name);
    else
        judge_server(verdict, o, cli_json_at(json_array_get(answers, 0), "data"));
    free(name);
    json_decref(answers);
    return cli_verdict_finish(verdict, call);
}

const cli_command cli_server_check_server = {
    .name = "server",
    .help = "Memory, CPU, connections, subscriptions, slow consumers of one",
    .text = CLI_VERDICT_TEXT " " CLI_INQUIRY_TEXT,
    .flags = server_flags,
    .examples = server_examples,
    .options_bytes = sizeof(struct server_options),
    .run = run_server,
};

/* --- credential ------------------------------------------------------------------------------ */

enum { CREDENTIAL_MAX = 2 * 1024 * 1024, WRONG_BYTES = 256 };

struct credential_options {
    cli_verdict_form form; /* first */
    const char *file;
    int64_t warn, critical;
    bool require_expiry;
};

static const cli_flag credential_flags[] = {
    CLI_VERDICT_FLAGS,
    {.name = "credential",
     .type = CLI_FILE,
     .value = "FILE",
     .help = "The credentials file",
     .offset = offsetof(struct credential_options, file)},
    {.name = "validity-warn",
     .type = CLI_DURATION,
     .value = "DURATION",
     .help = "Warn if it is good for no longer",
     .offset = offsetof(struct credential_options, warn)},
    {.name = "validity-critical",
     .type = CLI_DURATION,
     .value = "DURATION",
     .help = "It is critical then",
     .offset = offsetof(struct credential_options, critical)},
    {.name = "require-expiry",
     .type = CLI_SWITCH,
     .help = "It is critical if it is good for ever",
     .offset = offsetof(struct credential_options, require_expiry)},
    {0},
};

static const cli_example credential_examples[] = {
    {"pipit server check credential --credential ann.creds --validity-warn 7d",
     "Warn a week before it expires."},
    {0},
};

static void judge_expiry(cli_verdict *verdict, const struct credential_options *o,
                         int64_t expires_s)
{
    int64_t left_s = expires_s - (int64_t)time(NULL);

    if (!expires_s) {
        cli_verdict_add(verdict, o->require_expiry ? CLI_CRITICAL : CLI_GOOD, "never expires");
        return;
    }
    cli_verdict_value(verdict, "expiry", "s", "Time that it is still good for", (double)left_s);
    if (left_s <= 0 || (double)left_s <= seconds(o->critical))
        cli_verdict_add(verdict, CLI_CRITICAL, left_s <= 0 ? "has expired" : "expires soon");
    else
        cli_verdict_add(verdict, (double)left_s <= seconds(o->warn) ? CLI_WARNING : CLI_GOOD,
                        "expires in %llds", (long long)left_s);
}

static int run_credential(const cli_call *call)
{
    const struct credential_options *o = call->options;
    cli_verdict *verdict = cli_verdict_new("credential", "Credential");
    char wrong[WRONG_BYTES] = "", seed_public[PIPIT_KEY_BYTES] = "";
    pipit_token *token = NULL;
    size_t bytes;
    char *text = o->file ? cli_whole_file_read(o->file, CREDENTIAL_MAX, &bytes) : NULL;

    if (!o->file) {
        cli_verdict_add(verdict, CLI_UNKNOWN, "no file: give --credential FILE");
    } else if (!text) {
        cli_verdict_add(verdict, CLI_CRITICAL, "the file cannot be read");
    } else if (pipit_credentials_decode(text, bytes, (int64_t)time(NULL), &token, seed_public,
                                        wrong, sizeof(wrong))) {
        cli_verdict_add(verdict, CLI_CRITICAL, "cannot be used: %s", wrong);
    } else {
        if (*seed_public && strcmp(seed_public, token->subject) != 0)
            cli_verdict_add(verdict, CLI_CRITICAL, "the seed is not that of the token's user");
        if (token->errors)
            cli_verdict_add(verdict, CLI_CRITICAL, "%s", token->issues);
        judge_expiry(verdict, o, token->expires_s);
    }
    if (text)
        explicit_bzero(text, bytes);
    free(text);
    pipit_token_free(token);
    return cli_verdict_finish(verdict, call);
}

const cli_command cli_server_check_credential = {
    .name = "credential",
    .aliases = "creds",
    .help = "How long a credentials file is still good",
    .text = CLI_VERDICT_TEXT,
    .flags = credential_flags,
    .examples = credential_examples,
    .options_bytes = sizeof(struct credential_options),
    .offline = true,
    .run = run_credential,
};

static const cli_command *const checks[] = {&cli_server_check_connection, &cli_server_check_server,
                                            &cli_server_check_credential, NULL};

const cli_command cli_server_check = {
    .name = "check",
    .help = "Is all well? For Nagios, Prometheus, scripts",
    .text = CLI_VERDICT_TEXT,
    .commands = checks,
};
