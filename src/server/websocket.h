/* server/websocket.h -- the listener for NATS over WebSocket: a door of NATS sessions whose
 * connections have a layer from the beginning. */
#ifndef PP_SERVER_WEBSOCKET_H
#define PP_SERVER_WEBSOCKET_H

#include "config/diagnostics.h"
#include "config/options.h"
#include "net/listener.h"
#include "proto/nats/door.h"
#include "tls/context.h"
#include "websocket/layer.h"

#include <pthread.h>

struct pipit_server;

typedef struct pp_websocket {
    pp_door door;
    pp_nats_front front; /* the door's context */
    pp_ws_host host;
    pp_listener listener;
    uint16_t port;            /* that is listened on; 0: none */
    char *bound_host;         /* as was asked for at the start */
    pp_ws_settings *settings; /* with all that they point to */
    pthread_mutex_t tls_lock;
    pp_tls_context *tls; /* under tls_lock; NULL: it is not spoken */
} pp_websocket;

/* What shows only when everything is known, TLS too. Errors: PIPIT_ENOMEM. */
pipit_err pp_websocket_check(const pp_options *options, pp_diagnostics *diagnostics);

/* Take from the options what does not change while the server lives. Errors: PIPIT_ENOMEM;
 * PIPIT_EINVAL. */
pipit_err pp_websocket_init(struct pipit_server *server);
/* When its connections are gone. May be called without init. */
void pp_websocket_fini(struct pipit_server *server);

/* Bind, if a port is asked for; says so in the log. */
pipit_err pp_websocket_listen(struct pipit_server *server);
/* Begin to accept. The loops run. */
pipit_err pp_websocket_start(struct pipit_server *server);

/* Make what options say of TLS; NULL if they ask for none, or nobody listens. Errors: as
 * pp_server_tls_new. */
pipit_err pp_websocket_tls_new(pp_tls_context **out, const struct pipit_server *server,
                               const pp_options *options, pp_buf *error);
/* Speak it with those who connect from now on; context is the server's. */
void pp_websocket_install_tls(struct pipit_server *server, pp_tls_context *context);

/* What options say of limits, for connections that are there and those to come. */
void pp_websocket_install_limits(struct pipit_server *server, const pp_options *options);

/* What sessions are told. */
pp_nats_websocket_settings pp_websocket_session_settings(const struct pipit_server *server,
                                                         const pp_options *options);

#endif
