/* proto/fanout/subject.h -- the subject that a channel is: "fanout." and the channel's name as one
 * token; core/token.h says how. */
#ifndef PP_PROTO_FANOUT_SUBJECT_H
#define PP_PROTO_FANOUT_SUBJECT_H

#include "base/str.h"

#include <stddef.h>

#define PP_FANOUT_SUBJECT_PREFIX "fanout."

/* The most that the subject of a name of that many bytes can take. */
#define PP_FANOUT_SUBJECT_BYTES(name_bytes) (sizeof(PP_FANOUT_SUBJECT_PREFIX) + 3 * (name_bytes))

/* Write the subject of a channel, whose name is not empty, to out, which has room for it. Returns
 * its length; nothing closes it. */
size_t pp_fanout_subject(pp_str channel, char *out);

#endif
