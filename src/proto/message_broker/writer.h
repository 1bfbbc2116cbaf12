/* proto/message_broker/writer.h -- what a server says.
 *
 * Pure. Source: message-broker, section 3. */
#ifndef PP_PROTO_MESSAGE_BROKER_WRITER_H
#define PP_PROTO_MESSAGE_BROKER_WRITER_H

#include "base/str.h"

#define PP_MB_SUBSCRIBED "\0\1"
#define PP_MB_UNSUBSCRIBED "\0\2"

enum { PP_MB_ERROR_BYTES = 256 };

/* What stands before a message's data takes so many bytes. */
#define PP_MB_HEAD_BYTES(topic_len) (2 + (topic_len) + 8)

/* Write the status of an error to out, of PP_MB_ERROR_BYTES; returns its length. */
size_t pp_mb_write_error(const char *text, char *out);

/* Write what stands before data of so many bytes; returns its length. */
size_t pp_mb_write_head(pp_str topic, uint64_t data_len, char *out);

#endif
