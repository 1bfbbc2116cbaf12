/* What OpenSSL reads from and writes to; the beginning of a layer, its end, what was agreed. */
#include "tls/layer.h"

#include "base/alloc.h"
#include "tls/inside.h"
#include "tls/names.h"

#include <string.h>

/* --- OpenSSL's side ----------------------------------------------------------------------- */

static int bio_write(BIO *bio, const char *bytes, int len)
{
    pp_tls_layer *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (!t->out) /* beyond the limit: it says more than its peer listens to */
        return pp_layer_hold_locked(&t->layer, (pp_str){bytes, (size_t)len}) ? -1 : len;
    if ((size_t)len > t->out_cap - t->out_len)
        return -1;
    memcpy(t->out + t->out_len, bytes, (size_t)len);
    t->out_len += (size_t)len;
    return len;
}

static int bio_read(BIO *bio, char *to, int len)
{
    pp_tls_layer *t = BIO_get_data(bio);
    size_t n = t->in_len < (size_t)len ? t->in_len : (size_t)len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *pp_tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "pipit");

    if (!method || !BIO_meth_set_write(method, bio_write) || !BIO_meth_set_read(method, bio_read) ||
        !BIO_meth_set_ctrl(method, bio_ctrl) || !BIO_meth_set_create(method, bio_create)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* --- failing ------------------------------------------------------------------------------ */

ssize_t pp_tls_fail(pp_tls_layer *t, const char *failure)
{
    if (!t->failure)
        t->failure = failure;
    t->broken = true;
    return pp_layer_fail(&t->layer, t->open ? PP_CLOSE_READ_ERROR : PP_CLOSE_TLS);
}

ssize_t pp_tls_fail_by_openssl(pp_tls_layer *t)
{
    unsigned long error = ERR_peek_error();
    const char *text = error ? pp_tls_error_text(error) : "unexpected end";

    ERR_clear_error();
    return pp_tls_fail(t, text);
}

/* --- the end ------------------------------------------------------------------------------ */

static void say_goodbye(pp_layer *layer, uint8_t reason)
{
    pp_tls_layer *t = pp_tls_of(layer);

    (void)reason;
    (void)pthread_mutex_lock(&layer->lock);
    if (t->open && !t->broken) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl); /* the peer's answer is not waited for */
        ERR_clear_error();
        t->broken = true;
    }
    (void)pthread_mutex_unlock(&layer->lock);
}

static void free_layer(pp_layer *layer)
{
    pp_tls_layer *t = pp_tls_of(layer);

    if (layer->conn)
        pp_tls_leave_underway(t);
    SSL_free(t->ssl);
    pp_buf_fini(&t->first);
    pp_body_unref(t->kept);
    pp_tls_context_unref(t->newer);
    pp_tls_context_unref(t->context);
    pp_layer_fini(layer);
    pp_free(t);
}

static const pp_layer_ops tls_ops = {
    .name = "TLS",
    .receive = pp_tls_receive,
    .send = pp_tls_send,
    .goodbye = say_goodbye,
    .free = free_layer,
};

pipit_err pp_tls_layer_new(pp_layer **out, pp_tls_context *context, pp_tls_places *places)
{
    pp_tls_layer *t = pp_calloc(1, sizeof(*t));

    if (!t)
        return PIPIT_ENOMEM;
    pp_layer_init(&t->layer, &tls_ops);
    pp_list_init(&t->link);
    pp_buf_init(&t->first, PP_TLS_HEAD_BYTES + PP_TLS_RECORD_MAX + PP_TLS_IN_BYTES);
    t->context = pp_tls_context_ref(context);
    t->places = places;
    *out = &t->layer;
    return PIPIT_OK;
}

/* --- what has been agreed ----------------------------------------------------------------- */

bool pp_layer_is_tls(const pp_layer *layer)
{
    return layer->ops == &tls_ops;
}

pp_layer *pp_tls_layer_of(const pp_conn *conn)
{
    pp_layer *layer = conn->layer;

    while (layer && !pp_layer_is_tls(layer))
        layer = layer->below;
    return layer;
}

const char *pp_tls_layer_version(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    return t->open ? pp_tls_version_text(SSL_version(t->ssl)) : "";
}

const char *pp_tls_layer_cipher(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    const SSL_CIPHER *cipher = t->open ? SSL_get_current_cipher(t->ssl) : NULL;

    return cipher ? SSL_CIPHER_standard_name(cipher) : "";
}

bool pp_tls_layer_resumed(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);

    return t->open && SSL_session_reused(t->ssl);
}

const char *pp_tls_layer_failure(const pp_layer *layer)
{
    return pp_tls_of(layer)->failure ? pp_tls_of(layer)->failure : "";
}

/* A server's chain does not begin with the peer's own. */
static X509 *peer_certificate(const pp_tls_layer *t, size_t i)
{
    if (!t->open)
        return NULL;
    return i ? sk_X509_value(SSL_get_peer_cert_chain(t->ssl), (int)i - 1)
             : SSL_get0_peer_certificate(t->ssl);
}

size_t pp_tls_layer_peer_count(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    int above;

    if (!peer_certificate(t, 0))
        return 0;
    above = sk_X509_num(SSL_get_peer_cert_chain(t->ssl)); /* -1: there is none */
    return above > 0 ? (size_t)above + 1 : 1;
}

static void *der_of(X509 *certificate, size_t *out_len)
{
    int len = certificate ? i2d_X509(certificate, NULL) : -1;
    unsigned char *der, *at;

    if (len <= 0)
        return NULL;
    der = at = pp_alloc((size_t)len);
    if (!der)
        return NULL;
    *out_len = (size_t)i2d_X509(certificate, &at);
    return der;
}

void *pp_tls_layer_peer_der(const pp_layer *layer, size_t i, size_t *out_len)
{
    return der_of(peer_certificate(pp_tls_of(layer), i), out_len);
}

size_t pp_tls_layer_chain_count(const pp_layer *layer)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    int count;

    if (!peer_certificate(t, 0) || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return 0;
    count = sk_X509_num(SSL_get0_verified_chain(t->ssl)); /* -1: there is none */
    return count > 0 ? (size_t)count : 1;
}

void *pp_tls_layer_chain_der(const pp_layer *layer, size_t i, size_t *out_len)
{
    const pp_tls_layer *t = pp_tls_of(layer);
    STACK_OF(X509) *chain = t->open ? SSL_get0_verified_chain(t->ssl) : NULL;

    if (i >= pp_tls_layer_chain_count(layer))
        return NULL;
    return der_of(chain ? sk_X509_value(chain, (int)i) : peer_certificate(t, 0), out_len);
}
