#include "tls/layer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "net/conn.h"
#include "tls/names.h"
#include "tls/openssl.h"

#include <errno.h>
#include <string.h>

enum {
    FIRST_BYTE = 0x16, /* of a record that holds a handshake */
    HEAD_BYTES = 5,    /* of a record: its kind, a version, how long the rest is */
    PIECES_MAX = 4,    /* taken in one call */
};

typedef struct tls_layer {
    pp_layer layer;
    pp_tls_context *context; /* what ssl is made with, which needs it as long as it lives */
    pp_tls_context *newer;   /* whose pinned keys hold when the handshake ends; NULL: context's */
    pp_tls_places *places;
    SSL *ssl;      /* NULL: the peer has not said anything */
    pp_link link;  /* among the handshakes that are under way */
    bool underway; /* is it? */
    bool open;     /* the handshake has ended well; guarded by the lock */
    bool ended;    /* the peer has said that it ends */
    bool broken;   /* nothing may be said any more; guarded by the lock */
    const char *failure;
    /* While the lock is held: */
    const char *in; /* what may be decrypted */
    size_t in_len;
    char *out; /* where what is encrypted goes; NULL: it is held */
    size_t out_len, out_cap;
    pp_buf first;  /* of the first record, until all of it is there */
    pp_body *kept; /* received, and there was no room for what is in it */
} tls_layer;

static tls_layer *of(const pp_layer *layer)
{
    return (tls_layer *)layer;
}

static pp_tls_place *place_of(const tls_layer *t, const pp_loop *loop)
{
    PP_ASSERT(loop->index < t->places->count);
    return &t->places->at[loop->index];
}

/* --- OpenSSL's side ----------------------------------------------------------------------- */

static int bio_write(BIO *bio, const char *bytes, int len)
{
    tls_layer *t = BIO_get_data(bio);

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
    tls_layer *t = BIO_get_data(bio);
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

/* --- beginning ---------------------------------------------------------------------------- */

static void leave_underway(tls_layer *t)
{
    if (!t->underway)
        return;
    pp_list_remove(&t->link);
    place_of(t, t->layer.conn->loop)->underway_count--;
    t->underway = false;
}

/* Make room among those under way: who has kept us waiting longest goes. */
static void enter_underway(tls_layer *t)
{
    pp_loop *loop = t->layer.conn->loop;
    pp_tls_place *place = place_of(t, loop);
    size_t max = loop->pressed ? PP_TLS_UNDERWAY_PRESSED : PP_TLS_UNDERWAY_MAX;

    while (place->underway_count >= max) {
        tls_layer *oldest = PP_CONTAINER(place->underway.next, tls_layer, link);

        leave_underway(oldest);
        oldest->failure = "too many handshakes under way";
        pp_conn_close(oldest->layer.conn, PP_CLOSE_TLS, false);
    }
    pp_list_append(&place->underway, &t->link);
    place->underway_count++;
    t->underway = true;
}

static pipit_err begin(tls_layer *t)
{
    BIO *bio;

    t->ssl = pp_tls_context_open(t->context);
    bio = t->ssl ? pp_tls_context_bio(t->context) : NULL;
    if (!bio) {
        SSL_free(t->ssl);
        t->ssl = NULL;
        ERR_clear_error();
        return PIPIT_ENOMEM;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return PIPIT_OK;
}

static ssize_t fail(tls_layer *t, const char *failure)
{
    if (!t->failure)
        t->failure = failure;
    t->broken = true;
    return pp_layer_fail(&t->layer, t->open ? PP_CLOSE_READ_ERROR : PP_CLOSE_TLS);
}

/* What OpenSSL has to say about it; its queue is empty then. */
static ssize_t fail_by_openssl(tls_layer *t)
{
    unsigned long error = ERR_peek_error();
    const char *text = error ? pp_tls_error_text(error) : "unexpected end";

    ERR_clear_error();
    return fail(t, text);
}

/* --- receiving ---------------------------------------------------------------------------- */

/* Is the key of the peer among those pinned, if any are? */
static bool is_pinned(X509 *peer, const pp_tls_context *context)
{
    uint8_t hash[32];
    unsigned char *der = NULL;
    int len;
    bool pinned;

    if (!pp_tls_context_has_pins(context))
        return true;
    len = peer ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(peer), &der) : -1;
    pinned = len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) &&
             pp_tls_context_pins(context, hash);
    OPENSSL_free(der);
    return pinned;
}

static const char not_pinned[] = "certificate not pinned";

