/* t2/writer.h -- messages to frames; pure. What is written has the one form that the original
 * writes: keys in order, numbers in their shortest form, data as an array. */
#ifndef PP_T2_WRITER_H
#define PP_T2_WRITER_H

#include "base/str.h"
#include "t2/message.h"

enum {
    PP_T2_HEAD_MAX = 32,  /* length, id and the key of the content */
    PP_T2_BRIEF_MAX = 128, /* beyond texts and payloads: the rest of any content */
};

/* Write what a frame begins with whose content takes so many bytes. Returns its length. */
size_t pp_t2_write_head(char out[PP_T2_HEAD_MAX], uint32_t id, size_t content_bytes);

/* How much the content of a message takes at most, and write it; returns its length. A slice that
 * it was read from is used again. */
size_t pp_t2_content_max(const pp_t2_message *message);
size_t pp_t2_write_content(const pp_t2_message *message, char *out);

/* The same for a whole frame. */
static inline size_t pp_t2_frame_max(const pp_t2_message *message)
{
    return PP_T2_HEAD_MAX + pp_t2_content_max(message);
}
size_t pp_t2_write_frame(const pp_t2_message *message, char *out);

#endif
