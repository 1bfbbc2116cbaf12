/* proto/t2/bridge.h -- topics as subjects, for clients of NATS in the bus's account.
 *
 *   publish on a/b, without wildcards   <->  t2.a.b, data decompressed
 *   request on a/b, exclusive responder <->  t2rr.a.b
 *
 * A message passes once: what has come from one side is not given back to it. What the other side
 * cannot carry is counted and goes no further. */
#ifndef PP_PROTO_T2_BRIDGE_H
#define PP_PROTO_T2_BRIDGE_H

#include "proto/t2/request.h"

/* Subscribe in the bus's account; no loop runs yet. Errors: PIPIT_ENOMEM. */
pipit_err pp_t2_bridge_open(pp_t2_bus *bus);
/* No loop runs any more. */
void pp_t2_bridge_close(pp_t2_bus *bus);

/* A client has published on a topic without wildcards. */
void pp_t2_bridge_publish(pp_t2_lane *lane, pp_str topic, const pp_t2_payload *payload);

/* May one of the clients of NATS take a request for that topic? Thread: lane's. */
bool pp_t2_bridge_serves(pp_t2_lane *lane, pp_str topic);

/* Ask clients of NATS. How many took it. Thread: lane's. */
size_t pp_t2_bridge_ask(pp_t2_lane *lane, pp_str topic, const pp_t2_request *request,
                        const pp_t2_payload *payload);

/* Answer one of them. */
void pp_t2_bridge_answer(pp_t2_lane *lane, pp_str reply, const pp_t2_payload *payload);

/* Claim the subject at which a topic is served, for the bus: the program that the server is part of
 * may have done so. Errors: as pp_claim_take. */
pipit_err pp_t2_bridge_claim(pp_t2_bus *bus, pp_str topic);
void pp_t2_bridge_unclaim(pp_t2_bus *bus, pp_str topic);

/* A message that one side cannot carry. */
static inline void pp_t2_undeliverable(pp_t2_bus *bus)
{
    (void)atomic_fetch_add_explicit(&bus->undeliverable, 1, memory_order_relaxed);
}

#endif
