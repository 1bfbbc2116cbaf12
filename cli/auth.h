/* cli/auth.h -- `pipit auth`: make and look at what clients sign in with. */
#ifndef CLI_AUTH_H
#define CLI_AUTH_H

#include "cli/command.h"

extern const cli_command cli_auth_command;

/* auth_key.c */
extern const cli_command cli_auth_nkey, cli_auth_public;
/* auth_password.c */
extern const cli_command cli_auth_password;
/* auth_token.c */
extern const cli_command cli_auth_creds, cli_auth_token;

#endif
