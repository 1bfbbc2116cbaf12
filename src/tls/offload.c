/* What goes by TLS when the kernel seals it.
 *
 * Bytes from above go down as they are. What the connection says itself, a change of keys or an
 * alert, is held as *words* until it can go: plain, each behind two bytes with its kind and its
 * length. Words go before bytes from above, and after a change of keys come the next keys.
 *
 * A connection that ends waits for ROOM before its alert and behind it, unless it ends at once. The
 * kernel takes a record when there is any room, and keeps what does not fit beside the socket's
 * buffer. Shutting the socket would cut that off, in the middle of a record. */
#include "tls/inside.h"

#include "tls/kernel.h"

#include <errno.h>
#include <string.h>

enum {
    ROOM = 0, /* a word that says nothing */
    WORD_HEAD = 2,
    WORD_MAX = WORD_HEAD + 5,
};

/* --- beginning ---------------------------------------------------------------------------- */

uint32_t pp_tls_kernel_begins(const pp_tls_layer *t)
{
    unsigned may = pp_tls_context_kernel_suites(t->context);
    bool asks = !t->layer.below && (may & pp_tls_kernel_bit(pp_tls_records_suite(t->records)));

    return asks ? PIPIT_TLS_KERNEL_AFTER : PP_TLS_KERNEL_NEVER;
}

bool pp_tls_hand_over(pp_tls_layer *t)
{
    t->kernel_in = PP_TLS_KERNEL_NEVER;
    t->by_kernel = pp_tls_kernel_begin(t->layer.conn->source.fd, pp_tls_records_suite(t->records),
                                       &t->records->out);
    return t->by_kernel;
}

/* --- words -------------------------------------------------------------------------------- */

static pipit_err hold(pp_tls_layer *t, uint8_t kind, pp_str bytes)
{
    char word[WORD_MAX] = {(char)kind, (char)bytes.len};

    PP_ASSERT(bytes.len <= WORD_MAX - WORD_HEAD);
    if (bytes.len)
        memcpy(word + WORD_HEAD, bytes.ptr, bytes.len);
    return pp_layer_hold_locked(&t->layer, (pp_str){word, WORD_HEAD + bytes.len});
}

/* One answers all that the peer has asked for until it goes (RFC 8446, 4.6.3). */
pipit_err pp_tls_hold_key_update(pp_tls_layer *t)
{
    pipit_err err = PIPIT_OK;

    t->records->asked = false;
    if (!t->changing)
        err = hold(t, PP_TLS_HANDSHAKE, (pp_str){pp_tls_key_update, sizeof(pp_tls_key_update)});
    t->changing = t->changing || !err;
    return err;
}

pipit_err pp_tls_hold_alert(pp_tls_layer *t, pp_str alert)
{
    const pp_conn *conn = t->layer.conn;
    bool waits = !conn->closing || conn->flush_on_close;
    pipit_err err = waits ? hold(t, ROOM, PP_STR("")) : PIPIT_OK;

    if (!err)
        err = hold(t, PP_TLS_ALERT, alert);
    return err ? err : hold(t, ROOM, PP_STR(""));
}

/* The peer knows that our keys change: change them. The lock is held. */
static bool change_keys(pp_tls_layer *t)
{
    if (pp_tls_records_next_keys(t->records) &&
        pp_tls_kernel_change_keys(t->layer.conn->source.fd, pp_tls_records_suite(t->records),
                                  &t->records->out))
        return true;
    (void)pp_tls_fail(t, "the kernel takes no other keys");
    return false;
}

/* Say one. False: errno tells why not. */
static bool say(pp_tls_layer *t, pp_loop *loop, uint8_t kind, pp_str bytes)
{
    int fd = t->layer.conn->source.fd;
    ssize_t n;

    if (kind == ROOM)
        return pp_tls_kernel_has_room(fd);
    pp_count(&loop->counters->sends, 1);
    n = pp_tls_kernel_say(fd, (pp_tls_kind)kind, bytes);
    if (n >= 0 && (size_t)n < bytes.len)
        errno = EPROTO; /* half a word cannot be gone on with; the kernel does not do that */
    return n == (ssize_t)bytes.len;
}

/* Say those that are held; the lock is held, and given up meanwhile: the owner may add to them.
 * False: errno tells why not. */
static bool say_words_locked(pp_tls_layer *t, pp_loop *loop)
{
    char word[WORD_MAX];

    while (pp_layer_peek_held_locked(&t->layer, word, sizeof(word))) {
        uint8_t kind = (uint8_t)word[0];
        pp_str bytes = {word + WORD_HEAD, (size_t)word[1]};
        bool said;
        int error;

        t->changing =
            t->changing && kind != PP_TLS_HANDSHAKE; /* what is asked now is answered anew */
        (void)pthread_mutex_unlock(&t->layer.lock);
        said = say(t, loop, kind, bytes);
        error = errno;
        (void)pthread_mutex_lock(&t->layer.lock);
        errno = error;
        if (!said) {
            t->changing = t->changing || kind == PP_TLS_HANDSHAKE;
            return false;
        }
        pp_layer_drop_held_locked(&t->layer, WORD_HEAD + bytes.len);
        if (kind == PP_TLS_HANDSHAKE && !change_keys(t))
            return false;
    }
    return true;
}

/* --- sending ------------------------------------------------------------------------------ */

/* Is the way free for count pieces from above? False: errno tells why not. */
static bool begin_send(pp_tls_layer *t, pp_loop *loop, size_t count)
{
    bool may = true;

    (void)pthread_mutex_lock(&t->layer.lock);
    if (count && !t->broken && atomic_load(&t->layer.held_bytes) == 0 &&
        t->records->out.count >= pp_tls_records_of_key)
        may = pp_tls_hold_key_update(t) == PIPIT_OK;
    if (!may)
        errno = ENOMEM;
    else
        may = say_words_locked(t, loop);
    if (may && count && t->broken) {
        may = false;
        errno = EPIPE;
    }
    (void)pthread_mutex_unlock(&t->layer.lock);
    return may;
}

/* The records are counted by who sends, one at a time; not fewer than the kernel makes of it. */
ssize_t pp_tls_send_by_kernel(pp_tls_layer *t, pp_loop *loop, const struct iovec *iov, size_t count)
{
    ssize_t n;

    if (!begin_send(t, loop, count))
        return -1;
    if (count == 0)
        return 0;
    n = pp_layer_send_below(&t->layer, loop, iov, count);
    if (n > 0)
        t->records->out.count += (uint64_t)n / PP_TLS_RECORD_MAX + 1;
    return n;
}
