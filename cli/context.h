/* cli/context.h -- `pipit context`: saved connections. */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include "cli/command.h"

extern const cli_command cli_context_command;

#endif
