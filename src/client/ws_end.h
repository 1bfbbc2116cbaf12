/* client/ws_end.h -- the client's end of a WebSocket connection: it asks for it, then masks what it
 * sends and takes apart what it hears. */
#ifndef PP_CLIENT_WS_END_H
#define PP_CLIENT_WS_END_H

#include "client/wire.h"

typedef struct pp_ws_end pp_ws_end;

pipit_err pp_ws_end_new(pp_ws_end **out_end, const pp_remote *remote);
void pp_ws_end_free(pp_ws_end *end);

/* Ask, and read the answer. Errors: PIPIT_EAGAIN; PIPIT_EPROTO, PIPIT_EDENIED refused; those of the
 * wire. */
pipit_err pp_ws_end_shake(pp_ws_end *end, pp_wire *wire);

/* As pp_wire_receive and pp_wire_send: the bytes are those that frames hold. */
pipit_err pp_ws_end_receive(pp_ws_end *end, pp_wire *wire, char *to, size_t len, size_t *out_got);
pipit_err pp_ws_end_send(pp_ws_end *end, pp_wire *wire, const char *bytes, size_t len,
                         size_t *out_sent);

#endif
