/* cli/globals.h -- the flags of every command, spelled as the nats CLI has them. */
#ifndef CLI_GLOBALS_H
#define CLI_GLOBALS_H

#include "cli/command.h"

typedef struct cli_globals {
    bool help, version, json;
    const char *server; /* one or several, separated by commas; NULL: the context's */
    const char *user, *password;
    const char *connection_name;
    const char *creds, *nkey;
    const char *tls_cert, *tls_key, *tls_ca;
    bool tls_first;
    int64_t timeout_ns; /* for an answer, and for a connection */
    const char *inbox_prefix;
    const char *context;
    bool no_context;
    bool trace;
} cli_globals;

extern const cli_flag cli_global_flags[];

#endif
