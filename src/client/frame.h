/* client/frame.h -- what a client sends, appended to a buffer. Pure.
 *
 * Each adds a whole frame or nothing. Source: NATS client protocol, section 2. */
#ifndef PP_CLIENT_FRAME_H
#define PP_CLIENT_FRAME_H

#include "base/buf.h"
#include "pipit/message.h"

#include <stdbool.h>
#include <stdint.h>

/* Errors of all: PIPIT_ETOOBIG over the buffer's maximum; PIPIT_ENOMEM. */
pipit_err pp_frame_pub(pp_buf *out, const pipit_msg *msg);
pipit_err pp_frame_sub(pp_buf *out, pp_str subject, pp_str queue, uint64_t sid);
/* max 0: at once. */
pipit_err pp_frame_unsub(pp_buf *out, uint64_t sid, uint64_t max);

/**
 * Keep of frames what makes sense on another connection: messages of which nothing has been sent.
 *
 * sent bytes of frames are out; the frame that they end in is gone with them. Frames that are not
 * messages are dropped. Returns how many bytes of messages were begun or given up.
 */
size_t pp_frame_salvage(pp_buf *frames, size_t sent);

#endif
