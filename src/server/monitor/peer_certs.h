/* server/monitor/peer_certs.h -- the certificates that the peer of a connection has shown, as
 * /connz has them. */
#ifndef PP_SERVER_MONITOR_PEER_CERTS_H
#define PP_SERVER_MONITOR_PEER_CERTS_H

#include "base/buf.h"
#include "net/conn.h"

enum { PP_PEER_CERTS_MAX = 128 * 1024 }; /* bytes of text for one connection */

/* Append them as a JSON array; nothing if it has shown none. What cannot be read stands there
 * empty. Reading one takes some 100 us. Errors: those of pp_buf_add. Thread: the connection's loop.
 */
pipit_err pp_peer_certs_write(pp_buf *out, const pp_conn *conn);

#endif
