/* proto/fanout/session.h -- one fanout client.
 *
 *   [open]             [greeted]           [any close]
 *  -------> SECURING -----------> SERVED -------------> gone
 *     |        |                                          ^
 *     |        +--[on_timer, failure]---------------------+
 *     +--[one too many]--> LEAVING --[all read, or late]--+
 *
 *  SECURING  with TLS only: its handshake is under way, and nothing can be said.
 *  SERVED    greeted, and subscribed to `all`.
 *  LEAVING   has been told that there is no room; what it says is not listened to. It is left to
 *            close, so that it is not reset before it has read that.
 *
 * A session belongs to its connection's loop. Other loops see of it, while they deliver: client,
 * context->door, and what is marked so. */
#ifndef PP_PROTO_FANOUT_SESSION_H
#define PP_PROTO_FANOUT_SESSION_H

#include "proto/fanout/door.h"
#include "proto/fanout/reader.h"
#include "proto/fanout/subs.h"

typedef enum pp_fanout_phase {
    PP_FANOUT_SECURING,
    PP_FANOUT_SERVED,
    PP_FANOUT_LEAVING
} pp_fanout_phase;

typedef struct pp_fanout_session {
    pp_client client;
    pp_conn *conn;
    pp_fanout_context *context;
    pp_account *account; /* whose clients it is counted among; NULL: none yet */
    pp_fanout_reader reader;
    pp_fanout_subs subs;
    uint8_t phase; /* pp_fanout_phase */
    bool counted;  /* among the door's clients */
    bool securing; /* among those whose handshakes are under way */
    int64_t start_ns, active_ns;
    /* Written by any loop that delivers to it or sends for it. */
    atomic_uint lines;           /* staged for it, and not sent */
    _Atomic int64_t taken_ns;    /* when its socket took something last */
    _Atomic int64_t patience_ns; /* see deliver.c */
} pp_fanout_session;

extern const pp_proto_ops pp_fanout_proto;
extern const struct pp_client_ops pp_fanout_client_ops;

static inline pp_fanout_session *pp_fanout_session_of(const pp_client *client)
{
    return PP_CONTAINER(client, pp_fanout_session, client);
}

/* --- what the session's parts call of each other ------------------------------------------ */

/* Stage whole lines for the client itself. */
void pp_fanout_send(pp_fanout_session *s, pp_str bytes, unsigned lines);

/* subscribe.c */
void pp_fanout_subscribe(pp_fanout_session *s, pp_str channel);
void pp_fanout_unsubscribe(pp_fanout_session *s, pp_str channel);
void pp_fanout_end_subs(pp_fanout_session *s);
/* End what its scope, which has just changed, does not allow. */
void pp_fanout_check_subs(pp_fanout_session *s);

/* announce.c. Returns what it cost, in deliveries. */
uint64_t pp_fanout_announce(pp_fanout_session *s, const pp_fanout_op *op);

/* segments.c: a layer that sends each line by itself. Errors: PIPIT_ENOMEM. */
pipit_err pp_fanout_segments_new(pp_layer **out_layer);

#endif
