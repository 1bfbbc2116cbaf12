/* client/cipher.h -- TLS on a wire, this side being the client. */
#ifndef PP_CLIENT_CIPHER_H
#define PP_CLIENT_CIPHER_H

#include "client/wire.h"

typedef struct pp_cipher pp_cipher;

/* On the wire's socket, by its rules. Errors: PIPIT_EINVAL files that cannot be used; PIPIT_ENOMEM.
 */
pipit_err pp_cipher_new(pp_cipher **out_cipher, pp_wire *wire);
void pp_cipher_free(pp_cipher *cipher);

/* Go on with the handshake. Errors: PIPIT_EAGAIN; PIPIT_EAUTH; PIPIT_EIO; PIPIT_ECLOSED. */
pipit_err pp_cipher_shake(pp_cipher *cipher, pp_wire *wire);

/* As pp_wire_receive and pp_wire_send. */
pipit_err pp_cipher_receive(pp_cipher *cipher, pp_wire *wire, char *to, size_t len,
                            size_t *out_got);
pipit_err pp_cipher_send(pp_cipher *cipher, pp_wire *wire, const char *bytes, size_t len,
                         size_t *out_sent);

#endif
