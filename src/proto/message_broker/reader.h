/* proto/message_broker/reader.h -- from bytes to what a client wants.
 *
 * Pure: no I/O, no clock. What a frame is depends on what the connection has been until now: the
 * first action makes it a publisher or a subscriber, for good. Frames of more than one part are
 * read part by part, so that nothing that was promised needs to be waited for in one piece.
 * Source: message-broker, sections 2 to 6, 8 and 9; where 9 differs from the original, it wins. */
#ifndef PP_PROTO_MESSAGE_BROKER_READER_H
#define PP_PROTO_MESSAGE_BROKER_READER_H

#include "base/buf.h"
#include "proto/message_broker/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PP_MB_LIST_BYTES_MAX = 64 * 1024 }; /* of the JSON text of a request */

typedef enum pp_mb_action {
    PP_MB_SUBSCRIBE = 1,
    PP_MB_UNSUBSCRIBE = 2,
    PP_MB_PUBLISH = 3,
    PP_MB_ACK = 4,
    PP_MB_NACK = 5,
} pp_mb_action;

typedef enum pp_mb_start { PP_MB_BEGINNING = 0, PP_MB_CURRENT = 1, PP_MB_FROM = 2 } pp_mb_start;

typedef enum pp_mb_kind {
    PP_MB_OP_SUBSCRIBE,   /* reader's list, start, offset */
    PP_MB_OP_UNSUBSCRIBE, /* reader's list */
    PP_MB_OP_PUBLISH,     /* topic, data */
    PP_MB_OP_ANSWER,      /* of a subscriber: action, which is neither of the first two */
    PP_MB_OP_BAD,         /* error is what to say; over: and that is all */
} pp_mb_kind;

typedef struct pp_mb_op {
    pp_mb_kind kind;
    uint16_t action;
    pp_mb_start start;
    uint16_t offset;
    pp_str topic;
    pp_str data; /* not empty */
    const char *error;
    bool over; /* the stream cannot be understood any more, or it is no stream of ours */
} pp_mb_op;

typedef enum pp_mb_part {
    PP_MB_PART_FIRST,      /* what it will be */
    PP_MB_PART_ACTION,     /* of a subscriber */
    PP_MB_PART_LIST,       /* behind its action */
    PP_MB_PART_START,      /* of a subscription */
    PP_MB_PART_OFFSET,     /* the same */
    PP_MB_PART_SKIP_START, /* the same of one that was bad */
    PP_MB_PART_TOPIC,      /* of a publisher */
    PP_MB_PART_DATA,
    PP_MB_PART_SKIP_DATA, /* of a topic that was bad */
    PP_MB_PART_OVER,
} pp_mb_part;

/* Zeroed but for the limit: nothing is kept. */
typedef struct pp_mb_reader {
    size_t data_max;
    pp_mb_part part;
    uint16_t action;
    pp_mb_list list;
    uint64_t skip; /* bytes that come and mean nothing */
    pp_buf topic;  /* of a publish whose data has not come */
    bool in_frame; /* a frame has begun and has not ended */
} pp_mb_reader;

/**
 * Read from the front of window.
 *
 * *out_used says how much of it was taken, also on PIPIT_EAGAIN; *out_want then how many bytes in
 * one piece are needed from there. Slices point into window, or into the reader until the next
 * call.
 *
 * Errors: PIPIT_EAGAIN; PIPIT_ENOMEM.
 */
pipit_err pp_mb_read(pp_mb_reader *reader, pp_str window, pp_mb_op *out_op, size_t *out_used,
                     size_t *out_want);

void pp_mb_reader_fini(pp_mb_reader *reader);

#endif
