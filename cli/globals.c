#include "cli/globals.h"

#define AT(member) offsetof(cli_globals, member)

const cli_flag cli_global_flags[] = {
    {"help", 'h', CLI_SWITCH, NULL, "Show what the command takes", AT(help)},
    {"version", 0, CLI_SWITCH, NULL, "Show the version", AT(version)},
    {"json", 'j', CLI_SWITCH, NULL, "Print JSON, for scripts", AT(json)},
    {"server", 's', CLI_TEXT, "URL", "Server to connect to, or several with commas between them",
     AT(server), .variable = "NATS_URL"},
    {"user", 0, CLI_TEXT, "USER", "User name; without --password, a token", AT(user),
     .variable = "NATS_USER"},
    {"password", 0, CLI_TEXT, "PASSWORD", "Password", AT(password), .variable = "NATS_PASSWORD"},
    {"connection-name", 0, CLI_TEXT, "NAME", "Name that monitoring shows for the connection",
     AT(connection_name)},
    {"creds", 0, CLI_FILE, "FILE", "Credentials: a JWT and its seed", AT(creds),
     .variable = "NATS_CREDS"},
    {"nkey", 0, CLI_FILE, "FILE", "Seed of an NKey", AT(nkey), .variable = "NATS_NKEY"},
    {"tlscert", 0, CLI_FILE, "FILE", "Certificate of the client", AT(tls_cert),
     .variable = "NATS_CERT"},
    {"tlskey", 0, CLI_FILE, "FILE", "Key of that certificate", AT(tls_key), .variable = "NATS_KEY"},
    {"tlsca", 0, CLI_FILE, "FILE", "Authorities that the server's certificate must come from",
     AT(tls_ca), .variable = "NATS_CA"},
    {"tlsfirst", 0, CLI_SWITCH, NULL, "Encrypt before the server has greeted", AT(tls_first)},
    {"timeout", 0, CLI_DURATION, "DURATION", "How long to wait for a server, and for an answer",
     AT(timeout_ns), .fallback = "5s", .min = 1000000, .variable = "NATS_TIMEOUT"},
    {"inbox-prefix", 0, CLI_TEXT, "PREFIX", "What subjects for answers begin with",
     AT(inbox_prefix)},
    {"context", 0, CLI_CONTEXT, "NAME", "Saved connection to use: see pipit context", AT(context),
     .variable = "NATS_CONTEXT"},
    {"no-context", 0, CLI_SWITCH, NULL, "Use no saved connection", AT(no_context)},
    {"trace", 0, CLI_SWITCH, NULL, "Tell on standard error how the connection fares", AT(trace)},
    {NULL},
};
