/* cli/trace.h -- `pipit trace`: the way of a message. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/command.h"

#include <jansson.h>

extern const cli_command cli_trace_command;

/* What a server has told of a message that passed it (trace_show.c). */
void cli_trace_show(const json_t *report);

/* How many it has reached there. */
size_t cli_trace_reached(const json_t *report);

#endif
