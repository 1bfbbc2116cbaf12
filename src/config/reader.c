#include "config/reader.h"

#include "base/assert.h"
#include "config/duration.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000LL

/* Beyond this somebody probably forgot quotes: 1m is a million. Source: nats-server. */
enum { SECONDS_DOUBTED = 60 };

void pp_reader_init(pp_reader *reader, pp_options *options, pp_diagnostics *diagnostics)
{
    *reader = (pp_reader){.options = options, .diagnostics = diagnostics, .arena = &options->arena};
    reader->global = options->accounts[0];
}

/* --- memory and messages ------------------------------------------------------------------ */

void *pp_reader_take(pp_reader *reader, size_t count, size_t bytes)
{
    void *memory;

    if (!reader->err && bytes && count > SIZE_MAX / bytes)
        reader->err = PIPIT_ETOOBIG;
    if (!reader->err)
        reader->err = pp_arena_take(reader->arena, count * bytes, &memory);
    return reader->err ? NULL : memset(memory, 0, count * bytes);
}

static const char *copy(pp_reader *reader, pp_str text)
{
    pp_str kept;

    if (!reader->err)
        reader->err = pp_arena_copy(reader->arena, text, &kept);
    return reader->err ? NULL : kept.ptr;
}

const char *pp_reader_text(pp_reader *reader, const pp_value *value)
{
    PP_ASSERT(value->kind == PP_VALUE_STRING);
    if (value->string.len && memchr(value->string.ptr, '\0', value->string.len)) {
        pp_diagnostics_error(reader->diagnostics, value->at, "a string holds a NUL byte");
        return NULL;
    }
    return value->string.len ? copy(reader, value->string) : NULL;
}

pp_option_position pp_reader_position(pp_reader *reader, pp_config_position at)
{
    if (at.file && at.file != reader->file) {
        pp_arena *arena = reader->arena;

        reader->arena = &reader->options->arena; /* positions of all kinds share it */
        reader->file_copy = copy(reader, pp_str_of(at.file));
        reader->arena = arena;
        reader->file = at.file;
    }
    return (pp_option_position){at.file ? reader->file_copy : NULL, at.line, at.column};
}

static const char *article(pp_value_kind kind)
{
    return kind == PP_VALUE_ARRAY || kind == PP_VALUE_INT ? "an" : "a";
}

void pp_reader_wrong_kind(pp_reader *reader, const pp_key *key, const pp_value *value,
                          const char *wanted)
{
    pp_diagnostics_error(reader->diagnostics, value->at, "\"%.*s\" must be %s, not %s %s",
                         PP_STR_ARGS(pp_key_name(key)), wanted, article(value->kind),
                         pp_value_kind_name(value->kind));
}

void pp_reader_refuse(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* cut, if somebody wrote a novel */
    va_end(args);
    pp_diagnostics_error(reader->diagnostics, value->at, "\"%.*s\" %s",
                         PP_STR_ARGS(pp_key_name(key)), text);
}

pp_reader_shown pp_reader_show(const pp_value *value)
{
    pp_reader_shown shown = {.text = ""};

    if (value->from_variable)
        return shown;
    if (value->kind == PP_VALUE_INT)
        (void)snprintf(shown.text, sizeof(shown.text), ", not %" PRId64, value->integer);
    else if (value->kind == PP_VALUE_STRING)
        (void)snprintf(shown.text, sizeof(shown.text), ", not \"%.100s\"", value->string.ptr);
    return shown;
}

const char *pp_reader_show_text(const pp_value *value)
{
    return value->from_variable ? "(from a variable)" : value->string.ptr;
}

bool pp_reader_strings(pp_reader *reader, const pp_key *key, const pp_value *value,
                       const pp_value *const **out_items, size_t *out_count)
{
    if (value->kind == PP_VALUE_STRING) {
        *out_items = NULL;
        *out_count = 1;
        return true;
    }
    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "a string or an array of strings");
        return false;
    }
    *out_items = (const pp_value *const *)value->array.items;
    *out_count = value->array.count;
    for (size_t i = 0; i < *out_count; i++) {
        if ((*out_items)[i]->kind != PP_VALUE_STRING) {
            pp_reader_wrong_kind(reader, key, (*out_items)[i], "an array of strings only");
            return false;
        }
    }
    return true;
}

/* --- scalars ------------------------------------------------------------------------------ */

