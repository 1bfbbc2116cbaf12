/* client/feed.h -- what a server sends, operation by operation. Pure: nothing is copied, nothing is
 * allocated.
 *
 * Source: NATS client protocol, section 3. A server's lines are read as leniently as clients' are
 * by servers: verbs in any case, any run of blanks, LF with or without CR. */
#ifndef PP_CLIENT_FEED_H
#define PP_CLIENT_FEED_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_FEED_LINE_MAX = 64 * 1024,            /* of a control line; INFO names many servers */
    PP_FEED_DATA_MAX = 64 * 1024 * 1024 + 2, /* of a message; servers take no more */
};

typedef enum pp_feed_verb {
    PP_FEED_MSG, /* HMSG too */
    PP_FEED_INFO,
    PP_FEED_PING,
    PP_FEED_PONG,
    PP_FEED_OK,
    PP_FEED_ERR,
} pp_feed_verb;

/* Slices point into the window. */
typedef struct pp_feed_op {
    pp_feed_verb verb;
    pp_str subject, reply;  /* MSG */
    uint64_t sid;           /* MSG */
    pp_str header, payload; /* MSG */
    pp_str text;            /* INFO: the JSON; -ERR: the sentence, without its quotes */
} pp_feed_op;

typedef struct pp_feed {
    size_t scanned; /* of the window: no LF in there */
} pp_feed;

/**
 * Read one operation from the front of window.
 *
 * The caller keeps unread bytes and calls again with a longer window after PIPIT_EAGAIN; then
 * *out_used is how many bytes in one piece the operation needs, or 0 if that is not known yet.
 *
 * Errors: PIPIT_EAGAIN more input; PIPIT_EPROTO no such operation, or a payload that does not end
 *         where it should; PIPIT_ETOOBIG over the limits above.
 */
pipit_err pp_feed_read(pp_feed *feed, pp_str window, pp_feed_op *out_op, size_t *out_used);

#endif
