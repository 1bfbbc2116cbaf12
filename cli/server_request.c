/* pipit server request -- a page of monitoring as it is, of each server; and kick, which is asked
 * for in the same way. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *monitor, *server, *with, *sort, *state, *user, *account, *subject;
    cli_server_filter filter;
    int64_t expect, limit, offset, cid;
    bool subscriptions, detail, accounts, empty;
};

#define TEXT_FLAG(flag, called, text, member)                                                      \
    {                                                                                              \
        .name = flag, .type = CLI_TEXT, .value = called, .help = text,                             \
        .offset = offsetof(struct options, member)                                                 \
    }
#define SWITCH_FLAG(flag, text, member)                                                            \
    {                                                                                              \
        .name = flag, .type = CLI_SWITCH, .help = text, .offset = offsetof(struct options, member) \
    }
#define ALL_HAVE                                                                                   \
    CLI_MONITOR_FLAG(struct options, monitor),                                                     \
        TEXT_FLAG("name", "SERVER", "Only this one, by its name or id (default: all)", server),    \
        CLI_SERVER_FILTER_FLAGS(struct options, filter),                                           \
        TEXT_FLAG("with", "JSON", "Options, as the request has them: {\"limit\":10}", with)
#define PAGED                                                                                      \
    {.name = "limit",                                                                              \
     .type = CLI_COUNT,                                                                            \
     .value = "N",                                                                                 \
     .help = "No more than N of each server",                                                      \
     .fallback = "2048",                                                                           \
     .min = 1,                                                                                     \
     .offset = offsetof(struct options, limit)},                                                   \
    {                                                                                              \
        .name = "offset", .type = CLI_COUNT, .value = "N", .help = "Behind the first N",           \
        .offset = offsetof(struct options, offset)                                                 \
    }

static const cli_flag plain_flags[] = {ALL_HAVE, {0}};
static const cli_flag route_flags[] = {
    ALL_HAVE, SWITCH_FLAG("subscriptions", "With their subscriptions", subscriptions), {0}};
static const cli_flag gateway_flags[] = {
    ALL_HAVE,
    SWITCH_FLAG("accounts", "With their accounts", accounts),
    TEXT_FLAG("filter-account", "ACCOUNT", "Only this account", account),
    {0},
};
static const cli_flag account_flags[] = {
    ALL_HAVE,
    TEXT_FLAG("account", "ACCOUNT", "Everything of this account (default: the names of all)",
              account),
    {0},
};
static const cli_flag subscription_flags[] = {
    ALL_HAVE,
    PAGED,
    SWITCH_FLAG("detail", "Each of them, too", detail),
    TEXT_FLAG("filter-account", "ACCOUNT", "Only this account", account),
    TEXT_FLAG("filter-subject", "SUBJECT", "Only those that hear SUBJECT", subject),
    {0},
};
static const cli_flag connection_flags[] = {
    ALL_HAVE,
    PAGED,
    {.name = "sort",
     .type = CLI_CHOICE,
     .value = "KEY",
     .choices = "cid|start|subs|pending|msgs_to|msgs_from|bytes_to|bytes_from|last|idle|uptime|"
                "stop|reason|rtt",
     .help = "What comes first",
     .offset = offsetof(struct options, sort)},
    SWITCH_FLAG("subscriptions", "With their subscriptions", subscriptions),
    {.name = "filter-cid",
     .type = CLI_COUNT,
     .value = "CID",
     .help = "Only this one",
     .min = 1,
     .offset = offsetof(struct options, cid)},
    {.name = "filter-state",
     .type = CLI_CHOICE,
     .value = "STATE",
     .choices = "open|closed|all",
     .help = "Which",
     .offset = offsetof(struct options, state)},
    TEXT_FLAG("filter-user", "USER", "Only those of this user", user),
    TEXT_FLAG("filter-account", "ACCOUNT", "Only those of this account", account),
    TEXT_FLAG("filter-subject", "SUBJECT",
              "Only those with a subscription that hears SUBJECT; not with --monitor", subject),
    SWITCH_FLAG("filter-empty", "Only servers that have some", empty),
    {0},
};

static const cli_argument arguments[] = {
    CLI_EXPECT_ARGUMENT(struct options, expect),
    {0},
};

/* What to ask for: page, and what flags are called in its question. */
static const struct page {
    const char *name, *page, *account, *subject, *subscriptions;
} pages[] = {
    {"variables", "VARZ", NULL, NULL, NULL},
    {"connections", "CONNZ", "acc", "filter_subject", "subscriptions"},
    {"subscriptions", "SUBSZ", "account", "test", "subscriptions"},
    {"routes", "ROUTEZ", NULL, NULL, "subscriptions"},
    {"gateways", "GATEWAYZ", "account_name", NULL, NULL},
    {"leafnodes", "LEAFZ", NULL, NULL, "subscriptions"},
    {"accounts", "ACCOUNTZ", "account", NULL, NULL},
    {"account-stats", "ACCSTATZ", NULL, NULL, NULL},
    {"jetstream", "JSZ", NULL, NULL, NULL},
    {"jetstream-health", "HEALTHZ", NULL, NULL, NULL},
    {"statistics", "STATSZ", NULL, NULL, NULL},
    {"raft", "RAFTZ", NULL, NULL, NULL},
};

