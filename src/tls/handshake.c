/* Until a layer is open: what has begun and does not go on, and who the peer is. */
#include "base/clock.h"
#include "tls/inside.h"

const char pp_tls_not_pinned[] = "certificate not pinned";

enum { FIRST_BYTE = 0x16 }; /* of a record that holds a handshake */

/* --- those under way ---------------------------------------------------------------------- */

void pp_tls_leave_underway(pp_tls_layer *t)
{
    if (!t->underway)
        return;
    pp_list_remove(&t->link);
    pp_tls_place_of(t, t->layer.conn->loop)->underway_count--;
    t->underway = false;
}

/* Make room among those under way: who has kept us waiting longest goes. */
static void enter_underway(pp_tls_layer *t)
{
    pp_loop *loop = t->layer.conn->loop;
    pp_tls_place *place = pp_tls_place_of(t, loop);
    size_t max = loop->pressed ? PP_TLS_UNDERWAY_PRESSED : PP_TLS_UNDERWAY_MAX;

    while (place->underway_count >= max) {
        pp_tls_layer *oldest = PP_CONTAINER(place->underway.next, pp_tls_layer, link);

        pp_tls_leave_underway(oldest);
        oldest->failure = "too many handshakes under way";
        pp_conn_close(oldest->layer.conn, PP_CLOSE_TLS, false);
    }
    pp_list_append(&place->underway, &t->link);
    place->underway_count++;
    t->underway = true;
}

/* --- the first record --------------------------------------------------------------------- */

static pipit_err begin(pp_tls_layer *t)
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

static bool is_whole(pp_str record)
{
    const uint8_t *head = (const uint8_t *)record.ptr;

    return record.len >= PP_TLS_HEAD_BYTES &&
           record.len - PP_TLS_HEAD_BYTES >= (size_t)(head[3] << 8 | head[4]);
}

bool pp_tls_hear_first(pp_tls_layer *t, pp_str *piece)
{
    const uint8_t *head;
    size_t record;

    if (!t->underway && piece->ptr[0] != FIRST_BYTE) {
        (void)pp_tls_fail(t, "first record does not look like a TLS handshake");
        return false;
    }
    if (!t->underway)
        enter_underway(t);
    if (t->first.len || piece->len < PP_TLS_HEAD_BYTES || !is_whole(*piece)) {
        if (pp_buf_add(&t->first, piece->ptr, piece->len)) {
            (void)pp_tls_fail(t, "out of memory");
            return false;
        }
        *piece = pp_buf_str(&t->first);
    }
    head = (const uint8_t *)piece->ptr;
    record = piece->len < PP_TLS_HEAD_BYTES ? 0 : (size_t)(head[3] << 8 | head[4]);
    if (record > PP_TLS_RECORD_MAX) {
        (void)pp_tls_fail(t, "record too long");
        return false;
    }
    if (!is_whole(*piece))
        return false;
    if (begin(t)) {
        (void)pp_tls_fail(t, "out of memory");
        return false;
    }
    return true;
}

/* --- who the peer is ---------------------------------------------------------------------- */

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

bool pp_tls_is_pinned(const pp_tls_layer *t, X509 *peer)
{
    return is_pinned(peer, pp_tls_in_force(t));
}

/* A key that is not among those pinned, a certificate that has ended since the session began. */
static const char *look_at_peer(pp_tls_layer *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);

    if (peer && SSL_session_reused(t->ssl) && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
        return "certificate has expired";
    return pp_tls_is_pinned(t, peer) ? NULL : pp_tls_not_pinned;
}

bool pp_tls_layer_review(pp_layer *layer, pp_tls_context *context)
{
    pp_tls_layer *t = pp_tls_of(layer);

    if (t->open && !is_pinned(t->peer, context)) {
        t->failure = pp_tls_not_pinned;
        return false;
    }
    pp_tls_context_unref(t->newer);
    t->newer = t->open ? NULL : pp_tls_context_ref(context);
    return true;
}

void pp_tls_carry(pp_tls_layer *t)
{
    pp_tls_leave_underway(t);
    pp_tls_context_unref(t->newer);
    t->newer = NULL;
    t->open = true;
    /* A ticket, if there is one, goes by itself, although it could wait for what is said next: it
     * is what acknowledges the client's last words at once. Without it a client whose socket
     * collects small pieces (Nagle's algorithm) keeps its CONNECT for 40 ms. */
    pp_layer_set_ready(&t->layer);
}

/* --- steps -------------------------------------------------------------------------------- */

static pp_str said_since(const pp_tls_layer *t, size_t held)
{
    const pp_buf *all = &t->layer.held;

    return all->len > held ? (pp_str){all->ptr + held, all->len - held} : PP_STR("");
}

pipit_err pp_tls_shake_hands(pp_tls_layer *t)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
    int64_t began_ns = pp_clock_mono_ns();
    size_t held = t->layer.held.len;
    const char *wrong = NULL;
    int done, why;

    ERR_clear_error();
    done = SSL_do_handshake(t->ssl);
    why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, done);
    if (done == 1)
        wrong = look_at_peer(t);
    if (done == 1 && !wrong)
        pp_tls_settle(t, said_since(t, held));
    place->spent_ns += pp_clock_mono_ns() - began_ns;
    if (why == SSL_ERROR_WANT_READ)
        return PIPIT_EAGAIN;
    if (done != 1 || wrong) {
        pp_tls_leave_underway(t);
        (void)(wrong ? pp_tls_fail(t, wrong) : pp_tls_fail_by_openssl(t));
        return PIPIT_EPROTO;
    }
    t->shaken = true;
    if (pp_tls_context_inquires(pp_tls_in_force(t)))
        return PIPIT_EAGAIN;
    pp_tls_carry(t);
    return PIPIT_OK;
}
