/* net/proxy.h -- the PROXY protocol header with which a load balancer says who the peer really is.
 *
 * Versions 1 (a line of text) and 2 (binary). Nothing is kept between calls. */
#ifndef PP_NET_PROXY_H
#define PP_NET_PROXY_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/socket.h>

/* The longest window a verdict can need, so the most a caller must keep: the longest line of
 * version 1. Version 2 needs 52 bytes; what follows its addresses is skipped, not buffered. */
#define PP_PROXY_WINDOW_MAX 107

struct pp_proxy_header {
    bool has_address;            /* false: the peer is the one the socket knows */
    bool local;                  /* the proxy speaks for itself (a health check) */
    struct sockaddr_storage src; /* AF_INET or AF_INET6, zero unless has_address. An IPv6 address
                                    that maps an IPv4 one is given as AF_INET */
    size_t skip_bytes; /* still belong to the header after *out_used; drop them as they come */
};

/**
 * Read a header from the front of window, which starts at the first byte of the connection.
 *
 * The caller keeps unread bytes and calls again with a longer window after PIPIT_EAGAIN, which is
 * never answered to PP_PROXY_WINDOW_MAX bytes or more. out is written on success only.
 *
 * Errors: PIPIT_ENOTFOUND this is no PROXY header, and all bytes are the client's: decided by the
 *         first byte that does not fit. PIPIT_EPROTO a header that is malformed, or of a kind that
 *         is not served (datagrams, Unix sockets).
 * Source: NATS client protocol, section 18; nats-server 2.15.2 as observed. It refuses a version 2
 *         header of family and protocol "unspecified", which HAProxy's text says to accept: here
 *         HAProxy wins.
 */
pipit_err pp_proxy_read(pp_str window, struct pp_proxy_header *out, size_t *out_used);

#endif
