/* TLS knows nothing of users, and logins nothing of TLS: what one has read is handed to the other.
 */
#include "proto/nats/shown_certificate.h"

#include "base/alloc.h"
#include "tls/identity.h"
#include "tls/layer.h"

struct pp_nats_shown_certificate {
    pp_tls_identity *identity; /* owns the texts */
    pp_certificate certificate;
    pp_certificate_attribute subject[];
};

static pipit_err hand_over(pp_nats_shown_certificate **out, pp_tls_identity *identity)
{
    pp_nats_shown_certificate *shown =
        pp_alloc(sizeof(*shown) + identity->subject_count * sizeof(shown->subject[0]));

    if (!shown)
        return PIPIT_ENOMEM;
    shown->identity = identity;
    for (size_t i = 0; i < identity->subject_count; i++)
        shown->subject[i] = (pp_certificate_attribute){
            .oid = identity->subject[i].oid,
            .value = identity->subject[i].value,
            .rdn = identity->subject[i].rdn,
        };
    shown->certificate = (pp_certificate){
        .emails = identity->emails,
        .email_count = identity->email_count,
        .dns_names = identity->dns_names,
        .dns_name_count = identity->dns_name_count,
        .uris = identity->uris,
        .uri_count = identity->uri_count,
        .subject = shown->subject,
        .subject_count = identity->subject_count,
    };
    *out = shown;
    return PIPIT_OK;
}

pipit_err pp_nats_shown_certificate_new(pp_nats_shown_certificate **out, const pp_conn *conn,
                                        size_t i)
{
    const pp_layer *layer = pp_tls_layer_of(conn);
    pp_tls_identity *identity = NULL;
    pp_str der = {NULL, 0};
    pipit_err err;

    *out = NULL;
    if (!layer || i >= pp_tls_layer_peer_count(layer))
        return PIPIT_OK;
    der.ptr = pp_tls_layer_peer_der(layer, i, &der.len);
    if (!der.ptr)
        return PIPIT_ENOMEM;
    err = pp_tls_identity_new(&identity, der);
    if (!err)
        err = hand_over(out, identity);
    if (err)
        pp_free(identity);
    pp_free((char *)der.ptr);
    return err;
}

void pp_nats_shown_certificate_free(pp_nats_shown_certificate *shown)
{
    if (!shown)
        return;
    pp_free(shown->identity);
    pp_free(shown);
}

const pp_certificate *pp_nats_shown_certificate_of(const pp_nats_shown_certificate *shown)
{
    return shown ? &shown->certificate : NULL;
}

const pp_tls_identity *pp_nats_shown_certificate_identity(const pp_nats_shown_certificate *shown)
{
    return shown->identity;
}

/* --- what TLS has agreed on ---------------------------------------------------------------- */

struct pp_nats_shown_tls {
    pp_login_tls tls;
    pp_str chain[]; /* each of them owned */
};

pipit_err pp_nats_shown_tls_new(pp_nats_shown_tls **out, const pp_conn *conn)
{
    const pp_layer *layer = pp_tls_layer_of(conn);
    size_t count = layer ? pp_tls_layer_chain_count(layer) : 0;
    pp_nats_shown_tls *shown;

    *out = NULL;
    if (!layer)
        return PIPIT_OK;
    shown = pp_calloc(1, sizeof(*shown) + count * sizeof(shown->chain[0]));
    if (!shown)
        return PIPIT_ENOMEM;
    shown->tls = (pp_login_tls){
        .version = pp_str_of(pp_tls_layer_version(layer)),
        .cipher = pp_str_of(pp_tls_layer_cipher(layer)),
        .chain = shown->chain,
    };
    while (shown->tls.chain_count < count) {
        pp_str *der = &shown->chain[shown->tls.chain_count];

        der->ptr = pp_tls_layer_chain_der(layer, shown->tls.chain_count, &der->len);
        if (!der->ptr) {
            pp_nats_shown_tls_free(shown);
            return PIPIT_ENOMEM;
        }
        shown->tls.chain_count++;
    }
    *out = shown;
    return PIPIT_OK;
}

void pp_nats_shown_tls_free(pp_nats_shown_tls *shown)
{
    if (!shown)
        return;
    for (size_t i = 0; i < shown->tls.chain_count; i++)
        pp_free((char *)shown->chain[i].ptr);
    pp_free(shown);
}

const pp_login_tls *pp_nats_shown_tls_of(const pp_nats_shown_tls *shown)
{
    return shown ? &shown->tls : NULL;
}