/* A key that is not among those pinned, a certificate that has ended since the session began. */
static const char *look_at_peer(tls_layer *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);

    if (peer && SSL_session_reused(t->ssl) && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
        return "certificate has expired";
    return is_pinned(peer, t->newer ? t->newer : t->context) ? NULL : not_pinned;
}

/* The lock is held, in is what came. Errors: PIPIT_EAGAIN: more must come. */
static pipit_err shake_hands(tls_layer *t)
{
    pp_tls_place *place = place_of(t, t->layer.conn->loop);
    int64_t began_ns = pp_clock_mono_ns();
    const char *wrong = NULL;
    int done, why;

    ERR_clear_error();
    done = SSL_do_handshake(t->ssl);
    why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, done);
    if (done == 1)
        wrong = look_at_peer(t);
    place->spent_ns += pp_clock_mono_ns() - began_ns;
    if (why == SSL_ERROR_WANT_READ)
        return PIPIT_EAGAIN;
    leave_underway(t);
    if (done != 1 || wrong) {
        (void)(wrong ? fail(t, wrong) : fail_by_openssl(t));
        return PIPIT_EPROTO;
    }
    t->open = true;
    pp_layer_set_ready(&t->layer);
    return PIPIT_OK;
}

/* Decrypt what is in `in` to where there is room; the lock is held. */
static size_t decrypt(tls_layer *t, char *to, size_t len)
{
    size_t total = 0;
    int why = SSL_ERROR_NONE;

    ERR_clear_error();
    while (total < len) {
        size_t got = 0;

        if (SSL_read_ex(t->ssl, to + total, len - total, &got) != 1) {
            why = SSL_get_error(t->ssl, 0);
            break;
        }
        total += got;
    }
    if (why == SSL_ERROR_ZERO_RETURN)
        t->ended = true;
    else if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ)
        (void)fail_by_openssl(t);
    return total;
}

/* Keep what there was no room for; the lock is held. rest may lie in what was kept. */
static void keep_locked(tls_layer *t, pp_str rest)
{
    pp_body *kept = NULL;

    if (rest.len && !t->broken && !t->ended) {
        kept = pp_body_new(rest.len);
        if (kept)
            memcpy(kept->bytes, rest.ptr, rest.len);
        else
            (void)fail(t, "out of memory");
    }
    pp_body_unref(t->kept);
    t->kept = kept;
}

/* One piece of what came. Returns bytes for above; the layer may have failed or ended with it. */
static size_t take_in(tls_layer *t, pp_str piece, char *to, size_t len)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&t->layer.lock);
    t->in = piece.ptr;
    t->in_len = piece.len;
    if (t->open || shake_hands(t) == PIPIT_OK)
        n = decrypt(t, to, len);
    keep_locked(t, (pp_str){t->in, t->in_len});
    t->in = NULL;
    t->in_len = 0;
    (void)pthread_mutex_unlock(&t->layer.lock);
    return n;
}

/* What the next piece is: kept, or from below. Returns as receive does; *out_full: below may have
 * more. */
static ssize_t next_piece(tls_layer *t, size_t len, pp_str *out, bool *out_full)
{
    pp_tls_place *place = place_of(t, t->layer.conn->loop);
    size_t asked = len + PP_TLS_RECORD_EXTRA;
    ssize_t n;

    if (t->kept) {
        *out = (pp_str){t->kept->bytes, t->kept->len};
        *out_full = true;
        return (ssize_t)t->kept->len;
    }
    asked = asked < PP_TLS_IN_BYTES ? asked : PP_TLS_IN_BYTES;
    n = pp_layer_receive_below(&t->layer, place->in, asked);
    if (n == 0 && !t->open) {
        t->failure = "EOF";
        return pp_layer_fail(&t->layer, PP_CLOSE_TLS);
    }
    *out = (pp_str){place->in, n > 0 ? (size_t)n : 0};
    *out_full = n > 0 && (size_t)n == asked;
    return n;
}

static bool is_whole(pp_str record)
{
    const uint8_t *head = (const uint8_t *)record.ptr;

    return record.len >= HEAD_BYTES && record.len - HEAD_BYTES >= (size_t)(head[3] << 8 | head[4]);
}

/* Wait for a whole record before anything is made for the peer: OpenSSL takes 70 KiB to wait with.
 * True: piece is all that has come. False: more must come, or it has failed. */
