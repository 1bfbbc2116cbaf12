/* client/driver.h -- what who drives a client does in a turn: for the files that are made of it. */
#ifndef PP_CLIENT_DRIVER_H
#define PP_CLIENT_DRIVER_H

#include "client/client.h"

/* --- connection.c ------------------------------------------------------------------------- */

/* Try the next server. */
void pp_client_open_next(pipit_client *client, int64_t now_ns);
/* The wire is ready for its next step. */
void pp_client_go_on_connecting(pipit_client *client);
/* The server has welcomed the client. Errors: PIPIT_EPROTO; PIPIT_ENOMEM. */
pipit_err pp_client_opened(pipit_client *client);
/* The connection is over, or none has come about: another one later, or the end. */
void pp_client_lose(pipit_client *client, pipit_err err);
/* Have epoll tell of what the wire waits for. */
void pp_client_watch(pipit_client *client);
/* It is over, for good. */
void pp_client_finish(pipit_client *client, pipit_err err);

/* --- exchange.c --------------------------------------------------------------------------- */

/* Send what has been staged, as far as the socket takes it. */
void pp_client_send_out(pipit_client *client);
/* Read, for a bounded while. */
void pp_client_read_in(pipit_client *client);

/* --- arrivals.c ------------------------------------------------------------------------------ */

/* Call back for what has come over memory, for a bounded while. */
void pp_client_take_in(pipit_client *client);
/* Look at the port for a while before sleeping: as long as that has paid lately. Returns whether
 * there is something. */
bool pp_client_spin(pipit_client *client);

#endif
