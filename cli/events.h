/* cli/events.h -- `pipit events`, which is `pipit server events`, too. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "cli/command.h"

extern const cli_command cli_events_command;

#endif
