/* websocket/codec.h -- what the connections of one loop use in turn to compress and to cut: an
 * inflater, a deflater and some room. Made when first needed. Thread: the loop's. */
#ifndef PP_WEBSOCKET_CODEC_H
#define PP_WEBSOCKET_CODEC_H

#include "websocket/deflate.h"

enum {
    /* Bytes of output that one message carries: as much as a length of 16 bits tells. */
    PP_WS_MESSAGE_MAX = 65535,
    /* The same for browsers. Source: NATS over WebSocket, section 5. */
    PP_WS_BROWSER_MAX = 4096,
    /* Bytes of compressed input that are taken at once. */
    PP_WS_INPUT_MAX = 16 * 1024,
    /* A message that does not shrink, cut for a browser, with all its heads. */
    PP_WS_ROOM = PP_WS_MESSAGE_MAX + 1024,
};

typedef struct pp_ws_codec {
    pp_ws_inflater *idle; /* NULL: a connection is in the middle of a message with it */
    pp_ws_deflater *deflater;
    char *room; /* PP_WS_ROOM bytes */
} pp_ws_codec;

void pp_ws_codec_fini(pp_ws_codec *codec);

/* For one message; NULL: no memory. */
pp_ws_inflater *pp_ws_codec_take_inflater(pp_ws_codec *codec);
void pp_ws_codec_give_inflater(pp_ws_codec *codec, pp_ws_inflater *inflater);

/* NULL: no memory. */
pp_ws_deflater *pp_ws_codec_deflater(pp_ws_codec *codec);
char *pp_ws_codec_room(pp_ws_codec *codec);

#endif
