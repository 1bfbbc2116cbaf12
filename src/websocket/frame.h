/* websocket/frame.h -- bytes to frames and back. Pure: no sockets, no memory of its own.
 *
 * A reader is shown bytes as they come, cut anywhere. What frames of data hold is handed on at
 * once, piece by piece, wherever it lies: a frame may be longer than any memory. Control frames
 * are short and are handed on whole.
 * Source: RFC 6455, section 5; RFC 7692, section 6. */
#ifndef PP_WEBSOCKET_FRAME_H
#define PP_WEBSOCKET_FRAME_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_WS_CONTROL_MAX = 125,      /* bytes that a control frame may hold */
    PP_WS_HEAD_MAX = 14,          /* bytes before what a frame holds */
    PP_WS_HEAD_UNMASKED_MAX = 10, /* the same without a key */
    PP_WS_COMPLAINT_MAX = 112,    /* what pp_ws_complaint writes, with its NUL */
};

typedef enum pp_ws_opcode {
    PP_WS_CONTINUATION = 0,
    PP_WS_TEXT = 1,
    PP_WS_BINARY = 2,
    PP_WS_CLOSE = 8,
    PP_WS_PING = 9,
    PP_WS_PONG = 10,
} pp_ws_opcode;

/* What a peer did wrong. */
typedef enum pp_ws_fault {
    PP_WS_FAULT_NONE,
    PP_WS_FAULT_RESERVED,
    PP_WS_FAULT_NO_MASK,
    PP_WS_FAULT_CONTROL_LENGTH,
    PP_WS_FAULT_CONTROL_CUT,
    PP_WS_FAULT_CONTROL_COMPRESSED,
    PP_WS_FAULT_COMPRESSED,
    PP_WS_FAULT_CONTINUATION,
    PP_WS_FAULT_NEW_MESSAGE,
    PP_WS_FAULT_OPCODE,
    PP_WS_FAULT_LENGTH,
} pp_ws_fault;

typedef struct pp_ws_reader {
    uint64_t left; /* of the frame, bytes that have not come */
    uint32_t key;  /* of the byte that comes next; 0: nothing is masked */
    bool unmasked; /* set by the owner: frames come without a key */
    bool inflates; /* the same: messages may be compressed */
    bool in_frame;
    bool in_message; /* one was begun and not ended */
    bool compressed; /* that one is */
    bool final;      /* the frame ends its message */
    uint8_t opcode;  /* of the frame */
    uint8_t fault;   /* pp_ws_fault; nothing can be read any more */
    uint8_t held;    /* bytes in hold: of a head, or of what a control frame holds */
    char hold[PP_WS_CONTROL_MAX];
} pp_ws_reader;

/* A part of what frames hold. */
typedef struct pp_ws_piece {
    uint8_t opcode;  /* PP_WS_CLOSE, PP_WS_PING, PP_WS_PONG; PP_WS_BINARY for data of any kind */
    bool compressed; /* data: of a compressed message */
    bool last;       /* data: the message ends with it */
    uint32_t key;    /* data: what pp_ws_mask takes; 0: it is not masked */
    pp_str bytes;    /* control: all of it, unmasked, until the next call. Data: in the window, and
                      * may be empty if last */
} pp_ws_piece;

/**
 * Take the next piece off the front of window.
 *
 * Errors: PIPIT_EAGAIN all of it is used, and more is needed; PIPIT_EPROTO the peer broke the
 *         protocol: reader->fault, at the first byte that does.
 */
pipit_err pp_ws_read(pp_ws_reader *reader, pp_str window, pp_ws_piece *out_piece, size_t *out_used);

/* Say what the peer did wrong, in nats-server's words. Returns the length. */
size_t pp_ws_complaint(const pp_ws_reader *reader, char out[PP_WS_COMPLAINT_MAX]);

/* Write the head of an unmasked frame; returns its length. */
size_t pp_ws_head_format(char out[PP_WS_HEAD_UNMASKED_MAX], pp_ws_opcode opcode, bool final,
                         bool compressed, uint64_t len);

#endif
