/* cli/program.h -- running another program on a message: its payload in, its output out.
 *
 * Command lines are split into words here, as a shell would with quotes and backslashes, and no
 * shell sees them: what comes from others cannot become a command. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include "cli/template.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_program cli_program;

/* Words may hold places to fill in (cli/template.h). Returns the exit status; what is wrong has
 * been said. Owner: *out is the caller's, for cli_program_free. */
int cli_program_read(const char *line, cli_program **out);
void cli_program_free(cli_program *program);

/* What a program gets. */
typedef struct cli_program_input {
    const cli_template_values *values;
    const void *bytes; /* on its standard input */
    size_t count;
    bool tells_request; /* in NATS_REQUEST_SUBJECT and NATS_REQUEST_BODY */
} cli_program_input;

/* Run it to its end. Returns its exit status, -1 if there is none: it could not be started, was
 * killed, or wrote more than 64 MiB. Owner: *out_bytes is the caller's, for free(). */
int cli_program_run(const cli_program *program, const cli_program_input *input, char **out_text,
                    size_t *out_bytes);

#endif
