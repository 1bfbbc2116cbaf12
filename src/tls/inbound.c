/* What comes by TLS, decrypted from the loop's buffer into whoever's. */
#include "tls/inside.h"

#include <errno.h>
#include <string.h>

enum { PIECES_MAX = 4 }; /* taken in one call */

/* --- by OpenSSL's object -------------------------------------------------------------------- */

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

/* --- by records ----------------------------------------------------------------------------- */

static void fail_by_records(pp_tls_layer *t)
{
    enum { FATAL = 2 };

    if (t->records->alert)
        pp_tls_tell(t, FATAL, t->records->alert);
    (void)pp_tls_fail(t, t->records->wrong);
}

/* Open one where it lies, and keep the end of it for which there is no room. Returns bytes for
 * above. */
static size_t open_apart(pp_tls_layer *t, pp_tls_place *place, pp_str record, char *to, size_t len)
{
    char *at = (char *)record.ptr + PP_TLS_HEAD_BYTES; /* in a buffer of ours */
    size_t got, rest;

    if (pp_tls_records_open(t->records, &place->opening, record, at, &got))
        return 0;
    rest = got > len ? got - len : 0;
    memcpy(to, at, got - rest);
    if (rest) {
        t->plain = pp_body_new(rest);
        t->plain_at = 0;
        if (t->plain)
            memcpy(t->plain->bytes, at + got - rest, rest);
        else
            (void)pp_tls_fail(t, "out of memory");
    }
    return got - rest;
}

/* Open what is in `in` to where there is room; the lock is held. What is left in `in` is a part of
 * a record, or there was no room for it. */
static size_t open_records(pp_tls_layer *t, char *to, size_t len)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
    size_t total = 0, whole;

    while (total < len && !t->broken && !t->ended && !t->plain &&
           (whole = pp_tls_records_whole((pp_str){t->in, t->in_len}))) {
        pp_str record = {t->in, whole};
        size_t got = 0;

        if (whole - PP_TLS_HEAD_BYTES > len - total)
            got = open_apart(t, place, record, to + total, len - total);
        else
            (void)pp_tls_records_open(t->records, &place->opening, record, to + total, &got);
        t->in += whole;
        t->in_len -= whole;
        total += got;
        t->ended = t->records->ended;
        if (t->records->wrong)
            fail_by_records(t);
        else if (t->records->asked && !pp_tls_answer(t))
            (void)pp_tls_fail(t, "out of memory");
    }
    return total;
}

/* Give out the end of a record that was opened before. */
static size_t take_plain(pp_tls_layer *t, char *to, size_t len)
{
    size_t left = t->plain->len - t->plain_at;
    size_t n = len < left ? len : left;

    memcpy(to, t->plain->bytes + t->plain_at, n);
    t->plain_at += n;
    if (n == left) {
        pp_body_unref(t->plain);
        t->plain = NULL;
    }
    return n;
}

/* What has come behind what was kept, in the loop's buffer, for a layer with records: as
 * next_piece. */
static ssize_t join_piece(pp_tls_layer *t, size_t len, pp_str *out, bool *out_full)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
    pp_str kept = t->kept ? (pp_str){t->kept->bytes, t->kept->len} : PP_STR("");
    size_t asked = len + PP_TLS_RECORD_EXTRA;
    ssize_t n = 0;

    *out_full = true;
    if (!pp_tls_records_whole(kept)) {
        asked = asked < PP_TLS_IN_BYTES - kept.len ? asked : PP_TLS_IN_BYTES - kept.len;
        n = pp_layer_receive_below(&t->layer, place->in + kept.len, asked);
        if (n <= 0)
            return n;
        *out_full = (size_t)n == asked;
    }
    memcpy(place->in, kept.ptr, kept.len);
    *out = (pp_str){place->in, kept.len + (size_t)n};
    pp_body_unref(t->kept);
    t->kept = NULL;
    return (ssize_t)out->len;
}

/* --- piece by piece ----------------------------------------------------------------------- */

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
        n = t->records ? open_records(t, to, len) : decrypt(t, to, len);
    keep_locked(t, (pp_str){t->in, t->in_len});
    t->in = NULL;
    t->in_len = 0;
    (void)pthread_mutex_unlock(&t->layer.lock);
    if (PP_UNLIKELY(t->shaken && !t->open && !t->broken))
        pp_tls_begin_vetting(t);
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
        if (t->plain) {
            total += take_plain(t, to + total, len - total);
            continue;
        }
        if (t->records)
            *out_n = join_piece(t, len - total, &piece, out_full);
        else if (!t->open || t->kept || SSL_pending(t->ssl) == 0)
            *out_n = next_piece(t, len - total, &piece, out_full);
        if (*out_n <= 0)
            break;
        if (!t->open && !t->ssl && !pp_tls_hear_first(t, &piece)) {
            if (t->broken)
                break;
            continue;
        }
        total += take_in(t, piece, to + total, len - total);
        pp_buf_fini(&t->first);
        if (t->broken || t->ended || t->inquiry)
            break;
    }
    return total;
}

/* Is there more for above that has been received? */
static bool has_more(const pp_tls_layer *t)
{
    if (t->records)
        return t->plain ||
               (t->kept && pp_tls_records_whole((pp_str){t->kept->bytes, t->kept->len}));
    return t->kept || SSL_has_pending(t->ssl);
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
    if (PP_UNLIKELY(t->inquiry) && pp_tls_is_vetting(t)) {
        layer->more = true; /* when it is over */
        errno = EAGAIN;
        return -1;
    }
    total = t->broken || t->ended ? 0 : take_pieces(t, to, len, &full, &n);
    if (total) {
        /* How it goes on from here is told when it is asked again. */
        layer->more |= full || t->broken || t->ended || has_more(t);
        return (ssize_t)total;
    }
    if (t->broken || t->ended) {
        errno = EPROTO;
        return t->ended ? 0 : -1;
    }
    if (n <= 0)
        return n;
    layer->more |= full || t->inquiry || (t->open && has_more(t));
    errno = EAGAIN;
    return -1;
}
