/* pipit server config reload -- have a server read its configuration again. */
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/say.h"
#include "cli/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *server;
    bool force;
};

static const cli_flag flags[] = {
    {.name = "force",
     .letter = 'f',
     .type = CLI_SWITCH,
     .help = "Do not ask whether that is meant",
     .offset = offsetof(struct options, force)},
    {0},
};

static const cli_argument arguments[] = {
    CLI_SERVER_ARGUMENT(struct options, server),
    {0},
};

static const cli_example examples[] = {
    {"pipit server config reload --force", "The server that we are connected to, without a word."},
    {0},
};

static bool is_meant(void)
{
    char answer[16] = "";

    (void)printf("Have the server read its configuration again? [y/N] ");
    (void)fflush(stdout); /* ferror tells */
    return fgets(answer, sizeof(answer), stdin) && strchr("yY", answer[0]);
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    cli_inquiry *inquiry;
    json_t *answer;
    int status;

    if (!options->force && !isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, "nobody can be asked here: give --force if it is meant");
    if (!options->force && !is_meant())
        return CLI_FAILED;
    inquiry = cli_inquiry_open(call, NULL, &status);
    if (!inquiry)
        return status;
    answer = cli_inquiry_order(inquiry, options->server, "RELOAD", NULL, &status);
    cli_inquiry_close(inquiry);
    if (!answer)
        return status;
    if (call->globals->json)
        return cli_json_print(answer);
    (void)printf("done; pipit doctor tells what has come of it\n");
    json_decref(answer);
    return CLI_DONE;
}

static const cli_command reload = {
    .name = "reload",
    .help = "Have a server read its configuration again",
    .text = "Takes a user of the system account.",
    .flags = flags,
    .arguments = arguments,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .run = run,
};

static const cli_command *const commands[] = {&reload, NULL};

const cli_command cli_server_config = {
    .name = "config",
    .help = "The configuration of a server that runs",
    .commands = commands,
};
