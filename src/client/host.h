/* client/host.h -- what a server in this process does for clients over memory.
 *
 * The server's room implements it (server/lodger.c); a client knows no more of a server than this.
 * A client at a server is its *lodger*. */
#ifndef PP_CLIENT_HOST_H
#define PP_CLIENT_HOST_H

#include "base/err.h"
#include "base/str.h"
#include "client/port.h"
#include "pipit/message.h"

#include <stdbool.h>
#include <stdint.h>

struct pipit_server;

typedef struct pp_lodger pp_lodger;
typedef struct pp_host_sub pp_host_sub;

/* A message as callbacks get it, for as long as its parts stay. data: header block, then payload.
 */
static inline pipit_msg pp_host_msg(pp_str subject, pp_str reply, pp_str data, size_t header_len)
{
    return (pipit_msg){
        .subject = subject.ptr,
        .subject_bytes = subject.len,
        .reply = reply.len ? reply.ptr : NULL,
        .reply_bytes = reply.len,
        .header = header_len ? data.ptr : NULL,
        .header_bytes = header_len,
        .payload = data.ptr + header_len,
        .payload_bytes = data.len - header_len,
    };
}

/* What is heard goes to port. on_end is called, from any thread, when the server stops; not after
 * leave has returned. Errors: PIPIT_ECLOSED the server does not run; PIPIT_ENOMEM. Thread: any, as
 * of all of these. */
pipit_err pp_lodger_join(pp_lodger **out_lodger, struct pipit_server *server, pp_port *port,
                         bool no_echo, void (*on_end)(void *context), void *context);
/* Threads that wait for room to publish are told that it is over, with PIPIT_ECLOSED. */
void pp_lodger_end(pp_lodger *lodger);
/* Its subscriptions must have been ended. NULL is fine. */
void pp_lodger_leave(pp_lodger *lodger);

/**
 * Give a message to everybody who is to have it.
 *
 * *out_nobody tells that there is nobody, if that is known. A recipient that has no room is waited
 * for, for wait_ns at most, and then misses the message; with 0 nobody gets it. When a reload has
 * changed the way of messages it is waited for until they have taken what came by the other. Less
 * than 0: as 0, but what follows from a reload is not waited for, and may come out of order.
 *
 * Errors: PIPIT_EINVAL bad subject, reply or header; PIPIT_ETOOBIG; PIPIT_EAGAIN no room, and
 *         nobody got it; PIPIT_ENOMEM; PIPIT_ECLOSED.
 */
pipit_err pp_lodger_publish(pp_lodger *lodger, const pipit_msg *msg, int64_t wait_ns,
                            bool *out_nobody);

/* Give messages one after another, without waiting, as long as they are plain: small, without reply
 * and header. Returns how many there were; for the next one, which may be wrong or find no room,
 * there is pp_lodger_publish. */
size_t pp_lodger_publish_run(pp_lodger *lodger, const pipit_msg *msgs, size_t count);

/* Give a message that is but a header, and small, to those of its own subscriptions that hear it,
 * whether they hear what it publishes or not. It is missed where there is no room or no memory. */
void pp_lodger_answer_itself(pp_lodger *lodger, const pipit_msg *msg);

/* Have messages on subject come to the port with that sid. queue empty: none. Errors: PIPIT_EINVAL;
 * PIPIT_ETOOBIG; PIPIT_ENOMEM; PIPIT_ECLOSED. */
pipit_err pp_lodger_subscribe(pp_lodger *lodger, pp_str subject, pp_str queue, uint64_t sid,
                              pp_host_sub **out_sub);
/* Records of it may still come to the port. NULL is fine. */
void pp_lodger_unsubscribe(pp_lodger *lodger, pp_host_sub *sub);

/* To all that msg->subject, a pattern, meets. Errors: as pipit_server_publish_matching. */
pipit_err pp_lodger_publish_matching(pp_lodger *lodger, const pipit_msg *msg,
                                     uint64_t *out_recipients);

/* Claim a literal subject, until release or leave. Errors: PIPIT_EINUSE; PIPIT_ENOMEM. */
pipit_err pp_lodger_claim(pp_lodger *lodger, pp_str subject);
void pp_lodger_release(pp_lodger *lodger, pp_str subject);

/* Have everything that was published before been routed? */
bool pp_lodger_settled(const pp_lodger *lodger);

/* What it has published. */
void pp_lodger_count(const pp_lodger *lodger, uint64_t *out_msgs, uint64_t *out_bytes);

/* The server's max_payload; negative: no limit. */
int64_t pp_lodger_max_payload(const pp_lodger *lodger);

#endif
