/* cli/manual.h -- manual pages, made from the tables of commands. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli/command.h"

#include <stdio.h>

/* Write the page of a command of the tool, with all that are below it; NULL: of the tool. */
void cli_manual_write(FILE *out, const cli_command *command);

#endif
