/* websocket/session.h -- the state of one WebSocket connection, and what its parts call of each
 * other: handshake.c, inbound.c, outbound.c, layer.c. */
#ifndef PP_WEBSOCKET_SESSION_H
#define PP_WEBSOCKET_SESSION_H

#include "base/body.h"
#include "http/reader.h"
#include "websocket/layer.h"

typedef struct pp_ws_layer {
    pp_layer layer;
    pp_ws_host *host;
    pp_http_reader *request; /* while it is read */
    pp_ws_reader reader;
    bool open;
    bool refused; /* the answer has been given, and is the last word */
    bool browser, safari, deflates;
    bool ended;       /* the peer has said goodbye, or cannot be understood any more */
    uint8_t why;      /* pp_close_reason of that; 0: the peer said so */
    atomic_bool left; /* our goodbye was said: nothing follows it */
    /* Compressed input. */
    pp_ws_inflater *inflater; /* of the message that is being read; NULL: none is */
    size_t packed_bytes;      /* of it, as they came */
    bool piece_last;          /* the piece being inflated ends it */
    bool piece_open;          /* more may come out of what was put in */
    size_t piece_left;        /* bytes of rest that belong to that piece, not masked any more */
    pp_body *rest;            /* input that there was no room to decode yet; or NULL */
    size_t rest_at;
    /* What our close frame is to say, if it is decided by what the peer did. */
    char *answer;
    uint8_t answer_len;
    char *credentials; /* one after another */
    uint16_t credential_lens[PP_WS_CREDENTIAL_COUNT];
    char *real_ip;
} pp_ws_layer;

static inline pp_ws_layer *pp_ws_layer_of(pp_layer *layer)
{
    return PP_CONTAINER(layer, pp_ws_layer, layer);
}

static inline const pp_ws_settings *pp_ws_settings_of(const pp_ws_layer *ws)
{
    return ws->host->settings;
}

/* handshake.c: read the request into `to`, which is scratch. -1: nothing for the door yet, or it is
 * refused. */
ssize_t pp_ws_shake_hands(pp_ws_layer *ws, char *to, size_t len);

/* inbound.c */
ssize_t pp_ws_receive(pp_ws_layer *ws, char *to, size_t len);

/* outbound.c */
ssize_t pp_ws_send(pp_layer *layer, pp_loop *loop, const struct iovec *iov, size_t count);
/* Hold a control frame, to go before all that has not been sent. */
pipit_err pp_ws_hold_control(pp_ws_layer *ws, pp_ws_opcode opcode, pp_str bytes);

/* Decide what our close frame says. Without memory there will be none. */
void pp_ws_set_answer(pp_ws_layer *ws, const char *bytes, size_t len);

#endif
