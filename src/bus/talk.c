/* What is said goes out at once and is waited for; what is heard meanwhile is taken out of its
 * frame and kept, in order, until it is processed. */
#include "bus/bus.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "t2/gzip.h"

#include <stdio.h>
#include <string.h>

enum {
    PLAIN_MAX = 64 * 1024 * 1024, /* bytes of a payload, decompressed */
    KEPT_MAX = 256 * 1024 * 1024, /* bytes of all that waits to be processed */
};

static const int64_t call_ns = PP_T2_CLIENT_TIMEOUT_S * PP_NS_PER_S;
static const int64_t keep_alive_ns = PP_T2_KEEP_ALIVE_INTERVAL_S * PP_NS_PER_S;

int64_t pp_bus_call_due(void)
{
    return pp_clock_mono_ns() + call_ns;
}

/* --- errors ------------------------------------------------------------------------------- */

pipit_err pp_bus_fail(pipit_bus *bus, pipit_err err, const char *text)
{
    (void)snprintf(bus->error, sizeof(bus->error), "%s", text);
    return err;
}

static pipit_err break_off(pipit_bus *bus, pipit_err err)
{
    bus->broken = err;
    return pp_bus_fail(bus, err, "Channel closed by peer");
}

/* What an error in an Ack means here. */
static pipit_err meaning(pp_t2_error_code code)
{
    switch (code) {
    case PP_T2_NO_ERROR:
        return PIPIT_OK;
    case PP_T2_INVALID_TOPIC_STRING:
    case PP_T2_CLAIM_WILDCARD_NOT_SUPPORTED:
        return PIPIT_EINVAL;
    case PP_T2_TOPIC_ALREADY_CLAIMED:
        return PIPIT_EINUSE;
    case PP_T2_SERVICE_NOT_FOUND:
    case PP_T2_INVALID_REQUEST_ID:
        return PIPIT_ENOTFOUND;
    default:
        return PIPIT_EDENIED;
    }
}

/* --- hearing ------------------------------------------------------------------------------ */

static void note_ack(pipit_bus *bus, const pp_t2_message *m)
{
    pp_t2_error whole = {.code = PP_T2_REQUEST_FAILED};
    char text[PP_BUS_ERROR_MAX];

    if (m->msg_id != bus->awaited || bus->acked)
        return; /* to something that nobody waits for */
    bus->acked = true;
    bus->code = m->error.code;
    bus->recipients = m->recipients;
    if (m->error.code == PP_T2_NO_ERROR)
        return;
    pp_t2_error_text(&m->error, text, sizeof(text)); /* as the original wraps what it is told */
    whole.text = pp_str_of(text);
    pp_t2_error_text(&whole, bus->error, sizeof(bus->error));
}

static pipit_err keep(pipit_bus *bus, const pp_t2_message *m)
{
    pp_bus_heard *heard;
    pipit_err err;

    if (bus->heard_bytes > KEPT_MAX)
        return PIPIT_ETOOBIG;
    err = pp_bus_heard_new(&heard, m, PLAIN_MAX);
    if (err == PIPIT_EPROTO && m->kind == PP_T2_PUB)
        return PIPIT_OK; /* one that cannot be read is no reason to hear nothing more */
    if (err)
        return err;
    bus->heard_bytes += heard->topic_len + heard->payload_len + sizeof(*heard);
    pp_list_append(&bus->heard, &heard->link);
    return PIPIT_OK;
}

void pp_bus_drop(pipit_bus *bus, pp_bus_heard *heard)
{
    pp_list_remove(&heard->link);
    bus->heard_bytes -= heard->topic_len + heard->payload_len + sizeof(*heard);
    pp_free(heard);
}

static pipit_err take_message(pipit_bus *bus, const pp_t2_message *m)
{
    switch (m->kind) {
    case PP_T2_ACK:
        note_ack(bus, m);
        return PIPIT_OK;
    case PP_T2_PUB:
    case PP_T2_REQ:
    case PP_T2_RSP:
        return keep(bus, m);
    default:
        return PIPIT_EPROTO; /* no server says that */
    }
}

/* Everything that has come whole. */
static pipit_err take_frames(pipit_bus *bus)
{
    for (;;) {
        pp_str rest = {bus->in.ptr + bus->in_at, bus->in.len - bus->in_at};
        pp_t2_message m;
        size_t used;
        pipit_err err = pp_t2_read(&bus->reader, rest, PP_T2_FRAME_MAX, &m, &used);

        if (err == PIPIT_EAGAIN)
            break;
        if (!err)
            err = take_message(bus, &m);
        if (err)
            return break_off(bus, err);
        bus->in_at += used;
    }
    memmove(bus->in.ptr, bus->in.ptr + bus->in_at, bus->in.len - bus->in_at);
    bus->in.len -= bus->in_at;
    bus->in_at = 0;
    return PIPIT_OK;
}

