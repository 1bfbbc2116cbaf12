/* The page for people: a list of the others. Links are relative, so that a base path needs no
 * mention. */
#include "server/monitor/page.h"

#include <stdio.h>

static const struct entry {
    const char *title;
    const char *path;
} entries[] = {
    {"General", "/varz"},      {"JetStream", "/jsz"},          {"Connections", "/connz"},
    {"Accounts", "/accountz"}, {"Account Stats", "/accstatz"}, {"Subscriptions", "/subsz"},
    {"Routes", "/routez"},     {"LeafNodes", "/leafz"},        {"Gateways", "/gatewayz"},
    {"Raft Groups", "/raftz"}, {"Health Probe", "/healthz"},   {"Expvar", "/debug/vars"},
    {"Metrics", "/metrics"},   {"For browsers", "/ui"},
};

pipit_err pp_monitor_write_root(pp_page *page)
{
    pp_str base = page->server->http_base_path;
    const char *last;
    pipit_err err;

    page->content_type = "text/html; charset=utf-8";
    page->open_to_all = false;
    /* Relative to the base path, which has no slash at its end, its last name must be repeated. */
    last = base.len ? memrchr(base.ptr, '/', base.len) : NULL;
    err = pp_buf_addf(&page->body,
                      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>pipit</title>\n"
                      "<style>body { font-family: sans-serif; margin: 2em }"
                      " a { display: block; padding: 0.2em }</style></head>\n<body>\n"
                      "<h1>pipit-server %s</h1>\n",
                      PIPIT_VERSION);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]) && !err; i++)
        err = pp_buf_addf(&page->body, "<a href=\".%.*s%s\">%s</a>\n",
                          last ? (int)(base.ptr + base.len - last) : 0, last ? last : "",
                          entries[i].path, entries[i].title);
    return err ? err : pp_buf_addf(&page->body, "</body>\n</html>\n");
}
