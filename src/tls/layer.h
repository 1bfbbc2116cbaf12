/* tls/layer.h -- TLS as a layer of a connection.
 *
 * It does no I/O of its own: what is received is decrypted from the loop's buffer, what is sent is
 * encrypted into it. One lock guards OpenSSL's object, or the records that take its place when a
 * handshake has ended (tls/records.h): the owner decrypts, any loop encrypts.
 * Nothing is made for a connection before its peer has said something. */
#ifndef PP_TLS_LAYER_H
#define PP_TLS_LAYER_H

#include "net/layer.h"
#include "tls/context.h"
#include "tls/place.h"

/* For a connection whose peer is the client. Errors: PIPIT_ENOMEM. */
pipit_err pp_tls_layer_new(pp_layer **out, pp_tls_context *context, pp_tls_places *places);

/* There are other settings now. The peer's key must be among those that they pin, if they do; where
 * it is not known yet that is found out later. False: it is not, and the connection must end.
 * Thread: the connection's loop. */
bool pp_tls_layer_review(pp_layer *layer, pp_tls_context *context);

/* Is it one of these? */
bool pp_layer_is_tls(const pp_layer *layer);

/* The one among the layers of a connection; NULL: it has none. */
pp_layer *pp_tls_layer_of(const struct pp_conn *conn);

/* --- of a TLS layer; thread: the connection's loop ---------------------------------------- */

/* What has been agreed: "1.3"; the cipher's name in IANA's registry. Empty before the handshake has
 * ended. */
const char *pp_tls_layer_version(const pp_layer *layer);
const char *pp_tls_layer_cipher(const pp_layer *layer);

/* Has an earlier session been resumed? */
bool pp_tls_layer_resumed(const pp_layer *layer);

/* Why the handshake or what followed it has failed; empty: it has not. */
const char *pp_tls_layer_failure(const pp_layer *layer);

/* How many certificates the peer has shown: its own, then those that vouch for it. Who has resumed
 * a session has shown its own. */
size_t pp_tls_layer_peer_count(const pp_layer *layer);

/* One of them in DER, its own is the first; the caller's, for pp_free. NULL: it has not shown so
 * many, or no memory. */
void *pp_tls_layer_peer_der(const pp_layer *layer, size_t i, size_t *out_len);

/* The same of the chain by which the peer has been verified: its own certificate, those that vouch
 * for it, the authority. 0: it has not been. Of who has resumed a session only its own is known. */
size_t pp_tls_layer_chain_count(const pp_layer *layer);
void *pp_tls_layer_chain_der(const pp_layer *layer, size_t i, size_t *out_len);

#endif
