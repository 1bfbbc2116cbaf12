/* proto/t2/session.h -- a client's connection to the bus.
 *
 * There is no handshake: it may say anything at once. Every message that it sends is answered by
 * one Ack, after whatever else the message brings about for it. */
#ifndef PP_PROTO_T2_SESSION_H
#define PP_PROTO_T2_SESSION_H

#include "proto/t2/bus.h"

typedef struct pp_t2_session {
    pp_conn *conn;
    pp_t2_lane *lane;
    int64_t start_ns, heard_ns; /* monotonic clock; the last message */
    bool entered;               /* the bus knows it */
    bool expects_layer;         /* TLS is being agreed on */
    /* The rest is under the bus's lock. */
    uint32_t number;
    uint64_t match; /* the last that it was found by */
    pp_link subs;   /* pp_t2_sub.of_owner */
    pp_link claims; /* pp_t2_claim.of_owner */
    pp_link asked;  /* pp_t2_request.of_asker */
    pp_link owed;   /* pp_t2_request.of_owner */
    uint32_t sub_count, claim_count, asked_count;
} pp_t2_session;

/* The session of a connection; NULL: of another door. */
static inline pp_t2_session *pp_t2_session_of(pp_conn *conn)
{
    return conn->door->proto == &pp_t2_proto ? (pp_t2_session *)(void *)conn->session : NULL;
}

/* Answer a message of s: with success, or not. */
void pp_t2_ack(pp_t2_session *s, uint32_t msg_id);
void pp_t2_ack_failure(pp_t2_session *s, uint32_t msg_id, pp_t2_error_code code, pp_str text);

#endif