pipit_err pp_bus_move(pipit_bus *bus, pp_str *out, int64_t due_ns)
{
    size_t before = bus->in.len;
    pipit_err err = pp_bus_link_move(&bus->link, out, &bus->in, due_ns);

    if (bus->in.len > before) {
        pipit_err wrong = take_frames(bus);

        if (wrong)
            return wrong;
    }
    if (err && err != PIPIT_ETIMEOUT)
        return break_off(bus, err);
    return err;
}

/* --- saying ------------------------------------------------------------------------------- */

/* Send a message, of which the id is set here. */
pipit_err pp_bus_say(pipit_bus *bus, pp_t2_message *m)
{
    int64_t due_ns = pp_bus_call_due();
    char *frame;
    pp_str rest;
    pipit_err err = PIPIT_OK;

    if (bus->broken)
        return pp_bus_fail(bus, bus->broken, "Channel closed by peer");
    m->id = bus->next_id++;
    frame = pp_alloc(pp_t2_frame_max(m));
    if (!frame)
        return pp_bus_fail(bus, PIPIT_ENOMEM, "out of memory");
    rest = (pp_str){frame, pp_t2_write_frame(m, frame)};
    if (rest.len > PP_T2_FRAME_MAX + PP_T2_LENGTH_BYTES)
        err = pp_bus_fail(bus, PIPIT_ETOOBIG, "the message is too long");
    while (!err && rest.len)
        err = pp_bus_move(bus, &rest, due_ns);
    if (err == PIPIT_ETIMEOUT)
        err = break_off(bus, err); /* half of it may have gone */
    pp_free(frame);
    bus->said_ns = pp_clock_mono_ns();
    return err;
}

/* Send a message and wait for its Ack. */
pipit_err pp_bus_call(pipit_bus *bus, pp_t2_message *m)
{
    int64_t due_ns = pp_bus_call_due();
    pp_str nothing = {NULL, 0};
    pipit_err err;

    bus->error[0] = '\0';
    bus->awaited = bus->next_id;
    bus->acked = false;
    err = pp_bus_say(bus, m);
    while (!err && !bus->acked)
        err = pp_bus_move(bus, &nothing, due_ns);
    if (err == PIPIT_ETIMEOUT)
        return pp_bus_fail(bus, err, "Request failed: Timeout while awaiting ACK");
    return err ? err : meaning(bus->code);
}

/* --- payloads ----------------------------------------------------------------------------- */

/* As the original does it: what is long goes compressed. scratch holds it then. */
static pipit_err pack(pp_t2_payload *out, const void *payload, size_t payload_bytes,
                      pp_buf *scratch)
{
    pipit_err err;

    pp_buf_init(scratch, PP_T2_FRAME_MAX);
    *out = (pp_t2_payload){.data = {payload, payload_bytes}};
    if (payload_bytes <= PP_T2_COMPRESSED_BEYOND)
        return PIPIT_OK;
    if (payload_bytes > PLAIN_MAX)
        return PIPIT_ETOOBIG;
    err = pp_t2_deflate(out->data, scratch);
    out->data = pp_buf_str(scratch);
    out->is_compressed = true;
    return err;
}

pipit_err pp_bus_call_with(pipit_bus *bus, pp_t2_message *m, const void *payload,
                           size_t payload_bytes)
{
    pp_buf scratch;
    pipit_err err = pack(&m->payload, payload, payload_bytes, &scratch);

    if (err)
        err = pp_bus_fail(bus, err, "the payload cannot be sent");
    else
        err = pp_bus_call(bus, m);
    pp_buf_fini(&scratch);
    return err;
}

/* --- staying ------------------------------------------------------------------------------ */

int64_t pp_bus_alive_until(const pipit_bus *bus)
{
    return bus->said_ns + keep_alive_ns;
}

pipit_err pp_bus_stay_alive(pipit_bus *bus)
{
    pp_t2_message m = {.kind = PP_T2_KEEP_ALIVE};

    return pp_clock_mono_ns() < pp_bus_alive_until(bus) ? PIPIT_OK : pp_bus_say(bus, &m);
}
