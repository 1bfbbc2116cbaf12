/* proto/t2/stage.h -- frames on their way out, to clients on any loop, and payloads in the form
 * that either side wants. */
#ifndef PP_PROTO_T2_STAGE_H
#define PP_PROTO_T2_STAGE_H

#include "proto/t2/session.h"

enum {
    PP_T2_SMALL = 2048, /* more is not copied for each recipient */
    PP_T2_PLAIN_END =
        2, /* bytes behind plain data, CR LF, as recipients of other doors want them */
};

/* What most of a frame consists of: the content of a message, or a payload. */
typedef struct pp_t2_bulk {
    pp_str bytes;
    pp_body *body; /* they lie in it; NULL: small, or in the loop's read buffer */
    bool owned;    /* the reference to body is ours */
    char small[PP_T2_SMALL];
} pp_t2_bulk;

/* The content of a message, or its payload; as it was read, if it was read so. in: the body that it
 * was read from. Errors: PIPIT_ETOOBIG the frame would be longer than peers take; PIPIT_ENOMEM. */
pipit_err pp_t2_bulk_content(pp_t2_bulk *bulk, const pp_t2_message *message, pp_body *in);
pipit_err pp_t2_bulk_payload(pp_t2_bulk *bulk, const pp_t2_payload *payload, pp_body *in);

/* The plain data of a payload, with CR LF behind it in a body if it is not small: decoded, and
 * decompressed to plain_max bytes at most. Errors: PIPIT_ETOOBIG; PIPIT_EPROTO it does not
 * decompress; PIPIT_ENOMEM. */
pipit_err pp_t2_bulk_plain(pp_t2_bulk *bulk, const pp_t2_payload *payload, size_t plain_max);

void pp_t2_bulk_fini(pp_t2_bulk *bulk);

/* Stage a frame for s, which is on any loop: head and then bulk. False: it is closing, or no
 * memory. Thread: lane's. */
bool pp_t2_stage(pp_t2_lane *lane, pp_t2_session *s, pp_str head, const pp_t2_bulk *bulk);

/* The same to all in lane->found, as a message that nobody answers; returns how many took it. */
size_t pp_t2_stage_to_found(pp_t2_lane *lane, const pp_t2_bulk *bulk);

#endif
