#include "proto/nats/info.h"

#include "base/json.h"

#include <stddef.h>

/* A line under construction. The first failure sticks, so that fields need not look at each. */
struct line {
    pp_buf *out;
    pipit_err err;
};

enum kind { TEXT, FLAG, INTEGER, ID, URLS };

static const struct field {
    const char *key;
    enum kind kind;
    bool optional;
    size_t offset;
} fields[] = {
#define FIELD(name, kind, optional) {#name, kind, optional, offsetof(struct pp_nats_info, name)}
    FIELD(server_id, TEXT, false),
    FIELD(server_name, TEXT, false),
    FIELD(version, TEXT, false),
    FIELD(proto, INTEGER, false),
    FIELD(git_commit, TEXT, true),
    FIELD(go, TEXT, false),
    FIELD(host, TEXT, false),
    FIELD(port, INTEGER, false),
    FIELD(headers, FLAG, false),
    FIELD(auth_required, FLAG, true),
    FIELD(tls_required, FLAG, true),
    FIELD(tls_verify, FLAG, true),
    FIELD(tls_available, FLAG, true),
    FIELD(max_payload, INTEGER, false),
    FIELD(jetstream, FLAG, true),
    FIELD(client_id, ID, true),
    FIELD(client_ip, TEXT, true),
    FIELD(nonce, TEXT, true),
    FIELD(cluster, TEXT, true),
    FIELD(domain, TEXT, true),
    FIELD(connect_urls, URLS, true),
    FIELD(ldm, FLAG, true),
    FIELD(connect_info, FLAG, true),
    FIELD(remote_account, TEXT, true),
    FIELD(acc_is_sys, FLAG, true),
    FIELD(api_lvl, INTEGER, true),
    FIELD(xkey, TEXT, true),
    FIELD(pipit_version, TEXT, true),
#undef FIELD
};

static void put(struct line *line, pp_str bytes)
{
    if (!line->err)
        line->err = pp_buf_add(line->out, bytes.ptr, bytes.len);
}

static void put_text(struct line *line, pp_str text)
{
    if (!line->err)
        line->err = pp_json_quote(line->out, text);
}

static void put_id(struct line *line, uint64_t value)
{
    char digits[20];

    put(line, (pp_str){digits, pp_u64_format(digits, value)});
}

static void put_integer(struct line *line, int64_t value)
{
    if (value < 0)
        put(line, PP_STR("-"));
    put_id(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_urls(struct line *line, const struct pp_nats_info *info)
{
    for (size_t i = 0; i < info->connect_url_count; i++) {
        put(line, i ? PP_STR(",") : PP_STR("["));
        put_text(line, info->connect_urls[i]);
    }
    put(line, PP_STR("]"));
}

static bool is_empty(const struct field *field, const struct pp_nats_info *info)
{
    const void *value = (const char *)info + field->offset;

    switch (field->kind) {
    case TEXT:
        return ((const pp_str *)value)->len == 0;
    case FLAG:
        return !*(const bool *)value;
    case INTEGER:
    case ID:
        return *(const uint64_t *)value == 0;
    case URLS:
        return info->connect_url_count == 0;
    }
    return false;
}

static void put_value(struct line *line, const struct field *field, const struct pp_nats_info *info)
{
    const void *value = (const char *)info + field->offset;

    switch (field->kind) {
    case TEXT:
        put_text(line, *(const pp_str *)value);
        break;
    case FLAG:
        put(line, *(const bool *)value ? PP_STR("true") : PP_STR("false"));
        break;
    case INTEGER:
        put_integer(line, *(const int64_t *)value);
        break;
    case ID:
        put_id(line, *(const uint64_t *)value);
        break;
    case URLS:
        put_urls(line, info);
        break;
    }
}

pipit_err pp_nats_info_format(const struct pp_nats_info *info, pp_buf *out)
{
    struct line line = {.out = out};
    size_t old_len = out->len;

    put(&line, PP_STR("INFO {"));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct field *field = &fields[i];

        if (field->optional && is_empty(field, info))
            continue;
        put(&line, i ? PP_STR(",\"") : PP_STR("\"")); /* the first one is never left out */
        put(&line, pp_str_of(field->key));
        put(&line, PP_STR("\":"));
        put_value(&line, field, info);
    }
    put(&line, PP_STR("} \r\n"));
    if (line.err)
        out->len = old_len;
    return line.err;
}
