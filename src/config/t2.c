#include "config/t2.h"

#include "config/address.h"
#include "config/reader.h"

#include <string.h>

static bool take_prefix(pp_str *text, pp_str prefix)
{
    if (!pp_str_starts(*text, prefix))
        return false;
    text->ptr += prefix.len;
    text->len -= prefix.len;
    return true;
}

/* "host:port", where no host stands for all addresses and port 0 for any. */
static bool split(pp_str text, pp_str *out_host, int32_t *out_port)
{
    pp_str port;

    if (!pp_address_split(text, out_host, &port) || !port.ptr || !pp_port_parse(port, out_port))
        return false;
    if (!out_host->len)
        *out_host = PP_STR(PP_DEFAULT_HOST);
    if (!*out_port)
        *out_port = -1;
    return true;
}

bool pp_t2_listen_parse(pp_arena *arena, pp_str text, pp_t2_listen_option *out, pipit_err *out_err)
{
    pp_str where = text, copy;

    *out_err = PIPIT_OK;
    if (text.len && memchr(text.ptr, '\0', text.len))
        return false;
    *out = (pp_t2_listen_option){.by = PP_T2_TCP};
    if (take_prefix(&where, PP_STR("unix:"))) {
        out->by = PP_T2_UNIX;
        if (!where.len)
            return false;
    } else if (pp_str_eq(where, PP_STR("memory:"))) {
        out->by = PP_T2_MEMORY;
        where = PP_STR("");
    } else {
        if (take_prefix(&where, PP_STR("tls:")))
            out->by = PP_T2_TLS;
        else if (!take_prefix(&where, PP_STR("tcp:")))
            return false;
        if (!split(where, &where, &out->port))
            return false;
    }
    *out_err = pp_arena_copy(arena, where, &copy);
    out->where = copy.ptr;
    return !*out_err;
}

void pp_read_t2(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    o->t2.at = pp_reader_position(reader, value->at);
    pp_read_block(reader, key, value, base);
    if (!o->t2.account)
        o->t2.account = "$G"; /* an empty one stands for the default */
}

void pp_read_t2_listen(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    pp_t2_listen_option *listens;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    if (count > PP_T2_LISTENS_MAX) {
        pp_reader_refuse(reader, key, value, "holds more than %d addresses", PP_T2_LISTENS_MAX);
        return;
    }
    listens = pp_reader_take(reader, count, sizeof(*listens));
    for (size_t i = 0; listens && i < count; i++) {
        const pp_value *item = items ? items[i] : value;
        pipit_err err;

        if (pp_t2_listen_parse(reader->arena, item->string, &listens[i], &err))
            continue;
        listens[i].where = "";
        if (err)
            reader->err = err;
        else
            pp_reader_refuse(reader, key, item,
                             "must be tcp:HOST:PORT, unix:PATH or tls:HOST:PORT%s",
                             pp_reader_show(item).text);
    }
    if (reader->err || !listens)
        return;
    o->t2.listens = listens;
    o->t2.listen_count = count;
}
