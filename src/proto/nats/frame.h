/* proto/nats/frame.h -- what stands in a client's way out: where each frame ends, and which are
 * messages. For recipients that may miss messages (net/backlog.h). */
#ifndef PP_PROTO_NATS_FRAME_H
#define PP_PROTO_NATS_FRAME_H

#include "net/backlog.h"

/* Read the frame that bytes begin with, whose line is complete in them: MSG and HMSG, told apart
 * by subject and sid; anything else is a control line. False: no line. Pure. */
bool pp_nats_frame(pp_str bytes, pp_frame_form *out_form);

#endif
