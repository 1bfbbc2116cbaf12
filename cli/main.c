/* pipit -- the command-line tool. It is built on the public headers alone. A link to it with the
 * name of a program that one of its commands stands in for is that command. */
#include "cli/account.h"
#include "cli/auth.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/completion.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "cli/events.h"
#include "cli/help.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/pub.h"
#include "cli/reply.h"
#include "cli/request.h"
#include "cli/rtt.h"
#include "cli/say.h"
#include "cli/server.h"
#include "cli/store.h"
#include "cli/sub.h"
#include "cli/terminal.h"
#include "cli/top.h"
#include "cli/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_command fanout = {
    .name = "fanout",
    .help = "Serve fanout clients, with the command line of the original",
    .run_raw = cli_fanout,
};
static const cli_command t2 = {
    .name = "t2",
    .help = "Serve, hear and publish on a T2 Bus, as the original's tool does",
    .run_raw = cli_t2,
};

static int show_version(const cli_call *call)
{
    if (call && call->globals->json) {
        json_t *object = cli_json_object();

        cli_json_set_text(object, "version", PIPIT_VERSION);
        return cli_json_print(object);
    }
    (void)printf("pipit: v%s\n", PIPIT_VERSION);
    return CLI_DONE;
}

static const cli_command version = {
    .name = "version",
    .help = "Show the version",
    .offline = true,
    .run = show_version,
};

const cli_command *const cli_commands[] = {
    /* clang-format off: one line each */
    &cli_pub_command,
    &cli_sub_command,
    &cli_request_command,
    &cli_reply_command,
    &cli_rtt_command,
    &cli_latency_command,
    &cli_bench_command,
    &cli_account_command,
    &cli_auth_command,
    &cli_events_command,
    &cli_server_command,
    &cli_top_command,
    &cli_trace_command,
    &cli_doctor_command,
    &cli_context_command,
    &cli_store_command,
    &cli_completion_command,
    &fanout,
    &t2,
    &cli_help_command,
    &version,
    NULL,
    /* clang-format on */
};

/* Programs that the tool can stand in for, by the name that it is called by. */
static const cli_command *const stand_ins[] = {&fanout, &t2, NULL};

/* Called so, the tool is its command store. */
static const char store_program[] = "pipit-store";

/* Is name one of the words? */
static bool among_words(const char *words, const char *name)
{
    size_t len = strlen(name);

    while (words && *words) {
        size_t word = strcspn(words, " ");

        if (word == len && strncmp(words, name, len) == 0)
            return true;
        words += word + strspn(words + word, " ");
    }
    return false;
}

const cli_command *cli_command_find(const cli_command *const *among, const char *name)
{
    for (; *among; among++) {
        if (strcmp((*among)->name, name) == 0 || among_words((*among)->aliases, name))
            return *among;
    }
    return NULL;
}

static int run_raw(const cli_command *command, int argc, char **argv)
{
    char shown[64];

    (void)snprintf(shown, sizeof(shown), "pipit %s", command->name);
    argv[0] = shown;
    return command->run_raw(argc, argv);
}

static int run(cli_command_line *line, int argc, char **argv)
{
    const cli_command *command = line->call.command;
    int status;

    if (line->raw_from)
        return run_raw(command, argc - line->raw_from, argv + line->raw_from);
    if (line->globals.version)
        return show_version(NULL);
    if (!command || line->globals.help) {
        cli_help_show(line->globals.help ? stdout : stderr, command, line->call.name);
        return line->globals.help ? CLI_DONE : CLI_USAGE;
    }
    status = command->run(&line->call);
    if (status == CLI_DONE && (fflush(stdout) != 0 || ferror(stdout)))
        return cli_fail(CLI_FAILED, "cannot write to standard output");
    return status;
}

static int run_words(int argc, char **argv)
{
    cli_command_line line;
    int status = CLI_USAGE;

    if (cli_command_line_read(&line, argc, argv))
        status = run(&line, argc, argv);
    cli_command_line_free(&line);
    return status;
}

/* Called as one of its commands, the name of which belongs before the other words. */
static int run_as(const char *command, int argc, char **argv)
{
    char **words = cli_alloc(((size_t)argc + 2) * sizeof(*words));
    int status;

    words[0] = argv[0];
    words[1] = (char *)command;
    memcpy(words + 2, argv + 1, (size_t)(argc - 1) * sizeof(*words));
    status = run_words(argc + 1, words);
    free(words);
    return status;
}

int main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *name = !argc ? "" : slash ? slash + 1 : argv[0];
    const cli_command *stand_in = cli_command_find(stand_ins, name);

    if (stand_in)
        return stand_in->run_raw(argc, argv);
    cli_terminal_init();
    if (strcmp(name, store_program) == 0)
        return run_as(cli_store_command.name, argc, argv);
    return run_words(argc, argv);
}
