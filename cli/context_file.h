/* cli/context_file.h -- saved connections, in the files of the nats CLI: one JSON object for each
 * in nats/context/NAME.json of the user's configuration, the name of the selected one in
 * nats/context.txt. Members that the tool does not know are kept. */
#ifndef CLI_CONTEXT_FILE_H
#define CLI_CONTEXT_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* False: no context can have that name. */
bool cli_context_name_good(const char *name);

/* Owner: the caller, for free(). */
char *cli_context_path(const char *name);
char *cli_context_selected(void); /* NULL: none */

bool cli_context_exists(const char *name);

/* Returns the exit status; what is wrong has been said. Owner: *out is the caller's reference. */
int cli_context_load(const char *name, json_t **out);
int cli_context_store(const char *name, const json_t *context);
int cli_context_remove(const char *name);
int cli_context_select(const char *name); /* NULL: none */

/* All names, sorted. Owner: the caller, for cli_context_names_free. */
char **cli_context_names(size_t *out_count);
void cli_context_names_free(char **names, size_t count);

/* A text member; NULL: not there, or empty. Owner: the context. */
const char *cli_context_text(const json_t *context, const char *member);

#endif
