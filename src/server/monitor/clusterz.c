/* Routes, gateways, leaf nodes and Raft: there are none, and the answers are those of a
 * nats-server without them. */
#include "server/monitor/page.h"

pipit_err pp_monitor_write_routez(pp_page *page)
{
    pp_json json;

    pp_page_json(page, &json, 2);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "server_id", pp_str_of(page->server->server_id));
    pp_json_text(&json, "server_name", pp_str_of(page->server->settings->server_name));
    pp_json_time(&json, "now", page->now_wall_ns);
    pp_json_u64(&json, "num_routes", 0);
    pp_json_begin_array(&json, "routes");
    pp_json_end_array(&json);
    return pp_page_end(&json);
}

pipit_err pp_monitor_write_gatewayz(pp_page *page)
{
    pp_json json;

    pp_page_begin(page, &json);
    pp_json_begin_object(&json, "outbound_gateways");
    pp_json_end_object(&json);
    pp_json_begin_object(&json, "inbound_gateways");
    pp_json_end_object(&json);
    return pp_page_end(&json);
}

pipit_err pp_monitor_write_leafz(pp_page *page)
{
    pp_json json;

    pp_page_begin(page, &json);
    pp_json_u64(&json, "leafnodes", 0);
    pp_json_begin_array(&json, "leafs");
    pp_json_end_array(&json);
    return pp_page_end(&json);
}

pipit_err pp_monitor_write_raftz(pp_page *page)
{
    return pp_page_refuse(page, 404, "No Raft nodes registered");
}
