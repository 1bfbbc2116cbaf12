#include "cli/fields.h"

#include "cli/escape.h"
#include "cli/json_path.h"
#include "cli/memory.h"
#include "cli/terminal.h"
#include "cli/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name; /* of a part: its title */
    char *value;      /* safe to show; NULL: a part begins */
};

struct cli_fields {
    struct field *items;
    size_t count, cap;
};

cli_fields *cli_fields_new(void)
{
    return cli_alloc(sizeof(cli_fields));
}

static void add(cli_fields *fields, const char *name, char *value)
{
    if (fields->count == fields->cap) {
        fields->cap = fields->cap ? 2 * fields->cap : 32;
        fields->items = cli_realloc(fields->items, fields->cap * sizeof(*fields->items));
    }
    fields->items[fields->count++] = (struct field){name, value};
}

void cli_fields_part(cli_fields *fields, const char *title)
{
    add(fields, title, NULL);
}

void cli_fields_bytes(cli_fields *fields, const char *name, const void *value, size_t bytes)
{
    add(fields, name, cli_escape(value, bytes, 0));
}

void cli_fields_text(cli_fields *fields, const char *name, const char *value)
{
    if (value)
        cli_fields_bytes(fields, name, value, strlen(value));
}

void cli_fields_at(cli_fields *fields, const char *name, const json_t *object, const char *path)
{
    size_t bytes;
    const char *text = cli_json_text_at(object, path, &bytes);

    if (bytes)
        cli_fields_bytes(fields, name, text, bytes);
}

void cli_fieldsf(cli_fields *fields, const char *name, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = cli_vformat(format, args);
    va_end(args);
    cli_fields_text(fields, name, text);
    free(text);
}

void cli_fields_count(cli_fields *fields, const char *name, uint64_t value)
{
    char text[CLI_VALUE_BYTES];

    cli_count_format(value, text);
    cli_fields_text(fields, name, text);
}

void cli_fields_size(cli_fields *fields, const char *name, uint64_t bytes)
{
    char text[CLI_VALUE_BYTES];

    cli_size_format((double)bytes, text);
    cli_fields_text(fields, name, text);
}

static void print_part(const char *title, bool first)
{
    (void)printf("%s%s%s%s:\n\n", first ? "" : "\n", cli_style_text(stdout, CLI_BOLD), title,
                 cli_style_text(stdout, CLI_PLAIN));
}

void cli_fields_print(cli_fields *fields)
{
    size_t width = 0;
    bool first = true;

    for (size_t i = 0; i < fields->count; i++) {
        size_t len = fields->items[i].value ? strlen(fields->items[i].name) : 0;

        width = len > width ? len : width;
    }
    for (size_t i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];

        if (field->value) {
            (void)printf("  %*s: %s\n", (int)width, field->name, field->value);
            first = false;
        } else if (i + 1 < fields->count && fields->items[i + 1].value) {
            print_part(field->name, first);
        }
        free(field->value);
    }
    free(fields->items);
    free(fields);
}
