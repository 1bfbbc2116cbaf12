#include "server/websocket.h"

#include "base/alloc.h"
#include "base/openssl.h"
#include "proto/nats/session.h"
#include "server/server.h"
#include "server/tls.h"
#include "tls/layer.h"

#include <errno.h>
#include <string.h>

enum {
    HEADERS_MAX = 64 * 1024,
    ERROR_MAX = 512,
    INFLATED_FACTOR = 8, /* times max_payload: what a compressed message may come to */
};

/* Whatever max_payload says. Source: NATS over WebSocket, section 4. */
static const uint64_t inflated_max = 64 * 1024 * 1024;

/* --- what sessions ask of the layer ------------------------------------------------------- */

static pp_layer *layer_of(const pp_conn *conn)
{
    for (pp_layer *layer = conn->layer; layer; layer = layer->below) {
        if (pp_ws_layer_is(layer))
            return layer;
    }
    return NULL;
}

static pp_str carried(pp_conn *conn, enum pp_nats_connect_text which)
{
    const pp_layer *layer = layer_of(conn);

    if (!layer)
        return (pp_str){"", 0};
    switch (which) {
    case PP_CONNECT_JWT:
        return pp_ws_layer_credential(layer, PP_WS_JWT);
    case PP_CONNECT_USER:
        return pp_ws_layer_credential(layer, PP_WS_USER);
    case PP_CONNECT_PASS:
        return pp_ws_layer_credential(layer, PP_WS_PASS);
    case PP_CONNECT_AUTH_TOKEN:
        return pp_ws_layer_credential(layer, PP_WS_TOKEN);
    default:
        return (pp_str){"", 0};
    }
}

static pp_str real_ip(const pp_conn *conn)
{
    const pp_layer *layer = layer_of(conn);

    return layer ? pp_ws_layer_real_ip(layer) : (pp_str){"", 0};
}

static pipit_err push(pp_conn *conn, pp_layer *layer)
{
    pipit_err err = pp_conn_push_layer(conn, layer, PP_STR(""));

    if (err)
        pp_layer_free(layer);
    return err;
}

static pipit_err push_tls(pp_websocket *websocket, pp_conn *conn)
{
    pipit_server *server = PP_CONTAINER(websocket, pipit_server, websocket);
    pp_tls_context *context;
    pp_layer *layer;
    pipit_err err;

    (void)pthread_mutex_lock(&websocket->tls_lock);
    context = pp_tls_context_ref(websocket->tls);
    (void)pthread_mutex_unlock(&websocket->tls_lock);
    err = pp_tls_layer_new(&layer, context, &server->tls_places);
    pp_tls_context_unref(context);
    return err ? err : push(conn, layer);
}

static pipit_err wrap(const pp_door *door, pp_conn *conn)
{
    pp_websocket *websocket = PP_CONTAINER(door, pp_websocket, door);
    pp_layer *layer;
    pipit_err err = PIPIT_OK;

    if (websocket->settings->rules.tls)
        err = push_tls(websocket, conn);
    if (!err)
        err = pp_ws_layer_new(&websocket->host, &layer);
    return err ? err : push(conn, layer);
}

/* --- settings ----------------------------------------------------------------------------- */

pipit_err pp_websocket_check(const pp_options *options, pp_diagnostics *diagnostics)
{
    const pp_option_position *at = &options->websocket.at;
    pp_config_position position = {at->file, at->line, at->column};
    pp_buf error;

    if (!options->websocket.port)
        return PIPIT_OK;
    pp_buf_init(&error, ERROR_MAX);
    if (pp_openssl_load(&error)) /* keys are answered with its SHA-1 */
        pp_diagnostics_error(diagnostics, position, "websocket: %.*s",
                             PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
    return pp_server_tls_check(&options->websocket.tls, diagnostics);
}

/* The options go with the next reload; this stays. */
static pipit_err copy(pp_str *out, const char *text)
{
    *out = (pp_str){NULL, 0};
    if (!text)
        return PIPIT_OK;
    *out = (pp_str){pp_memdupz(text, strlen(text)), strlen(text)};
    return out->ptr ? PIPIT_OK : PIPIT_ENOMEM;
}

static void settings_free(pp_ws_settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->rules.origin_count; i++)
        pp_free((char *)settings->rules.origins[i].scheme.ptr); /* where the text begins */
    pp_free((void *)settings->rules.origins);
    pp_free((char *)settings->rules.headers.ptr);
    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT; i++)
        pp_free((char *)settings->cookies[i].ptr);
    pp_free(settings);
}

static pipit_err take_origins(pp_ws_settings *settings, const pp_websocket_options *o)
{
    pp_origin *origins = pp_calloc(o->origin_count + 1, sizeof(*origins));

    if (!origins)
        return PIPIT_ENOMEM;
    settings->rules.origins = origins;
    for (size_t i = 0; i < o->origin_count; i++) {
        pp_str text;
        pipit_err err = copy(&text, o->origins[i]);

        if (err)
            return err;
        if (!pp_origin_parse(text, &origins[i])) {
            pp_free((char *)text.ptr);
            return PIPIT_EINVAL; /* reading the options has seen to it */
        }
        settings->rules.origin_count++;
    }
    return PIPIT_OK;
}

static pipit_err take_headers(pp_ws_settings *settings, const pp_websocket_options *o)
{
    pp_buf text;
    pipit_err err = PIPIT_OK;

    pp_buf_init(&text, HEADERS_MAX);
    for (size_t i = 0; i < o->header_count && !err; i++)
        err = pp_buf_addf(&text, "%s: %s\r\n", o->headers[i].key, o->headers[i].value);
    if (err)
        pp_buf_fini(&text);
    settings->rules.headers = pp_buf_str(&text);
    return err;
}

