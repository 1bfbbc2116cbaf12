/* cli/template.h -- texts with places to fill in, as the nats CLI has them: "order {{Count}}".
 *
 *   Count  TimeStamp  Unix  UnixNano  Time  ID  Random MIN MAX  Request  0, 1, 2...  (a token of
 * the subject)
 *
 * also written {{.Count}} and with blanks inside the braces. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cli_template cli_template;

/* What a text is filled in with. */
typedef struct cli_template_values {
    uint64_t count;
    const char *subject; /* NULL: none, and no tokens */
    size_t subject_bytes;
    const void *request; /* NULL: none */
    size_t request_bytes;
} cli_template_values;

/* literal: braces mean nothing. Returns the exit status; what is wrong has been said.
 * Owner: *out is the caller's, for cli_template_free. */
int cli_template_read(const char *text, bool literal, cli_template **out);
void cli_template_free(cli_template *template_);

/* True: it comes out the same each time. */
bool cli_template_constant(const cli_template *template_);

/* Owner: the caller, for free(); a NUL is behind. */
char *cli_template_fill(const cli_template *template_, const cli_template_values *values,
                        size_t *out_bytes);

#endif
