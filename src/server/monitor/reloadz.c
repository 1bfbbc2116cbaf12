/* The last reload: what it changed, or why it was refused. */
#include "server/monitor/page.h"

static void put_report(pp_json *json, const pp_reload_report *report)
{
    pp_json_bool(json, "reloaded", report->done);
    if (!report->done)
        return;
    pp_json_bool(json, "applied", report->applied);
    pp_json_time(json, "time", report->time_ns);
    if (report->error)
        pp_json_text(json, "error", pp_str_of(report->error));
    if (report->changes)
        pp_changes_write_json(report->changes, json, "changes");
}

pipit_err pp_monitor_write_reloadz(pp_page *page)
{
    pipit_server *server = page->server;
    const pp_options *options = server->options;
    pp_json json;

    pp_page_begin(page, &json);
    pp_json_text(&json, "config_file", pp_str_of(options->config_file));
    pp_json_text(&json, "config_digest", pp_str_of(options->config_digest));
    pp_json_time(&json, "config_load_time", atomic_load(&server->config_wall_ns));
    (void)pthread_mutex_lock(&server->report_lock);
    put_report(&json, &server->reload_report);
    (void)pthread_mutex_unlock(&server->report_lock);
    return pp_page_end(&json);
}