static bool hear_first(tls_layer *t, pp_str *piece)
{
    const uint8_t *head;
    size_t record;

    if (!t->underway && piece->ptr[0] != FIRST_BYTE) {
        (void)fail(t, "first record does not look like a TLS handshake");
        return false;
    }
    if (!t->underway)
        enter_underway(t);
    if (t->first.len || piece->len < HEAD_BYTES || !is_whole(*piece)) {
        if (pp_buf_add(&t->first, piece->ptr, piece->len)) {
            (void)fail(t, "out of memory");
            return false;
        }
        *piece = pp_buf_str(&t->first);
    }
    head = (const uint8_t *)piece->ptr;
    record = piece->len < HEAD_BYTES ? 0 : (size_t)(head[3] << 8 | head[4]);
    if (record > PP_TLS_RECORD_MAX) {
        (void)fail(t, "record too long");
        return false;
    }
    if (!is_whole(*piece))
        return false;
    if (begin(t)) {
        (void)fail(t, "out of memory");
        return false;
    }
    return true;
}

/* Not more pieces than are good for others. Returns bytes for above; *out_n: what the last piece
 * from below was, if that was none. */
static size_t take_pieces(tls_layer *t, char *to, size_t len, bool *out_full, ssize_t *out_n)
{
    pp_loop *loop = t->layer.conn->loop;
    pp_tls_place *place = place_of(t, loop);
    size_t total = 0;

    for (unsigned i = 0; i < PIECES_MAX && *out_full && total < len; i++) {
        pp_str piece = {"", 0};

        if (!t->open && !pp_tls_place_may_step(place, loop->now_ns))
            break; /* others have their turn first */
        if (!t->open || t->kept || SSL_pending(t->ssl) == 0) {
            *out_n = next_piece(t, len - total, &piece, out_full);
            if (*out_n <= 0)
                break;
        }
        if (!t->ssl && !hear_first(t, &piece)) {
            if (t->broken)
                break;
            continue;
        }
        total += take_in(t, piece, to + total, len - total);
        pp_buf_fini(&t->first);
        if (t->broken || t->ended)
            break;
    }
    return total;
}

static ssize_t receive(pp_layer *layer, char *to, size_t len)
{
    tls_layer *t = of(layer);
    size_t total;
    ssize_t n = 1;
    bool full = true;

    if (pp_tls_place_open(place_of(t, layer->conn->loop))) {
        t->failure = "out of memory";
        return pp_layer_fail(layer, PP_CLOSE_NO_MEMORY);
    }
    total = t->broken || t->ended ? 0 : take_pieces(t, to, len, &full, &n);
    if (total) {
        /* How it goes on from here is told when it is asked again. */
        layer->more |= full || t->broken || t->ended || SSL_has_pending(t->ssl);
        return (ssize_t)total;
    }
    if (t->broken || t->ended) {
        errno = EPROTO;
        return t->ended ? 0 : -1;
    }
    if (n <= 0)
        return n;
    layer->more |= full;
    errno = EAGAIN;
    return -1;
}

/* --- sending ------------------------------------------------------------------------------ */

/* What becomes the next record: a piece where it is large, or several joined. Moves on behind it.
 */
static pp_str next_record(const struct iovec *iov, size_t count, size_t *i, size_t *at,
                          char *joined)
{
    size_t len = 0;

    while (*i < count && *at == iov[*i].iov_len) {
        (*i)++;
        *at = 0;
    }
    if (*i < count && (iov[*i].iov_len - *at >= PP_TLS_RECORD_MAX || *i + 1 == count)) {
        pp_str whole = {(const char *)iov[*i].iov_base + *at, iov[*i].iov_len - *at};

        if (whole.len > PP_TLS_RECORD_MAX)
            whole.len = PP_TLS_RECORD_MAX;
        *at += whole.len;
        return whole;
    }
    while (*i < count && len < PP_TLS_RECORD_MAX) {
        size_t left = iov[*i].iov_len - *at;
        size_t n = left < PP_TLS_RECORD_MAX - len ? left : PP_TLS_RECORD_MAX - len;

        memcpy(joined + len, (const char *)iov[*i].iov_base + *at, n);
        len += n;
        *at += n;
        if (*at < iov[*i].iov_len)
            break;
        (*i)++;
        *at = 0;
    }
    return (pp_str){joined, len};
}

/* Fill out with records; the lock is held. Returns how many bytes went in; -1: it has failed. */
static ssize_t encrypt(tls_layer *t, const struct iovec *iov, size_t count, char *joined)
{
    size_t taken = 0, i = 0, at = 0;

    ERR_clear_error();
    while (t->out_len < PP_TLS_OUT_BYTES) {
        pp_str record = next_record(iov, count, &i, &at, joined);
        size_t written;

        if (record.len == 0)
            break;
        if (SSL_write_ex(t->ssl, record.ptr, record.len, &written) != 1 || written != record.len)
            return fail_by_openssl(t);
        taken += record.len;
    }
    return (ssize_t)taken;
}

