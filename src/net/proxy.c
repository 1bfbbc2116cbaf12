#include "net/proxy.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define SIGNATURE_1 PP_STR("PROXY ")
#define SIGNATURE_2 PP_STR("\r\n\r\n\0\r\nQUIT\n")

/* So many bytes decide whether this is a header at all; a wrong byte later makes it a bad one. */
enum { RECOGNISED_BYTES = 6 };

enum { HEAD_2_BYTES = 16, INET_BYTES = 12, INET6_BYTES = 36 };

static_assert(HEAD_2_BYTES + INET6_BYTES <= PP_PROXY_WINDOW_MAX, "version 2 needs less");

static pp_str front(pp_str s, size_t len)
{
    return (pp_str){s.ptr, s.len < len ? s.len : len};
}

/* Does window agree with signature as far as both go? */
static bool agrees(pp_str window, pp_str signature)
{
    return pp_str_starts(signature, front(window, signature.len));
}

static void set_inet(struct pp_proxy_header *header, const void *address, uint16_t port_be)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&header->src;

    header->has_address = true;
    in->sin_family = AF_INET;
    in->sin_port = port_be;
    memcpy(&in->sin_addr, address, sizeof(in->sin_addr));
}

static void set_inet6(struct pp_proxy_header *header, const void *address, uint16_t port_be)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&header->src;
    struct in6_addr plain;

    memcpy(&plain, address, sizeof(plain));
    if (IN6_IS_ADDR_V4MAPPED(&plain)) {
        set_inet(header, plain.s6_addr + 12, port_be);
        return;
    }
    header->has_address = true;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port_be;
    in6->sin6_addr = plain;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Take the next field from the front of *rest, over any run of blanks; empty at the end. */
static pp_str take_field(pp_str *rest)
{
    pp_str field;
    size_t n = 0;

    while (n < rest->len && is_blank(rest->ptr[n]))
        n++;
    field.ptr = rest->ptr + n;
    while (n < rest->len && !is_blank(rest->ptr[n]))
        n++;
    field.len = (size_t)(rest->ptr + n - field.ptr);
    rest->ptr += n;
    rest->len -= n;
    return field;
}

static bool parse_address(int family, pp_str text, struct in6_addr *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, out) == 1;
}

/* The line after "PROXY ", without CR LF. */
static pipit_err parse_line(pp_str line, struct pp_proxy_header *out)
{
    pp_str protocol = take_field(&line);
    struct in6_addr src, dst; /* room for an IPv4 address too */
    uint64_t src_port, dst_port;
    int family;

    if (pp_str_eq(protocol, PP_STR("UNKNOWN")))
        return PIPIT_OK; /* whatever else the line says */
    if (pp_str_eq(protocol, PP_STR("TCP4")))
        family = AF_INET;
    else if (pp_str_eq(protocol, PP_STR("TCP6")))
        family = AF_INET6;
    else
        return PIPIT_EPROTO;
    if (!parse_address(family, take_field(&line), &src) ||
        !parse_address(family, take_field(&line), &dst) ||
        !pp_str_parse_u64(take_field(&line), UINT16_MAX, &src_port) ||
        !pp_str_parse_u64(take_field(&line), UINT16_MAX, &dst_port) || take_field(&line).len != 0)
        return PIPIT_EPROTO;
    if (family == AF_INET)
        set_inet(out, &src, htons((uint16_t)src_port));
    else
        set_inet6(out, &src, htons((uint16_t)src_port));
    return PIPIT_OK;
}

static pipit_err read_1(pp_str window, struct pp_proxy_header *out, size_t *out_used)
{
    pp_str seen = front(window, PP_PROXY_WINDOW_MAX);
    const char *end = memmem(seen.ptr, seen.len, "\r\n", 2);
    size_t len;
    pipit_err err;

    if (!end)
        return window.len < PP_PROXY_WINDOW_MAX ? PIPIT_EAGAIN : PIPIT_EPROTO;
    len = (size_t)(end - seen.ptr);
    err = parse_line((pp_str){seen.ptr + SIGNATURE_1.len, len - SIGNATURE_1.len}, out);
    if (!err)
        *out_used = len + 2;
    return err;
}

/* Copy the source from a version 2 address block of two addresses and two ports. */
static void read_source(int family, const char *block, struct pp_proxy_header *out)
{
    size_t address_bytes = family == AF_INET ? 4 : 16;
    uint16_t port_be;

    memcpy(&port_be, block + 2 * address_bytes, sizeof(port_be));
    if (family == AF_INET)
        set_inet(out, block, port_be);
    else
        set_inet6(out, block, port_be);
}

static pipit_err read_2(pp_str window, struct pp_proxy_header *out, size_t *out_used)
{
    enum { LOCAL = 0x20, PROXY = 0x21, STREAM = 1, UNSPECIFIED = 0, INET = 1, INET6 = 2 };
    const unsigned char *head = (const unsigned char *)window.ptr;
    size_t body_bytes, address_bytes = 0;
    unsigned family;

    if (!agrees(window, SIGNATURE_2))
        return PIPIT_EPROTO;
    if (window.len < HEAD_2_BYTES)
        return PIPIT_EAGAIN;
    family = head[13] >> 4;
    body_bytes = (size_t)head[14] << 8 | head[15];
    if (head[12] == LOCAL) {
        out->local = true;
    } else if (head[12] != PROXY) {
        return PIPIT_EPROTO;
    } else if (family != UNSPECIFIED) {
        address_bytes = family == INET ? INET_BYTES : INET6_BYTES;
        if ((family != INET && family != INET6) || (head[13] & 15) != STREAM ||
            body_bytes < address_bytes)
            return PIPIT_EPROTO;
        if (window.len < HEAD_2_BYTES + address_bytes)
            return PIPIT_EAGAIN;
        read_source(family == INET ? AF_INET : AF_INET6, window.ptr + HEAD_2_BYTES, out);
    }
    *out_used = HEAD_2_BYTES + address_bytes;
    out->skip_bytes = body_bytes - address_bytes;
    return PIPIT_OK;
}

pipit_err pp_proxy_read(pp_str window, struct pp_proxy_header *out, size_t *out_used)
{
    struct pp_proxy_header header = {0};
    pp_str first = front(window, RECOGNISED_BYTES);
    size_t used = 0;
    pipit_err err;

    if (window.len == 0)
        return PIPIT_EAGAIN;
    if (!agrees(first, SIGNATURE_1) && !agrees(first, SIGNATURE_2))
        return PIPIT_ENOTFOUND;
    if (first.len < RECOGNISED_BYTES)
        return PIPIT_EAGAIN;
    err = first.ptr[0] == 'P' ? read_1(window, &header, &used) : read_2(window, &header, &used);
    if (err)
        return err;
    PP_ASSERT(used <= window.len);
    *out = header;
    *out_used = used;
    return PIPIT_OK;
}
