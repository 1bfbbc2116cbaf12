#include "server/ocsp.h"

#include "base/alloc.h"
#include "server/operators/operators.h"
#include "server/server.h"
#include "server/system/ocsp_events.h"

struct pp_ocsp {
    pipit_server *server;
    pp_tls_inquirer *inquirer;
};

/* --- hooks ---------------------------------------------------------------------------------- */

static pipit_err fetch(void *context, const char *url, const char *question, int64_t timeout_ns,
                       const atomic_bool *hurry, pp_buf *out)
{
    static const pp_fetch_tls tls = {.min_version = 12};

    (void)context;
    if (pp_fetch_url_load(NULL))
        return PIPIT_ELIMIT; /* it was there at the start */
    return pp_fetch_url(url, &tls, question, timeout_ns, hurry, out);
}

static void on_refusal(void *context, X509 *peer, X509 *link, const char *reason)
{
    pp_ocsp *ocsp = context;

    pp_ocsp_events_refused(&ocsp->server->system, peer, link, reason);
}

/* --- life ----------------------------------------------------------------------------------- */

pipit_err pp_ocsp_new(pp_ocsp **out, pipit_server *server)
{
    pp_ocsp *ocsp = pp_calloc(1, sizeof(*ocsp));
    const pp_tls_inquirer_hooks hooks = {
        .context = ocsp,
        .log = &server->log,
        .fetch = fetch,
        .on_refusal = on_refusal,
    };

    if (!ocsp || pp_tls_inquirer_new(&ocsp->inquirer, &hooks)) {
        pp_free(ocsp);
        return PIPIT_ENOMEM;
    }
    ocsp->server = server;
    *out = ocsp;
    return PIPIT_OK;
}

void pp_ocsp_free(pp_ocsp *ocsp)
{
    if (!ocsp)
        return;
    pp_tls_inquirer_free(ocsp->inquirer);
    pp_free(ocsp);
}

void pp_ocsp_stop(pp_ocsp *ocsp)
{
    if (ocsp)
        pp_tls_inquirer_stop(ocsp->inquirer);
}

pp_tls_inquirer *pp_ocsp_inquirer(pp_ocsp *ocsp)
{
    return ocsp->inquirer;
}

/* --- what is kept --------------------------------------------------------------------------- */

/* Does a listener ask? */
static bool is_wanted(const pp_options *o)
{
    const pp_tls_options *const blocks[] = {&o->tls, &o->websocket.tls, &o->fanout.tls, &o->t2.tls};
    bool wanted = false;

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        wanted |= blocks[i]->given && blocks[i]->ocsp_peer.verify;
    return wanted;
}

void pp_ocsp_configure(pp_ocsp *ocsp, const pp_options *options)
{
    const pp_ocsp_cache_options *cache = &options->ocsp_cache;
    const pp_tls_standings_spec spec = {
        /* The file has a hash, and a block of TLS need not have had OpenSSL loaded yet. */
        .on = cache->type == PP_OCSP_CACHE_LOCAL && is_wanted(options) && !pp_openssl_load(NULL),
        .dir = cache->local_store,
        .preserves_revoked = cache->preserve_revoked,
        .save_ns = cache->save_interval_ns,
    };
    pp_buf error;

    pp_buf_init(&error, 8192);
    if (pp_tls_inquirer_keep(ocsp->inquirer, &spec, &error))
        pp_log_write(&ocsp->server->log, PP_LOG_ERROR,
                     "OCSP: what was known of certificates cannot be read: %.*s",
                     PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
}
