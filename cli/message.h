/* cli/message.h -- messages as people and scripts see them, and headers as flags give them. */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include "cli/command.h"
#include "cli/template.h"
#include "pipit/message.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Headers and payload as they are received: one line for each header, an empty line, the payload
 * and its end of line. Safe to see. */
void cli_message_show(FILE *out, const pipit_msg *msg, bool headers_only);

/* The payload alone, byte by byte, with an end of line behind. */
void cli_message_show_raw(FILE *out, const void *payload, size_t bytes);

/* {"subject", "reply", "headers": {"Name": ["value", ...]}, "data"}; data_base64 if it is no text.
 */
json_t *cli_message_json(const pipit_msg *msg);

/* Call back with each header of a block; names and values point into it. */
typedef void (*cli_header_fn)(void *context, const char *name, size_t name_bytes, const char *value,
                              size_t value_bytes);
void cli_message_headers(const pipit_msg *msg, cli_header_fn callback, void *context);

/* Headers of -H "Name:value", whose values are templates. */
typedef struct cli_header_set {
    char **names;
    cli_template **values;
    size_t count;
} cli_header_set;

/* Returns the exit status; what is wrong has been said. */
int cli_header_set_read(cli_header_set *set, const cli_texts *texts, bool literal);
void cli_header_set_free(cli_header_set *set);

/* Add them, filled in. Returns the exit status; what is wrong has been said. */
int cli_header_set_add(const cli_header_set *set, const cli_template_values *values,
                       pipit_headers *headers);

#endif