/* A text; an empty one stands for none, so the field becomes NULL. */
static void read_text(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    if (key->type == PP_KEY_NAME && memchr(value->string.ptr, ' ', value->string.len))
        pp_reader_refuse(reader, key, value, "cannot contain spaces");
    *(const char **)field = pp_reader_text(reader, value);
}

/* What is said where nobody says anything is what an empty path means, too. */
static void read_path(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    char *path;
    size_t len = 0;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    path = pp_reader_take(reader, value->string.len + 2, 1);
    if (!path)
        return;
    for (pp_str rest = value->string; rest.len;) {
        const char *slash = memchr(rest.ptr, '/', rest.len);
        pp_str part = {rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};

        rest.ptr += part.len + (slash != NULL);
        rest.len -= part.len + (slash != NULL);
        if (pp_str_eq(part, PP_STR(".."))) {
            while (len && path[--len] != '/')
                ;
        } else if (part.len && !pp_str_eq(part, PP_STR("."))) {
            path[len++] = '/';
            memcpy(path + len, part.ptr, part.len);
            len += part.len;
        }
    }
    if (len == 0)
        path[len++] = '/';
    path[len] = '\0';
    *(const char **)field = path;
}

/* The integer that value is, moved into the range of its key where that is allowed. False: it is
 * refused, or it is 0 and that changes nothing. */
static bool take_number(pp_reader *reader, const pp_key *key, const pp_value *value,
                        int64_t *out_number)
{
    int64_t n;

    if (value->kind != PP_VALUE_INT) {
        pp_reader_wrong_kind(reader, key, value, "an integer");
        return false;
    }
    n = value->integer;
    if (n == 0 && (key->flags & PP_KEY_ZERO_IS_DEFAULT))
        return false;
    if (n < key->min && (key->flags & PP_KEY_RAISE))
        n = key->min;
    if (n > key->max && (key->flags & PP_KEY_LOWER))
        n = key->max;
    if (n < key->min || n > key->max) {
        pp_reader_refuse(reader, key, value, "must be from %" PRId64 " to %" PRId64 "%s%s",
                         key->min, key->max, key->type == PP_KEY_BYTES ? " bytes" : "",
                         pp_reader_show(value).text);
        return false;
    }
    *out_number = n;
    return true;
}

static void read_number(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    int64_t n;

    if (key->type == PP_KEY_MEMORY && value->kind == PP_VALUE_STRING) {
        if (pp_str_eq_nocase(value->string, PP_STR("none")))
            *(uint64_t *)field = PP_OPTION_NO_LIMIT;
        else
            pp_reader_refuse(reader, key, value, "must be a size or none");
        return;
    }
    if (!take_number(reader, key, value, &n) || !field)
        return;
    if (key->type == PP_KEY_COUNT)
        *(uint32_t *)field = (uint32_t)n;
    else if (key->type == PP_KEY_LIMIT && key->max <= INT32_MAX)
        *(int32_t *)field = (int32_t)n;
    else
        *(int64_t *)field = n; /* sizes are not negative, so this is their uint64_t as well */
}

static void read_port(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    int64_t port;

    if (value->kind != PP_VALUE_INT) {
        pp_reader_wrong_kind(reader, key, value, "an integer");
        return;
    }
    port = value->integer ? value->integer : strtoll(key->initial, NULL, 10);
    if (port < -1 || port > UINT16_MAX)
        pp_reader_refuse(reader, key, value,
                         "must be a port from 1 to 65535, or -1 for any that is free%s",
                         pp_reader_show(value).text);
    else
        *(int32_t *)field = (int32_t)port;
}

static void read_mode(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    pp_str text = value->kind == PP_VALUE_INT ? value->text : PP_STR("");
    uint32_t mode = 0;

    if (value->kind == PP_VALUE_STRING)
        text = value->string;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7' || mode > key->max) {
            text.len = 0;
            break;
        }
        mode = mode * 8 + (uint32_t)(text.ptr[i] - '0');
    }
    if (text.len == 0 || mode > key->max)
        pp_reader_refuse(reader, key, value, "must be an octal file mode up to 0777, as 0660");
    else
        *(uint32_t *)field = mode;
}

static void read_word(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    const char *words = key->words;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    for (int place = 0; *words; place++) {
        if (pp_str_eq(pp_key_next_name(&words), value->string)) {
            memcpy(field, &place, sizeof(place)); /* an enum */
            return;
        }
    }
    pp_reader_refuse(reader, key, value, "must be one of: %s", key->words);
}

