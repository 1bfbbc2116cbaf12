/* pipit -- the command-line tool. It is built on the public headers alone. A link to it with the
 * name of a program that one of its commands stands in for is that command. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static const cli_command commands[] = {
    {"fanout", "serve fanout clients, with the command line of the original", cli_fanout},
    {"t2", "serve, hear and publish on a T2 Bus, as the original's tool does", cli_t2},
};

/* Programs that the tool can stand in for, by the name that it is called by. */
static const char *const stand_ins[] = {"fanout", "t2"};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static const cli_command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void show_help(FILE *out)
{
    (void)fprintf(out, "usage: pipit COMMAND [ARGUMENTS...]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    (void)fprintf(out, "  %-10s %s\n", "help", "show this text; with a COMMAND, what that takes");
    (void)fprintf(out, "  %-10s %s\n", "version", "show the version");
}

static int help(const char *name)
{
    const cli_command *command = name ? find(name) : NULL;
    char shown[64], flag[] = "--help";
    char *argv[] = {shown, flag, NULL};

    if (!name) {
        show_help(stdout);
        return 0;
    }
    if (!command) {
        (void)fprintf(stderr, "pipit: there is no command %s: see pipit help\n", name);
        return CLI_USAGE;
    }
    (void)snprintf(shown, sizeof(shown), "pipit %s", command->name);
    return command->run(2, argv);
}

static int run(int argc, char **argv)
{
    const cli_command *command = find(argv[0]);
    char shown[64];

    if (!command) {
        (void)fprintf(stderr, "pipit: there is no command %s: see pipit help\n", argv[0]);
        return CLI_USAGE;
    }
    (void)snprintf(shown, sizeof(shown), "pipit %s", command->name);
    argv[0] = shown;
    return command->run(argc, argv);
}

int main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *name = !argc ? "" : slash ? slash + 1 : argv[0];

    for (size_t i = 0; i < sizeof(stand_ins) / sizeof(stand_ins[0]); i++) {
        if (strcmp(name, stand_ins[i]) == 0)
            return find(name)->run(argc, argv);
    }
    if (argc < 2) {
        show_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        (void)printf("pipit: v%s\n", PIPIT_VERSION);
        return 0;
    }
    return run(argc - 1, argv + 1);
}
