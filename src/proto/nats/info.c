#include "proto/nats/info.h"

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

/* The 10xxxxxx bytes that follow: are there n of them? */
static bool has_tail(pp_str text, size_t n)
{
    if (text.len <= n)
        return false;
    for (size_t i = 1; i <= n; i++) {
        if (((unsigned char)text.ptr[i] & 0xC0) != 0x80)
            return false;
    }
    return true;
}

size_t pp_nats_utf8_len(pp_str text)
{
    unsigned char first = text.len ? (unsigned char)text.ptr[0] : 0xFF;
    unsigned char second = text.len > 1 ? (unsigned char)text.ptr[1] : 0;

    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return has_tail(text, 1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F))
            return 0;
        return has_tail(text, 2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
            return 0;
        return has_tail(text, 3) ? 4 : 0;
    }
    return 0;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Escape the character at the front of text, which is not plain; answers its length. */
static size_t put_special(struct line *line, pp_str text)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = pp_nats_utf8_len(text);

    if (c < sizeof(letters) && letters[c]) {
        put(line, (pp_str){(const char[]){'\\', letters[c]}, 2});
    } else if (len == 1) {
        put(line, PP_STR("\\u00"));
        put(line, (pp_str){(const char[]){hex[c >> 4], hex[c & 15]}, 2});
    } else if (len == 0) {
        put(line, PP_STR("\\ufffd"));
        return 1;
    } else if (len == 3 && memcmp(text.ptr, "\xE2\x80\xA8", 3) == 0) {
        put(line, PP_STR("\\u2028")); /* JavaScript once took these two for line ends */
    } else if (len == 3 && memcmp(text.ptr, "\xE2\x80\xA9", 3) == 0) {
        put(line, PP_STR("\\u2029"));
    } else {
        put(line, (pp_str){text.ptr, len});
    }
    return len;
}

static void put_text(struct line *line, pp_str text)
{
    put(line, PP_STR("\""));
    while (text.len) {
        size_t n = 0;

        while (n < text.len && is_plain((unsigned char)text.ptr[n]))
            n++;
        put(line, (pp_str){text.ptr, n});
        if (n < text.len)
            n += put_special(line, (pp_str){text.ptr + n, text.len - n});
        text.ptr += n;
        text.len -= n;
    }
    put(line, PP_STR("\""));
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
