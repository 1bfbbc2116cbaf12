/* cli/escape.h -- text that comes from others, made safe to look at.
 *
 * Names, subjects and headers may hold anything: sequences that command a terminal, marks that turn
 * the direction of writing, bytes that are no text. What cannot be seen as itself is shown by its
 * number: \x1b, \u{202e}; a backslash stays one. */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Columns that safe text fills. */
size_t cli_columns(const char *text);

/* Safe text of at most columns_max columns, 0: of any length; what is cut off becomes "...".
 * Owner: the caller, for free(). */
char *cli_escape(const void *text, size_t bytes, size_t columns_max);

/* The same, written. With lines, newlines and tabs stay what they are: for payloads. */
void cli_escape_write(FILE *out, const void *text, size_t bytes, bool lines);

/* True: it is UTF-8 in whole. */
bool cli_is_text(const void *bytes, size_t count);

#endif
