/* proto/nats/shown_certificate.h -- the certificate of a connection's peer, as logins look at it.
 */
#ifndef PP_PROTO_NATS_SHOWN_CERTIFICATE_H
#define PP_PROTO_NATS_SHOWN_CERTIFICATE_H

#include "auth/certificate.h"
#include "auth/login.h"
#include "net/conn.h"
#include "tls/identity.h"

typedef struct pp_nats_shown_certificate pp_nats_shown_certificate;

/* One of those that the peer has shown, its own is the first; *out NULL: it has not shown so many.
 * Owner: the caller's, for _free. Errors: PIPIT_ENOMEM; others: it cannot be read; *out is
 * NULL then. Thread: the connection's loop. */
pipit_err pp_nats_shown_certificate_new(pp_nats_shown_certificate **out, const pp_conn *conn,
                                        size_t i);
void pp_nats_shown_certificate_free(pp_nats_shown_certificate *shown);

/* Borrowed; NULL for NULL. */
const pp_certificate *pp_nats_shown_certificate_of(const pp_nats_shown_certificate *shown);

/* All that has been read of it; borrowed. */
const pp_tls_identity *pp_nats_shown_certificate_identity(const pp_nats_shown_certificate *shown);

/* --- what TLS has agreed on ---------------------------------------------------------------- */

typedef struct pp_nats_shown_tls pp_nats_shown_tls;

/* *out NULL: the connection does not speak TLS. Owner: the caller's, for _free.
 * Errors: PIPIT_ENOMEM. Thread: the connection's loop. */
pipit_err pp_nats_shown_tls_new(pp_nats_shown_tls **out, const pp_conn *conn);
void pp_nats_shown_tls_free(pp_nats_shown_tls *shown);

/* Borrowed; NULL for NULL. */
const pp_login_tls *pp_nats_shown_tls_of(const pp_nats_shown_tls *shown);

#endif
