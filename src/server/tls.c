#include "server/tls.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/conn.h"
#include "proto/nats/session.h"
#include "server/ocsp.h"
#include "server/operators/operators.h"
#include "server/server.h"
#include "server/stapler.h"
#include "tls/kernel.h"
#include "tls/layer.h"
#include "tls/names.h"
#include "tls/tickets.h"

static pp_tls_stapling stapling_of(const pp_options *options)
{
    static const pp_tls_stapling modes[] = {
        [PP_OCSP_AUTO] = PP_TLS_STAPLING_AUTO,
        [PP_OCSP_ALWAYS] = PP_TLS_STAPLING_ALWAYS,
        [PP_OCSP_MUST] = PP_TLS_STAPLING_MUST,
        [PP_OCSP_NEVER] = PP_TLS_STAPLING_NEVER,
    };

    return options ? modes[options->ocsp_mode] : PP_TLS_STAPLING_NEVER;
}

/* Monitoring does not: it shuts its side when it has answered, whatever the kernel still has of it
 * beside the socket's buffer. */
static unsigned ask_kernel(const pipit_server *server, const pp_tls_options *o)
{
    unsigned suites = o->ktls ? pp_tls_kernel_suites() : 0;

    PP_DEBUG(&server->log, "TLS by the kernel: %s",
             suites    ? "for connections that are sent much"
             : o->ktls ? "not offered"
                       : "switched off");
    return suites;
}

static pp_tls_peer_rules rules_of(const pp_ocsp_peer_options *o)
{
    return (pp_tls_peer_rules){
        .timeout_ns = o->ca_timeout_ns,
        .skew_s = o->skew_ns / PP_NS_PER_S,
        .ttl_s = o->ttl_ns / PP_NS_PER_S,
        .warn_only = o->warn_only,
        .unknown_is_good = o->unknown_is_good,
        .unreachable_is_good = o->unreachable_is_good,
    };
}

/* server NULL: only to see whether it could be made, so that nobody is asked about certificates. */
static pipit_err make(pp_tls_context **out, const pp_options *options, const pp_tls_options *o,
                      bool asks_clients, const pipit_server *server, pp_buf *error)
{
    const pp_tls_staple_spec staple = {
        .mode = stapling_of(options),
        .urls = options ? options->ocsp_urls : NULL,
        .url_count = options ? options->ocsp_url_count : 0,
    };
    const pp_tls_peer_rules rules = rules_of(&o->ocsp_peer);
    bool inquires = asks_clients && o->ocsp_peer.verify;
    pp_tls_pair one = {o->cert_file, o->key_file};
    pp_tls_pair *pairs = pp_calloc(o->pair_count + 1, sizeof(*pairs));
    pp_tls_spec spec = {
        .pairs = o->pair_count ? pairs : &one,
        .pair_count = o->pair_count ? o->pair_count : 1,
        .ca_file = o->ca_file,
        .verify = asks_clients && o->verify,
        .pinned = o->pinned,
        .pinned_count = asks_clients ? o->pinned_count : 0,
        .ciphers = o->ciphers,
        .cipher_count = o->cipher_count,
        .insecure_ciphers = o->insecure_ciphers,
        .curves = o->curves,
        .curve_count = o->curve_count,
        .min_version = (uint16_t)o->min_version,
        .staples = server ? pp_stapler_staples(server->stapler) : NULL,
        .staple = &staple,
        .inquirer = server && inquires ? pp_ocsp_inquirer(server->ocsp) : NULL,
        .peer_rules = &rules,
        .kernel_suites = server && asks_clients ? ask_kernel(server, o) : 0,
    };
    pipit_err err;

    if (!pairs)
        return PIPIT_ENOMEM;
    if (inquires && !o->verify) {
        (void)pp_buf_addf(error,
                          "OCSP peer verification for client connections requires TLS verify "
                          "(mTLS) to be enabled");
        pp_free(pairs);
        return PIPIT_EINVAL;
    }
    /* Else each client would be refused, and nobody would know why before that. */
    if (inquires && pp_fetch_url_load(error)) {
        pp_free(pairs);
        return PIPIT_EINVAL;
    }
    for (size_t i = 0; i < o->pair_count; i++)
        pairs[i] = (pp_tls_pair){o->pairs[i].cert_file, o->pairs[i].key_file};
    err = pp_tls_context_new(out, &spec, server ? server->tls_tickets : NULL, error);
    pp_free(pairs);
    return err;
}

pipit_err pp_server_tls_new(pp_tls_context **out, const pp_options *options,
                            const pp_tls_options *block, const pipit_server *server, pp_buf *error)
{
    *out = NULL;
    return block->given ? make(out, options, block, true, server, error) : PIPIT_OK;
}

pipit_err pp_server_https_new(pp_tls_context **out, const pp_options *o, const pipit_server *server,
                              pp_buf *error)
{
    *out = NULL;
    return o->tls.given && o->https_port ? make(out, o, &o->tls, false, server, error) : PIPIT_OK;
}