/* Whole seconds, or with a fraction where the key allows that. False: neither. */
static bool take_seconds(pp_reader *reader, const pp_key *key, const pp_value *value,
                         int64_t *out_ns)
{
    double seconds = value->kind == PP_VALUE_INT ? (double)value->integer : value->real;

    if (key->type == PP_KEY_DURATION)
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "\"%.*s\" should be a duration such as \"2s\"; a bare number is taken "
                            "for seconds",
                            PP_STR_ARGS(pp_key_name(key)));
    if (!(seconds > -9e9 && seconds < 9e9)) {
        pp_reader_refuse(reader, key, value, "is beyond all durations");
        return false;
    }
    *out_ns = value->kind == PP_VALUE_INT ? value->integer * NS_PER_S
                                          : (int64_t)(seconds * (double)NS_PER_S);
    return true;
}

static bool take_duration(pp_reader *reader, const pp_key *key, const pp_value *value,
                          int64_t *out_ns)
{
    if (value->kind == PP_VALUE_STRING) {
        if (pp_duration_parse(value->string, out_ns))
            return true;
        pp_reader_refuse(reader, key, value,
                         "must be a duration such as \"500ms\", \"2s\" or \"1m30s\"%s",
                         pp_reader_show(value).text);
        return false;
    }
    if ((value->kind == PP_VALUE_INT && key->type != PP_KEY_PERIOD) ||
        (value->kind == PP_VALUE_FLOAT && key->type == PP_KEY_SECONDS))
        return take_seconds(reader, key, value, out_ns);
    pp_reader_wrong_kind(reader, key, value,
                         key->type == PP_KEY_SECONDS ? "a duration or a number of seconds"
                                                     : "a duration such as \"2s\"");
    return false;
}

static void read_duration(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    char least[PP_DURATION_TEXT_BYTES], given[PP_DURATION_TEXT_BYTES];
    int64_t ns;

    if (!take_duration(reader, key, value, &ns))
        return;
    if (ns == 0 && (key->flags & PP_KEY_ZERO_IS_DEFAULT))
        return;
    if (ns < key->min && (key->flags & PP_KEY_RAISE))
        ns = key->min;
    if (ns < key->min) {
        pp_reader_refuse(reader, key, value, "must be %s%s%s%s",
                         key->min > 1 ? "at least "
                         : key->min   ? "above zero"
                                      : "zero or more",
                         key->min > 1 ? pp_duration_format(least, key->min) : "",
                         value->from_variable ? "" : ", not ",
                         value->from_variable ? "" : pp_duration_format(given, ns));
        return;
    }
    if (key->type == PP_KEY_SECONDS && ns > SECONDS_DOUBTED * NS_PER_S &&
        !(key->flags & PP_KEY_LONG))
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "\"%.*s\" of %s is long: below 60 seconds is usual; is it a duration "
                            "without quotes?",
                            PP_STR_ARGS(pp_key_name(key)), pp_duration_format(given, ns));
    *(int64_t *)field = ns;
}

static void read_switch(pp_reader *reader, const pp_key *key, const pp_value *value, void *field)
{
    if (value->kind != PP_VALUE_BOOL)
        pp_reader_wrong_kind(reader, key, value, "a boolean");
    else if (field)
        *(bool *)field = value->boolean;
}

void pp_reader_scalar(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    void *field = key->offset == PP_KEY_NO_FIELD ? NULL : (char *)base + key->offset;

    switch (key->type) {
    case PP_KEY_TEXT:
    case PP_KEY_SECRET:
    case PP_KEY_URL:
    case PP_KEY_NAME:
        read_text(reader, key, value, field);
        return;
    case PP_KEY_BASE_PATH:
        read_path(reader, key, value, field);
        return;
    case PP_KEY_SWITCH:
        read_switch(reader, key, value, field);
        return;
    case PP_KEY_COUNT:
    case PP_KEY_LIMIT:
    case PP_KEY_BYTES:
    case PP_KEY_MEMORY:
        read_number(reader, key, value, field);
        return;
    case PP_KEY_DURATION:
    case PP_KEY_PERIOD:
    case PP_KEY_SECONDS:
        read_duration(reader, key, value, field);
        return;
    case PP_KEY_PORT:
        read_port(reader, key, value, field);
        return;
    case PP_KEY_MODE:
        read_mode(reader, key, value, field);
        return;
    case PP_KEY_WORD:
        read_word(reader, key, value, field);
        return;
    case PP_KEY_HOST_PORT:
        pp_read_advertise(reader, key, value, base);
        return;
    case PP_KEY_OTHER:
        break;
    }
    pp_panic("key %s has no function to read it", key->names);
}

