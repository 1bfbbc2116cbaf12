/* cli/connection.h -- from flags, environment and saved connection to a client.
 *
 * What the server says of its own accord (a refused subject, a shutdown) is printed on standard
 * error, and counted. */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "cli/command.h"
#include "cli/globals.h"
#include "pipit/client.h"

#include <jansson.h>
#include <stdatomic.h>

/* Where to connect, and as whom: flags win over the environment, that over the saved connection.
 * NULL: not said. */
typedef struct cli_settings {
    char *url;
    char *user, *password, *token;
    char *creds, *nkey; /* files */
    char *tls_cert, *tls_key, *tls_ca;
    char *inbox_prefix;
    char *context; /* its name */
    bool tls_first;
} cli_settings;

/* Returns the exit status; what is wrong has been said. */
int cli_settings_read(const cli_globals *globals, cli_settings *out);
void cli_settings_free(cli_settings *settings);

/* A URL as it may be shown: safe, and without the password. Owner: the caller, for free(). */
char *cli_url_shown(const char *url);

typedef struct cli_connection {
    pipit_client *client;
    bool trace;
    bool stays;         /* it reconnects, and says so */
    atomic_uint errors; /* that the server has told of */
    atomic_bool closed; /* for good */
    atomic_bool lost;   /* has been disconnected once */
    char *url;          /* as shown */
    char reason[256];   /* why it has ended last, as shown; written by the client's thread */
} cli_connection;

/* How a command wants its connection. Everything zero: the defaults. */
typedef struct cli_wish {
    const char *server; /* another one than the flags say */
    const char *name;   /* of the connection, if no flag says: "pipit" */
    bool stays;         /* try again for ever when the connection is lost */
    bool own_loop;      /* see pipit/client.h; it is connected all the same */
    bool no_echo;
    bool quiet;          /* say nothing about a server that is not there: for pipit check */
    int64_t pending_max; /* see pipit/client.h */
    int64_t sub_pending_max;
} cli_wish;

/* Connect. Returns the exit status; what is wrong has been said. */
int cli_connection_open(cli_connection *connection, const cli_call *call, const cli_wish *wish);
void cli_connection_close(cli_connection *connection); /* also of one that was not opened */

/* Wait until the server has seen everything. Returns the exit status: CLI_FAILED also if it has
 * told of errors; said. */
int cli_connection_flush(cli_connection *connection, const cli_call *call);

/* Say why a call of the client failed: "cannot publish on a.b: ...". Returns the exit status. */
int cli_client_fail(pipit_err err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* globals.timeout_ns in the unit of the client. */
int64_t cli_timeout_ms(const cli_call *call);

#endif
