#include "http/response.h"

#include <stdio.h>

size_t pp_http_head_format(const pp_http_answer *answer, char out[PP_HTTP_HEAD_MAX])
{
    const char *type = answer->content_type ? answer->content_type : "";
    const char *extra = answer->extra_headers ? answer->extra_headers : "";
    char length[48] = "";
    int len;

    if (pp_http_has_body(answer->status))
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", answer->body_bytes);
    len = snprintf(out, PP_HTTP_HEAD_MAX, "HTTP/1.1 %d %s\r\n%s%s%s%s%s", answer->status,
                   http_status_str((enum http_status)answer->status), *type ? "Content-Type: " : "",
                   type, *type ? "\r\n" : "", length, extra);
    return len > 0 && len < PP_HTTP_HEAD_MAX ? (size_t)len : 0;
}

pp_str pp_http_head_end(bool keep_alive, unsigned minor)
{
    if (!keep_alive)
        return PP_STR("Connection: close\r\n\r\n");
    return minor == 0 ? PP_STR("Connection: keep-alive\r\n\r\n") : PP_STR("\r\n");
}

size_t pp_http_status_format(int status, char out[64])
{
    int len = snprintf(out, 64, "%d %s", status, http_status_str((enum http_status)status));

    return len < 64 ? (size_t)len : 63;
}
