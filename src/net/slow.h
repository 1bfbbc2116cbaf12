/* net/slow.h -- consumers that do not keep up and are not to be closed for it.
 *
 * A connection with a dropping policy has a backlog (net/backlog.h) in its outbox, made when the
 * socket first leaves something behind. Until then, and for connections that are closed when they
 * lag, nothing here runs: the way of a message does not know about policies. */
#ifndef PP_NET_SLOW_H
#define PP_NET_SLOW_H

#include "net/conn.h"

#include <sys/uio.h>

/* What a loop that is short of memory lets wait for one connection before publishers stop. */
enum { PP_SLOW_PRESSED_BYTES = 16 * 1024 };

/* Cut what outlet has staged, given as pieces without the first `skip` bytes, which were sent, into
 * frames, and keep them or drop them. mine: what waits already came later. The outbox's lock is
 * held. Errors: PIPIT_ELIMIT what must not be dropped is too much; PIPIT_ENOMEM; PIPIT_EPROTO no
 * frames. */
pipit_err pp_slow_keep_locked(pp_outlet *outlet, const struct iovec *iov, size_t count, size_t skip,
                              bool mine);

/* After a send of what pp_backlog_gather gave: so many bytes have gone. The lock is held. */
void pp_slow_sent_locked(pp_conn *conn, pp_loop *loop, size_t bytes);

/* Drop all messages that wait and may be dropped. Thread: the connection's loop. */
void pp_slow_shed(pp_conn *conn);

#endif
