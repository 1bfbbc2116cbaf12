/* cli/sub.h -- `pipit sub`. */
#ifndef CLI_SUB_H
#define CLI_SUB_H

#include "cli/command.h"

extern const cli_command cli_sub_command;

#endif
