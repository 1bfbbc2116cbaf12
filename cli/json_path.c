#include "cli/json_path.h"

#include "cli/memory.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };

const json_t *cli_json_at(const json_t *object, const char *path)
{
    while (object && *path) {
        size_t len = strcspn(path, ".");
        char name[NAME_MAX_BYTES];

        if (len >= sizeof(name))
            return NULL; /* paths are ours, and shorter */
        memcpy(name, path, len);
        name[len] = '\0';
        object = json_object_get(object, name);
        path += len + (path[len] == '.');
    }
    return object;
}

const char *cli_json_text_at(const json_t *object, const char *path, size_t *out_bytes)
{
    const json_t *value = cli_json_at(object, path);
    const char *text = json_string_value(value); /* NULL for all else */

    if (out_bytes)
        *out_bytes = text ? json_string_length(value) : 0;
    return text ? text : "";
}

uint64_t cli_json_count_at(const json_t *object, const char *path)
{
    double value = cli_json_real_at(object, path);
    const json_t *found = cli_json_at(object, path);

    if (json_is_integer(found))
        return json_integer_value(found) > 0 ? (uint64_t)json_integer_value(found) : 0;
    return value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

double cli_json_real_at(const json_t *object, const char *path)
{
    return json_number_value(cli_json_at(object, path)); /* 0 for all else */
}

int cli_json_flag_at(const json_t *object, const char *path)
{
    return json_is_true(cli_json_at(object, path));
}

char *cli_json_join(const json_t *array, const char *between)
{
    size_t len = 0, between_len = strlen(between), i;
    json_t *item;
    char *text;

    json_array_foreach(array, i, item) len += json_string_length(item) + between_len;
    text = cli_alloc(len + 1);
    len = 0;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            continue;
        if (len) {
            memcpy(text + len, between, between_len);
            len += between_len;
        }
        memcpy(text + len, json_string_value(item), json_string_length(item));
        len += json_string_length(item);
    }
    return text;
}

/* --- sorting ------------------------------------------------------------------------------- */

struct seat {
    json_t *item;
    const json_t *key;
    size_t index;
    bool descending;
};

static int compare_keys(const json_t *a, const json_t *b)
{
    double x, y;

    if (json_is_string(a) && json_is_string(b))
        return strcmp(json_string_value(a), json_string_value(b));
    if (!json_is_number(a) || !json_is_number(b))
        return (a != NULL) - (b != NULL);
    x = json_number_value(a);
    y = json_number_value(b);
    return (x > y) - (x < y);
}

static int compare_seats(const void *left, const void *right)
{
    const struct seat *a = left, *b = right;
    int order = compare_keys(a->key, b->key);

    if (!order)
        return a->index < b->index ? -1 : 1;
    return a->descending ? -order : order;
}

void cli_json_sort(json_t *array, const char *path, bool descending)
{
    size_t count = json_array_size(array);
    struct seat *seats = cli_alloc((count + 1) * sizeof(*seats));

    for (size_t i = 0; i < count; i++) {
        json_t *item = json_incref(json_array_get(array, i));

        seats[i] = (struct seat){item, cli_json_at(item, path), i, descending};
    }
    qsort(seats, count, sizeof(*seats), compare_seats);
    for (size_t i = 0; i < count; i++)
        (void)json_array_set_new(array, i, seats[i].item); /* the place is there */
    free(seats);
}

json_t *cli_json_read(const void *text, size_t bytes)
{
    return json_loadb(text, bytes, JSON_ALLOW_NUL, NULL);
}
