/* cli/reply.h -- `pipit reply`. */
#ifndef CLI_REPLY_H
#define CLI_REPLY_H

#include "cli/command.h"

extern const cli_command cli_reply_command;

#endif