/* --- maps --------------------------------------------------------------------------------- */

static bool is_disabled(const pp_value *value)
{
    const pp_value *enabled;

    if (value->kind == PP_VALUE_STRING)
        return pp_str_eq_nocase(value->string, PP_STR("disabled"));
    if (value->kind != PP_VALUE_MAP)
        return value->kind == PP_VALUE_BOOL && !value->boolean;
    enabled = pp_value_find(value, "enabled");
    return enabled && enabled->kind == PP_VALUE_BOOL && !enabled->boolean && value->map.count == 1;
}

static bool asks_for_nothing(const pp_key *key, const pp_value *value)
{
    switch (key->harmless) {
    case PP_KEY_NEVER:
        return false;
    case PP_KEY_IF_FALSE:
        return value->kind == PP_VALUE_BOOL && !value->boolean;
    case PP_KEY_IF_DISABLED:
        return is_disabled(value);
    case PP_KEY_IF_ZERO:
        return value->kind == PP_VALUE_INT && value->integer == 0;
    case PP_KEY_IF_NO_TEXT:
        return value->kind == PP_VALUE_STRING && value->string.len == 0;
    case PP_KEY_IF_NO_ITEMS:
        return value->kind == PP_VALUE_ARRAY && value->array.count == 0;
    case PP_KEY_IF_NO_ENTRIES:
        return value->kind == PP_VALUE_MAP && value->map.count == 0;
    }
    pp_panic("key %s: harmless if %d", key->names, (int)key->harmless);
}

static void refuse_unknown(pp_reader *reader, const pp_key_block *block, const pp_entry *entry)
{
    const pp_key_block *other = NULL;
    pp_str nearest = {0};
    char hint[160] = "";

    /* dear: a file of 100 000 unknown keys is not compared with every known one */
    if (!pp_diagnostics_is_full(reader->diagnostics))
        nearest = pp_key_nearest(block, entry->key, &other);
    if (nearest.len && other == block)
        (void)snprintf(hint, sizeof(hint), ": did you mean \"%.*s\"?", PP_STR_ARGS(nearest));
    else if (nearest.len)
        (void)snprintf(hint, sizeof(hint), ": it belongs %s%s%s",
                       *other->name ? "in \"" : "at the top level", other->name,
                       *other->name ? "\"" : "");
    pp_diagnostics_error(reader->diagnostics, entry->value->at, "unknown field \"%.100s\"%s",
                         entry->key.ptr, hint);
}

static void read_entry(pp_reader *reader, const pp_key_block *block, const pp_entry *entry,
                       void *base)
{
    const pp_key *key = pp_key_find(block, entry->key);

    if (!key) {
        if (!entry->used_as_variable) /* then it is a definition, which may have any name */
            refuse_unknown(reader, block, entry);
        return;
    }
    if (key->feature) {
        if (!asks_for_nothing(key, entry->value))
            pp_reader_refuse(reader, key, entry->value,
                             "is not served: this version has no %s yet; leave it out",
                             key->feature);
        return;
    }
    (key->read ? key->read : pp_reader_scalar)(reader, key, entry->value, base);
}

void pp_reader_map(pp_reader *reader, const pp_key_block *block, const pp_value *map, void *base)
{
    PP_ASSERT(map->kind == PP_VALUE_MAP);
    for (size_t i = 0; i < map->map.count && !reader->err; i++)
        read_entry(reader, block, &map->map.entries[i], base);
}

void pp_read_block(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    if (value->kind != PP_VALUE_MAP)
        pp_reader_wrong_kind(reader, key, value, "a map");
    else
        pp_reader_map(reader, pp_key_block_find(key->block), value, base);
}

/* trace_verbose and trace_headers. */
void pp_read_trace(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    read_switch(reader, key, value, (char *)base + key->offset);
    if (value->kind == PP_VALUE_BOOL && value->boolean)
        reader->options->trace = true;
}

void pp_read_feature_flags(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    (void)base;
    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map of booleans");
        return;
    }
    for (size_t i = 0; i < value->map.count; i++) {
        if (value->map.entries[i].value->kind != PP_VALUE_BOOL)
            pp_reader_wrong_kind(reader, key, value->map.entries[i].value, "a map of booleans");
    }
}
