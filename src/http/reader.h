/* http/reader.h -- bytes to requests, over the http-parser library.
 *
 * Pure: no sockets, no clock. Bytes are taken as they come and may be cut anywhere. Kept of a
 * request are its target and the few headers that somebody asks for; between requests a reader
 * holds no memory. The library is more lenient than we want in places: what its callbacks refuse.
 */
#ifndef PP_HTTP_READER_H
#define PP_HTTP_READER_H

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

#include <http_parser.h>
#include <stdint.h>

/* The library itself stops there. */
enum { PP_HTTP_HEAD_CEILING = HTTP_MAX_HEADER_SIZE };

typedef struct pp_http_limits {
    uint32_t head_max;    /* bytes of request line and headers, up to PP_HTTP_HEAD_CEILING */
    uint32_t uri_max;     /* bytes */
    uint32_t headers_max; /* number */
    uint32_t body_max;    /* bytes */
} pp_http_limits;

#define PP_HTTP_LIMITS_DEFAULT                                                                     \
    ((pp_http_limits){                                                                             \
        .head_max = 64 * 1024, .uri_max = 8 * 1024, .headers_max = 100, .body_max = 64 * 1024})

enum { PP_HTTP_NAME_KEPT = 32 }; /* longer header names are none that we look for */

enum pp_http_field {
    PP_HTTP_HOST,
    PP_HTTP_ACCEPT,
    PP_HTTP_ACCEPT_ENCODING,
    PP_HTTP_AUTHORIZATION,
    PP_HTTP_CONTENT_TYPE,
    PP_HTTP_EXPECT,
    PP_HTTP_UPGRADE, /* from here on: kept for upgrades only */
    PP_HTTP_CONNECTION,
    PP_HTTP_WS_KEY,
    PP_HTTP_WS_VERSION,
    PP_HTTP_WS_EXTENSIONS,
    PP_HTTP_ORIGIN,
    PP_HTTP_WS_ORIGIN,
    PP_HTTP_USER_AGENT,
    PP_HTTP_FORWARDED_FOR,
    PP_HTTP_NO_MASKING,
    PP_HTTP_COOKIE,
    PP_HTTP_FIELD_COUNT,
    PP_HTTP_FIELD_NONE = PP_HTTP_FIELD_COUNT,
};

/* A place in reader.text, which moves while it grows. */
typedef struct pp_http_span {
    uint32_t at, len;
    bool seen;
} pp_http_span;

typedef struct pp_http_reader {
    http_parser parser;
    const pp_http_limits *limits;
    bool keep_body;
    bool keep_upgrade;   /* keep what asks for another protocol */
    bool keep_cookies;   /* and cookies with it */
    bool keep_alive;     /* of the request just read: the connection may go on */
    bool wants_continue; /* the peer waits for 100 before it sends the body; whoever says it clears
                          * this */
    bool head_done;
    bool complete;
    bool in_value;
    uint8_t field;       /* pp_http_field whose value is being read */
    uint16_t status;     /* why the request is refused; 0: it is not */
    uint32_t read_bytes; /* of this request, while its head lasts */
    uint32_t header_count;
    uint32_t body_bytes;
    uint32_t name_len;
    char name[PP_HTTP_NAME_KEPT];
    pp_buf text; /* target, values of fields, body, decoded path */
    pp_http_span target, body;
    pp_http_span fields[PP_HTTP_FIELD_COUNT];
} pp_http_reader;

/* limits are borrowed. */
void pp_http_reader_init(pp_http_reader *reader, const pp_http_limits *limits);
void pp_http_reader_fini(pp_http_reader *reader);

/* Forget the request, read or refused, and begin with the next one. */
void pp_http_reader_reset(pp_http_reader *reader);

/* Has anything come of a request that is not complete? */
static inline bool pp_http_reader_begun(const pp_http_reader *reader)
{
    return reader->read_bytes > 0;
}

/**
 * Read on. *out_used bytes of window are done with, whatever the result.
 *
 * PIPIT_OK: *out_request is complete; its slices are valid until the reader is reset, which must
 * come before the next call.
 *
 * Errors: PIPIT_EAGAIN all is used, more is needed; PIPIT_EPROTO refused, reader->status (400, 413,
 *         414, 417, 431 or 505) says why and nothing more can be read from this peer;
 *         PIPIT_ENOMEM the same with 503.
 * Source: RFC 9110 and 9112.
 */
pipit_err pp_http_read(pp_http_reader *reader, pp_str window, pp_http_request *out_request,
                       size_t *out_used);

#endif
