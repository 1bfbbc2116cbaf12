/* What OpenSSL reads from and writes to; the beginning of a layer and its end. */
#include "tls/layer.h"

#include "base/alloc.h"
#include "tls/inside.h"

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
        if (t->records)
            pp_tls_tell(t, 1, 0); /* close_notify, a warning */
        else
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
    pp_tls_abandon_vetting(t);
    SSL_free(t->ssl);
    pp_tls_records_free(t->records);
    pp_tls_forget_secrets(t);
    pp_tls_forget_peer(t);
    pp_buf_fini(&t->first);
    pp_body_unref(t->plain);
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
    t->kernel_in = PP_TLS_KERNEL_NEVER;
    *out = &t->layer;
    return PIPIT_OK;
}

/* --- which one ---------------------------------------------------------------------------- */

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

const char *pp_tls_layer_failure(const pp_layer *layer)
{
    return pp_tls_of(layer)->failure ? pp_tls_of(layer)->failure : "";
}
