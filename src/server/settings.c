#include "server/settings.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/options.h"
#include "server/server.h"
#include "server/tls.h"

#include <string.h>

/* --- arguments and options ---------------------------------------------------------------- */

pipit_err pp_arguments_init(pp_arguments *arguments, const char *const *options, size_t count)
{
    *arguments = (pp_arguments){.items = pp_calloc(count + 2, sizeof(char *))};
    if (!arguments->items)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i <= count; i++) {
        const char *text = i == 0 ? "pipit-server" : options[i - 1];

        arguments->items[i] = pp_memdupz(text, strlen(text));
        if (!arguments->items[i]) {
            pp_arguments_fini(arguments);
            return PIPIT_ENOMEM;
        }
        arguments->count++;
    }
    return PIPIT_OK;
}

static void free_text(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    pp_free(text);
}

pipit_err pp_arguments_set_text(pp_arguments *arguments, const char *text, size_t text_len)
{
    char *copy = text ? pp_memdupz(text, text_len) : NULL;

    if (text && !copy)
        return PIPIT_ENOMEM;
    free_text(arguments->text, arguments->text_len);
    arguments->text = copy;
    arguments->text_len = text_len;
    return PIPIT_OK;
}

void pp_arguments_fini(pp_arguments *arguments)
{
    free_text(arguments->text, arguments->text_len);
    for (int i = 0; i < arguments->count; i++) {
        explicit_bzero(arguments->items[i], strlen(arguments->items[i]));
        pp_free(arguments->items[i]);
    }
    pp_free(arguments->items);
    *arguments = (pp_arguments){0};
}

pipit_err pp_server_options_new(pp_options **out_options, const pp_arguments *arguments,
                                pp_buf *error)
{
    pp_options *options = pp_calloc(1, sizeof(*options));
    pp_arguments copy = {0}; /* the parser wipes what is secret where it finds it */
    pipit_err err = PIPIT_ENOMEM;

    if (options)
        err = pp_arguments_init(&copy, (const char *const *)arguments->items + 1,
                                (size_t)arguments->count - 1);
    if (!err)
        err = pp_options_parse_text(options, copy.count, copy.items,
                                    (pp_str){arguments->text, arguments->text_len}, error);
    pp_arguments_fini(&copy);
    if (err) {
        pp_free(options);
        return err;
    }
    if (options->action != PP_OPTIONS_RUN) {
        pp_server_options_free(options);
        return PIPIT_EINVAL; /* what was to be printed stands in error */
    }
    *out_options = options;
    return PIPIT_OK;
}

void pp_server_options_free(pp_options *options)
{
    if (!options)
        return;
    pp_options_fini(options);
    pp_free(options);
}

/* --- settings ----------------------------------------------------------------------------- */

/* Until somebody has said otherwise, a client has a second for CONNECT after the handshake.
 * Source: NATS client protocol, section 14. */
static int64_t auth_timeout_ns(const pp_options *o)
{
    bool usual = o->auth_timeout_ns == 2 * PP_NS_PER_S;

    return usual && o->tls.given ? o->tls.timeout_ns + PP_NS_PER_S : o->auth_timeout_ns;
}

static pipit_err make_tls(pp_nats_tls *out, pipit_server *server, const pp_options *o,
                          pp_buf *error)
{
    *out = (pp_nats_tls){
        .places = &server->tls_places,
        .verify = o->tls.verify,
        .optional = o->allow_non_tls,
        .timeout_ns = o->tls.timeout_ns,
        .first_ns = o->tls.first_ns,
        .rate_max = o->tls.connection_rate_limit,
    };
    return pp_server_tls_new(&out->context, o, &o->tls, server, error);
}

pipit_err pp_server_settings_new(pp_nats_settings **out_settings, pipit_server *server,
                                 const pp_options *o, const pp_directory *directory, pp_buf *error)
{
    pp_nats_settings *settings = pp_alloc(sizeof(*settings));
    pipit_err err;

    if (!settings)
        return PIPIT_ENOMEM;
    *settings = (pp_nats_settings){
        .server_id = server->server_id,
        .server_xkey = server->server_xkey,
        .server_name = o->server_name ? o->server_name : server->server_id,
        .tags = o->server_tags,
        .tag_count = o->server_tag_count,
        .host = o->client_advertise_host ? o->client_advertise_host : o->host,
        .port = o->client_advertise_port ? o->client_advertise_port : server->port,
        .max_connections = o->max_connections,
        .max_payload = (int64_t)o->max_payload_bytes,
        .max_control_line = (uint32_t)o->max_control_line_bytes,
        .max_subscriptions = o->max_subscriptions,
        .max_subscription_tokens = o->max_subscription_tokens,
        .ping_interval_ns = o->ping_interval_ns,
        .auth_timeout_ns = auth_timeout_ns(o),
        .ping_max = o->ping_max,
        .headers = !o->no_header_support,
        .proxy_protocol = o->proxy_protocol,
        .no_stall = o->no_fast_producer_stall,
        .users = pp_directory_users(directory),
        .gate = pp_directory_gate(directory),
        .websocket = pp_websocket_session_settings(server, o),
    };
    err = make_tls(&settings->tls, server, o, error);
    if (err) {
        pp_free(settings);
        return err;
    }
    *out_settings = settings;
    return PIPIT_OK;
}

void pp_server_settings_free(pp_nats_settings *settings)
{
    if (!settings)
        return;
    pp_tls_context_unref(settings->tls.context);
    pp_free(settings);
}

const pp_nats_settings *pp_server_settings(const pipit_server *server)
{
    const pp_loop *loop = pp_loop_current();

    if (loop && loop->index < server->worker_count && loop == &server->workers[loop->index].loop)
        return server->workers[loop->index].nats.settings;
    return server->settings;
}

void pp_server_install_log_flags(pipit_server *server, const pp_options *o)
{
    pp_log *log = &server->log;

    atomic_store(&log->debug, o->debug);
    atomic_store(&log->trace, o->trace || o->trace_verbose || o->trace_headers);
    atomic_store(&log->trace_verbose, o->trace_verbose);
    atomic_store(&log->trace_headers, o->trace_headers);
    atomic_store(&log->max_traced_msg_len, o->max_traced_msg_len);
}

void pp_server_install_limits(pipit_server *server, const pp_options *o)
{
    atomic_store(&server->client_door.limits.pending_max, (size_t)o->max_pending_bytes);
    atomic_store(&server->client_door.limits.write_deadline_ns, o->write_deadline_ns);
    atomic_store(&server->client_door.limits.slow_policy, (pp_slow_policy)o->slow_consumer);
    atomic_store(&server->client_door.limits.no_stall, o->no_fast_producer_stall);
    pp_websocket_install_limits(server, o);
    atomic_store(&server->max_line, (size_t)o->max_control_line_bytes);
    atomic_store(&server->max_payload, (int64_t)o->max_payload_bytes);
}
