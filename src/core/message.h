/* core/message.h -- a message on its way: borrowed slices, valid for the call that routes it.
 *
 * The bytes lie where the publisher's door left them: in a loop's read buffer, or, when they came
 * in several reads and are many, in a body that recipients can share. */
#ifndef PP_CORE_MESSAGE_H
#define PP_CORE_MESSAGE_H

#include "base/str.h"

#include <stdint.h>

struct pp_body;
struct pp_client;
struct pp_passage;
struct pp_witness;

/* Data of so many bytes lies in a body, or where the publisher's loop read it, and CR LF stands
 * behind it there: recipients refer to both. Less is copied. */
enum { PP_MSG_REFER_MIN = 2048 };

typedef struct pp_msg {
    pp_str subject;      /* as routed */
    pp_str reply;        /* empty: none */
    pp_str data;         /* header block, then payload */
    uint32_t header_len; /* bytes of data that are header block; 0: none */
    /* The publisher's door may leave its own form of what follows the subject, so that a
     * recipient at the same kind of door can take it as it is; empty: it must be made. Data
     * follows it at once in memory, and two bytes that end the frame follow the data. */
    pp_str wire;
    struct pp_body *body;   /* data lies in this shared body; NULL: it goes with the call */
    struct pp_client *from; /* the publisher; NULL: the server itself */
    /* How it came from another account; NULL: it was published in this one. */
    const struct pp_passage *passage;
    struct pp_witness *witness; /* who is told what becomes of it; NULL: nobody */
    bool no_echo;               /* not to from's own subscriptions */
} pp_msg;

static inline pp_str pp_msg_header(const pp_msg *msg)
{
    return (pp_str){msg->data.ptr, msg->header_len};
}

static inline pp_str pp_msg_payload(const pp_msg *msg)
{
    return (pp_str){msg->data.ptr + msg->header_len, msg->data.len - msg->header_len};
}

#endif
