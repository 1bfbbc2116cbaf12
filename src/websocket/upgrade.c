#include "websocket/upgrade.h"

#include "base/openssl.h"
#include "http/response.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

enum { KEY_BYTES = 16, KEY_CHARS = 24, SHA1_BYTES = 20 };

/* --- lists and texts ---------------------------------------------------------------------- */

static pp_str trim(pp_str s)
{
    while (s.len && (*s.ptr == ' ' || *s.ptr == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Take what stands before the next mark off the front of s. False: nothing is left. */
static bool next_item(pp_str *s, char mark, pp_str *out)
{
    const char *end;

    if (!s->len)
        return false;
    end = memchr(s->ptr, mark, s->len);
    *out = trim((pp_str){s->ptr, end ? (size_t)(end - s->ptr) : s->len});
    s->len -= end ? (size_t)(end - s->ptr) + 1 : s->len;
    s->ptr = end ? end + 1 : s->ptr;
    return true;
}

static bool list_has(pp_str list, pp_str token)
{
    pp_str item;

    while (next_item(&list, ',', &item)) {
        if (pp_str_eq_nocase(item, token))
            return true;
    }
    return false;
}

/* An extension is a name and parameters behind semicolons; any will do. */
static bool offers_deflate(pp_str extensions)
{
    pp_str item, name;

    while (next_item(&extensions, ',', &item)) {
        if (next_item(&item, ';', &name) && pp_str_eq_nocase(name, PP_STR("permessage-deflate")))
            return true;
    }
    return false;
}

static bool contains(pp_str s, pp_str part)
{
    return s.len && memmem(s.ptr, s.len, part.ptr, part.len) != NULL;
}

static bool ends_with(pp_str s, pp_str end)
{
    return s.len >= end.len && memcmp(s.ptr + s.len - end.len, end.ptr, end.len) == 0;
}

pp_str pp_ws_cookie(pp_str cookies, pp_str name)
{
    pp_str pair;

    while (next_item(&cookies, ';', &pair)) {
        pp_str key;

        if (!next_item(&pair, '=', &key) || !pp_str_eq(key, name))
            continue;
        pair = trim(pair);
        if (pair.len >= 2 && pair.ptr[0] == '"' && pair.ptr[pair.len - 1] == '"')
            return (pp_str){pair.ptr + 1, pair.len - 2};
        return (pp_str){pair.len ? pair.ptr : "", pair.len};
    }
    return (pp_str){NULL, 0};
}

/* --- checks ------------------------------------------------------------------------------- */

void pp_ws_upgrade_refuse(pp_ws_upgrade *out, int status, const char *reason)
{
    out->status = status;
    (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

static bool is_key(pp_str key)
{
    unsigned char bytes[KEY_CHARS / 4 * 3];
    size_t len = 0;

    if (key.len != KEY_CHARS)
        return false;
    while (len < KEY_CHARS && key.ptr[len] != '=')
        len++;
    /* 16 bytes are 22 characters and two to fill up. */
    return len == KEY_CHARS - 2 && key.ptr[len + 1] == '=' &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key.ptr, KEY_CHARS) == sizeof(bytes);
}

/* Source: RFC 6455, section 4.2.2. */
bool pp_ws_accept_make(pp_str key, char out[PP_WS_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char hash[SHA1_BYTES], text[PP_WS_ACCEPT_BYTES + 1];
    char joined[KEY_CHARS + sizeof(guid) - 1];

    memcpy(joined, key.ptr, KEY_CHARS);
    memcpy(joined + KEY_CHARS, guid, sizeof(guid) - 1);
    if (EVP_Digest(joined, sizeof(joined), hash, NULL, EVP_sha1(), NULL) != 1)
        return false;
    (void)EVP_EncodeBlock(text, hash, sizeof(hash));
    memcpy(out, text, PP_WS_ACCEPT_BYTES);
    return true;
}

static const char *check_origin(const pp_ws_rules *rules, const pp_http_request *request)
{
    const pp_http_upgrade *u = &request->upgrade;
    pp_str text = u->origin.len ? u->origin : u->old_origin;
    pp_origin origin;

    if (!text.len || (!rules->same_origin && !rules->origin_count))
        return NULL;
    if (!pp_origin_parse(text, &origin))
        return "it is no origin";
    if (rules->same_origin && !pp_origin_is_host(&origin, request->host, rules->tls))
        return "not same origin";
    for (size_t i = 0; i < rules->origin_count; i++) {
        if (pp_origin_equal(&rules->origins[i], &origin))
            return NULL;
    }
    return rules->origin_count ? "not in the allowed list" : NULL;
}

static pp_ws_kind kind_of(pp_str path)
{
    if (ends_with(path, PP_STR("/mqtt")))
        return PP_WS_MQTT;
    return ends_with(path, PP_STR("/leafnode")) ? PP_WS_LEAFNODE : PP_WS_CLIENT;
}

/* The words for what is wrong but the origin; NULL: nothing. */
static const char *check_request(const pp_http_request *request, int *out_status)
{
    const pp_http_upgrade *u = &request->upgrade;

    *out_status = 404;
    if (kind_of(request->raw_path) == PP_WS_MQTT)
        return "mqtt websocket endpoint not enabled";
    *out_status = 405;
    if (!pp_str_eq(request->method, PP_STR("GET")))
        return "request method must be GET";
    *out_status = 400;
    if (!request->host.len)
        return "'Host' missing in request";
    if (!list_has(u->upgrade, PP_STR("websocket")))
        return "invalid value for header 'Upgrade'";
    if (!list_has(u->connection, PP_STR("Upgrade")))
        return "invalid value for header 'Connection'";
    if (!u->key.len)
        return "key missing";
    if (!is_key(u->key))
        return "invalid websocket key";
    if (!list_has(u->version, PP_STR("13")))
        return "invalid version";
    return NULL;
}

static pp_str real_ip(pp_str forwarded_for)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;

    if (forwarded_for.len == 0 || forwarded_for.len >= sizeof(text))
        return (pp_str){NULL, 0};
    memcpy(text, forwarded_for.ptr, forwarded_for.len);
    text[forwarded_for.len] = '\0';
    if (inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1)
        return forwarded_for;
    return (pp_str){NULL, 0};
}

void pp_ws_upgrade_check(const pp_ws_rules *rules, const pp_http_request *request,
                         pp_ws_upgrade *out)
{
    const pp_http_upgrade *u = &request->upgrade;
    const char *wrong;

    *out = (pp_ws_upgrade){.status = 101, .kind = kind_of(request->raw_path)};
    if (pp_openssl_load(NULL)) {
        pp_ws_upgrade_refuse(out, 500, "no OpenSSL");
        return;
    }
    wrong = check_request(request, &out->status);
    if (wrong) {
        pp_ws_upgrade_refuse(out, out->status, wrong);
        return;
    }
    wrong = check_origin(rules, request);
    if (wrong) {
        out->status = 403;
        (void)snprintf(out->reason, sizeof(out->reason), "origin not allowed: %s", wrong);
        return;
    }
    if (!pp_ws_accept_make(u->key, out->accept)) {
        pp_ws_upgrade_refuse(out, 500, "no SHA-1");
        return;
    }
    out->status = 101;
    out->deflates = rules->compression && offers_deflate(u->extensions);
    out->no_masking = pp_str_eq(u->no_masking, PP_STR("true"));
    out->browser = out->kind == PP_WS_CLIENT && pp_str_starts(u->user_agent, PP_STR("Mozilla/"));
    out->safari = out->browser && out->deflates && contains(u->user_agent, PP_STR("Version/")) &&
                  contains(u->user_agent, PP_STR("Safari/"));
    out->real_ip = real_ip(u->forwarded_for);
}

/* --- answers ------------------------------------------------------------------------------ */

static pipit_err refusal(const pp_ws_upgrade *upgrade, pp_buf *out)
{
    char text[64];
    size_t len = pp_http_status_format(upgrade->status, text);

    return pp_buf_addf(out,
                       "HTTP/1.1 %.*s\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Sec-Websocket-Version: 13\r\n"
                       "X-Content-Type-Options: nosniff\r\n"
                       "Connection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%.*s\n",
                       (int)len, text, len - 4 + 1, (int)len - 4, text + 4);
}

pipit_err pp_ws_upgrade_answer(const pp_ws_rules *rules, const pp_ws_upgrade *upgrade, pp_buf *out)
{
    if (upgrade->status != 101)
        return refusal(upgrade, out);
    return pp_buf_addf(out,
                       "HTTP/1.1 101 Switching Protocols\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %.*s\r\n%s%s%.*s\r\n",
                       PP_WS_ACCEPT_BYTES, upgrade->accept,
                       upgrade->deflates ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                           "server_no_context_takeover; "
                                           "client_no_context_takeover\r\n"
                                         : "",
                       upgrade->no_masking ? "Nats-No-Masking: true\r\n" : "",
                       PP_STR_ARGS(rules->headers));
}
