/* bus/heard.h -- a message of the server's, taken out of its frame: a copy that stays, with the
 * payload plain. */
#ifndef PP_BUS_HEARD_H
#define PP_BUS_HEARD_H

#include "base/list.h"
#include "t2/reader.h"

typedef struct pp_bus_heard {
    pp_link link;
    pp_t2_kind kind; /* PUB, REQ or RSP */
    uint32_t id;     /* of the message; of a response, that of the request */
    bool timed_out;
    size_t topic_len, payload_len;
    char bytes[]; /* topic, NUL, payload */
} pp_bus_heard;

/* Errors: PIPIT_EPROTO the payload does not decompress, or to more than plain_max; PIPIT_ENOMEM. */
pipit_err pp_bus_heard_new(pp_bus_heard **out, const pp_t2_message *message, size_t plain_max);

static inline const char *pp_bus_heard_payload(const pp_bus_heard *heard)
{
    return heard->bytes + heard->topic_len + 1;
}

#endif
