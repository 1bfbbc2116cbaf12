/* cli/payload.h -- what pub and request send: of the command line, of files, of standard input. */
#ifndef CLI_PAYLOAD_H
#define CLI_PAYLOAD_H

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/message.h"
#include "cli/template.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_payload_options {
    const char *body; /* NULL: not given */
    cli_texts files;
    cli_texts headers;
    const char *send_on; /* "eof" or "newline" */
    bool force_stdin, no_templates;
} cli_payload_options;

typedef struct cli_payload {
    cli_template *body; /* NULL: bytes */
    cli_header_set headers;
    char *bytes;
    size_t count;
    bool lines; /* bytes come line by line, from standard input; taken up to line_at */
    size_t line_at;
    bool ended;                 /* there are no more */
    cli_connection *connection; /* that works while a line is waited for; the caller sets it */
    size_t file;                /* the next one to send */
    const cli_payload_options *options;
} cli_payload;

/* Find out what to send, and read it. Returns the exit status; what is wrong has been said. */
int cli_payload_open(cli_payload *payload, const cli_payload_options *options);
void cli_payload_close(cli_payload *payload);

/* The next message, of which *out_more says whether there is one: lines end, files do, a body comes
 * again and again. Subject and reply are the caller's to set. Returns the exit status.
 *
 * Owner: *out_headers, NULL for none, and *out_bytes are the caller's, for pipit_headers_free and
 * free(). */
typedef struct cli_filled {
    pipit_headers *headers;
    char *bytes;
    size_t count;
} cli_filled;
int cli_payload_next(cli_payload *payload, const cli_template_values *values, cli_filled *out,
                     bool *out_more);
void cli_filled_free(cli_filled *filled);

/* Put it into a message. */
void cli_filled_set(const cli_filled *filled, pipit_msg *msg);

/* The arguments and flags of both commands; options_type has a member payload. */
#define CLI_PAYLOAD_FLAGS(options_type)                                                            \
    {"header",                                                                                     \
     'H',                                                                                          \
     CLI_TEXTS,                                                                                    \
     "NAME:VALUE",                                                                                 \
     "Add a header; the value may hold templates",                                                 \
     offsetof(options_type, payload.headers)},                                                     \
        {"file",                                                                                   \
         0,                                                                                        \
         CLI_FILES,                                                                                \
         "FILE",                                                                                   \
         "Send what is in a file, as it is",                                                       \
         offsetof(options_type, payload.files)},                                                   \
        {"force-stdin",                                                                            \
         0,                                                                                        \
         CLI_SWITCH,                                                                               \
         NULL,                                                                                     \
         "Send standard input, even if a body is given",                                           \
         offsetof(options_type, payload.force_stdin)},                                             \
        {"send-on",                                                                                \
         0,                                                                                        \
         CLI_CHOICE,                                                                               \
         "WHEN",                                                                                   \
         "Send standard input as one message, or each of its lines",                               \
         offsetof(options_type, payload.send_on),                                                  \
         .fallback = "eof",                                                                        \
         .choices = "eof|newline"},                                                                \
    {                                                                                              \
        "no-templates", 0, CLI_SWITCH, NULL, "Take {{ and }} as they are",                         \
            offsetof(options_type, payload.no_templates)                                           \
    }

/* Of --help and the manual. */
#define CLI_PAYLOAD_TEXT                                                                           \
    "BODY and the values of headers may hold templates:\n\n"                                       \
    "  {{Count}}           the number of the message\n"                                            \
    "  {{TimeStamp}}       the time, as 2026-01-31T12:00:00+01:00\n"                               \
    "  {{Time}}            the time, as 3:04PM\n"                                                  \
    "  {{Unix}}            seconds since 1970; {{UnixNano}} nanoseconds\n"                         \
    "  {{ID}}              an identifier that nobody else has\n"                                   \
    "  {{Random 10 20}}    random letters, from 10 to 20 of them\n\n"                              \
    "Standard input and files are sent as they are. Without BODY and --file, standard input is "   \
    "sent if it is no terminal."

#endif
