/* cli/fields.h -- names and values below one another, the values in one column. */
#ifndef CLI_FIELDS_H
#define CLI_FIELDS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cli_fields cli_fields;

/* Owner: the caller, for cli_fields_print, which frees it. */
cli_fields *cli_fields_new(void);

/* A headline for the fields that follow. */
void cli_fields_part(cli_fields *fields, const char *title);
/* Names are the program's; values may be anything and are escaped. NULL: nothing is added. */
void cli_fields_text(cli_fields *fields, const char *name, const char *value);
void cli_fields_bytes(cli_fields *fields, const char *name, const void *value, size_t bytes);
/* A text of JSON; nothing is added where there is none. */
void cli_fields_at(cli_fields *fields, const char *name, const json_t *object, const char *path);
void cli_fieldsf(cli_fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cli_fields_count(cli_fields *fields, const char *name, uint64_t value);
void cli_fields_size(cli_fields *fields, const char *name, uint64_t bytes);

/* Print to standard output, and free. Parts without fields are left out. */
void cli_fields_print(cli_fields *fields);

#endif
