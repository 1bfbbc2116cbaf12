#include "proto/nats/log_prefix.h"

#include "proto/nats/quote.h"
#include "proto/nats/session.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    SAID_MAX = 256,    /* of version, language and name together, quoted */
    ENTERED_MAX = 160, /* of account and user, quoted */
    TEXT_MAX = 2048,
};

/* Put the next part behind what out holds, cut where it ends. */
__attribute__((format(printf, 4, 5))) static void add(char *out, size_t cap, size_t *len,
                                                      const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out + *len, cap - *len, format, args);
    va_end(args);
    *len += n < 0 ? 0 : (size_t)n < cap - *len ? (size_t)n : cap - *len - 1;
}

static void add_quoted(char *out, size_t *len, const char *text, size_t text_len, size_t max)
{
    char quoted[SAID_MAX];

    pp_nats_quote((pp_str){text, text_len}, quoted, max);
    add(out, PP_NATS_LOG_PREFIX_MAX, len, "%s - ", quoted);
}

/* Version, language and name, those that were given, with ':' between them. */
static void add_said(const pp_nats_session *s, char *out, size_t *len)
{
    static const enum pp_nats_connect_text parts[] = {PP_CONNECT_VERSION, PP_CONNECT_LANG,
                                                      PP_CONNECT_NAME};
    char said[SAID_MAX];
    size_t n = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        pp_str text = pp_nats_connect_text(&s->connect, parts[i]);

        if (text.len)
            add(said, sizeof(said), &n, "%s%s%.*s", n ? ":" : "",
                parts[i] == PP_CONNECT_VERSION ? "v" : "", PP_STR_ARGS(text));
    }
    if (n)
        add_quoted(out, len, said, n, SAID_MAX);
}

/* The account, and as whom the client was let in. A token is never shown. */
static void add_entered(const pp_nats_session *s, char *out, size_t *len)
{
    const pp_user *user;
    char entered[SAID_MAX];
    size_t n = 0;

    if (!s->authenticated ||
        !pp_gate_required(s->context->settings->gate, pp_nats_entrance(s->conn)))
        return;
    user = pp_nats_user(s);
    if (!user) /* let in, but no memory to be somebody */
        return;
    if (user->nkey)
        add(entered, sizeof(entered), &n, "%s/nkey:%s", user->scope.account->name, user->nkey);
    else if (*user->name)
        add(entered, sizeof(entered), &n, "%s/user:%s", user->scope.account->name, user->name);
    else
        add(entered, sizeof(entered), &n, "%s/token", user->scope.account->name);
    add_quoted(out, len, entered, n, ENTERED_MAX);
}

/* Whom a proxy says it came for, before the proxy. */
static void add_real_ip(const pp_conn *conn, char *out, size_t *len)
{
    const pp_nats_front *front = conn->door->context;
    pp_str ip = front && front->real_ip ? front->real_ip(conn) : (pp_str){"", 0};

    if (ip.len)
        add(out, PP_NATS_LOG_PREFIX_MAX, len, "%.*s/", PP_STR_ARGS(ip));
}

const char *pp_nats_log_prefix(const pp_nats_session *s, char out[PP_NATS_LOG_PREFIX_MAX])
{
    const pp_conn *conn = s->conn;
    bool six = conn->addr_family == AF_INET6;
    size_t len = 0;
    char ip[48];

    pp_conn_peer_text(conn, ip);
    add_real_ip(conn, out, &len);
    if (conn->addr_family == AF_UNIX)
        add(out, PP_NATS_LOG_PREFIX_MAX, &len, "%s", ip);
    else
        add(out, PP_NATS_LOG_PREFIX_MAX, &len, "%s%s%s:%u", six ? "[" : "", ip, six ? "]" : "",
            conn->peer_port);
    add(out, PP_NATS_LOG_PREFIX_MAX, &len, " - %s:%llu - ",
        pp_nats_by_websocket(conn) ? "wid" : "cid", (unsigned long long)conn->id);
    if (s->connected) {
        add_said(s, out, &len);
        add_entered(s, out, &len);
    }
    return out;
}

void pp_nats_log(const pp_nats_session *s, pp_log_level level, const char *format, ...)
{
    char prefix[PP_NATS_LOG_PREFIX_MAX], text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pp_log_write(s->context->door->log, level, "%s%s", pp_nats_log_prefix(s, prefix), text);
}

void pp_nats_log_limited(const pp_nats_session *s, pp_log_limit *limit, pp_log_level level,
                         const char *text)
{
    uint64_t left_out;

    if (!pp_log_limit_allows(limit, s->conn->loop->now_ns, &left_out))
        return;
    if (left_out)
        pp_nats_log(s, level, "%s (and %llu like it since the last line)", text,
                    (unsigned long long)left_out);
    else
        pp_nats_log(s, level, "%s", text);
}
