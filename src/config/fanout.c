/* The fanout block, where its keys are not like others. */
#include "auth/address_range.h"
#include "config/reader.h"

#include <stdio.h>
#include <string.h>

enum { RANGE_TEXT_MAX = 64 };

void pp_read_fanout(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    pp_read_block(reader, key, value, base);
    if (value->kind == PP_VALUE_MAP && o->fanout.port == 0)
        o->fanout.port = PP_FANOUT_DEFAULT_PORT; /* the block alone asks for the door */
}

void pp_read_fanout_listen(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    pp_reader_listen(reader, key, value, &o->fanout.host, &o->fanout.port);
}

void pp_read_fanout_host(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    pp_reader_host(reader, key, value, &o->fanout.host);
}

/* A range, or an address, which is a range of one. NULL: it is neither, or no memory. */
static const char *read_range(pp_reader *reader, pp_str text)
{
    char one[RANGE_TEXT_MAX];

    if (text.len == 0 || text.len > RANGE_TEXT_MAX - 5)
        return NULL;
    if (!memchr(text.ptr, '/', text.len)) {
        (void)snprintf(one, sizeof(one), "%.*s/%s", PP_STR_ARGS(text),
                       memchr(text.ptr, ':', text.len) ? "128" : "32");
        text = pp_str_of(one);
    }
    return pp_address_range_parse(text, NULL) ? NULL : pp_reader_copy(reader, text);
}

void pp_read_fanout_allow(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    const char **ranges;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    ranges = pp_reader_take(reader, count, sizeof(*ranges));
    for (size_t i = 0; ranges && i < count; i++) {
        const pp_value *item = items ? items[i] : value;

        ranges[i] = read_range(reader, item->string);
        if (!ranges[i] && !reader->err)
            pp_reader_refuse(reader, key, item,
                             "must be an address or a range of them, such as 10.0.0.0/8%s",
                             pp_reader_show(item).text);
    }
    if (reader->err || !ranges)
        return;
    o->fanout.allow = ranges;
    o->fanout.allow_count = count;
}
