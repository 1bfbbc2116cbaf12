#include "http/reader.h"

#include "base/assert.h"

#include <string.h>

static const char *const field_names[PP_HTTP_FIELD_COUNT] = {
    [PP_HTTP_HOST] = "host",
    [PP_HTTP_ACCEPT] = "accept",
    [PP_HTTP_ACCEPT_ENCODING] = "accept-encoding",
    [PP_HTTP_AUTHORIZATION] = "authorization",
    [PP_HTTP_CONTENT_TYPE] = "content-type",
    [PP_HTTP_EXPECT] = "expect",
    [PP_HTTP_UPGRADE] = "upgrade",
    [PP_HTTP_CONNECTION] = "connection",
    [PP_HTTP_WS_KEY] = "sec-websocket-key",
    [PP_HTTP_WS_VERSION] = "sec-websocket-version",
    [PP_HTTP_WS_EXTENSIONS] = "sec-websocket-extensions",
    [PP_HTTP_ORIGIN] = "origin",
    [PP_HTTP_WS_ORIGIN] = "sec-websocket-origin",
    [PP_HTTP_USER_AGENT] = "user-agent",
    [PP_HTTP_FORWARDED_FOR] = "x-forwarded-for",
    [PP_HTTP_NO_MASKING] = "nats-no-masking",
    [PP_HTTP_COOKIE] = "cookie",
};

/* What stands between values that came in several headers; NULL: only the first counts. */
static const char *const joints[PP_HTTP_FIELD_COUNT] = {
    [PP_HTTP_UPGRADE] = ", ",       [PP_HTTP_CONNECTION] = ", ", [PP_HTTP_WS_VERSION] = ", ",
    [PP_HTTP_WS_EXTENSIONS] = ", ", [PP_HTTP_COOKIE] = "; ",
};

/* --- what the library calls --------------------------------------------------------------- */

/* Refuse from a callback: anything but 0, 1 and 2 stops the library whichever it is. */
static int refuse(pp_http_reader *r, unsigned status)
{
    if (!r->status)
        r->status = (uint16_t)status;
    return -1;
}

/* Add to the span that is being filled, which is the last thing in text. */
static int add(pp_http_reader *r, pp_http_span *span, const char *bytes, size_t len)
{
    PP_ASSERT(span->at + span->len == r->text.len);
    switch (pp_buf_add(&r->text, bytes, len)) {
    case PIPIT_OK:
        span->len += (uint32_t)len;
        return 0;
    case PIPIT_ETOOBIG:
        return refuse(r, 431);
    default:
        return refuse(r, 503);
    }
}

/* Debian's library is built to let these through. */
static bool has_control(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f)
            return true;
    }
    return false;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    pp_http_reader *r = parser->data;

    if (len > r->limits->uri_max - r->target.len)
        return refuse(r, 414);
    if (has_control(at, len) || memchr(at, '\t', len))
        return refuse(r, 400);
    return add(r, &r->target, at, len);
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
    pp_http_reader *r = parser->data;

    if (r->in_value || r->header_count == 0) {
        if (r->header_count++ == r->limits->headers_max)
            return refuse(r, 431);
        r->in_value = false;
        r->name_len = 0;
    }
    /* The library allows blanks in names. "Content-Length : 5" is read in two ways by two servers.
     */
    if (memchr(at, ' ', len))
        return refuse(r, 400);
    for (size_t i = 0; i < len && r->name_len < PP_HTTP_NAME_KEPT; i++)
        r->name[r->name_len++] = at[i];
    return 0;
}

/* What is read, and dropped, under any other name. */
static uint8_t field_of(const pp_http_reader *r)
{
    pp_str name = {r->name, r->name_len};
    uint8_t count = r->keep_upgrade ? PP_HTTP_FIELD_COUNT : PP_HTTP_UPGRADE;

    if (r->keep_upgrade && !r->keep_cookies)
        count = PP_HTTP_COOKIE;
    for (uint8_t i = 0; i < count && !r->head_done; i++) {
        if (pp_str_eq_nocase(name, pp_str_of(field_names[i])))
            return i;
    }
    return PP_HTTP_FIELD_NONE;
}

