/* What comes by TLS, decrypted from the loop's buffer into whoever's. */
#include "tls/inside.h"

#include <errno.h>
#include <string.h>

enum { PIECES_MAX = 4 }; /* taken in one call */

/* Decrypt what is in `in` to where there is room; the lock is held. */
static size_t decrypt(pp_tls_layer *t, char *to, size_t len)
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
        (void)pp_tls_fail_by_openssl(t);
    return total;
}

/* Keep what there was no room for; the lock is held. rest may lie in what was kept. */
static void keep_locked(pp_tls_layer *t, pp_str rest)
{
    pp_body *kept = NULL;

    if (rest.len && !t->broken && !t->ended) {
        kept = pp_body_new(rest.len);
        if (kept)
            memcpy(kept->bytes, rest.ptr, rest.len);
        else
            (void)pp_tls_fail(t, "out of memory");
    }
    pp_body_unref(t->kept);
    t->kept = kept;
}

/* One piece of what came. Returns bytes for above; the layer may have failed or ended with it. */
static size_t take_in(pp_tls_layer *t, pp_str piece, char *to, size_t len)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&t->layer.lock);
    t->in = piece.ptr;
    t->in_len = piece.len;
    if (t->open || pp_tls_shake_hands(t) == PIPIT_OK)
        n = decrypt(t, to, len);
    keep_locked(t, (pp_str){t->in, t->in_len});
    t->in = NULL;
    t->in_len = 0;
    (void)pthread_mutex_unlock(&t->layer.lock);
    return n;
}

/* What the next piece is: kept, or from below. Returns as receive does; *out_full: below may have
 * more. */
static ssize_t next_piece(pp_tls_layer *t, size_t len, pp_str *out, bool *out_full)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
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

/* Not more pieces than are good for others. Returns bytes for above; *out_n: what the last piece
 * from below was, if that was none. */
static size_t take_pieces(pp_tls_layer *t, char *to, size_t len, bool *out_full, ssize_t *out_n)
{
    pp_loop *loop = t->layer.conn->loop;
    pp_tls_place *place = pp_tls_place_of(t, loop);
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
        if (!t->ssl && !pp_tls_hear_first(t, &piece)) {
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

ssize_t pp_tls_receive(pp_layer *layer, char *to, size_t len)
{
    pp_tls_layer *t = pp_tls_of(layer);
    size_t total;
    ssize_t n = 1;
    bool full = true;

    if (pp_tls_place_open(pp_tls_place_of(t, layer->conn->loop))) {
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
