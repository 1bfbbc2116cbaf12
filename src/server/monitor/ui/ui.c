#include "server/monitor/ui/ui.h"

#include "server/server.h"

#include <stdio.h>
#include <string.h>

#define ASSET(name)                                                                                \
    extern const char pp_ui_##name[] __attribute__((visibility("hidden")));                        \
    extern const char pp_ui_##name##_end[] __attribute__((visibility("hidden")));
ASSET(page_html)
ASSET(page_css)
ASSET(page_js)
ASSET(console_client_js)
#undef ASSET

/* Below the base path. Links in the page are relative to /ui. */
static const struct file {
    const char *path;
    const char *content_type;
    const char *begin;
    const char *end;
} files[] = {
    {"/ui", "text/html; charset=utf-8", pp_ui_page_html, pp_ui_page_html_end},
    {"/ui/page.css", "text/css; charset=utf-8", pp_ui_page_css, pp_ui_page_css_end},
    {"/ui/page.js", "text/javascript; charset=utf-8", pp_ui_page_js, pp_ui_page_js_end},
    {"/ui/console_client.js", "text/javascript; charset=utf-8", pp_ui_console_client_js,
     pp_ui_console_client_js_end},
};

static const struct file *find(pp_str path)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (pp_str_eq(path, pp_str_of(files[i].path)))
            return &files[i];
    }
    return NULL;
}

/* Something short, in words. */
static pp_ui_verdict answer_text(pp_http_ticket ticket, int status, const char *extra, pp_str text)
{
    pp_body *body = pp_body_new(text.len);

    if (!body)
        return PP_UI_BUSY;
    memcpy(body->bytes, text.ptr, text.len);
    pp_http_answer_send(ticket, &(pp_http_answer){.status = status,
                                                  .content_type = "text/plain; charset=utf-8",
                                                  .extra_headers = extra,
                                                  .body = body,
                                                  .body_bytes = text.len});
    return PP_UI_ANSWERED;
}

/* The host that the browser asked, without its port; empty if it holds what no host has, since it
 * goes into a header. */
static pp_str host_asked(pp_str host)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t end = 0;

    if (host.len && host.ptr[0] == '[') {
        const char *close = memchr(host.ptr, ']', host.len);

        host.len = close ? (size_t)(close - host.ptr) + 1 : 0;
        for (end = 1; end + 1 < host.len; end++) {
            if (!memchr("0123456789abcdefABCDEF:.", host.ptr[end], 24))
                return PP_STR("");
        }
        return host;
    }
    while (end < host.len && host.ptr[end] && strchr(fine, host.ptr[end]))
        end++;
    if (end < host.len && host.ptr[end] != ':')
        return PP_STR("");
    host.len = end;
    return host;
}

/* What the browser may do with the page: run what comes from here, and speak with this listener and
 * the one for WebSocket. Returns false if it does not fit. */
static bool write_headers(const pipit_server *server, const pp_http_request *request, char *out,
                          size_t out_bytes)
{
    pp_str host = host_asked(request->host);
    unsigned port = server->websocket.port;
    char console[2 * 128] = "";
    int len;

    if (port && host.len && host.len < 100)
        (void)snprintf(console, sizeof(console), " ws://%.*s:%u wss://%.*s:%u", (int)host.len,
                       host.ptr, port, (int)host.len, host.ptr, port);
    len = snprintf(out, out_bytes,
                   "Content-Encoding: gzip\r\n"
                   "Cache-Control: no-cache\r\n"
                   "Content-Security-Policy: default-src 'none'; script-src 'self'; "
                   "style-src 'self'; img-src data:; connect-src 'self'%s; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'\r\n"
                   "X-Content-Type-Options: nosniff\r\n"
                   "Referrer-Policy: no-referrer\r\n",
                   console);
    return len > 0 && (size_t)len < out_bytes;
}

static pp_ui_verdict answer_file(const pipit_server *server, const pp_http_request *request,
                                 const struct file *file, pp_http_ticket ticket)
{
    char headers[PP_HTTP_ANSWER_HEADERS_MAX];
    size_t bytes = (size_t)(file->end - file->begin);
    pp_body *body;

    if (!write_headers(server, request, headers, sizeof(headers)))
        return answer_text(ticket, 500, NULL, PP_STR("the headers do not fit\n"));
    body = pp_body_new(bytes);
    if (!body)
        return PP_UI_BUSY;
    memcpy(body->bytes, file->begin, bytes);
    pp_http_answer_send(ticket, &(pp_http_answer){.status = 200,
                                                  .content_type = file->content_type,
                                                  .extra_headers = headers,
                                                  .body = body,
                                                  .body_bytes = bytes});
    return PP_UI_ANSWERED;
}

static bool is_shown(const pipit_server *server, const pp_http_request *request)
{
    switch (server->http_ui) {
    case PP_HTTP_UI_NONE:
        return false;
    case PP_HTTP_UI_LOCAL:
        return request->from_here;
    case PP_HTTP_UI_ALL:
        break;
    }
    return true;
}

pp_ui_verdict pp_ui_answer(const pipit_server *server, const pp_http_request *request,
                           pp_http_ticket ticket)
{
    const struct file *file = find(request->path);

    if (pp_str_eq(request->path, PP_STR("/ui/")))
        return answer_text(ticket, 308, "Location: ../ui\r\n", PP_STR("it is at /ui\n"));
    if (!file)
        return PP_UI_NOT_MINE;
    if (!is_shown(server, request))
        return answer_text(ticket, 403, NULL,
                           PP_STR("the page is not shown here: the configuration's http_ui says to "
                                  "whom it is\n"));
    if (!memmem(request->accept_encoding.ptr, request->accept_encoding.len, "gzip", 4))
        return answer_text(ticket, 406, NULL, PP_STR("the page is compressed: ask for gzip\n"));
    return answer_file(server, request, file, ticket);
}
