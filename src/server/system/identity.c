#include "server/system/identity.h"

#include "base/clock.h"
#include "server/server.h"
#include "server/system/system.h"

void pp_identity_write(pp_system *system, pp_json *json, const char *key)
{
    const pipit_server *server = system->server;
    const pp_nats_settings *settings = pp_server_settings(server);

    pp_json_begin_object(json, key);
    pp_json_text(json, "name", pp_str_of(settings->server_name));
    pp_json_text(json, "host", pp_str_of(settings->host));
    pp_json_text(json, "id", pp_str_of(server->server_id));
    pp_json_text(json, "ver", PP_STR(PP_NATS_VERSION));
    pp_json_bool(json, "jetstream", false);
    pp_json_u64(json, "flags", 0);
    pp_json_u64(json, "seq", atomic_fetch_add_explicit(&system->seq, 1, memory_order_relaxed) + 1);
    pp_json_time(json, "time", pp_clock_wall_ns());
    pp_json_end_object(json);
}

void pp_advisory_begin(pp_system *system, pp_json *json, const char *type)
{
    char id[PP_NUID_BYTES + 1];

    pp_nuid_next(&system->nuid, id);
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "type", pp_str_of(type));
    pp_json_text(json, "id", pp_str_of(id));
    pp_json_time(json, "timestamp", pp_clock_wall_ns());
    pp_identity_write(system, json, "server");
}

void pp_traffic_write(pp_json *json, const char *key, uint64_t msgs, uint64_t bytes)
{
    static const char *const kinds[] = {"gateways", "routes", "leafs"};

    pp_json_begin_object(json, key);
    pp_json_u64(json, "msgs", msgs);
    pp_json_u64(json, "bytes", bytes);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        pp_json_begin_object(json, kinds[i]);
        pp_json_u64(json, "msgs", 0);
        pp_json_u64(json, "bytes", 0);
        pp_json_end_object(json);
    }
    pp_json_end_object(json);
}
