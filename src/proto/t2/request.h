/* proto/t2/request.h -- requests that wait for an answer.
 *
 *                [pp_t2_ask]         [Req is on its way]          [pp_t2_answer, by its owner]
 *   (a client) ---------------> ENTERED ----------------> ANNOUNCED ------------------------> gone
 *                                  |                          |
 *                                  +-- [owner leaves, time over: told "Timeout"] ----> gone
 *
 *  ENTERED    the one who asks has no Ack yet, and must have it before any answer: nobody may
 *             answer, and if the owner leaves it is only noted.
 *  ANNOUNCED  the owner, or somebody among the clients of NATS, may answer, once.
 *
 * One who asks from among the clients of NATS is answered at his reply subject and told nothing
 * else. */
#ifndef PP_PROTO_T2_REQUEST_H
#define PP_PROTO_T2_REQUEST_H

#include "proto/t2/session.h"

typedef struct pp_t2_request {
    pp_table_entry entry; /* in the bus's requests, by id */
    pp_link of_lane;      /* the first that is due first */
    pp_link of_asker, of_owner;
    uint32_t id;          /* of the server's message */
    uint32_t asker_id;    /* of the message of the one who asks */
    pp_t2_session *asker; /* NULL: a client of NATS */
    pp_t2_session *owner; /* NULL: clients of NATS, or it has left */
    pp_t2_lane *lane;     /* of the one who asks */
    int64_t due_ns;
    uint64_t token; /* clients of NATS show it */
    bool announced;
    size_t reply_len;
    char reply[]; /* where a client of NATS is answered */
} pp_t2_request;

/* A client asks. */
void pp_t2_on_request(pp_t2_session *s, const pp_t2_message *m, pp_body *in);

/* A client answers. */
void pp_t2_on_response(pp_t2_session *s, const pp_t2_message *m, pp_body *in);

/* A client of NATS asks, on that lane's loop. False: nobody serves the topic, or no memory. */
bool pp_t2_ask_from_nats(pp_t2_lane *lane, pp_str topic, pp_str reply, pp_str data);

/* One of them answers. False: nobody waits for it. */
bool pp_t2_answer_from_nats(pp_t2_lane *lane, uint32_t id, uint64_t token, pp_str data);

/* s goes: what it has asked is forgotten, and who has asked it is told. Thread: its loop's. */
void pp_t2_requests_leave(pp_t2_session *s);

/* Forget all. No loop runs any more. */
void pp_t2_requests_drop(pp_t2_bus *bus);

#endif
