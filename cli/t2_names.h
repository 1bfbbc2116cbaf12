/* cli/t2_names.h -- servers that have been given names: lines "NAME ADDRESS" of $HOME/.t2, of which
 * the first is the one that is meant where none is named. */
#ifndef CLI_T2_NAMES_H
#define CLI_T2_NAMES_H

#include <stdbool.h>

/* The address that is meant, which the caller frees; given NULL: the default. NULL: there is none,
 * and *out_error says why. */
char *cli_t2_resolve(const char *given, const char **out_error);

/* Is it "tcp:", "unix:", "tls:" or "name:" and something? */
bool cli_t2_is_address(const char *text);
/* Letters from a to z, and _. */
bool cli_t2_is_name(const char *text);

/* Write the file anew, with name for address, or, address NULL, without it. False: *out_error says
 * why. */
bool cli_t2_register(const char *name, const char *address, bool first, const char **out_error);

#endif
