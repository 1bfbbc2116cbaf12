/* cli/request.h -- `pipit request`. */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include "cli/command.h"

extern const cli_command cli_request_command;

#endif
