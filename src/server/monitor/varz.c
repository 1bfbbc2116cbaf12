/* The server as a whole.
 * Source: NATS monitoring, section 2; the order of fields is the reference's. */
#include "base/clock.h"
#include "base/cores.h"
#include "server/monitor/page.h"
#include "server/monitor/span.h"
#include "server/ocsp.h"
#include "server/system/identity.h"

#include <stdio.h>

static void put_identity(pp_json *json, const pipit_server *server)
{
    const pp_nats_settings *settings = server->settings;

    pp_json_text(json, "server_id", pp_str_of(server->server_id));
    pp_json_text(json, "server_name", pp_str_of(settings->server_name));
    pp_json_text(json, "version", PP_STR(PP_NATS_VERSION));
    pp_json_u64(json, "proto", 1);
    pp_json_text(json, "go", PP_STR("c11"));
    pp_json_text(json, "host", pp_str_of(settings->host));
    pp_json_u64(json, "port", settings->port);
    if (pp_gate_announced(settings->gate, PP_ENTRANCE_CLIENTS))
        pp_json_bool(json, "auth_required", true);
    if (settings->tls.context && !settings->tls.optional)
        pp_json_bool(json, "tls_required", true);
    if (settings->tls.context && settings->tls.verify)
        pp_json_bool(json, "tls_verify", true);
    if (settings->tls.context && server->options->tls.ocsp_peer.verify)
        pp_json_bool(json, "tls_ocsp_peer_verify", true);
}

static void put_text(pp_json *json, const char *key, const char *text)
{
    if (text && *text)
        pp_json_text(json, key, pp_str_of(text));
}

static void put_switch(pp_json *json, const char *key, bool on)
{
    if (on)
        pp_json_bool(json, key, true);
}

static void put_websocket(pp_json *json, const pipit_server *server)
{
    const pp_websocket_options *o = &server->options->websocket;
    char advertise[300] = "";

    pp_json_begin_object(json, "websocket");
    if (server->websocket.port) {
        put_text(json, "host", server->websocket.bound_host);
        pp_json_u64(json, "port", server->websocket.port);
        if (o->advertise_host)
            (void)snprintf(advertise, sizeof(advertise), "%s:%u", o->advertise_host,
                           o->advertise_port ? o->advertise_port : server->websocket.port);
        put_text(json, "advertise", advertise);
        put_text(json, "no_auth_user", o->no_auth_user);
        put_text(json, "jwt_cookie", o->jwt_cookie);
        if (o->handshake_timeout_ns)
            pp_json_i64(json, "handshake_timeout", o->handshake_timeout_ns);
        if (o->auth_timeout_ns)
            pp_json_f64(json, "auth_timeout", (double)o->auth_timeout_ns / PP_NS_PER_S);
        put_switch(json, "no_tls", !server->websocket.settings->rules.tls);
        put_switch(json, "tls_map", o->tls.verify_and_map);
        if (o->tls.pinned_count)
            pp_json_begin_array(json, "tls_pinned_certs");
        for (size_t i = 0; i < o->tls.pinned_count; i++)
            pp_json_text(json, NULL, pp_str_of(o->tls.pinned[i]));
        if (o->tls.pinned_count)
            pp_json_end_array(json);
        put_switch(json, "same_origin", o->same_origin);
        if (o->origin_count)
            pp_json_begin_array(json, "allowed_origins");
        for (size_t i = 0; i < o->origin_count; i++)
            pp_json_text(json, NULL, pp_str_of(o->origins[i]));
        if (o->origin_count)
            pp_json_end_array(json);
        put_switch(json, "compression", o->compression);
        put_switch(json, "tls_ocsp_peer_verify", o->tls.given && o->tls.ocsp_peer.verify);
    }
    pp_json_end_object(json);
}

/* pipit's own: not there where the door is not. */
static void put_side_doors(pp_json *json, const pipit_server *server)
{
    for (const pp_side_door *const *door = pp_side_doors; *door; door++) {
        if ((*door)->varz)
            (*door)->varz((pipit_server *)server, json);
    }
}

