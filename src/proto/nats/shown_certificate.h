/* proto/nats/shown_certificate.h -- the certificate of a connection's peer, as logins look at it.
 */
#ifndef PP_PROTO_NATS_SHOWN_CERTIFICATE_H
#define PP_PROTO_NATS_SHOWN_CERTIFICATE_H

#include "auth/certificate.h"
#include "net/conn.h"

typedef struct pp_nats_shown_certificate pp_nats_shown_certificate;

/* *out NULL: the peer has shown none. Owner: the caller's, for _free. Errors: PIPIT_ENOMEM; others:
 * it cannot be read. Thread: the connection's loop. */
pipit_err pp_nats_shown_certificate_new(pp_nats_shown_certificate **out, const pp_conn *conn);
void pp_nats_shown_certificate_free(pp_nats_shown_certificate *shown);

/* Borrowed; NULL for NULL. */
const pp_certificate *pp_nats_shown_certificate_of(const pp_nats_shown_certificate *shown);

#endif