/* A value comes for a field that has one: move that to the end of text, with a joint behind. */
static int join(pp_http_reader *r, pp_http_span *span)
{
    const char *joint = joints[r->field];
    pp_http_span moved = {.at = (uint32_t)r->text.len, .seen = true};

    if (span->at + span->len != r->text.len) {
        pipit_err err = pp_buf_reserve(&r->text, span->len);

        if (err)
            return refuse(r, err == PIPIT_ETOOBIG ? 431 : 503);
        if (span->len && add(r, &moved, r->text.ptr + span->at, span->len))
            return -1;
        *span = moved;
    }
    return add(r, span, joint, strlen(joint));
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
    pp_http_reader *r = parser->data;

    if (has_control(at, len))
        return refuse(r, 400);
    if (!r->in_value) {
        r->in_value = true;
        r->field = field_of(r);
        if (r->field == PP_HTTP_FIELD_NONE)
            return 0;
        if (r->fields[r->field].seen) {
            if (r->field == PP_HTTP_HOST)
                return refuse(r, 400);
            if (!joints[r->field]) {
                r->field = PP_HTTP_FIELD_NONE;
                return 0;
            }
            if (join(r, &r->fields[r->field]))
                return -1;
        } else {
            r->fields[r->field] = (pp_http_span){.at = (uint32_t)r->text.len, .seen = true};
        }
    }
    if (r->field == PP_HTTP_FIELD_NONE)
        return 0;
    return add(r, &r->fields[r->field], at, len);
}

