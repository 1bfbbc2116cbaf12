/* net/backlog.h -- frames that wait for a connection which may miss some of them.
 *
 * What a slow consumer has not taken is kept as whole frames, so that old ones can be let go and
 * newer ones can take the place of older. A frame is a message or a control line; only messages
 * are ever dropped, and none of which a part has been sent.
 *
 *   [add] --> WAITING --[gather]--> IN FLIGHT --[sent: all of it]--> gone
 *                ^                      | |
 *                +--[sent: none of it]--+ +--[sent: a part]--> BEGUN: the first to go on
 *
 *  WAITING    in the order of sending; a message also in the order of age and, to be conflated,
 *             in the index by its key.
 *  IN FLIGHT  a send that was given these bytes has not come back: not touched, in no other order.
 *
 * Each frame counts against the limit with PP_FRAME_COST for its keeping beside its bytes, so the
 * limit holds for memory. Pure: no socket, no clock, no lock; the caller has the outbox's. */
#ifndef PP_NET_BACKLOG_H
#define PP_NET_BACKLOG_H

#include "base/body.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* What becomes of messages that a consumer does not take in time. */
typedef enum pp_slow_policy {
    PP_SLOW_DISCONNECT, /* its connection is closed */
    PP_SLOW_DROP_NEW,   /* it misses those that come while there is no room */
    PP_SLOW_DROP_OLD,   /* it misses those that have waited longest */
    PP_SLOW_CONFLATE,   /* of each key only the newest waits; without room as DROP_OLD */
} pp_slow_policy;

/* A policy's name as options and monitoring spell it: "drop_new". */
const char *pp_slow_policy_name(pp_slow_policy policy);
bool pp_slow_policy_parse(pp_str name, pp_slow_policy *out_policy);

enum { PP_FRAME_COST = 128 }; /* bytes that keeping a frame takes beside its own */

/* A frame, as a door reads it from its first bytes. */
typedef struct pp_frame_form {
    size_t len; /* of the whole frame */
    pp_str key; /* what conflation tells messages apart by; in the bytes read */
    bool message;
} pp_frame_form;

/* What is still to be sent of a frame: head, then tail. */
typedef struct pp_frame_parts {
    pp_str head, tail;
    pp_body *body; /* tail lies in it; NULL: it is copied, as head always is */
    pp_str key;    /* in head; not looked at once begun */
    bool message;
    bool begun; /* the peer has the beginning: the rest must follow */
} pp_frame_parts;

/* Messages that were let go, by the reason. */
typedef struct pp_backlog_drops {
    uint64_t newest, oldest, conflated;
} pp_backlog_drops;

typedef struct pp_backlog pp_backlog;

pp_backlog *pp_backlog_new(void); /* NULL: no memory */
void pp_backlog_free(pp_backlog *backlog);
/* Free the frames; what was dropped so far is still known. */
void pp_backlog_clear(pp_backlog *backlog);

/* Bytes still to be sent; what they count against the limit; messages dropped ever. */
size_t pp_backlog_bytes(const pp_backlog *backlog);
size_t pp_backlog_cost(const pp_backlog *backlog);
uint64_t pp_backlog_dropped(const pp_backlog *backlog);
/* Drops since this was asked last. */
pp_backlog_drops pp_backlog_take_drops(pp_backlog *backlog);

/* Put a frame behind the others, or not, as the policy has it; without memory for a message it is
 * dropped. Control lines may fill max_bytes, messages message_max (at most max_bytes).
 * Errors, for what must not be dropped: PIPIT_ELIMIT no room; PIPIT_ENOMEM. */
pipit_err pp_backlog_add(pp_backlog *backlog, const pp_frame_parts *parts, pp_slow_policy policy,
                         size_t max_bytes, size_t message_max);

/* The first frames as pieces for a send, cap at most and 2 at least; they are in flight until
 * pp_backlog_sent, which must follow. */
size_t pp_backlog_gather(pp_backlog *backlog, struct iovec *iov, size_t cap, size_t *out_bytes);
/* So many bytes of what was gathered have been sent. */
void pp_backlog_sent(pp_backlog *backlog, size_t bytes, pp_slow_policy policy);

/* Take all frames out, into an empty list; put them behind those that came instead, by the same
 * rules as if they came now. Nothing may be in flight. After an error of put_back, which are those
 * of add, some are gone. */
void pp_backlog_set_aside(pp_backlog *backlog, pp_link *aside);
pipit_err pp_backlog_put_back(pp_backlog *backlog, pp_link *aside, pp_slow_policy policy,
                              size_t max_bytes, size_t message_max);

/* Drop every message that may be dropped. */
void pp_backlog_shed(pp_backlog *backlog);

#endif
