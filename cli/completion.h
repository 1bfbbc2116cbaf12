/* cli/completion.h -- `pipit completion`: what shells need to complete command lines. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "cli/command.h"

extern const cli_command cli_completion_command;

#endif
