/* cli/pub.h -- `pipit pub`. */
#ifndef CLI_PUB_H
#define CLI_PUB_H

#include "cli/command.h"

extern const cli_command cli_pub_command;

#endif
