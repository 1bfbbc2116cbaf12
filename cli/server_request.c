/* pipit server request -- a page of monitoring as it is. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/server.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *monitor, *page, *server, *with;
};

static const cli_flag flags[] = {
    CLI_MONITOR_FLAG(struct options, monitor),
    {.name = "name",
     .type = CLI_TEXT,
     .value = "SERVER",
     .help = "Only this one, by its name or id (default: all)",
     .offset = offsetof(struct options, server)},
    {.name = "with",
     .type = CLI_TEXT,
     .value = "JSON",
     .help = "Options, as the request has them: {\"limit\":10}",
     .offset = offsetof(struct options, with)},
    {0},
};

static const cli_argument arguments[] = {
    {.name = "PAGE",
     .type = CLI_CHOICE,
     .choices = "variables|connections|subscriptions|routes|gateways|leafnodes|accounts|"
                "account-stats|jetstream|jetstream-health|statistics|raft",
     .help = "What to ask for",
     .offset = offsetof(struct options, page)},
    {0},
};

static const cli_example examples[] = {
    {"pipit server request variables", "What /varz shows, of each server."},
    {"pipit server request connections --with '{\"limit\":2,\"sort\":\"subs\"}'",
     "The two connections with the most subscriptions."},
    {0},
};

static const struct {
    const char *name, *page;
} pages[] = {
    {"variables", "VARZ"},      {"connections", "CONNZ"},
    {"subscriptions", "SUBSZ"}, {"routes", "ROUTEZ"},
    {"gateways", "GATEWAYZ"},   {"leafnodes", "LEAFZ"},
    {"accounts", "ACCOUNTZ"},   {"account-stats", "ACCSTATZ"},
    {"jetstream", "JSZ"},       {"jetstream-health", "HEALTHZ"},
    {"statistics", "STATSZ"},   {"raft", "RAFTZ"},
};

static const char *find_page(const char *name)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(pages[i].name, name) == 0)
            return pages[i].page;
    }
    return "VARZ";
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    const char *page = find_page(options->page);
    json_t *with = options->with ? cli_json_read(options->with, strlen(options->with)) : NULL;
    json_t *answers;
    cli_inquiry *inquiry;
    int status;

    if (options->with && !json_is_object(with)) {
        json_decref(with);
        return cli_fail(CLI_USAGE, "--with takes a JSON object, such as '{\"limit\":10}'");
    }
    if (options->monitor && strcmp(page, "STATSZ") == 0) {
        json_decref(with);
        return cli_fail(CLI_USAGE, "by HTTP there are no statistics: ask for variables");
    }
    inquiry = cli_inquiry_open(call, options->monitor, &status);
    if (!inquiry) {
        json_decref(with);
        return status;
    }
    answers = options->server ? cli_inquiry_ask_one(inquiry, options->server, page, with, &status)
                              : cli_inquiry_ask(inquiry, page, with, &status);
    cli_inquiry_close(inquiry);
    return answers ? cli_json_print(answers) : status;
}

const cli_command cli_server_request = {
    .name = "request",
    .aliases = "req",
    .help = "A page of monitoring, as JSON",
    .text = "Always prints JSON: an array with an object for each server that answers, with its "
            "\"server\", \"data\" and \"rtt_ns\". " CLI_INQUIRY_TEXT,
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};
