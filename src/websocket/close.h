/* websocket/close.h -- what close frames say: a status and a reason. Pure. */
#ifndef PP_WEBSOCKET_CLOSE_H
#define PP_WEBSOCKET_CLOSE_H

#include "net/conn.h"
#include "websocket/frame.h"

/* Source: RFC 6455, section 7.4.1. */
typedef enum pp_ws_status {
    PP_WS_NO_STATUS = 0, /* an empty close frame */
    PP_WS_NORMAL = 1000,
    PP_WS_GOING_AWAY = 1001,
    PP_WS_PROTOCOL_ERROR = 1002,
    PP_WS_INVALID_DATA = 1007,
    PP_WS_POLICY = 1008,
    PP_WS_TOO_BIG = 1009,
    PP_WS_INTERNAL = 1011,
} pp_ws_status;

/* The status for a connection that ends for that reason. Source: NATS over WebSocket, section 7. */
pp_ws_status pp_ws_status_of(pp_close_reason reason);

/* Write what a close frame holds; text is cut, at a character, if it does not fit. Returns the
 * length. */
size_t pp_ws_close_format(char out[PP_WS_CONTROL_MAX], pp_ws_status status, pp_str text);

/* Write what answers a close frame of the peer's that holds body: the same, or what is wrong with
 * it. Returns the length. */
size_t pp_ws_close_answer(char out[PP_WS_CONTROL_MAX], pp_str body);

#endif
