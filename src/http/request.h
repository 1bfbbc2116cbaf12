/* http/request.h -- a request as those see it who answer it, and what can be read out of it. */
#ifndef PP_HTTP_REQUEST_H
#define PP_HTTP_REQUEST_H

#include "base/str.h"

/* What a request says that asks for another protocol on its connection. Lists that came in several
 * headers are one, with commas; so are cookies, with semicolons. */
typedef struct pp_http_upgrade {
    pp_str upgrade;    /* list */
    pp_str connection; /* list */
    pp_str key;        /* Sec-WebSocket-Key */
    pp_str version;    /* Sec-WebSocket-Version, list */
    pp_str extensions; /* Sec-WebSocket-Extensions, list */
    pp_str origin;
    pp_str old_origin; /* Sec-WebSocket-Origin, of drafts */
    pp_str user_agent;
    pp_str forwarded_for;
    pp_str no_masking; /* Nats-No-Masking */
    pp_str cookies;
} pp_http_upgrade;

/* Slices are valid for the call that gets the request. What the peer did not send is empty; of a
 * header that came more than once the first counts. */
typedef struct pp_http_request {
    pp_str method;
    pp_str path; /* percent-decoded; from a door: below its base path, see http/door.h */
    pp_str raw_path;
    pp_str query; /* raw, without its '?' */
    pp_str host;
    pp_str accept;
    pp_str accept_encoding;
    pp_str authorization; /* a secret; a door blanks it before it passes the request on */
    pp_str content_type;
    pp_http_upgrade upgrade; /* empty, unless the reader was to keep it */
    pp_str body;             /* if it was to be kept */
    bool from_here;          /* the peer is on this machine */
    bool is_head;            /* the answer goes out without its body, by the door's care */
} pp_http_request;

/**
 * Read one parameter of a query: percent-decoded, '+' is a blank.
 *
 * False when it is absent; `name` and `name=` are present and empty. Of a repeated one the first
 * counts. Pieces with a ';' or a bad escape are passed over. out gets a closing NUL and is cut if
 * it is too small; *out_len (may be NULL) is the whole length all the same, as with snprintf, and
 * never more than query.len.
 *
 * Units:  out_bytes, 1 at least.
 * Source: net/url ParseQuery and Values.Get, which the reference server's monitoring uses.
 */
bool pp_http_query(pp_str query, const char *name, char *out, size_t out_bytes, size_t *out_len);

/* Percent-decode a path. out has room for raw.len bytes. False: a bad escape. */
bool pp_http_path_decode(pp_str raw, char *out, size_t *out_len);

#endif
