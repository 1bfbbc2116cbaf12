/* JetStream is not here: the answer is that of a nats-server that has it switched off. */
#include "server/monitor/page.h"

static void put_zeros(pp_json *json, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pp_json_u64(json, keys[i], 0);
}

pipit_err pp_monitor_write_jsz(pp_page *page)
{
    static const char *const stats[] = {"memory",           "storage",  "reserved_memory",
                                        "reserved_storage", "accounts", "ha_assets"};
    static const char *const api[] = {"level", "total", "errors"};
    static const char *const config[] = {"max_memory", "max_storage"};
    static const char *const totals[] = {"streams", "consumers", "messages", "bytes", "total"};
    pp_json json;

    if (page->options->leader_only)
        return pp_page_refuse(page, 400, "filtered response: not leader");
    pp_page_json(page, &json, 2);
    pp_json_begin_object(&json, NULL);
    put_zeros(&json, stats, sizeof(stats) / sizeof(stats[0]));
    pp_json_begin_object(&json, "api");
    put_zeros(&json, api, sizeof(api) / sizeof(api[0]));
    pp_json_end_object(&json);
    pp_json_text(&json, "server_id", pp_str_of(page->server->server_id));
    pp_json_time(&json, "now", page->now_wall_ns);
    pp_json_bool(&json, "disabled", true);
    pp_json_begin_object(&json, "config");
    put_zeros(&json, config, sizeof(config) / sizeof(config[0]));
    pp_json_end_object(&json);
    put_zeros(&json, totals, sizeof(totals) / sizeof(totals[0]));
    return pp_page_end(&json);
}