pipit_err pp_server_tls_check(const pp_tls_options *o, pp_diagnostics *diagnostics)
{
    pp_config_position at = {o->at.file, o->at.line, o->at.column};
    pp_tls_context *context = NULL;
    pipit_err err;
    pp_buf error;

    if (!o->given)
        return PIPIT_OK;
    if (!o->pair_count && (!o->cert_file || !o->key_file)) {
        pp_diagnostics_error(diagnostics, at, "%s must be present and valid",
                             o->cert_file ? "TLS Server private key" : "TLS Server certificate");
        return PIPIT_OK;
    }
    pp_buf_init(&error, 4096);
    err = pp_server_tls_new(&context, NULL, o, NULL, &error);
    pp_tls_context_unref(context);
    if (err == PIPIT_EINVAL) {
        pp_diagnostics_error(diagnostics, at, "tls: %.*s", PP_STR_ARGS(pp_buf_str(&error)));
        err = PIPIT_OK;
    }
    pp_buf_fini(&error);
    return err;
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_server_tls_init(pipit_server *server, unsigned loops)
{
    pipit_err err = pp_tls_places_init(&server->tls_places, loops);

    if (!err)
        err = pp_stapler_new(&server->stapler, server);
    if (!err)
        err = pp_ocsp_new(&server->ocsp, server);
    return err ? err : pp_tls_tickets_new(&server->tls_tickets);
}

void pp_server_tls_fini(pipit_server *server)
{
    pp_tls_context_unref(server->https);
    pp_tls_places_fini(&server->tls_places);
    pp_tls_tickets_free(server->tls_tickets);
    pp_stapler_free(server->stapler);
    pp_ocsp_free(server->ocsp);
}

/* --- HTTPS -------------------------------------------------------------------------------- */

/* A connection to the monitoring port begins with TLS. */
static pipit_err wrap(const pp_door *door, pp_conn *conn)
{
    const pp_http_door *http = door->context;
    pipit_server *server = http->context;
    pp_tls_context *context;
    pp_layer *layer;
    pipit_err err;

    (void)pthread_mutex_lock(&server->https_lock);
    context = pp_tls_context_ref(server->https);
    (void)pthread_mutex_unlock(&server->https_lock);
    err = pp_tls_layer_new(&layer, context, &server->tls_places);
    pp_tls_context_unref(context);
    if (err)
        return err;
    err = pp_conn_push_layer(conn, layer, PP_STR(""));
    if (err)
        pp_layer_free(layer);
    return err;
}

void pp_server_install_https(pipit_server *server, pp_tls_context *context)
{
    pp_tls_context *old;

    if (!context)
        return;
    (void)pthread_mutex_lock(&server->https_lock);
    old = server->https;
    server->https = context;
    (void)pthread_mutex_unlock(&server->https_lock);
    if (!server->http_door.door.wrap) /* before the first arrival: loops look at it */
        server->http_door.door.wrap = wrap;
    pp_tls_context_unref(old);
}

/* --- pinned keys -------------------------------------------------------------------------- */

struct review {
    pp_tls_context *clients, *websocket; /* NULL: they have no TLS any more */
};

static void review(pp_conn *conn, void *arg)
{
    const struct review *review = arg;
    pp_layer *layer = pp_tls_layer_of(conn);
    pp_tls_context *context;

    if (!layer || !pp_nats_session_of(conn))
        return;
    context = pp_nats_by_websocket(conn) ? review->websocket : review->clients;
    if (context && !pp_tls_layer_review(layer, context))
        pp_conn_close(conn, PP_CLOSE_TLS, false);
}

void pp_server_review_pins(pp_worker *worker)
{
    pp_websocket *websocket = &worker->server->websocket;
    struct review all = {.clients = worker->nats.settings->tls.context};

    (void)pthread_mutex_lock(&websocket->tls_lock);
    all.websocket = websocket->tls ? pp_tls_context_ref(websocket->tls) : NULL;
    (void)pthread_mutex_unlock(&websocket->tls_lock);
    pp_conn_each(&worker->loop, review, &all);
    pp_tls_context_unref(all.websocket);
}

/* --- help --------------------------------------------------------------------------------- */

pipit_err pp_server_tls_help(pp_buf *out)
{
    pipit_err err =
        pp_buf_addf(out, "TLS is configured by a block of the configuration file:\n"
                         "\n"
                         "    tls {\n"
                         "        cert_file:       \"server-cert.pem\"\n"
                         "        key_file:        \"server-key.pem\"\n"
                         "        # clients must show a certificate, which says who they are:\n"
                         "        ca_file:         \"ca.pem\"\n"
                         "        verify_and_map:  true\n"
                         "        # and whether it is good still is asked of who has signed it:\n"
                         "        ocsp_peer:       true\n"
                         "        # if the defaults will not do:\n"
                         "        min_version:     \"1.3\"\n"
                         "        handshake_first: auto\n"
                         "    }\n"
                         "\n"
                         "or by the flags --tlscert, --tlskey, --tlscacert and --tlsverify.\n"
                         "\n"
                         "Names for cipher_suites (* needs allow_insecure_cipher_suites):\n");

    for (const pp_tls_cipher *c = pp_tls_ciphers; c->name && !err; c++) {
        if (c->openssl)
            err = pp_buf_addf(out, "  %s %s\n", c->insecure ? "*" : " ", c->name);
    }
    if (!err)
        err = pp_buf_addf(out, "\nNames for curve_preferences, as far as OpenSSL has them:\n");
    for (const pp_tls_curve *c = pp_tls_curves; c->name && !err; c++)
        err = pp_buf_addf(out, "    %s\n", c->name);
    return err;
}
