/* cli/json_path.h -- looking into JSON of others, where anything may be missing or of another type.
 */
#ifndef CLI_JSON_PATH_H
#define CLI_JSON_PATH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A member of members: "jetstream.config.max_memory". NULL: it is not there. */
const json_t *cli_json_at(const json_t *object, const char *path);

/* "" and 0 where it is not there or no text. */
const char *cli_json_text_at(const json_t *object, const char *path, size_t *out_bytes);
/* 0 where it is not there, is no number, or negative. */
uint64_t cli_json_count_at(const json_t *object, const char *path);
double cli_json_real_at(const json_t *object, const char *path);
int cli_json_flag_at(const json_t *object, const char *path);

/* The texts of an array, in one. Owner: the caller, for free(). */
char *cli_json_join(const json_t *array, const char *between);

/* Put an array of objects in the order of a member: numbers by size, texts as strcmp has it; those
 * without it first. Equal ones stay as they are. */
void cli_json_sort(json_t *array, const char *path, bool descending);

/* Read JSON of others. NULL: it is none. */
json_t *cli_json_read(const void *text, size_t bytes);

#endif
