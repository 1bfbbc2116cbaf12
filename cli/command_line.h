/* cli/command_line.h -- reading a command line by the tables of commands.
 *
 * Flags may stand anywhere: --name=value, --name value, -nvalue, -n value, switches in one (-rj);
 * behind -- everything is an argument. Variables of the environment stand in for flags that are not
 * given, and fallbacks for those. */
#ifndef CLI_COMMAND_LINE_H
#define CLI_COMMAND_LINE_H

#include "cli/command.h"
#include "cli/globals.h"

typedef struct cli_command_line {
    cli_call call; /* call.command NULL: none was named */
    cli_globals globals;
    int raw_from; /* of argv: where a command begins that reads its own line; 0: it is none */
} cli_command_line;

/* True: read, or help is asked for (globals.help) and the rest does not matter. False: it is wrong,
 * and said. */
bool cli_command_line_read(cli_command_line *line, int argc, char **argv);

/* Owner: what was read; texts are those of argv and the environment. */
void cli_command_line_free(cli_command_line *line);

#endif
