/* bus/bus.h -- a client of the T2 Bus: what it is made of (pipit/bus.h). */
#ifndef PP_BUS_BUS_H
#define PP_BUS_BUS_H

#include "base/list.h"
#include "bus/heard.h"
#include "bus/link.h"
#include "t2/reader.h"
#include "t2/topic.h"
#include "t2/writer.h"

enum { PP_BUS_ERROR_MAX = 512 };

struct pipit_bus_subscription {
    pp_link link; /* in the bus's subscriptions */
    pipit_bus *bus;
    bool serves;
    bool ended; /* its callback is not called any more; freed when none runs */
    pipit_bus_msg_fn callback;
    void *context;
    pp_t2_topic topic; /* of text */
    char text[];
};

struct pipit_bus {
    pp_bus_link link;
    pipit_err broken; /* nothing can be said or heard any more; PIPIT_OK: it can */
    pp_buf in;
    size_t in_at;
    pp_t2_reader reader;
    pp_link heard; /* pp_bus_heard, oldest first */
    size_t heard_bytes;
    pp_link subscriptions;
    unsigned depth; /* of callbacks */
    uint32_t next_id;
    int64_t said_ns;
    /* What is being waited for. */
    uint32_t awaited; /* the Ack to this message */
    bool acked;
    pp_t2_error_code code; /* in it */
    uint64_t recipients;
    char error[PP_BUS_ERROR_MAX];
};

/* --- talk.c: what is said and heard ------------------------------------------------------- */

/* Remember why, and return err. */
pipit_err pp_bus_fail(pipit_bus *bus, pipit_err err, const char *text);

/* Let go of what has been heard. */
void pp_bus_drop(pipit_bus *bus, pp_bus_heard *heard);

/* Send some of out and hear what comes, as pp_bus_link_move. Errors: also PIPIT_EPROTO and
 * PIPIT_ETOOBIG; all but PIPIT_ETIMEOUT are the end of the bus. */
pipit_err pp_bus_move(pipit_bus *bus, pp_str *out, int64_t due_ns);

/* Send a message, of which the id is set here. Errors: those above; PIPIT_ENOMEM. */
pipit_err pp_bus_say(pipit_bus *bus, pp_t2_message *m);

/* Say that the client is still there if it has been silent for long. */
pipit_err pp_bus_stay_alive(pipit_bus *bus);
/* When that is due. */
int64_t pp_bus_alive_until(const pipit_bus *bus);

/* Send a message and wait for its Ack; what that says is an error as in pipit/bus.h. */
pipit_err pp_bus_call(pipit_bus *bus, pp_t2_message *m);
/* The same with a payload, which is compressed if it is long. */
pipit_err pp_bus_call_with(pipit_bus *bus, pp_t2_message *m, const void *payload,
                           size_t payload_bytes);

/* When a call that begins now is late. */
int64_t pp_bus_call_due(void);

/* --- subscription.c ----------------------------------------------------------------------- */

/* Call back who has asked for what has been heard. */
void pp_bus_dispatch(pipit_bus *bus, const pp_bus_heard *heard);
void pp_bus_free_subscriptions(pipit_bus *bus);

#endif