static ssize_t send_records(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    tls_layer *t = of(layer);
    pp_tls_place *place = place_of(t, loop);
    ssize_t taken = 0;
    pp_str out;

    if (pp_tls_place_open(place)) {
        errno = ENOMEM;
        return -1;
    }
    if (!pp_layer_begin_send(layer, loop))
        return -1;
    if (count && (!t->open || t->broken)) {
        (void)pthread_mutex_unlock(&layer->lock);
        errno = t->broken ? EPIPE : EAGAIN;
        return -1;
    }
    t->out = place->out;
    t->out_len = 0;
    t->out_cap = PP_TLS_OUT_BYTES + PP_TLS_RECORD_MAX + PP_TLS_RECORD_EXTRA;
    if (count)
        taken = encrypt(t, iov, count, place->joined);
    out = (pp_str){place->out, t->out_len};
    t->out = NULL;
    if (taken < 0) {
        (void)pthread_mutex_unlock(&layer->lock);
        return -1;
    }
    return pp_layer_end_send(layer, loop, out) ? taken : -1;
}

/* --- the end ------------------------------------------------------------------------------ */

static void say_goodbye(pp_layer *layer, uint8_t reason)
{
    tls_layer *t = of(layer);

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
    tls_layer *t = of(layer);

    if (layer->conn)
        leave_underway(t);
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
    .receive = receive,
    .send = send_records,
    .goodbye = say_goodbye,
    .free = free_layer,
};

pipit_err pp_tls_layer_new(pp_layer **out, pp_tls_context *context, pp_tls_places *places)
{
    tls_layer *t = pp_calloc(1, sizeof(*t));

    if (!t)
        return PIPIT_ENOMEM;
    pp_layer_init(&t->layer, &tls_ops);
    pp_list_init(&t->link);
    pp_buf_init(&t->first, HEAD_BYTES + PP_TLS_RECORD_MAX + PP_TLS_IN_BYTES);
    t->context = pp_tls_context_ref(context);
    t->places = places;
    *out = &t->layer;
    return PIPIT_OK;
}

bool pp_tls_layer_review(pp_layer *layer, pp_tls_context *context)
{
    tls_layer *t = of(layer);

    if (t->open && !is_pinned(SSL_get0_peer_certificate(t->ssl), context)) {
        t->failure = not_pinned;
        return false;
    }
    pp_tls_context_unref(t->newer);
    t->newer = t->open ? NULL : pp_tls_context_ref(context);
    return true;
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
    const tls_layer *t = of(layer);

    return t->open ? pp_tls_version_text(SSL_version(t->ssl)) : "";
}

const char *pp_tls_layer_cipher(const pp_layer *layer)
{
    const tls_layer *t = of(layer);
    const SSL_CIPHER *cipher = t->open ? SSL_get_current_cipher(t->ssl) : NULL;

    return cipher ? SSL_CIPHER_standard_name(cipher) : "";
}

bool pp_tls_layer_resumed(const pp_layer *layer)
{
    const tls_layer *t = of(layer);

    return t->open && SSL_session_reused(t->ssl);
}

const char *pp_tls_layer_failure(const pp_layer *layer)
{
    return of(layer)->failure ? of(layer)->failure : "";
}

/* A server's chain does not begin with the peer's own. */
static X509 *peer_certificate(const tls_layer *t, size_t i)
{
    if (!t->open)
        return NULL;
    return i ? sk_X509_value(SSL_get_peer_cert_chain(t->ssl), (int)i - 1)
             : SSL_get0_peer_certificate(t->ssl);
}

size_t pp_tls_layer_peer_count(const pp_layer *layer)
{
    const tls_layer *t = of(layer);
    int above;

    if (!peer_certificate(t, 0))
        return 0;
    above = sk_X509_num(SSL_get_peer_cert_chain(t->ssl)); /* -1: there is none */
    return above > 0 ? (size_t)above + 1 : 1;
}

void *pp_tls_layer_peer_der(const pp_layer *layer, size_t i, size_t *out_len)
{
    X509 *peer = peer_certificate(of(layer), i);
    int len = peer ? i2d_X509(peer, NULL) : -1;
    unsigned char *der, *at;

    if (len <= 0)
        return NULL;
    der = at = pp_alloc((size_t)len);
    if (!der)
        return NULL;
    *out_len = (size_t)i2d_X509(peer, &at);
    return der;
}
