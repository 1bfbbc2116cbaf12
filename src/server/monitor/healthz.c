/* Is the server well? Orchestrators look at the status alone. */
#include "server/monitor/page.h"

static pipit_err answer(pp_page *page, int status, const char *word, const char *error)
{
    pp_json json;

    if (error)
        pp_log_write(&page->server->log, PP_LOG_WARN, "Healthcheck failed: \"%s\"", error);
    page->status = status;
    pp_json_init(&json, &page->body, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "status", pp_str_of(word));
    if (page->options->tell_status)
        pp_json_i64(&json, "status_code", status);
    if (error && !page->options->details)
        pp_json_text(&json, "error", pp_str_of(error));
    if (error && page->options->details) {
        pp_json_begin_array(&json, "errors");
        pp_json_begin_object(&json, NULL);
        pp_json_text(&json, "type", status == 400 ? PP_STR("BAD_REQUEST") : PP_STR("CONNECTION"));
        pp_json_text(&json, "error", pp_str_of(error));
        pp_json_end_object(&json);
        pp_json_end_array(&json);
    }
    return pp_page_end(&json);
}

pipit_err pp_monitor_write_healthz(pp_page *page)
{
    const pp_monitor_options *options = page->options;
    pipit_server *server = page->server;

    if (options->stream.len && !options->account.len)
        return answer(page, 400, "error",
                      "\"account\" must not be empty when checking stream health");
    if (options->consumer.len && !options->stream.len)
        return answer(page, 400, "error",
                      "\"stream\" must not be empty when checking consumer health");
    if (!atomic_load(&server->open) || atomic_load(&server->nats_door.lame_duck))
        return answer(page, 500, "error", "failed to be ready for connections after 1ms: server");
    return answer(page, 200, "ok", NULL);
}
