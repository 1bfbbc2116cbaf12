/* proto/nats/writer.h -- messages to MSG and HMSG frames, staged in an outlet.
 *
 * A frame is "[H]MSG subject sid " (the head, kept with the route) and then what the publisher
 * sent behind the subject, which is the same text on the way in and on the way out. So a delivery
 * is two copies, and for large payloads one copy and a reference. */
#ifndef PP_PROTO_NATS_WRITER_H
#define PP_PROTO_NATS_WRITER_H

#include "core/message.h"
#include "core/sub.h"
#include "net/outlet.h"

/* "HMSG subject sid "; without the first letter it is the head of a MSG. */
size_t pp_nats_head(const pp_sub *sub, pp_str subject, char *out);

/* Stage msg behind head. headers: the recipient wants header blocks; else they are cut off.
 * False: no memory. Thread: the outlet's loop. */
bool pp_nats_write_msg(pp_outlet *outlet, pp_str head, const pp_msg *msg, bool headers);

#endif
