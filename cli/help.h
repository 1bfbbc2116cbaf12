/* cli/help.h -- what --help shows, made from the tables of commands. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/command.h"

#include <jansson.h>
#include <stdio.h>

/* command NULL: the tool as a whole. name is how the command was called, "context add". */
void cli_help_show(FILE *out, const cli_command *command, const char *name);

/* "pub [FLAGS] SUBJECT [BODY]", for help and manual. */
void cli_help_synopsis(FILE *out, const cli_command *command, const char *name);

/* A flag's "--count=N" with its letter, and what is said of it beside the help: "(default 1)". */
void cli_help_flag(const cli_flag *flag, char *out, size_t out_bytes);
void cli_help_remark(const cli_flag *flag, char *out, size_t out_bytes);

/* The same as JSON, with all commands below; command NULL: the tool as a whole (help_json.c). */
json_t *cli_help_json(const cli_command *command);

/* The `help` command. */
extern const cli_command cli_help_command;

#endif
