/* tls/inside.h -- what the files of a TLS layer share.
 *
 *   layer.c      what OpenSSL reads from and writes to; the beginning, the end
 *   handshake.c  until the layer is open: the first record, turns, the peer's certificate
 *   vetting.c    between that and open: the peer's certificates are asked about
 *   agreed.c     what a handshake has agreed on: the keys of records, what monitoring shows
 *   inbound.c    what comes, decrypted
 *   outbound.c   what goes, encrypted
 *   offload.c    what goes when the kernel encrypts it (tls/kernel.h) */
#ifndef PP_TLS_INSIDE_H
#define PP_TLS_INSIDE_H

#include "base/assert.h"
#include "net/conn.h"
#include "tls/inquirer.h"
#include "tls/layer.h"
#include "tls/openssl.h"
#include "tls/records.h"

/* So much is sealed here before the kernel is asked to: what it keeps for a connection, 3 KiB, is
 * for those that carry much. A build for tests may begin at once (tests/tls/kernel). */
#ifndef PIPIT_TLS_KERNEL_AFTER
#define PIPIT_TLS_KERNEL_AFTER (1024 * 1024)
#endif
#define PP_TLS_KERNEL_NEVER UINT32_MAX

struct pp_tls_secrets;

typedef struct pp_tls_layer {
    pp_layer layer;
    pp_tls_context *context; /* what ssl is made with, which needs it as long as it lives */
    pp_tls_context *newer;   /* whose pins and questions hold at its end; NULL: context's */
    pp_tls_places *places;
    SSL *ssl; /* NULL: the peer has not said anything, or records have taken its place */
    pp_tls_records *records;        /* guarded by the lock; NULL: TLS 1.2, or not open yet */
    struct pp_tls_secrets *secrets; /* of records to come; NULL: not agreed on, or used */
    const char *version, *cipher;   /* once it is open, here to chain */
    bool resumed, verified;
    bool by_kernel;     /* the kernel seals, plain bytes go down; set by who sends, locked */
    bool changing;      /* by_kernel: a change of our keys is held; locked */
    uint32_t kernel_in; /* bytes to be sealed here before the kernel is asked to; by who sends */
    X509 *peer;         /* NULL: it has shown none */
    STACK_OF(X509) * shown, *chain; /* by the peer; by which it was verified. NULL: not known */
    pp_link link;                   /* among the handshakes that are under way */
    bool underway;                  /* is it? */
    bool shaken;             /* the handshake has ended well; the peer may have to be vetted yet */
    pp_tls_inquiry *inquiry; /* about the peer's certificates; NULL: none, or it is over */
    bool answered;           /* the inquiry is done */
    bool open;               /* the handshake has ended well; guarded by the lock */
    bool ended;              /* the peer has said that it ends */
    bool broken;             /* nothing may be said any more; guarded by the lock */
    const char *failure;
    /* While the lock is held: */
    const char *in; /* what may be decrypted */
    size_t in_len;
    char *out; /* where what is encrypted goes; NULL: it is held */
    size_t out_len, out_cap;
    pp_buf first;   /* of the first record, until all of it is there */
    pp_body *kept;  /* received: a part of a record, or there was no room for what is in it */
    pp_body *plain; /* the end of an opened record, for which there was no room */
    size_t plain_at;
} pp_tls_layer;

static inline pp_tls_layer *pp_tls_of(const pp_layer *layer)
{
    return (pp_tls_layer *)layer;
}

static inline pp_tls_place *pp_tls_place_of(const pp_tls_layer *t, const pp_loop *loop)
{
    PP_ASSERT(loop->index < t->places->count);
    return &t->places->at[loop->index];
}

/* Fail, for that reason; the first one counts. Returns -1, as receive and send do. */
ssize_t pp_tls_fail(pp_tls_layer *t, const char *failure);

/* What a reload has left in force since the handshake began. */
static inline pp_tls_context *pp_tls_in_force(const pp_tls_layer *t)
{
    return t->newer ? t->newer : t->context;
}

/* What OpenSSL has to say about it; its queue is empty then. */
ssize_t pp_tls_fail_by_openssl(pp_tls_layer *t);

/* --- handshake.c -------------------------------------------------------------------------- */

/* Wait for a whole record before anything is made for the peer: OpenSSL takes 70 KiB to wait with.
 * True: piece is all that has come. False: more must come, or it has failed. */
bool pp_tls_hear_first(pp_tls_layer *t, pp_str *piece);

/* The lock is held, in is what came. PIPIT_OK: the layer carries. Errors: PIPIT_EAGAIN: more must
 * come, or else it is shaken, and the peer is to be vetted. */
pipit_err pp_tls_shake_hands(pp_tls_layer *t);

/* From now on it is open. The lock is held. */
void pp_tls_carry(pp_tls_layer *t);

/* It is not among the handshakes under way any more, if it was. */
void pp_tls_leave_underway(pp_tls_layer *t);

extern const char pp_tls_not_pinned[];

/* Is the peer's key among those pinned, by what holds now? */
bool pp_tls_is_pinned(const pp_tls_layer *t, X509 *peer);

/* --- vetting.c ---------------------------------------------------------------------------- */

/* It is shaken: ask about the peer, and read nothing until that is answered. What is known already
 * is an answer at once. */
void pp_tls_begin_vetting(pp_tls_layer *t);

/* Is it still being asked? Otherwise what the answer says has been done. */
bool pp_tls_is_vetting(pp_tls_layer *t);

/* Nobody wants to know any more. */
void pp_tls_abandon_vetting(pp_tls_layer *t);

/* --- agreed.c ----------------------------------------------------------------------------- */

/* The handshake has ended well; said: what our last step of it said. Keep what has been agreed on,
 * and if that is enough for records let go of OpenSSL's object. The lock is held. */
void pp_tls_settle(pp_tls_layer *t, pp_str said);
void pp_tls_forget_secrets(pp_tls_layer *t);
void pp_tls_forget_peer(pp_tls_layer *t);

/* --- outbound.c --------------------------------------------------------------------------- */

/* Hold an alert, sealed; the lock is held. Thread: the connection's loop. */
void pp_tls_tell(pp_tls_layer *t, uint8_t level, uint8_t alert);

/* Hold what the peer has asked for: other keys of ours. The lock is held. False: it has failed.
 * Thread: the connection's loop. */
bool pp_tls_answer(pp_tls_layer *t);

/* --- offload.c ---------------------------------------------------------------------------- */

/* How much is sealed here before the kernel is asked. */
uint32_t pp_tls_kernel_begins(const pp_tls_layer *t);

/* All that was sealed here has gone, and the lock is held. False: the kernel does not take over,
 * and is not asked again. Thread: send's. */
bool pp_tls_hand_over(pp_tls_layer *t);

/* As send, when the kernel seals. */
ssize_t pp_tls_send_by_kernel(pp_tls_layer *t, pp_loop *loop, const struct iovec *iov,
                              size_t count);

/* Hold what the kernel is to seal that is no data: a change of our keys; the alert with which the
 * connection ends. The lock is held. Errors: those of pp_layer_hold_locked. */
pipit_err pp_tls_hold_key_update(pp_tls_layer *t);
pipit_err pp_tls_hold_alert(pp_tls_layer *t, pp_str alert);

/* --- inbound.c, outbound.c: as pp_layer_ops has them -------------------------------------- */

ssize_t pp_tls_receive(pp_layer *layer, char *to, size_t len);
ssize_t pp_tls_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count);

#endif
