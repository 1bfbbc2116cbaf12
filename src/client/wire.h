/* client/wire.h -- a connection to a server: a socket, maybe encrypted, maybe in WebSocket frames.
 *
 * Nothing here waits but the look-up of a name. What lies between the socket and the bytes of the
 * protocol is set up on the way:
 *
 *   [pp_wire_open] -> [pp_wire_step] until PIPIT_OK: connected, TLS and WebSocket agreed on
 *   [pp_wire_secure], then pp_wire_step again: TLS begins in the middle, as NATS has it */
#ifndef PP_CLIENT_WIRE_H
#define PP_CLIENT_WIRE_H

#include "base/err.h"
#include "client/remote.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addrinfo;
struct pp_cipher;
struct pp_ws_end;

/* How TLS is to be; texts are borrowed, NULL: not given. */
typedef struct pp_tls_rules {
    const char *ca_file, *cert_file, *key_file, *name;
    bool insecure;
    bool first; /* before the server's INFO */
} pp_tls_rules;

enum { PP_WIRE_REASON_MAX = 200 };

typedef struct pp_wire {
    const pp_tls_rules *rules;
    const pp_remote *remote;
    int fd;                                    /* -1: none */
    struct addrinfo *addresses, *next_address; /* that may still be tried */
    bool connected;
    struct pp_cipher *cipher;        /* NULL: in clear */
    bool ciphered;                   /* its handshake is through */
    struct pp_ws_end *framing;       /* NULL: no frames */
    bool framed;                     /* agreed on */
    bool wants_room;                 /* something waits for the socket to take more */
    bool wants_step;                 /* pp_wire_step is not through */
    char reason[PP_WIRE_REASON_MAX]; /* why it failed */
} pp_wire;

void pp_wire_init(pp_wire *wire, const pp_tls_rules *rules);

/* Is a connection to there encrypted from its first byte on? */
bool pp_wire_begins_encrypted(const pp_wire *wire, const pp_remote *remote);

/* Begin to connect. Errors: PIPIT_ENOTFOUND no such host; PIPIT_EIO and others nobody listens;
 * PIPIT_ELIMIT; PIPIT_ENOMEM. Owner: remote is borrowed until close. */
pipit_err pp_wire_open(pp_wire *wire, const pp_remote *remote);

/* Encrypt from here on. Errors: PIPIT_EINVAL files that cannot be used; PIPIT_ENOMEM. */
pipit_err pp_wire_secure(pp_wire *wire);

/* Go on until ready. Errors: PIPIT_EAGAIN when the socket has something, or room if wants_room;
 * PIPIT_EAUTH the server's certificate is not to be trusted; PIPIT_EPROTO; PIPIT_EIO ... */
pipit_err pp_wire_step(pp_wire *wire);

/* Receive or send some. Errors: PIPIT_EAGAIN; PIPIT_ECLOSED the peer has closed; PIPIT_EIO;
 * PIPIT_EPROTO; PIPIT_ENOMEM. */
pipit_err pp_wire_receive(pp_wire *wire, char *to, size_t len, size_t *out_got);
pipit_err pp_wire_send(pp_wire *wire, const char *bytes, size_t len, size_t *out_sent);

/* Back to as it was after init, but for the reason. */
void pp_wire_close(pp_wire *wire);

/* --- parts -------------------------------------------------------------------------------- */

/* The socket and what encrypts it, without frames. */
pipit_err pp_wire_receive_raw(pp_wire *wire, char *to, size_t len, size_t *out_got);
pipit_err pp_wire_send_raw(pp_wire *wire, const char *bytes, size_t len, size_t *out_sent);
/* Remember why, and return err. */
pipit_err pp_wire_fail(pp_wire *wire, pipit_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