static void put_limits(pp_json *json, const pipit_server *server)
{
    static const char *const blocks[] = {"cluster", "gateway", "leaf", "mqtt"};
    const char *base_path = server->options->http_base_path;
    const pp_nats_settings *settings = server->settings;
    bool secure = server->options->https_port != 0;

    pp_json_i64(json, "max_connections", settings->max_connections);
    if (settings->max_subscriptions)
        pp_json_u64(json, "max_subscriptions", settings->max_subscriptions);
    pp_json_i64(json, "ping_interval", settings->ping_interval_ns);
    pp_json_u64(json, "ping_max", settings->ping_max);
    pp_json_text(json, "http_host", pp_str_of(server->http_port ? server->http_host : ""));
    pp_json_u64(json, "http_port", secure ? 0 : server->http_port);
    pp_json_text(json, "http_base_path",
                 pp_str_of(strcmp(base_path, "/") == 0 ? "" : base_path)); /* as it was given */
    pp_json_u64(json, "https_port", secure ? server->http_port : 0);
    pp_json_f64(json, "auth_timeout", (double)settings->auth_timeout_ns / PP_NS_PER_S);
    pp_json_u64(json, "max_control_line", settings->max_control_line);
    pp_json_i64(json, "max_payload", settings->max_payload);
    pp_json_u64(json, "max_pending", atomic_load(&server->client_door.limits.pending_max));
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) { /* none is here */
        pp_json_begin_object(json, blocks[i]);
        pp_json_end_object(json);
    }
    put_websocket(json, server);
    put_side_doors(json, server);
    pp_json_begin_object(json, "jetstream");
    pp_json_end_object(json);
    pp_json_f64(json, "tls_timeout", (double)settings->tls.timeout_ns / PP_NS_PER_S);
    pp_json_i64(json, "write_deadline", atomic_load(&server->client_door.limits.write_deadline_ns));
}

static void put_process(pp_json *json, const pp_page *page)
{
    const pipit_server *server = page->server;
    char uptime[PP_SPAN_TEXT_BYTES];
    size_t len = pp_uptime_format(uptime, page->now_ns - server->start_mono_ns);

    pp_json_time(json, "start", server->start_wall_ns);
    pp_json_time(json, "now", page->now_wall_ns);
    pp_json_text(json, "uptime", (pp_str){uptime, len});
    pp_json_u64(json, "mem", pp_vitals_rss_bytes());
    pp_json_u64(json, "cores", pp_cores());
    pp_json_u64(json, "gomaxprocs", server->worker_count);
    pp_json_f64(json, "cpu", pp_cpu_meter_read(page->cpu, page->now_ns, server->start_mono_ns));
}

static void put_traffic(pp_json *json, const pipit_server *server)
{
    pipit_server_stats stats;

    pipit_server_get_stats(server, &stats);
    pp_json_u64(json, "connections", stats.connections);
    pp_json_u64(json, "total_connections", stats.total_connections);
    pp_json_u64(json, "routes", 0);
    pp_json_u64(json, "remotes", 0);
    pp_json_u64(json, "leafnodes", 0);
    pp_json_u64(json, "in_msgs", stats.in_msgs);
    pp_json_u64(json, "in_bytes", stats.in_bytes);
    pp_json_u64(json, "in_client_msgs", stats.in_msgs);
    pp_json_u64(json, "in_client_bytes", stats.in_bytes);
    pp_json_u64(json, "out_msgs", stats.out_msgs);
    pp_json_u64(json, "out_bytes", stats.out_bytes);
    pp_json_u64(json, "out_client_msgs", stats.out_msgs);
    pp_json_u64(json, "out_client_bytes", stats.out_bytes);
    pp_json_u64(json, "slow_consumers", stats.slow_consumers);
    pp_json_u64(json, "stale_connections", PP_VITALS_SUM(server, stale_connections));
    pp_json_u64(json, "stalled_clients", stats.stalls);
    pp_json_u64(json, "subscriptions", stats.subscriptions);
}

static void put_requests(pp_json *json, const pp_monitor *monitor)
{
    /* In the order of their paths, as the reference has them. */
    static const struct {
        const char *path;
        pp_monitor_endpoint endpoint;
    } counted[] = {
        {"/", PP_MONITOR_ROOT},
        {"/accountz", PP_MONITOR_ACCOUNTZ},
        {"/accstatz", PP_MONITOR_ACCSTATZ},
        {"/connz", PP_MONITOR_CONNZ},
        {"/gatewayz", PP_MONITOR_GATEWAYZ},
        {"/healthz", PP_MONITOR_HEALTHZ},
        {"/jsz", PP_MONITOR_JSZ},
        {"/leafz", PP_MONITOR_LEAFZ},
        {"/routez", PP_MONITOR_ROUTEZ},
        {"/subsz", PP_MONITOR_SUBSZ},
        {"/varz", PP_MONITOR_VARZ},
    };

    pp_json_begin_object(json, "http_req_stats");
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        uint64_t requests = pp_monitor_requests(monitor, counted[i].endpoint);

        if (requests)
            pp_json_u64(json, counted[i].path, requests);
    }
    pp_json_end_object(json);
}

