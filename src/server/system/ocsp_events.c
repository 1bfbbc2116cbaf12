/* Source: nats-server 2.15, what it publishes in these cases. */
#include "server/system/ocsp_events.h"

#include "base/alloc.h"
#include "base/json.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"
#include "server/system/system.h"
#include "tls/ocsp.h"

enum { TEXT_MAX = 128 * 1024, HASH_BYTES = 32, REASON_MAX = 128 };

struct event {
    pp_task task;
    pp_system *system;
    X509 *peer, *link; /* link NULL: the peer does not come in */
    char reason[REASON_MAX];
};

/* --- a certificate -------------------------------------------------------------------------- */

static void put_base64(pp_json *json, const char *key, const unsigned char *bytes, size_t len)
{
    unsigned char *text = pp_alloc((len + 2) / 3 * 4 + 1);
    int written;

    if (!text)
        return; /* it lacks */
    written = EVP_EncodeBlock(text, bytes, (int)len);
    pp_json_text(json, key, (pp_str){(const char *)text, (size_t)written});
    pp_free(text);
}

static void put_name(pp_json *json, const char *key, const X509_NAME *name)
{
    pp_buf text;

    pp_buf_init(&text, TEXT_MAX);
    (void)pp_tls_name_write(&text, name); /* at worst it is empty */
    pp_json_text(json, key, pp_buf_str(&text));
    pp_buf_fini(&text);
}

static void put_certificate(pp_json *json, const char *key, X509 *certificate)
{
    unsigned char hash[HASH_BYTES], *der = NULL;
    int len = i2d_X509(certificate, &der);

    pp_json_begin_object(json, key);
    put_name(json, "subject", X509_get_subject_name(certificate));
    put_name(json, "issuer", X509_get_issuer_name(certificate));
    if (X509_digest(certificate, EVP_sha256(), hash, NULL))
        put_base64(json, "fingerprint", hash, sizeof(hash));
    if (len > 0)
        put_base64(json, "raw", der, (size_t)len);
    OPENSSL_free(der);
    pp_json_end_object(json);
    ERR_clear_error();
}

/* --- the event ------------------------------------------------------------------------------ */

static pipit_err write_event(pp_system *system, pp_buf *out, void *arg)
{
    const struct event *event = arg;
    pp_json json;

    pp_json_init(&json, out, 0);
    pp_advisory_begin(system, &json,
                      event->link ? "io.nats.server.advisory.v1.ocsp_peer_link_invalid"
                                  : "io.nats.server.advisory.v1.ocsp_peer_reject");
    if (event->link)
        put_certificate(&json, "link", event->link);
    else
        pp_json_text(&json, "kind", PP_STR("Client"));
    put_certificate(&json, "peer", event->peer);
    pp_json_text(&json, "reason", pp_str_of(event->reason));
    pp_json_end_object(&json);
    return pp_json_finish(&json);
}

static void event_free(struct event *event)
{
    (void)atomic_fetch_sub(&event->system->events, 1);
    X509_free(event->peer);
    X509_free(event->link);
    pp_free(event);
}

static void on_event(pp_task *task)
{
    struct event *event = PP_CONTAINER(task, struct event, task);
    pp_system *system = event->system;

    /* Else it was left when the server stopped. Whether somebody listens is asked here and not
     * where the event was made: that may be on a thread that a reload does not wait for before it
     * frees accounts. */
    if (system->running && pp_system_is_heard(system))
        pp_system_announce(system, write_event, event, "$SYS.SERVER.%s.OCSP.PEER.%s",
                           system->server->server_id, event->link ? "LINK.INVALID" : "CONN.REJECT");
    event_free(event);
}

static X509 *ref(X509 *certificate)
{
    return certificate && X509_up_ref(certificate) ? certificate : NULL;
}

void pp_ocsp_events_refused(pp_system *system, X509 *peer, X509 *link, const char *reason)
{
    struct event *event = NULL;

    if (!atomic_load_explicit(&system->server->open, memory_order_relaxed))
        return;
    if (atomic_fetch_add(&system->events, 1) < PP_SYSTEM_EVENTS_MAX)
        event = pp_calloc(1, sizeof(*event));
    if (!event) {
        (void)atomic_fetch_sub(&system->events, 1);
        (void)atomic_fetch_add_explicit(&system->dropped, 1, memory_order_relaxed);
        return;
    }
    event->task.run = on_event;
    event->system = system;
    event->peer = ref(peer);
    event->link = ref(link);
    (void)snprintf(event->reason, sizeof(event->reason), "%s", reason);
    pp_loop_post(&system->home->loop, &event->task);
}
