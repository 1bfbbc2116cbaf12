/* http/response.h -- the head of an answer, as text. */
#ifndef PP_HTTP_RESPONSE_H
#define PP_HTTP_RESPONSE_H

#include "base/str.h"
#include "http/door.h"

/* Enough for the head of any answer but for its last lines. */
enum { PP_HTTP_HEAD_MAX = PP_HTTP_ANSWER_HEADERS_MAX + 160 };

/* May an answer with that status have a body, and its length? Source: RFC 9110, section 8.6. */
static inline bool pp_http_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* Write a status line and headers without the empty line that ends them; what is said of the
 * connection comes behind, from who knows it. Returns the length; 0: it does not fit. */
size_t pp_http_head_format(const pp_http_answer *answer, char out[PP_HTTP_HEAD_MAX]);

/* The end of a head, for a connection that is kept, or not, after a request of HTTP/1.minor. */
pp_str pp_http_head_end(bool keep_alive, unsigned minor);

/* "400 Bad Request": the whole body of an answer that has nothing else to say. Returns its length.
 */
size_t pp_http_status_format(int status, char out[64]);

#endif
