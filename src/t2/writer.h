/* t2/writer.h -- messages to frames; pure. What is written has the one form that the original
 * writes: keys in order, numbers in their shortest form, data as an array. */
#ifndef PP_T2_WRITER_H
#define PP_T2_WRITER_H

#include "base/str.h"
#include "t2/message.h"

enum {
    PP_T2_HEAD_MAX = 32,   /* length, id and the key of the content */
    PP_T2_BRIEF_MAX = 128, /* beyond texts and payloads: the rest of any content */
};

/* Write what a frame begins with whose content takes so many bytes. Returns its length. */
size_t pp_t2_write_head(char out[PP_T2_HEAD_MAX], uint32_t id, size_t content_bytes);

/* The same up to the payload of a response, which takes so many bytes. */
size_t pp_t2_write_response_head(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t req_id,
                                 bool timed_out, size_t payload_bytes);

/* Write the whole frame of an Ack without an error, with a number of recipients or none. Returns
 * its length. */
size_t pp_t2_write_ack(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t msg_id);
size_t pp_t2_write_counted_ack(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t msg_id,
                               uint64_t recipients);

/* How much a payload takes at most, and write it; returns its length. A slice that it was read from
 * is used again. */
size_t pp_t2_payload_max(const pp_t2_payload *payload);
size_t pp_t2_write_payload(const pp_t2_payload *payload, char *out);

/* The same of the content of a message. */
size_t pp_t2_content_max(const pp_t2_message *message);
size_t pp_t2_write_content(const pp_t2_message *message, char *out);

/* The same of a whole frame. */
static inline size_t pp_t2_frame_max(const pp_t2_message *message)
{
    return PP_T2_HEAD_MAX + pp_t2_content_max(message);
}
size_t pp_t2_write_frame(const pp_t2_message *message, char *out);

#endif
