#include "base/origin.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

/* Split "host", "host:port", "[v6]", "[v6]:port". */
static bool read_host(pp_str text, uint16_t otherwise, pp_str *out_host, uint16_t *out_port)
{
    const char *end = text.ptr + text.len, *after;
    uint64_t port = otherwise;

    if (text.len && text.ptr[0] == '[') {
        after = memchr(text.ptr, ']', text.len);
        if (!after)
            return false;
        *out_host = (pp_str){text.ptr + 1, (size_t)(after - text.ptr) - 1};
        after++;
    } else {
        after = text.len ? memchr(text.ptr, ':', text.len) : NULL;
        after = after ? after : end;
        *out_host = (pp_str){text.ptr, (size_t)(after - text.ptr)};
    }
    if (out_host->len == 0 || (after < end && *after != ':'))
        return false;
    if (after < end && after + 1 < end &&
        !pp_str_parse_u64((pp_str){after + 1, (size_t)(end - after) - 1}, UINT16_MAX, &port))
        return false;
    *out_port = (uint16_t)port;
    return true;
}

static bool is_scheme(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return text.len > 0;
}

bool pp_origin_parse(pp_str text, pp_origin *out)
{
    const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
    pp_str scheme, rest;
    size_t len = 0;

    if (!colon)
        return false;
    scheme = (pp_str){text.ptr, (size_t)(colon - text.ptr)};
    rest = (pp_str){colon + 1, text.len - scheme.len - 1};
    if (!is_scheme(scheme) || !pp_str_starts(rest, PP_STR("//")))
        return false;
    rest = (pp_str){rest.ptr + 2, rest.len - 2};
    while (len < rest.len && !memchr("/?#", rest.ptr[len], 3)) {
        if (rest.ptr[len] == '@' || (unsigned char)rest.ptr[len] <= ' ')
            return false; /* a user where a browser would not put one, or worse */
        len++;
    }
    out->scheme = scheme;
    return read_host((pp_str){rest.ptr, len},
                     pp_str_eq_nocase(scheme, PP_STR("https")) ? PORT_HTTPS : PORT_HTTP, &out->host,
                     &out->port);
}

bool pp_origin_equal(const pp_origin *a, const pp_origin *b)
{
    return a->port == b->port && pp_str_eq_nocase(a->scheme, b->scheme) &&
           pp_str_eq_nocase(a->host, b->host);
}

bool pp_origin_is_host(const pp_origin *origin, pp_str host, bool tls)
{
    pp_origin own = {.scheme = tls ? PP_STR("https") : PP_STR("http")};

    return read_host(host, tls ? PORT_HTTPS : PORT_HTTP, &own.host, &own.port) &&
           pp_origin_equal(origin, &own);
}
