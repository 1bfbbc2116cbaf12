#include "config/options.h"

#include "base/clock.h"

#include <string.h>

#define NS_PER_S 1000000000LL

/* Users by the hundred thousand fit; what a file could make of itself by variables does not. */
enum { OPTIONS_BYTES_MAX = 512 * 1024 * 1024 };

pipit_err pp_options_init(pp_options *options)
{
    pp_options fresh = {
        .host = PP_DEFAULT_HOST,
        .port = PP_DEFAULT_PORT,
        .unix_mode = 0700,
        .log_format = PP_LOG_TEXT,
        .logtime = true,
        .http_base_path = "/",
        .http_ui = PP_HTTP_UI_LOCAL,
        .max_closed_clients = 10000,
        .auth_timeout_ns = 2 * NS_PER_S,
        .callout.account = "$G",
        .resolver_timeout_ns = 1900 * (NS_PER_S / 1000),
        .websocket = {.host = PP_DEFAULT_HOST, .tls = pp_tls_options_none()},
        .t2 =
            {
                .unix_mode = 0700,
                .account = "$G",
                .tls = pp_tls_options_none(),
                .max_frame_bytes = 1 << 20,
                .max_clients = 65536,
                .max_subscriptions = 65536,
                .max_requests = 16384,
                .keep_alive_ns = 90 * PP_NS_PER_S,
                .request_timeout_ns = 30 * PP_NS_PER_S,
            },
        .fanout = {.host = PP_ALL_ADDRESSES,
                   .tls = pp_tls_options_none(),
                   .max_line_bytes = 1 << 20,
                   .max_queue_bytes = 1 << 20,
                   .max_queue_lines = 4096,
                   .max_channel_name = 1024,
                   .max_channels = 1024,
                   .max_all_channels = 1000000},
        .message_broker = {.host = PP_ALL_ADDRESSES,
                           .account = "$G",
                           .store_dir = PP_DEFAULT_STORE_DIR,
                           .ack_timeout_ns = 2 * NS_PER_S,
                           .ack_delay_ns = NS_PER_S,
                           .max_deliver = 5,
                           .max_topics = 1024,
                           .max_waiting_bytes = 64 << 20,
                           .max_clients = 65536,
                           .max_subscriptions = 1024,
                           .max_outstanding = 65536,
                           .frame_timeout_ns = 30 * NS_PER_S,
                           .scrub_interval_ns = 24 * 3600 * NS_PER_S,
                           .scrub_rate = 4 << 20},
        .tls = pp_tls_options_none(),
        .resolver_tls = pp_tls_options_none(),
        .ocsp_cache = {.local_store = PP_DEFAULT_OCSP_STORE, .save_interval_ns = 300 * NS_PER_S},
        .max_connections = 65536,
        .max_payload_bytes = 1 << 20,
        .max_control_line_bytes = 4096,
        .max_pending_bytes = 64 << 20,
        .write_deadline_ns = 10 * NS_PER_S,
        .ping_interval_ns = 120 * NS_PER_S,
        .ping_max = 2,
        .lame_duck_duration_ns = 120 * NS_PER_S,
        .lame_duck_grace_period_ns = 10 * NS_PER_S,
    };
    pp_account_options *global;
    void *memory;
    pipit_err err;

    pp_arena_init(&fresh.arena, OPTIONS_BYTES_MAX);
    pp_arena_init(&fresh.account_arena, OPTIONS_BYTES_MAX);
    pp_arena_init(&fresh.user_arena, OPTIONS_BYTES_MAX);
    err = pp_arena_take(&fresh.arena, sizeof(*global), &memory);
    if (err)
        return err;
    global = memory;
    *global = pp_account_options_none("$G");
    fresh.accounts = global;
    fresh.account_count = 1;
    *options = fresh;
    return PIPIT_OK;
}

pp_tls_options pp_tls_options_none(void)
{
    return (pp_tls_options){
        .timeout_ns = 2 * NS_PER_S,
        .min_version = 12,
        .ktls = true,
        .ocsp_peer = {.ca_timeout_ns = 2 * NS_PER_S,
                      .skew_ns = 30 * NS_PER_S,
                      .ttl_ns = 3600 * NS_PER_S},
    };
}

pp_account_options pp_account_options_none(const char *name)
{
    return (pp_account_options){
        .name = name,
        .max_connections = -1,
        .max_subscriptions = -1,
        .max_payload_bytes = -1,
        .trace_sampling = PP_TRACE_SAMPLING_USUAL,
    };
}

/* The text lies in the arena, which is nobody's but these options'. */
static void wipe(const char **text)
{
    if (*text && **text)
        explicit_bzero((void *)(uintptr_t)*text, strlen(*text));
    *text = NULL;
}

void pp_options_forget_secrets(pp_options *options)
{
    pp_account_options *accounts = (void *)(uintptr_t)options->accounts;

    wipe(&options->pass);
    wipe(&options->auth_token);
    wipe(&options->http_password);
    wipe(&options->websocket.pass);
    wipe(&options->websocket.token);
    for (size_t i = 0; i < options->account_count; i++) {
        accounts[i].users = NULL;
        accounts[i].user_count = 0;
    }
    options->user_count = 0;
    pp_arena_fini(&options->user_arena);
}

void pp_options_forget_accounts(pp_options *options)
{
    pp_options_forget_secrets(options);
    options->accounts = NULL;
    options->account_count = 0;
    pp_arena_fini(&options->account_arena);
}

void pp_options_fini(pp_options *options)
{
    pp_arena_fini(&options->user_arena);
    pp_arena_fini(&options->account_arena);
    pp_arena_fini(&options->arena);
    *options = (pp_options){0};
}
