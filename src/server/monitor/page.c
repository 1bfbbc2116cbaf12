#include "server/monitor/page.h"

#include <stdarg.h>
#include <stdio.h>

enum { REFUSAL_MAX = 2048 };

void pp_page_json(pp_page *page, pp_json *json, unsigned indent)
{
    pp_json_init(json, &page->body, page->options->compact ? 0 : indent);
}

void pp_page_begin(pp_page *page, pp_json *json)
{
    pp_page_json(page, json, 2);
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "server_id", pp_str_of(page->server->server_id));
    pp_json_time(json, "now", page->now_wall_ns);
}

pipit_err pp_page_end(pp_json *json)
{
    pp_json_end_object(json);
    return pp_json_finish(json);
}

pipit_err pp_page_refuse(pp_page *page, int status, const char *format, ...)
{
    char text[REFUSAL_MAX];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    page->body.len = 0;
    page->status = status;
    page->content_type = "text/plain; charset=utf-8";
    page->open_to_all = false;
    return pp_buf_add(&page->body, text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}
