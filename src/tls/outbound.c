/* What goes by TLS, encrypted into the loop's buffer and sent from there. */
#include "tls/inside.h"

#include <errno.h>
#include <string.h>

/* --- words of our own --------------------------------------------------------------------- */

void pp_tls_tell(pp_tls_layer *t, uint8_t level, uint8_t alert)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
    char words[] = {(char)level, (char)alert}, record[sizeof(words) + PP_TLS_SEAL_EXTRA];
    size_t n;

    /* It ends with it or without. */
    if (t->by_kernel) {
        (void)pp_tls_hold_alert(t, (pp_str){words, sizeof(words)});
        return;
    }
    n = pp_tls_records_seal(t->records, &place->sealing, PP_TLS_ALERT,
                            (pp_str){words, sizeof(words)}, record);
    (void)pp_layer_hold_locked(&t->layer, (pp_str){record, n});
}

bool pp_tls_answer(pp_tls_layer *t)
{
    pp_tls_place *place = pp_tls_place_of(t, t->layer.conn->loop);
    char record[PP_TLS_SEAL_EXTRA];
    size_t n;

    if (t->by_kernel)
        return pp_tls_hold_key_update(t) == PIPIT_OK;
    n = pp_tls_records_renew(t->records, &place->sealing, record);
    return n && pp_layer_hold_locked(&t->layer, (pp_str){record, n}) == PIPIT_OK;
}

/* --- what comes from above ---------------------------------------------------------------- */

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

/* Put one record behind those in out. False: it cannot be done. */
static bool add_record(pp_tls_layer *t, pp_tls_place *place, pp_str bytes)
{
    size_t written;

    if (!t->records)
        return SSL_write_ex(t->ssl, bytes.ptr, bytes.len, &written) == 1 && written == bytes.len;
    written =
        pp_tls_records_seal(t->records, &place->sealing, PP_TLS_DATA, bytes, t->out + t->out_len);
    t->out_len += written;
    return written != 0;
}

/* Fill out with records; the lock is held. Returns how many bytes went in; -1: it has failed. */
static ssize_t encrypt(pp_tls_layer *t, pp_tls_place *place, const struct iovec *iov, size_t count)
{
    size_t taken = 0, i = 0, at = 0;

    ERR_clear_error();
    while (t->out_len < PP_TLS_OUT_BYTES) {
        pp_str record = next_record(iov, count, &i, &at, place->joined);

        if (record.len == 0)
            break;
        if (!add_record(t, place, record))
            return pp_tls_fail_by_openssl(t);
        taken += record.len;
    }
    return (ssize_t)taken;
}

ssize_t pp_tls_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count)
{
    pp_tls_layer *t = pp_tls_of(layer);
    pp_tls_place *place = pp_tls_place_of(t, loop);
    ssize_t taken = 0;
    pp_str out;

    if (t->by_kernel)
        return pp_tls_send_by_kernel(t, loop, iov, count);
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
    if (PP_UNLIKELY(t->kernel_in == 0) && count && pp_tls_hand_over(t)) {
        (void)pthread_mutex_unlock(&layer->lock);
        return pp_tls_send_by_kernel(t, loop, iov, count);
    }
    t->out = place->out;
    t->out_len = 0;
    t->out_cap = PP_TLS_OUT_BYTES + PP_TLS_RECORD_MAX + PP_TLS_RECORD_EXTRA;
    if (count)
        taken = encrypt(t, place, iov, count);
    out = (pp_str){place->out, t->out_len};
    t->out = NULL;
    if (taken < 0) {
        (void)pthread_mutex_unlock(&layer->lock);
        return -1;
    }
    if (t->kernel_in != PP_TLS_KERNEL_NEVER)
        t->kernel_in -= (size_t)taken < t->kernel_in ? (uint32_t)taken : t->kernel_in;
    return pp_layer_end_send(layer, loop, out) ? taken : -1;
}
