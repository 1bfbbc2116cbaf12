/* What an account exports and imports, as accountz and $SYS.REQ.ACCOUNT.*.INFO have it. */
#include "server/monitor/passages.h"

#include "core/export.h"
#include "core/import.h"

static void put_latency(pp_json *json, const char *key, const pp_export *export)
{
    if (!export || !export->latency_subject)
        return;
    pp_json_begin_object(json, key);
    pp_json_u64(json, "sampling", export->latency_percent);
    pp_json_text(json, "results", pp_str_of(export->latency_subject));
    pp_json_end_object(json);
}

static const char *response_name(const pp_export *export)
{
    static const char *const names[] = {"Singleton", "Streamed", "Chunked"};

    return names[export->response];
}

static void put_export(pp_json *json, const pp_export *export)
{
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "subject", pp_str_of(export->subject));
    pp_json_text(json, "type", pp_str_of(export->is_service ? "service" : "stream"));
    if (export->is_service)
        pp_json_text(json, "response_type", pp_str_of(response_name(export)));
    put_latency(json, "service_latency", export);
    if (export->token_required)
        pp_json_bool(json, "token_req", true);
    if (export->name_count) {
        pp_json_begin_array(json, "approved_accounts");
        for (size_t i = 0; i < export->name_count; i++)
            pp_json_text(json, NULL, pp_str_of(export->names[i]));
        pp_json_end_array(json);
    }
    pp_json_end_object(json);
}

static void put_exports(pp_json *json, const pp_exports *exports)
{
    if (!pp_exports_count(exports))
        return;
    pp_json_begin_array(json, "exports");
    for (size_t i = 0; i < pp_exports_count(exports); i++)
        put_export(json, pp_exports_at(exports, i));
    pp_json_end_array(json);
}

static void put_import(pp_json *json, const pp_import *import)
{
    const pp_export *export = atomic_load(&((pp_import *)import)->export);

    pp_json_begin_object(json, NULL);
    pp_json_text(json, "subject", pp_str_of(import->pairing.there));
    pp_json_text(json, "account", pp_str_of(import->exporter->name));
    if (import->is_service)
        pp_json_text(json, "to", pp_str_of(import->pairing.here));
    pp_json_text(json, "local_subject", pp_str_of(import->pairing.here));
    pp_json_text(json, "type", pp_str_of(import->is_service ? "service" : "stream"));
    pp_json_bool(json, "invalid", export == NULL);
    pp_json_bool(json, "share", import->share);
    pp_json_bool(json, "tracking", false);
    put_latency(json, "latency", export);
    pp_json_end_object(json);
}

void pp_account_passages_write(pp_json *json, const pp_account *account)
{
    const pp_imports *imports = atomic_load(&((pp_account *)account)->imports);

    put_exports(json, atomic_load(&((pp_account *)account)->exports));
    if (!imports)
        return;
    pp_json_begin_array(json, "imports");
    for (size_t i = 0; i < imports->count; i++)
        put_import(json, &imports->items[i]);
    pp_json_end_array(json);
}
