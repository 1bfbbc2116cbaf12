/* cli/rtt.h -- `pipit rtt`. */
#ifndef CLI_RTT_H
#define CLI_RTT_H

#include "cli/command.h"

extern const cli_command cli_rtt_command;

#endif
