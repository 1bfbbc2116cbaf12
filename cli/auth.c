#include "cli/auth.h"

static const cli_command *const commands[] = {&cli_auth_nkey,  &cli_auth_public, &cli_auth_password,
                                              &cli_auth_creds, &cli_auth_token,  NULL};

const cli_command cli_auth_command = {
    .name = "auth",
    .help = "Make and check keys, password hashes, credentials",
    .text = "Nothing here asks a server.",
    .commands = commands,
    .offline = true,
};
