/* proto/nats/reader.h -- bytes to operations. Pure: nothing is copied, nothing is allocated.
 *
 * Source: NATS client protocol, section 2. Verbs in any case; blanks are spaces and tabs in any
 * number; LF ends a line and a CR before it is dropped; a payload ends with CR LF exactly. */
#ifndef PP_PROTO_NATS_READER_H
#define PP_PROTO_NATS_READER_H

#include "base/err.h"
#include "base/str.h"
#include "core/message.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pp_nats_verb {
    PP_NATS_PUB, /* the two that carry a message come first */
    PP_NATS_HPUB,
    PP_NATS_CONNECT,
    PP_NATS_SUB,
    PP_NATS_UNSUB,
    PP_NATS_PING,
    PP_NATS_PONG,
    PP_NATS_OK,
    PP_NATS_ERR,
    PP_NATS_INFO,
    PP_NATS_NOTHING, /* bytes that were passed over; the operation is not complete */
} pp_nats_verb;

/* Slices point into the window. Fields that the verb has no use for keep what they held. */
typedef struct pp_nats_op {
    pp_nats_verb verb;
    bool repeats; /* PUB: the same control line as the last PUB that was read */
    /* PUB, HPUB: all that the wire tells of it; SUB: the subject. wire is filled in when the line
     * has its usual form: one blank between arguments, CR LF behind. */
    pp_msg msg;
    pp_str queue; /* SUB; empty: none */
    pp_str sid;   /* SUB, UNSUB */
    uint64_t max; /* UNSUB; 0: none */
    pp_str text;  /* CONNECT, INFO, -ERR: the rest of the line */
} pp_nats_op;

/* Publishers repeat themselves: the control line of the last plain PUB, whole, so that the same
 * line again need not be taken apart. Good for one window; kept outside the reader, since idle
 * connections are many. */
enum { PP_NATS_MEMO_MAX = 64 };

typedef struct pp_nats_memo {
    uint32_t len;  /* of the line; 0: none */
    uint32_t size; /* of the payload */
    uint32_t subject_len;
    uint32_t reply_len;
    uint32_t wire_len;
    size_t need; /* bytes that must be there for a look: the message, and the line in steps of 16 */
    _Alignas(16) char line[PP_NATS_MEMO_MAX];
} pp_nats_memo;

typedef struct pp_nats_reader {
    pp_nats_memo *memo;  /* borrowed; NULL: none */
    int64_t payload_max; /* bytes; -1: no limit */
    uint32_t line_max;   /* bytes of arguments in a control line */
    uint32_t scanned;    /* of the unfinished line at the front of the window: no LF in there */
    bool headers;        /* HPUB was negotiated */
    bool passing;        /* over what stands behind passing_verb, up to the LF */
    uint8_t passing_verb;
} pp_nats_reader;

enum { PP_NATS_SIZE_DIGITS_MAX = 9 };

/**
 * Read one operation from the front of window.
 *
 * The caller keeps unread bytes and calls again with a longer window after PIPIT_EAGAIN; then
 * *out_used is how many bytes in one piece the operation needs, or 0 if that is not known yet. It
 * is known once the control line of a PUB or HPUB is there, and so are out_op->msg.subject and
 * header_len, and where data begins and how long it is to be; also on PIPIT_ETOOBIG.
 *
 * Errors: PIPIT_EAGAIN more input; PIPIT_EPROTO no such operation, or a payload that does not end
 *         where it should; PIPIT_EINVAL wrong arguments; PIPIT_ELIMIT line too long;
 *         PIPIT_ETOOBIG payload over payload_max; PIPIT_EDENIED HPUB that was not negotiated.
 * Thread: any; one reader per connection.
 */
pipit_err pp_nats_read_any(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used);

/* The usual form, "PUB subject [reply ]size CR LF", whole in the window, read in a few steps.
 * False: something else, or something to look at more closely. */
bool pp_nats_read_plain(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used);

static inline pipit_err pp_nats_read(pp_nats_reader *r, pp_str window, pp_nats_op *out_op,
                                     size_t *out_used)
{
    if (!r->passing && pp_nats_read_plain(r, window, out_op, out_used)) {
        r->scanned = 0;
        return PIPIT_OK;
    }
    return pp_nats_read_any(r, window, out_op, out_used);
}

/* How often the operation that was read last, a plain PUB, stands at the front of window again:
 * the same control line, with any payload. *out_used: the bytes of them all. Thread: any. */
size_t pp_nats_read_repeats(const pp_nats_reader *r, pp_str window, size_t *out_used);

#endif
