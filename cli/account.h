/* cli/account.h -- `pipit account`: who we are to the server. */
#ifndef CLI_ACCOUNT_H
#define CLI_ACCOUNT_H

#include "cli/command.h"

extern const cli_command cli_account_command;

#endif