static const struct page *find_page(const char *name)
{
    const struct page *page = pages;

    while (strcmp(page->name, name) != 0) /* commands are made of their names */
        page++;
    return page;
}

static void add_flags(json_t *with, const struct page *page, const struct options *o)
{
    static const char *const states[] = {"open", "closed", "all"};

    cli_server_filter_add(&o->filter, with);
    if (o->limit && !json_object_get(with, "limit")) /* it has a default */
        cli_json_set_count(with, "limit", (uint64_t)o->limit);
    if (o->offset)
        cli_json_set_count(with, "offset", (uint64_t)o->offset);
    if (o->sort)
        cli_json_set_text(with, "sort", o->sort);
    if (o->cid)
        cli_json_set_count(with, "cid", (uint64_t)o->cid);
    for (size_t i = 0; o->state && i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i], o->state) == 0)
            cli_json_set_count(with, "state", i);
    }
    if (o->user) {
        cli_json_set_text(with, "user", o->user);
        cli_json_set_flag(with, "auth", 1);
    }
    if (o->account)
        cli_json_set_text(with, page->account, o->account);
    if (o->subject)
        cli_json_set_text(with, page->subject, o->subject);
    if (o->subscriptions || o->detail)
        cli_json_set_flag(with, page->subscriptions, 1);
    if (o->accounts)
        cli_json_set_flag(with, "accounts", 1);
}

/* --with, and what flags say. NULL: it is no object. */
static json_t *make_question(const struct page *page, const struct options *o)
{
    json_t *with = o->with ? cli_json_read(o->with, strlen(o->with)) : cli_json_object();

    if (json_is_object(with)) {
        add_flags(with, page, o);
        return with;
    }
    json_decref(with);
    return NULL;
}

static void leave_out_empty(json_t *answers)
{
    for (size_t i = json_array_size(answers); i-- > 0;) {
        if (!cli_json_count_at(json_array_get(answers, i), "data.num_connections"))
            (void)json_array_remove(answers, i); /* it is there */
    }
}

static int run_page(const cli_call *call)
{
    const struct options *o = call->options;
    const struct page *page = find_page(call->command->name);
    json_t *with = make_question(page, o), *answers;
    int status = CLI_DONE;
    int64_t came;

    if (!with)
        return cli_fail(CLI_USAGE, "--with takes a JSON object, such as '{\"limit\":10}'");
    if (o->monitor && strcmp(page->page, "STATSZ") == 0) {
        json_decref(with);
        return cli_fail(CLI_USAGE, "by HTTP there are no statistics: ask for variables");
    }
    if (o->server)
        answers = cli_inquiry_once_one(call, o->monitor, o->server, page->page, with, &status);
    else
        answers = cli_inquiry_once(call, o->monitor, o->expect, page->page, with, &status);
    if (!answers)
        return status;
    came = (int64_t)json_array_size(answers);
    if (o->empty)
        leave_out_empty(answers);
    status = cli_json_print(answers);
    return status || o->server ? status : cli_server_missing(o->expect, came);
}

