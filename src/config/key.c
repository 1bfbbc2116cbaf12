#include "config/key.h"

#include "base/assert.h"
#include "config/duration.h"
#include "config/nearest.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { NAMES_MAX = 192 }; /* more than any block has */

const pp_key_block *pp_key_block_at(size_t i)
{
    if (i < pp_served_block_count)
        return &pp_served_blocks[i];
    i -= pp_served_block_count;
    return i < pp_missing_block_count ? &pp_missing_blocks[i] : NULL;
}

const pp_key_block *pp_key_block_find(const char *name)
{
    const pp_key_block *block;

    for (size_t i = 0; (block = pp_key_block_at(i)) != NULL; i++) {
        if (strcmp(block->name, name) == 0)
            return block;
    }
    return NULL;
}

pp_str pp_key_next_name(const char **names)
{
    const char *end = *names, *next;
    pp_str name;

    /* by hand: names are short, and every entry of a file looks through those of its block */
    while (*end && *end != ' ')
        end++;
    for (next = end; *next == ' ';)
        next++;
    name = (pp_str){*names, (size_t)(end - *names)};
    *names = next;
    return name;
}

const pp_key *pp_key_find(const pp_key_block *block, pp_str name)
{
    for (size_t i = 0; i < block->count; i++) {
        const char *names = block->keys[i].names;

        while (*names) {
            if (pp_str_eq_nocase(pp_key_next_name(&names), name))
                return &block->keys[i];
        }
    }
    return NULL;
}

/* Names as pp_nearest wants them, closed by NUL each, and as the table has them. */
struct name_list {
    const char *texts[NAMES_MAX];
    pp_str names[NAMES_MAX];
    const pp_key_block *blocks[NAMES_MAX];
    size_t count;
    char bytes[24 * NAMES_MAX];
    size_t used;
};

static void list_names(struct name_list *list, const pp_key_block *block)
{
    for (size_t i = 0; i < block->count; i++) {
        const char *names = block->keys[i].names;

        while (*names) {
            pp_str name = pp_key_next_name(&names);

            if (list->count == NAMES_MAX || name.len + 1 > sizeof(list->bytes) - list->used)
                return;
            memcpy(list->bytes + list->used, name.ptr, name.len);
            list->bytes[list->used + name.len] = '\0';
            list->texts[list->count] = list->bytes + list->used;
            list->names[list->count] = name;
            list->blocks[list->count++] = block;
            list->used += name.len + 1;
        }
    }
}

static pp_str nearest_of(const struct name_list *list, pp_str typed, const pp_key_block **out_block)
{
    const char *text = pp_nearest(typed, list->texts, list->count);

    for (size_t i = 0; text && i < list->count; i++) {
        if (list->texts[i] == text) {
            *out_block = list->blocks[i];
            return list->names[i];
        }
    }
    return (pp_str){0};
}

pp_str pp_key_nearest(const pp_key_block *block, pp_str typed, const pp_key_block **out_block)
{
    struct name_list list = {.count = 0};
    const pp_key_block *other;
    pp_str name;

    list_names(&list, block);
    name = nearest_of(&list, typed, out_block);
    if (name.len)
        return name;
    /* Right, but in the wrong place? Then it has to be the very name. */
    for (size_t i = 0; (other = pp_key_block_at(i)) != NULL; i++) {
        const pp_key *key = other->feature ? NULL : pp_key_find(other, typed);

        if (key) {
            *out_block = other;
            return pp_key_name(key);
        }
    }
    return (pp_str){0};
}

/* --- writing ------------------------------------------------------------------------------ */

static pipit_err add_text(pp_buf *out, const char *text)
{
    return text ? pp_buf_add(out, text, strlen(text)) : PIPIT_OK;
}

static pipit_err add_word(pp_buf *out, const pp_key *key, const void *field)
{
    const char *words = key->words;
    pp_str word;
    int place;

    static_assert(sizeof(enum pp_log_format) == sizeof(int), "enums are ints");
    memcpy(&place, field, sizeof(place));
    for (; place > 0 && *words; place--)
        (void)pp_key_next_name(&words);
    word = pp_key_next_name(&words);
    return pp_buf_add(out, word.ptr, word.len);
}

static pipit_err add_advertised(pp_buf *out, const pp_options *options)
{
    const char *host = options->client_advertise_host;
    const char *six = host && strchr(host, ':') ? "[" : "";

    if (!host)
        return PIPIT_OK;
    if (!options->client_advertise_port)
        return add_text(out, host);
    return pp_buf_addf(out, "%s%s%s:%u", six, host, *six ? "]" : "",
                       options->client_advertise_port);
}

pipit_err pp_key_format(const pp_key *key, const void *base, pp_buf *out)
{
    char text[PP_DURATION_TEXT_BYTES];
    const void *field = (const char *)base + key->offset;

    PP_ASSERT(key->offset != PP_KEY_NO_FIELD);
    switch (key->type) {
    case PP_KEY_TEXT:
    case PP_KEY_SECRET:
    case PP_KEY_URL:
    case PP_KEY_BASE_PATH:
    case PP_KEY_NAME:
        return add_text(out, *(const char *const *)field);
    case PP_KEY_SWITCH:
        return add_text(out, *(const bool *)field ? "true" : "false");
    case PP_KEY_COUNT:
        return pp_buf_addf(out, "%" PRIu32, *(const uint32_t *)field);
    case PP_KEY_LIMIT:
        return pp_buf_addf(out, "%" PRId64,
                           key->max > INT32_MAX ? *(const int64_t *)field
                                                : *(const int32_t *)field);
    case PP_KEY_MEMORY:
        if (*(const uint64_t *)field == PP_OPTION_NO_LIMIT)
            return add_text(out, "none");
        /* fall through */
    case PP_KEY_BYTES:
        return pp_buf_addf(out, "%" PRIu64, *(const uint64_t *)field);
    case PP_KEY_DURATION:
    case PP_KEY_PERIOD:
    case PP_KEY_SECONDS:
        return add_text(out, pp_duration_format(text, *(const int64_t *)field));
    case PP_KEY_PORT:
        return pp_buf_addf(out, "%" PRId32, *(const int32_t *)field);
    case PP_KEY_MODE:
        return pp_buf_addf(out, "0%" PRIo32, *(const uint32_t *)field);
    case PP_KEY_WORD:
        return add_word(out, key, field);
    case PP_KEY_HOST_PORT:
        return add_advertised(out, base);
    case PP_KEY_OTHER:
        break;
    }
    pp_panic("key %s has no single field", key->names);
}
