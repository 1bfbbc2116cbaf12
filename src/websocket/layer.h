/* websocket/layer.h -- a connection's layer that speaks WebSocket: net/layer.h says what that is.
 *
 *   [push]            [request complete]                    [close frame, fault, or goodbye]
 *  -------> SHAKING ----------------------> OPEN ---------------------------------> PARTING
 *              |                                                                       |
 *              +--[refused: an answer that says why]-----------------------------------+--> closed
 *
 *  SHAKING  an upgrade request is read, and no more of it kept than is asked about. Nothing is
 * sent. OPEN     frames are read in place where the door wants its bytes. What is sent goes out as
 *           messages around the bytes of the outbox, each flush one of them or a few; what the
 *           socket does not take of a message is held, so that frames stay whole.
 *  PARTING  nothing but a close frame is sent.
 *
 * An idle connection holds no memory but this struct. */
#ifndef PP_WEBSOCKET_LAYER_H
#define PP_WEBSOCKET_LAYER_H

#include "base/log.h"
#include "net/conn.h"
#include "net/layer.h"
#include "websocket/codec.h"
#include "websocket/frame.h"
#include "websocket/upgrade.h"

#include <stdatomic.h>

/* The cookies that may carry credentials. */
typedef enum pp_ws_credential {
    PP_WS_JWT,
    PP_WS_USER,
    PP_WS_PASS,
    PP_WS_TOKEN,
    PP_WS_CREDENTIAL_COUNT,
} pp_ws_credential;

/* What a listener is asked to be; immutable. */
typedef struct pp_ws_settings {
    pp_ws_rules rules;
    pp_str cookies[PP_WS_CREDENTIAL_COUNT]; /* their names; empty: none */
} pp_ws_settings;

/* What those of its connections share that are on one loop. */
typedef struct pp_ws_lane {
    pp_ws_codec codec;
    pp_log_limit refusals; /* of lines about them */
} pp_ws_lane;

/* What all connections of a listener share; outlives them. */
typedef struct pp_ws_host {
    const pp_ws_settings *settings;
    atomic_size_t inflated_max; /* bytes that one compressed message may hold */
    const pp_log *log;
    pp_ws_lane *lanes; /* one for each loop */
} pp_ws_host;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ws_host_init(pp_ws_host *host, const pp_log *log, unsigned loop_count);
/* When all loops have ended. */
void pp_ws_host_fini(pp_ws_host *host, unsigned loop_count);

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ws_layer_new(pp_ws_host *host, pp_layer **out_layer);

/* Is it one of these? */
bool pp_ws_layer_is(const pp_layer *layer);

/* What a cookie of the upgrade request said; empty: nothing. Thread: the connection's loop. */
pp_str pp_ws_layer_credential(const pp_layer *layer, pp_ws_credential which);
/* Wipe them: nobody asks any more. */
void pp_ws_layer_forget_credentials(pp_layer *layer);

/* Whom a proxy named in X-Forwarded-For; empty: nobody. */
pp_str pp_ws_layer_real_ip(const pp_layer *layer);

#endif
