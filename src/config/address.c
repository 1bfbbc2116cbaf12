/* The keys that say where: host and port in one, or one of two. */
#include "config/address.h"

#include "config/reader.h"

#include <inttypes.h>
#include <string.h>

bool pp_address_split(pp_str text, pp_str *out_host, pp_str *out_port)
{
    const char *end = text.ptr + text.len;
    const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;

    if (text.len && text.ptr[0] == '[') {
        const char *bracket = memchr(text.ptr, ']', text.len);

        if (!bracket || (bracket + 1 < end && bracket[1] != ':'))
            return false;
        *out_host = (pp_str){text.ptr + 1, (size_t)(bracket - text.ptr) - 1};
        colon = bracket + 1 < end ? bracket + 1 : NULL;
    } else {
        *out_host = (pp_str){text.ptr, (size_t)((colon ? colon : end) - text.ptr)};
    }
    *out_port = colon ? (pp_str){colon + 1, (size_t)(end - colon) - 1} : (pp_str){0};
    return !colon || !memchr(colon + 1, ':', out_port->len);
}

bool pp_port_parse(pp_str text, int32_t *out_port)
{
    uint64_t port;

    if (pp_str_eq(text, PP_STR("-1"))) {
        *out_port = -1;
        return true;
    }
    if (!pp_str_parse_u64(text, UINT16_MAX, &port))
        return false;
    *out_port = (int32_t)port;
    return true;
}

const char *pp_reader_copy(pp_reader *reader, pp_str text)
{
    char *copy = pp_reader_take(reader, text.len + 1, 1);

    if (copy)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

bool pp_reader_address(pp_reader *reader, const pp_key *key, const pp_value *value,
                       pp_str *out_host, int32_t *out_port)
{
    pp_str port;

    *out_host = (pp_str){0};
    if (value->kind == PP_VALUE_INT) {
        if (value->integer >= -1 && value->integer <= UINT16_MAX) {
            *out_port = (int32_t)value->integer;
            return true;
        }
        pp_reader_refuse(reader, key, value,
                         "must be a port from 1 to 65535, or -1 for any that is free%s",
                         pp_reader_show(value).text);
        return false;
    }
    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a port or a string host:port");
        return false;
    }
    if (!memchr(value->string.ptr, '\0', value->string.len) &&
        pp_address_split(value->string, out_host, &port) && port.ptr &&
        pp_port_parse(port, out_port))
        return true;
    pp_reader_refuse(reader, key, value,
                     "must be a port or host:port, an IPv6 address in [brackets]%s",
                     pp_reader_show(value).text);
    return false;
}

void pp_reader_listen(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const char **host, int32_t *port)
{
    pp_str said;
    const char *text;

    if (!pp_reader_address(reader, key, value, &said, port) || !said.len)
        return;
    text = pp_reader_copy(reader, said);
    *host = text ? text : *host;
}

void pp_reader_host(pp_reader *reader, const pp_key *key, const pp_value *value, const char **host)
{
    const char *text;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    text = pp_reader_text(reader, value);
    *host = text ? text : *host;
}

void pp_read_listen(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    pp_str host;
    int32_t port;

    if (!pp_reader_address(reader, key, value, &host, &port))
        return;
    o->port = port ? port : PP_DEFAULT_PORT;
    if (host.len) {
        const char *text = pp_reader_copy(reader, host);

        o->host = text ? text : o->host;
        o->host_given = true;
    }
}

void pp_read_host(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const char *text;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    text = pp_reader_text(reader, value);
    if (text) { /* an empty one stands for the default */
        o->host = text;
        o->host_given = true;
    }
}

static void read_monitoring(pp_reader *reader, const pp_key *key, const pp_value *value,
                            pp_options *o, int32_t *out_port)
{
    pp_str host;
    int32_t port;

    if (!pp_reader_address(reader, key, value, &host, &port))
        return;
    *out_port = port;
    if (host.len)
        o->http_host = pp_reader_copy(reader, host);
}

void pp_read_http(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    read_monitoring(reader, key, value, o, &o->http_port);
}

void pp_read_https(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    read_monitoring(reader, key, value, o, &o->https_port);
}

bool pp_reader_advertised(pp_reader *reader, const pp_key *key, const pp_value *value,
                          const char **out_host, uint16_t *out_port)
{
    pp_str host, port;
    int32_t number = 0;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return false;
    }
    if (value->string.len == 0)
        return false;
    if (memchr(value->string.ptr, '\0', value->string.len) ||
        !pp_address_split(value->string, &host, &port) || host.len == 0 ||
        (port.ptr && !pp_port_parse(port, &number))) {
        pp_reader_refuse(reader, key, value,
                         "must be host or host:port, an IPv6 address in [brackets]%s",
                         pp_reader_show(value).text);
        return false;
    }
    *out_host = pp_reader_copy(reader, host);
    *out_port = number > 0 ? (uint16_t)number : 0; /* 0, -1: the one listened on */
    return true;
}

void pp_read_advertise(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    (void)pp_reader_advertised(reader, key, value, &o->client_advertise_host,
                               &o->client_advertise_port);
}

void pp_read_unix(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    if (value->kind == PP_VALUE_STRING)
        o->unix_path = pp_reader_text(reader, value);
    else if (value->kind == PP_VALUE_MAP)
        pp_read_block(reader, key, value, base);
    else
        pp_reader_wrong_kind(reader, key, value, "a path or a map");
}
