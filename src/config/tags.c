/* server_tags and server_metadata: what a server says of itself. */
#include "config/reader.h"

#include <string.h>

enum { TAGS_MAX = 1024 }; /* so that comparing each with each stays cheap */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Trimmed and in lower case. */
static const char *clean(pp_reader *reader, pp_str text)
{
    char *tag;

    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    tag = pp_reader_take(reader, text.len + 1, 1);
    for (size_t i = 0; tag && i < text.len; i++) {
        char c = text.ptr[i];

        tag[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return tag;
}

static bool has_tag(const char *const *tags, size_t count, const char *tag)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tags[i], tag) == 0)
            return true;
    }
    return false;
}

void pp_read_tags(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    const char **tags;
    size_t count, kept = 0;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    if (count > TAGS_MAX) {
        pp_reader_refuse(reader, key, value, "holds %zu tags, but %d are the most", count,
                         TAGS_MAX);
        return;
    }
    tags = pp_reader_take(reader, count, sizeof(*tags));
    for (size_t i = 0; tags && i < count; i++) {
        const char *tag = clean(reader, items ? items[i]->string : value->string);

        if (!tag)
            return;
        if (!has_tag(tags, kept, tag))
            tags[kept++] = tag;
    }
    o->server_tags = tags;
    o->server_tag_count = tags ? kept : 0;
}

void pp_read_metadata(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    pp_pair_option *pairs;

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map of strings");
        return;
    }
    pairs = pp_reader_take(reader, value->map.count, sizeof(*pairs));
    for (size_t i = 0; pairs && i < value->map.count; i++) {
        const pp_entry *entry = &value->map.entries[i];
        const pp_value name = {
            .kind = PP_VALUE_STRING, .at = entry->value->at, .string = entry->key};

        if (entry->value->kind != PP_VALUE_STRING) {
            pp_reader_wrong_kind(reader, key, entry->value, "a map of strings");
            return;
        }
        pairs[i].key = pp_reader_text(reader, &name);
        pairs[i].value = pp_reader_text(reader, entry->value);
        pairs[i].key = pairs[i].key ? pairs[i].key : "";
        pairs[i].value = pairs[i].value ? pairs[i].value : "";
    }
    o->server_metadata = pairs;
    o->server_metadata_count = pairs ? value->map.count : 0;
}
