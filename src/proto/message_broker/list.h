/* proto/message_broker/list.h -- the topics of a request: a list of strings in JSON, as the
 * original's clients write it and its server reads it.
 *
 * Pure. Source: message-broker, sections 2.1 and 2.4: what Go's encoding/json makes of a list of
 * strings. */
#ifndef PP_PROTO_MESSAGE_BROKER_LIST_H
#define PP_PROTO_MESSAGE_BROKER_LIST_H

#include "base/buf.h"

#include <stdint.h>

/* Names, each behind its length. Zeroed: empty. */
typedef struct pp_mb_list {
    pp_buf packed;
    uint32_t count;
} pp_mb_list;

/* Read json instead of what list holds. Errors: PIPIT_EPROTO it is no list of strings;
 * PIPIT_ENOMEM. The list is empty then. */
pipit_err pp_mb_list_read(pp_mb_list *list, pp_str json);

/* The name at *at, 0 to begin with, which moves on. False: that was the last one. */
bool pp_mb_list_next(const pp_mb_list *list, size_t *at, pp_str *out_name);

/* Give its memory back. */
void pp_mb_list_fini(pp_mb_list *list);

#endif