static pipit_err settings_new(pp_ws_settings **out, const pp_websocket_options *o)
{
    const char *const cookies[PP_WS_CREDENTIAL_COUNT] = {
        [PP_WS_JWT] = o->jwt_cookie,
        [PP_WS_USER] = o->user_cookie,
        [PP_WS_PASS] = o->pass_cookie,
        [PP_WS_TOKEN] = o->token_cookie,
    };
    pp_ws_settings *settings = pp_calloc(1, sizeof(*settings));
    pipit_err err;

    if (!settings)
        return PIPIT_ENOMEM;
    settings->rules.tls = o->tls.given;
    settings->rules.same_origin = o->same_origin;
    settings->rules.compression = o->compression;
    err = take_origins(settings, o);
    if (!err)
        err = take_headers(settings, o);
    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT && !err; i++)
        err = copy(&settings->cookies[i], cookies[i]);
    if (err) {
        settings_free(settings);
        return err;
    }
    *out = settings;
    return PIPIT_OK;
}

pp_nats_websocket_settings pp_websocket_session_settings(const pipit_server *server,
                                                         const pp_options *options)
{
    const pp_websocket_options *o = &options->websocket;

    return (pp_nats_websocket_settings){
        .host = o->host, /* also where another is advertised: so does nats-server */
        .port = server->websocket.port,
        .tls = server->websocket.settings && server->websocket.settings->rules.tls,
        .ping_interval_ns = o->ping_interval_ns,
        .auth_timeout_ns = o->auth_timeout_ns,
        .handshake_timeout_ns = o->handshake_timeout_ns,
    };
}

pipit_err pp_websocket_tls_new(pp_tls_context **out, const pipit_server *server,
                               const pp_options *options, pp_buf *error)
{
    *out = NULL;
    if (!server->websocket.settings || !server->websocket.settings->rules.tls)
        return PIPIT_OK;
    return pp_server_tls_new(out, options, &options->websocket.tls, server, error);
}

void pp_websocket_install_tls(pipit_server *server, pp_tls_context *context)
{
    pp_websocket *websocket = &server->websocket;
    pp_tls_context *old;

    if (!context)
        return;
    (void)pthread_mutex_lock(&websocket->tls_lock);
    old = websocket->tls;
    websocket->tls = context;
    (void)pthread_mutex_unlock(&websocket->tls_lock);
    pp_tls_context_unref(old);
}

void pp_websocket_install_limits(pipit_server *server, const pp_options *o)
{
    pp_conn_limits *limits = &server->websocket.door.limits;
    uint64_t most = INFLATED_FACTOR * o->max_payload_bytes;

    atomic_store(&limits->pending_max, (size_t)o->max_pending_bytes);
    atomic_store(&limits->write_deadline_ns, o->write_deadline_ns);
    atomic_store(&limits->slow_policy, (pp_slow_policy)o->slow_consumer);
    atomic_store(&limits->no_stall, o->no_fast_producer_stall);
    atomic_store(&server->websocket.host.inflated_max,
                 (size_t)(most < inflated_max ? most : inflated_max));
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_websocket_init(pipit_server *server)
{
    pp_websocket *websocket = &server->websocket;
    const pp_websocket_options *o = &server->options->websocket;
    pipit_err err;

    websocket->front =
        (pp_nats_front){.entrance = PP_ENTRANCE_WEBSOCKET, .carried = carried, .real_ip = real_ip};
    websocket->door.proto = &pp_nats_proto;
    websocket->door.context = &websocket->front;
    websocket->door.wrap = wrap;
    if (!o->port)
        return PIPIT_OK;
    websocket->bound_host = pp_memdupz(o->host, strlen(o->host));
    if (!websocket->bound_host)
        return PIPIT_ENOMEM;
    err = settings_new(&websocket->settings, o);
    if (!err)
        err = pp_ws_host_init(&websocket->host, &server->log, server->worker_count);
    websocket->host.settings = websocket->settings;
    return err;
}

void pp_websocket_fini(pipit_server *server)
{
    pp_ws_host_fini(&server->websocket.host, server->worker_count);
    settings_free(server->websocket.settings);
    pp_tls_context_unref(server->websocket.tls);
    (void)pthread_mutex_destroy(&server->websocket.tls_lock);
    pp_free(server->websocket.bound_host);
}

pipit_err pp_websocket_listen(pipit_server *server)
{
    pp_websocket *websocket = &server->websocket;
    int port = server->options->websocket.port;
    bool six;
    pipit_err err;

    if (!websocket->bound_host)
        return PIPIT_OK;
    pp_server_init_listener(server, &websocket->listener, &websocket->door);
    err = pp_listen_tcp(websocket->bound_host, port < 0 ? 0 : (uint16_t)port,
                        &websocket->listener.source.fd, &websocket->port);
    if (err) {
        pp_log_write(&server->log, PP_LOG_FATAL,
                     "Unable to listen for websocket connections: %s:%d: %s", websocket->bound_host,
                     port, pipit_strerror(err));
        return err;
    }
    six = strchr(websocket->bound_host, ':') != NULL;
    pp_log_write(&server->log, PP_LOG_INFO, "Listening for websocket clients on %s://%s%s%s:%u",
                 websocket->settings->rules.tls ? "wss" : "ws", six ? "[" : "",
                 websocket->bound_host, six ? "]" : "", websocket->port);
    if (!websocket->settings->rules.tls)
        pp_log_write(&server->log, PP_LOG_WARN,
                     "Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
    return PIPIT_OK;
}

pipit_err pp_websocket_start(pipit_server *server)
{
    pp_listener *listener = &server->websocket.listener;

    return listener->source.fd < 0 ? PIPIT_OK : pp_listener_start(listener);
}