static pp_str slice(const pp_http_reader *r, const pp_http_span *span)
{
    pp_str s = {span->len ? r->text.ptr + span->at : "", span->len};

    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static int on_headers_complete(http_parser *parser)
{
    pp_http_reader *r = parser->data;
    bool is_1_1 = parser->http_major == 1 && parser->http_minor >= 1;
    bool has_body = parser->flags & F_CHUNKED ||
                    (parser->content_length && parser->content_length != UINT64_MAX);
    pp_str expect = slice(r, &r->fields[PP_HTTP_EXPECT]);

    r->head_done = true;
    r->body.at = (uint32_t)r->text.len;
    r->keep_alive = http_should_keep_alive(parser);
    if (parser->http_major != 1)
        return refuse(r, parser->http_major ? 505 : 400);
    if (is_1_1 && !r->fields[PP_HTTP_HOST].seen)
        return refuse(r, 400);
    if (has_body && !(parser->flags & F_CHUNKED) && parser->content_length > r->limits->body_max)
        return refuse(r, 413);
    if (expect.len && is_1_1) {
        if (!pp_str_eq_nocase(expect, PP_STR("100-continue")))
            return refuse(r, 417);
        r->wants_continue = has_body;
    }
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    pp_http_reader *r = parser->data;

    r->wants_continue = false; /* it did not wait for it */
    if (len > r->limits->body_max - r->body_bytes)
        return refuse(r, 413);
    r->body_bytes += (uint32_t)len;
    return r->keep_body ? add(r, &r->body, at, len) : 0;
}

static int on_message_complete(http_parser *parser)
{
    pp_http_reader *r = parser->data;

    r->complete = true;
    r->wants_continue = false;
    http_parser_pause(parser, 1); /* what follows is for the next call */
    return 0;
}

static const http_parser_settings callbacks = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* --- the request -------------------------------------------------------------------------- */

/* The parts of the target: "/path?query", "http://host/path?query" or "*". */
static bool split_target(pp_str target, pp_str *out_path, pp_str *out_query)
{
    struct http_parser_url url;
    bool has_path, has_query;

    http_parser_url_init(&url);
    if (target.len == 0 || http_parser_parse_url(target.ptr, target.len, 0, &url))
        return false;
    has_path = url.field_set & 1 << UF_PATH;
    has_query = url.field_set & 1 << UF_QUERY;
    *out_path = PP_STR("/"); /* "http://host" */
    *out_query = PP_STR("");
    if (has_path)
        *out_path = (pp_str){target.ptr + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len};
    if (has_query)
        *out_query =
            (pp_str){target.ptr + url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len};
    return true;
}

static pp_http_upgrade upgrade_of(const pp_http_reader *r)
{
    return (pp_http_upgrade){
        .upgrade = slice(r, &r->fields[PP_HTTP_UPGRADE]),
        .connection = slice(r, &r->fields[PP_HTTP_CONNECTION]),
        .key = slice(r, &r->fields[PP_HTTP_WS_KEY]),
        .version = slice(r, &r->fields[PP_HTTP_WS_VERSION]),
        .extensions = slice(r, &r->fields[PP_HTTP_WS_EXTENSIONS]),
        .origin = slice(r, &r->fields[PP_HTTP_ORIGIN]),
        .old_origin = slice(r, &r->fields[PP_HTTP_WS_ORIGIN]),
        .user_agent = slice(r, &r->fields[PP_HTTP_USER_AGENT]),
        .forwarded_for = slice(r, &r->fields[PP_HTTP_FORWARDED_FOR]),
        .no_masking = slice(r, &r->fields[PP_HTTP_NO_MASKING]),
        .cookies = slice(r, &r->fields[PP_HTTP_COOKIE]),
    };
}

static pipit_err build(pp_http_reader *r, pp_http_request *out)
{
    pp_http_request request = {.is_head = r->parser.method == HTTP_HEAD};
    size_t decoded;

    /* The room for the decoded path comes first: the slices must not move any more. */
    if (pp_buf_reserve(&r->text, r->target.len + 1)) {
        (void)refuse(r, 503);
        return PIPIT_ENOMEM;
    }
    if (!split_target(slice(r, &r->target), &request.raw_path, &request.query) ||
        !pp_http_path_decode(request.raw_path, r->text.ptr + r->text.len, &decoded)) {
        (void)refuse(r, 400);
        return PIPIT_EPROTO;
    }
    request.path = (pp_str){r->text.ptr + r->text.len, decoded};
    request.method = pp_str_of(http_method_str((enum http_method)r->parser.method));
    request.host = slice(r, &r->fields[PP_HTTP_HOST]);
    request.accept = slice(r, &r->fields[PP_HTTP_ACCEPT]);
    request.accept_encoding = slice(r, &r->fields[PP_HTTP_ACCEPT_ENCODING]);
    request.authorization = slice(r, &r->fields[PP_HTTP_AUTHORIZATION]);
    request.content_type = slice(r, &r->fields[PP_HTTP_CONTENT_TYPE]);
    request.upgrade = upgrade_of(r);
    request.body = (pp_str){r->body.len ? r->text.ptr + r->body.at : "", r->body.len};
    *out = request;
    return PIPIT_OK;
}

/* --- public ------------------------------------------------------------------------------- */

void pp_http_reader_init(pp_http_reader *reader, const pp_http_limits *limits)
{
    size_t text_max = (size_t)limits->head_max + limits->body_max + limits->uri_max + 1;

    *reader = (pp_http_reader){.limits = limits};
    pp_buf_init(&reader->text, text_max);
    pp_http_reader_reset(reader);
}

void pp_http_reader_fini(pp_http_reader *reader)
{
    pp_buf_fini(&reader->text);
}

void pp_http_reader_reset(pp_http_reader *reader)
{
    pp_buf text = reader->text;

    pp_buf_fini(&text);
    *reader = (pp_http_reader){
        .limits = reader->limits,
        .keep_body = reader->keep_body,
        .keep_upgrade = reader->keep_upgrade,
        .keep_cookies = reader->keep_cookies,
        .text = text,
    };
    http_parser_init(&reader->parser, HTTP_REQUEST);
    reader->parser.data = reader;
}

/* How much of window the library may be shown: no more of a head than is allowed. */
static size_t share(const pp_http_reader *r, size_t len)
{
    size_t left = r->limits->head_max - r->read_bytes;

    return r->head_done || len < left ? len : left;
}

static pipit_err stopped(pp_http_reader *r, pp_http_request *out_request)
{
    if (r->complete)
        return build(r, out_request);
    (void)refuse(r, HTTP_PARSER_ERRNO(&r->parser) == HPE_HEADER_OVERFLOW ? 431 : 400);
    return r->status == 503 ? PIPIT_ENOMEM : PIPIT_EPROTO;
}

pipit_err pp_http_read(pp_http_reader *reader, pp_str window, pp_http_request *out_request,
                       size_t *out_used)
{
    PP_ASSERT(!reader->complete && !reader->status);
    *out_used = 0;
    while (*out_used < window.len) {
        size_t len = share(reader, window.len - *out_used);
        size_t used;

        if (len == 0) {
            (void)refuse(reader, 431);
            return PIPIT_EPROTO;
        }
        used = http_parser_execute(&reader->parser, &callbacks, window.ptr + *out_used, len);
        *out_used += used;
        if (!reader->head_done || reader->read_bytes == 0)
            reader->read_bytes += (uint32_t)used;
        if (HTTP_PARSER_ERRNO(&reader->parser) != HPE_OK)
            return stopped(reader, out_request);
    }
    return PIPIT_EAGAIN;
}
