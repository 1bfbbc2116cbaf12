#include "client/remote.h"

#include "base/alloc.h"

#include <string.h>

enum { NATS_PORT = 4222, WS_PORT = 80, WSS_PORT = 443 };

static const struct scheme {
    const char *prefix;
    pp_remote_kind kind;
    uint16_t port;
} schemes[] = {
    {"memory:", PP_REMOTE_MEMORY, 0},     {"unix://", PP_REMOTE_UNIX, 0},
    {"unix:", PP_REMOTE_UNIX, 0},         {"nats://", PP_REMOTE_TCP, NATS_PORT},
    {"tcp://", PP_REMOTE_TCP, NATS_PORT}, {"tls://", PP_REMOTE_TLS, NATS_PORT},
    {"wss://", PP_REMOTE_WSS, WSS_PORT},  {"ws://", PP_REMOTE_WS, WS_PORT},
};

static uint16_t default_port(pp_remote_kind kind)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].kind == kind)
            return schemes[i].port;
    }
    return 0;
}

/* Cut the scheme off *url. */
static pipit_err take_scheme(pp_str *url, const pp_remote *like, pp_remote_kind *out)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);

        if (url->len >= len &&
            pp_str_eq_nocase((pp_str){url->ptr, len}, (pp_str){schemes[i].prefix, len})) {
            *url = (pp_str){url->ptr + len, url->len - len};
            *out = schemes[i].kind;
            return PIPIT_OK;
        }
    }
    *out = like ? like->kind : PP_REMOTE_TCP;
    return memmem(url->ptr, url->len, "://", 3) ? PIPIT_EINVAL : PIPIT_OK;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copy text with its escapes undone and a NUL behind it. NULL: a wrong escape. */
static char *copy_unescaped(char **to, pp_str text)
{
    char *begin = *to, *at = *to;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            *at++ = text.ptr[i];
            continue;
        }
        if (i + 2 >= text.len || hex(text.ptr[i + 1]) < 0 || hex(text.ptr[i + 2]) < 0)
            return NULL;
        *at++ = (char)(16 * hex(text.ptr[i + 1]) + hex(text.ptr[i + 2]));
        i += 2;
    }
    *at = '\0';
    *to = at + 1;
    return begin;
}

static char *copy(char **to, pp_str text)
{
    char *begin = *to;

    if (text.len)
        memcpy(begin, text.ptr, text.len);
    begin[text.len] = '\0';
    *to = begin + text.len + 1;
    return begin;
}

/* "user:password@" or "token@" off the front. */
static pipit_err take_user(pp_remote *remote, pp_str *rest, char **to)
{
    const char *at = memrchr(rest->ptr, '@', rest->len), *colon;
    pp_str who;

    if (!at)
        return PIPIT_OK;
    who = (pp_str){rest->ptr, (size_t)(at - rest->ptr)};
    *rest = (pp_str){at + 1, rest->len - who.len - 1};
    colon = memchr(who.ptr, ':', who.len);
    if (colon) {
        pp_str password = {colon + 1, who.len - (size_t)(colon - who.ptr) - 1};

        remote->password = copy_unescaped(to, password);
        who.len = (size_t)(colon - who.ptr);
        if (!remote->password)
            return PIPIT_EINVAL;
    }
    remote->user = copy_unescaped(to, who);
    return remote->user ? PIPIT_OK : PIPIT_EINVAL;
}

/* "host", "host:port", "[v6]:port". */
static pipit_err take_host(pp_remote *remote, pp_str place, char **to)
{
    const char *colon = memrchr(place.ptr, ':', place.len);
    const char *end = memrchr(place.ptr, ']', place.len);
    uint64_t port = default_port(remote->kind);
    pp_str host = place;

    if (colon && (!end || colon > end)) {
        host.len = (size_t)(colon - place.ptr);
        if (!pp_str_parse_u64((pp_str){colon + 1, place.len - host.len - 1}, UINT16_MAX, &port) ||
            !port)
            return PIPIT_EINVAL;
    }
    if (host.len && *host.ptr == '[') {
        if (host.len < 3 || host.ptr[host.len - 1] != ']')
            return PIPIT_EINVAL;
        host = (pp_str){host.ptr + 1, host.len - 2};
    }
    if (!host.len)
        return PIPIT_EINVAL;
    remote->port = (uint16_t)port;
    remote->host = copy(to, host);
    return PIPIT_OK;
}

static pipit_err fill(pp_remote *remote, pp_str rest, const pp_remote *like)
{
    char *to = (char *)(remote + 1);
    const char *slash;
    pipit_err err;

    remote->path = copy(&to, PP_STR("/"));
    if (remote->kind == PP_REMOTE_MEMORY || remote->kind == PP_REMOTE_UNIX) {
        remote->host = copy(&to, rest);
        return rest.len || remote->kind == PP_REMOTE_MEMORY ? PIPIT_OK : PIPIT_EINVAL;
    }
    slash = memchr(rest.ptr, '/', rest.len);
    if (slash) {
        remote->path = copy(&to, (pp_str){slash, rest.len - (size_t)(slash - rest.ptr)});
        rest.len = (size_t)(slash - rest.ptr);
    } else if (like && pp_remote_framed(remote)) {
        remote->path = copy(&to, pp_str_of(like->path));
    }
    err = take_user(remote, &rest, &to);
    return err ? err : take_host(remote, rest, &to);
}

pipit_err pp_remote_new(pp_remote **out_remote, pp_str url, const pp_remote *like)
{
    size_t extra = like ? strlen(like->path) : 0;
    pp_remote_kind kind;
    pp_remote *remote;
    pipit_err err;

    if (url.len > PP_REMOTE_URL_MAX)
        return PIPIT_ETOOBIG;
    for (size_t i = 0; i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7f)
            return PIPIT_EINVAL;
    }
    err = take_scheme(&url, like, &kind);
    if (err)
        return err;
    remote = pp_calloc(1, sizeof(*remote) + url.len + extra + 8);
    if (!remote)
        return PIPIT_ENOMEM;
    remote->kind = kind;
    err = fill(remote, url, like);
    if (err)
        pp_remote_free(remote);
    else
        *out_remote = remote;
    return err;
}

void pp_remote_free(pp_remote *remote)
{
    if (remote && remote->user)
        explicit_bzero(remote->user, strlen(remote->user));
    if (remote && remote->password)
        explicit_bzero(remote->password, strlen(remote->password));
    pp_free(remote);
}

bool pp_remote_same(const pp_remote *a, const pp_remote *b)
{
    return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0;
}
