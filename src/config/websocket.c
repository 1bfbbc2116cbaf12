/* The websocket block, where its keys are not like others. */
#include "base/origin.h"
#include "config/reader.h"

#include <string.h>

void pp_read_websocket(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    o->websocket.at = pp_reader_position(reader, value->at);
    pp_read_block(reader, key, value, base);
}

void pp_read_websocket_listen(pp_reader *reader, const pp_key *key, const pp_value *value,
                              void *base)
{
    pp_options *o = base;

    pp_reader_listen(reader, key, value, &o->websocket.host, &o->websocket.port);
}

void pp_read_websocket_host(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    pp_reader_host(reader, key, value, &o->websocket.host);
}

void pp_read_websocket_advertise(pp_reader *reader, const pp_key *key, const pp_value *value,
                                 void *base)
{
    pp_options *o = base;

    (void)pp_reader_advertised(reader, key, value, &o->websocket.advertise_host,
                               &o->websocket.advertise_port);
}

void pp_read_origins(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    const char **origins;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    origins = pp_reader_take(reader, count, sizeof(*origins));
    for (size_t i = 0; origins && i < count; i++) {
        const pp_value *item = items ? items[i] : value;
        pp_origin origin;

        origins[i] = pp_reader_copy(reader, item->string);
        if (!pp_origin_parse(item->string, &origin))
            pp_reader_refuse(reader, key, item,
                             "unable to parse allowed origin: it must be scheme://host or "
                             "scheme://host:port%s",
                             pp_reader_show(item).text);
    }
    if (reader->err || !origins)
        return;
    o->websocket.origins = origins;
    o->websocket.origin_count = count;
}

/* --- headers ------------------------------------------------------------------------------ */

/* Those that the answer has anyway, or that would change what it means. */
static bool is_taken(pp_str name)
{
    static const char *const taken[] = {"host",    "content-length",  "connection",
                                        "upgrade", "nats-no-masking", "transfer-encoding"};

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (pp_str_eq_nocase(name, pp_str_of(taken[i])))
            return true;
    }
    return name.len >= 14 && pp_str_eq_nocase((pp_str){name.ptr, 14}, PP_STR("sec-websocket-"));
}

/* Source: RFC 9110, section 5.6.2. */
static bool is_token(pp_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return name.len > 0;
}

static bool is_header_value(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

void pp_read_websocket_headers(pp_reader *reader, const pp_key *key, const pp_value *value,
                               void *base)
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

        if (entry->value->kind != PP_VALUE_STRING) {
            pp_reader_wrong_kind(reader, key, entry->value, "a map of strings");
            return;
        }
        if (is_taken(entry->key) || !is_token(entry->key))
            pp_reader_refuse(reader, key, entry->value,
                             "websocket: invalid header \"%.100s\" not allowed", entry->key.ptr);
        if (!is_header_value(entry->value->string))
            pp_reader_refuse(reader, key, entry->value,
                             "a header cannot hold line ends or other control characters");
        pairs[i].key = pp_reader_copy(reader, entry->key);
        pairs[i].value = pp_reader_copy(reader, entry->value->string);
    }
    if (reader->err || !pairs)
        return;
    o->websocket.headers = pairs;
    o->websocket.header_count = value->map.count;
}
