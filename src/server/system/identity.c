#include "server/system/identity.h"

#include "base/clock.h"
#include "server/server.h"
#include "server/system/system.h"

void pp_labels_write(pp_json *json, const pp_options *options)
{
    if (options->server_tag_count) {
        pp_json_begin_array(json, "tags");
        for (size_t i = 0; i < options->server_tag_count; i++)
            pp_json_text(json, NULL, pp_str_of(options->server_tags[i]));
        pp_json_end_array(json);
    }
    if (options->server_metadata_count) {
        pp_json_begin_object(json, "metadata");
        for (size_t i = 0; i < options->server_metadata_count; i++)
            pp_json_text_at(json, pp_str_of(options->server_metadata[i].key),
                            pp_str_of(options->server_metadata[i].value));
        pp_json_end_object(json);
    }
}

static void write_names(const pp_system *system, pp_json *json)
{
    pp_json_text(json, "name", pp_str_of(system->settings->server_name));
    pp_json_text(json, "host", pp_str_of(system->settings->host));
    pp_json_text(json, "id", pp_str_of(system->server->server_id));
}

void pp_identity_write_short(pp_system *system, pp_json *json)
{
    pp_json_begin_object(json, NULL);
    (void)pthread_mutex_lock(&system->names_lock);
    write_names(system, json);
    (void)pthread_mutex_unlock(&system->names_lock);
    pp_json_end_object(json);
}

void pp_identity_write(pp_system *system, pp_json *json, const char *key)
{
    pp_json_begin_object(json, key);
    (void)pthread_mutex_lock(&system->names_lock);
    write_names(system, json);
    pp_json_text(json, "ver", PP_STR(PP_NATS_VERSION));
    pp_labels_write(json, system->options);
    (void)pthread_mutex_unlock(&system->names_lock);
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