/* Of operator mode. The claims of an operator are in its token. */
static void put_operators(pp_json *json, const pp_options *options)
{
    if (!options->operator_count)
        return;
    pp_json_begin_array(json, "trusted_operators_jwt");
    for (size_t i = 0; i < options->operator_count; i++)
        pp_json_text(json, NULL, pp_str_of(options->operators[i]));
    pp_json_end_array(json);
}

static void put_count(pp_json *json, const char *key, uint64_t count)
{
    if (count)
        pp_json_u64(json, key, count);
}

/* Of what is kept about clients' certificates. */
static void put_ocsp_cache(pp_json *json, const pipit_server *server)
{
    pp_tls_standings_stats stats;

    pp_tls_standings_look(pp_tls_inquirer_standings(pp_ocsp_inquirer(server->ocsp)), &stats);
    if (!stats.on)
        return;
    pp_json_begin_object(json, "ocsp_peer_cache");
    pp_json_text(json, "cache_type", PP_STR("local"));
    put_count(json, "cache_hits", stats.hits);
    put_count(json, "cache_misses", stats.misses);
    put_count(json, "cached_responses", stats.count);
    put_count(json, "cached_revoked_responses", stats.revoked);
    put_count(json, "cached_good_responses", stats.good);
    put_count(json, "cached_unknown_responses", stats.unknown);
    pp_json_end_object(json);
}

static void put_kinds(pp_json *json, const char *key, uint64_t clients)
{
    pp_json_begin_object(json, key);
    pp_json_u64(json, "clients", clients);
    pp_json_u64(json, "routes", 0);
    pp_json_u64(json, "gateways", 0);
    pp_json_u64(json, "leafs", 0);
    pp_json_end_object(json);
}

static void put_disk_waits(pp_json *json)
{
    static const char *const keys[] = {"waiters", "waits", "wait_time", "max_wait_time"};

    pp_json_begin_object(json, "disk_io_wait_stats");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        pp_json_u64(json, keys[i], 0);
    pp_json_end_object(json);
}

static void put_proxies(pp_json *json, const pp_options *options)
{
    if (!options->trusted_proxy_count)
        return;
    pp_json_begin_object(json, "proxies");
    pp_json_begin_array(json, "trusted");
    for (size_t i = 0; i < options->trusted_proxy_count; i++) {
        pp_json_begin_object(json, NULL);
        pp_json_text(json, "key", pp_str_of(options->trusted_proxies[i]));
        pp_json_end_object(json);
    }
    pp_json_end_array(json);
    pp_json_end_object(json);
}

pipit_err pp_monitor_write_varz(pp_page *page)
{
    const pipit_server *server = page->server;
    const char *system = pp_vitals_system_account(server);
    pp_json json;

    pp_page_json(page, &json, 2);
    pp_json_begin_object(&json, NULL);
    put_identity(&json, server);
    put_limits(&json, server);
    put_process(&json, page);
    put_traffic(&json, server);
    put_requests(&json, page->monitor);
    pp_json_time(&json, "config_load_time", server->config_wall_ns);
    pp_json_text(&json, "config_digest", pp_str_of(server->options->config_digest));
    pp_labels_write(&json, server->options);
    put_operators(&json, server->options);
    if (system)
        pp_json_text(&json, "system_account", pp_str_of(system));
    if (server->operators && atomic_load(&server->operators->pinned_fails))
        pp_json_u64(&json, "pinned_account_fails", atomic_load(&server->operators->pinned_fails));
    put_ocsp_cache(&json, server);
    put_kinds(&json, "slow_consumer_stats", PP_VITALS_SUM(server, slow_consumers));
    put_kinds(&json, "stale_connection_stats", PP_VITALS_SUM(server, stale_connections));
    put_disk_waits(&json);
    put_proxies(&json, server->options);
    if (server->settings->tls.context)
        pp_json_time(&json, "tls_cert_not_after",
                     pp_tls_context_not_after(server->settings->tls.context) * PP_NS_PER_S);
    return pp_page_end(&json);
}
