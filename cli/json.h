/* cli/json.h -- JSON that the tool prints. Values are jansson's; memory as in cli/memory.h. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

json_t *cli_json_object(void);
json_t *cli_json_array(void);

/* Text of others: what is no UTF-8 becomes U+FFFD. */
json_t *cli_json_text(const void *text, size_t bytes);

json_t *cli_json_base64(const void *bytes, size_t count);

/* Set a member of an object. The value, if there is one, is the object's from now on. */
void cli_json_set(json_t *object, const char *name, json_t *value);
void cli_json_set_text(json_t *object, const char *name, const char *text); /* NULL: null */
void cli_json_set_count(json_t *object, const char *name, uint64_t value);
void cli_json_set_real(json_t *object, const char *name, double value);
void cli_json_set_flag(json_t *object, const char *name, int flag);
/* Bytes: as text under name, or if they are none in base64 under name_base64. */
void cli_json_set_bytes(json_t *object, const char *name, const void *bytes, size_t count);

void cli_json_append(json_t *array, json_t *value);

/* Print and free: over several lines, or for streams of values on one. Returns the exit status. */
int cli_json_print(json_t *value);
int cli_json_line(json_t *value);

#endif