static const cli_example variable_examples[] = {
    {"pipit server request variables", "What /varz shows, of each server."},
    {0},
};
static const cli_example connection_examples[] = {
    {"pipit server request connections --limit 2 --sort subs",
     "The two connections with the most subscriptions."},
    {"pipit server request connections --with '{\"limit\":2,\"sort\":\"subs\"}'",
     "The same, as the request has it."},
    {0},
};
static const cli_example subscription_examples[] = {
    {"pipit server request subscriptions --detail --filter-subject orders.new",
     "Who hears what is published there?"},
    {0},
};

#define PAGE_TEXT                                                                                  \
    "Always prints JSON: an array with an object for each server that answers, with its "          \
    "\"server\", \"data\" and \"rtt_ns\". " CLI_INQUIRY_TEXT
#define PAGE(id, called, what, of_flags, of_examples)                                              \
    static const cli_command id = {                                                                \
        .name = called,                                                                            \
        .help = what,                                                                              \
        .text = PAGE_TEXT,                                                                         \
        .flags = of_flags,                                                                         \
        .arguments = arguments,                                                                    \
        .examples = of_examples,                                                                   \
        .options_bytes = sizeof(struct options),                                                   \
        .run = run_page,                                                                           \
    }

PAGE(variables, "variables", "What a server is and has counted", plain_flags, variable_examples);
PAGE(connections, "connections", "Who is connected", connection_flags, connection_examples);
PAGE(subscriptions, "subscriptions", "How many there are, and which", subscription_flags,
     subscription_examples);
PAGE(routes, "routes", "Connections between servers of a cluster", route_flags, NULL);
PAGE(gateways, "gateways", "Connections between clusters", gateway_flags, NULL);
PAGE(leafnodes, "leafnodes", "Connections to leaf nodes", route_flags, NULL);
PAGE(accounts, "accounts", "Accounts, or everything of one", account_flags, NULL);
PAGE(account_stats, "account-stats", "What accounts have counted", plain_flags, NULL);
PAGE(jetstream, "jetstream", "What JetStream holds", plain_flags, NULL);
PAGE(jetstream_health, "jetstream-health", "Is the server well?", plain_flags, NULL);
PAGE(statistics, "statistics", "What servers publish of themselves", plain_flags, NULL);
PAGE(raft, "raft", "Groups that replicate", plain_flags, NULL);

/* --- kick ------------------------------------------------------------------------------------ */

struct kick_options {
    int64_t cid;
    const char *server;
};

static const cli_argument kick_arguments[] = {
    {.name = "CLIENT",
     .type = CLI_COUNT,
     .help = "Its number, as server report connections shows it",
     .offset = offsetof(struct kick_options, cid),
     .min = 1},
    {.name = "SERVER",
     .type = CLI_TEXT,
     .optional = true,
     .help = "Name or id of the server that it is connected to (default: the one that we are)",
     .offset = offsetof(struct kick_options, server)},
    {0},
};

static int run_kick(const cli_call *call)
{
    const struct kick_options *o = call->options;
    int status;
    cli_inquiry *inquiry = cli_inquiry_open(call, NULL, &status);
    json_t *with, *answer;

    if (!inquiry)
        return status;
    with = cli_json_object();
    cli_json_set_count(with, "cid", (uint64_t)o->cid);
    answer = cli_inquiry_order(inquiry, o->server, "KICK", with, &status);
    cli_inquiry_close(inquiry);
    if (!answer)
        return status;
    if (call->globals->json)
        return cli_json_print(answer);
    (void)printf("client %lld is disconnected\n", (long long)o->cid);
    json_decref(answer);
    return CLI_DONE;
}

static const cli_command kick = {
    .name = "kick",
    .help = "Disconnect a client at once",
    .text = "Takes a user of the system account. Clients that reconnect will.",
    .arguments = kick_arguments,
    .options_bytes = sizeof(struct kick_options),
    .run = run_kick,
};

static const cli_command *const commands[] = {
    &variables,     &connections, &subscriptions,    &routes,     &gateways, &leafnodes, &accounts,
    &account_stats, &jetstream,   &jetstream_health, &statistics, &raft,     &kick,      NULL};

const cli_command cli_server_request = {
    .name = "request",
    .aliases = "req",
    .help = "Pages of monitoring, as JSON",
    .text = PAGE_TEXT,
    .commands = commands,
};
