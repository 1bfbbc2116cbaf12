/* cli/t2_value.h -- what `pipit t2` says and shows: the CBOR of numbers and texts. */
#ifndef CLI_T2_VALUE_H
#define CLI_T2_VALUE_H

#include <stdbool.h>
#include <stddef.h>

/* The payload for a value given as text, by what the topic begins with: "f32/", "string/". The
 * caller frees it. NULL: no memory. */
void *cli_t2_value_encode(const char *topic, const char *value, size_t *out_bytes);

/* Is text a number as the original takes it? */
bool cli_t2_is_number(const char *text);

/* What is shown of a payload; the caller frees it. NULL: it is not what the topic promises, or no
 * memory. */
char *cli_t2_value_show(const char *topic, const void *payload, size_t bytes);

#endif
