/* proto/nats/trace_event.h -- the JSON that tells what became of one traced message. Pure, but for
 * the clock.
 *
 *   [open] server, request, "in" --> [mapped] "sm" --> [recipient] "eg" ... --> [close] whole
 *
 * An event is at most PP_TRACE_EVENT_MAX long. Entries and header fields beyond that are left out,
 * and how many is said at its end ("left_out", which the reference does not have: it knows no
 * limit). Source of the form: message tracing, and nats-server 2.15.2 as observed. */
#ifndef PP_PROTO_NATS_TRACE_EVENT_H
#define PP_PROTO_NATS_TRACE_EVENT_H

#include "base/buf.h"
#include "base/json.h"
#include "core/trace.h"

#include <stdint.h>

enum {
    PP_TRACE_EVENT_MAX = 1 << 20,
    PP_TRACE_HEADER_MAX = 1 << 19, /* bytes of the event that header fields may take */
    PP_TRACE_HEADER_FIELDS = 1024, /* and how many are looked at */
};

typedef struct pp_trace_server {
    pp_str name;
    pp_str host;
    pp_str id;
    pp_str version;
    uint64_t seq; /* of this event among those of the server */
} pp_trace_server;

/* How the message came in. */
typedef struct pp_trace_ingress {
    pp_str header;    /* block */
    size_t msg_bytes; /* header block and payload */
    uint64_t cid;
    pp_str name;
    pp_str account;
    pp_str subject;
    pp_str error; /* why it goes no further; empty: it does */
} pp_trace_ingress;

typedef struct pp_trace_event {
    pp_buf text;
    pp_json json;
    uint64_t left_out;
} pp_trace_event;

/* Begin. Whatever goes wrong is said by close; fini frees in any case. */
void pp_trace_event_open(pp_trace_event *event, const pp_trace_server *server,
                         const pp_trace_ingress *ingress);
/* subject is empty: the mapping leads nowhere. */
void pp_trace_event_mapped(pp_trace_event *event, pp_str subject);
/* account: that of sub, if it is not the one the message was published in; or NULL. */
void pp_trace_event_recipient(pp_trace_event *event, const char *account, const pp_sub *sub,
                              pp_str pattern, pp_verdict verdict);
/* It goes to account as a stream; or as a request. */
void pp_trace_event_export(pp_trace_event *event, const char *account, pp_str to);
void pp_trace_event_request(pp_trace_event *event, const char *account, pp_str from, pp_str to);
/* The text is whole now. Errors: PIPIT_ENOMEM. */
pipit_err pp_trace_event_close(pp_trace_event *event);
void pp_trace_event_fini(pp_trace_event *event);

#endif
