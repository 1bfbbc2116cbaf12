/* What is said goes out at once and is waited for; what is heard meanwhile is taken out of its
 * frame and kept, in order, until it is processed. Callbacks run when nothing else is under way,
 * and may make calls of their own; what they hear in turn is kept behind what is kept already. */
#include "bus/attach.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/heard.h"
#include "bus/link.h"
#include "t2/gzip.h"
#include "t2/topic.h"
#include "t2/writer.h"

#include <stdio.h>
#include <unistd.h>

enum {
    PLAIN_MAX = 64 * 1024 * 1024, /* bytes of a payload, decompressed */
    KEPT_MAX = 256 * 1024 * 1024, /* bytes of all that waits to be processed */
    ERROR_MAX = 512,
};

static const int64_t call_ns = PP_T2_CLIENT_TIMEOUT_S * PP_NS_PER_S;
static const int64_t keep_alive_ns = PP_T2_KEEP_ALIVE_INTERVAL_S * PP_NS_PER_S;

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
    int fd;
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
    char error[ERROR_MAX];
};

/* --- errors ------------------------------------------------------------------------------- */

static pipit_err fail(pipit_bus *bus, pipit_err err, const char *text)
{
    (void)snprintf(bus->error, sizeof(bus->error), "%s", text);
    return err;
}

static pipit_err break_off(pipit_bus *bus, pipit_err err)
{
    bus->broken = err;
    return fail(bus, err, "Channel closed by peer");
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

const char *pipit_bus_error(const pipit_bus *bus)
{
    return bus->error;
}

/* --- hearing ------------------------------------------------------------------------------ */

static void note_ack(pipit_bus *bus, const pp_t2_message *m)
{
    pp_t2_error whole = {.code = PP_T2_REQUEST_FAILED};
    char text[ERROR_MAX];

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

static void drop(pipit_bus *bus, pp_bus_heard *heard)
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

static pipit_err move(pipit_bus *bus, pp_str *out, int64_t due_ns)
{
    size_t before = bus->in.len;
    pipit_err err = pp_bus_link_move(bus->fd, out, &bus->in, due_ns);

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
static pipit_err say(pipit_bus *bus, pp_t2_message *m)
{
    int64_t due_ns = pp_clock_mono_ns() + call_ns;
    char *frame;
    pp_str rest;
    pipit_err err = PIPIT_OK;

    if (bus->broken)
        return fail(bus, bus->broken, "Channel closed by peer");
    m->id = bus->next_id++;
    frame = pp_alloc(pp_t2_frame_max(m));
    if (!frame)
        return fail(bus, PIPIT_ENOMEM, "out of memory");
    rest = (pp_str){frame, pp_t2_write_frame(m, frame)};
    if (rest.len > PP_T2_FRAME_MAX + PP_T2_LENGTH_BYTES)
        err = fail(bus, PIPIT_ETOOBIG, "the message is too long");
    while (!err && rest.len)
        err = move(bus, &rest, due_ns);
    if (err == PIPIT_ETIMEOUT)
        err = break_off(bus, err); /* half of it may have gone */
    pp_free(frame);
    bus->said_ns = pp_clock_mono_ns();
    return err;
}

/* Send a message and wait for its Ack. */
static pipit_err call(pipit_bus *bus, pp_t2_message *m)
{
    int64_t due_ns = pp_clock_mono_ns() + call_ns;
    pp_str nothing = {NULL, 0};
    pipit_err err;

    bus->error[0] = '\0';
    bus->awaited = bus->next_id;
    bus->acked = false;
    err = say(bus, m);
    while (!err && !bus->acked)
        err = move(bus, &nothing, due_ns);
    if (err == PIPIT_ETIMEOUT)
        return fail(bus, err, "Request failed: Timeout while awaiting ACK");
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

static pipit_err call_with(pipit_bus *bus, pp_t2_message *m, const void *payload,
                           size_t payload_bytes)
{
    pp_buf scratch;
    pipit_err err = pack(&m->payload, payload, payload_bytes, &scratch);

    if (err)
        err = fail(bus, err, "the payload cannot be sent");
    else
        err = call(bus, m);
    pp_buf_fini(&scratch);
    return err;
}

/* --- connecting --------------------------------------------------------------------------- */

pipit_err pp_bus_attach(pipit_bus **out_bus, int fd)
{
    pipit_bus *bus = pp_calloc(1, sizeof(*bus));
    pp_t2_message hello = {.kind = PP_T2_KEEP_ALIVE};
    pipit_err err;

    if (!bus) {
        (void)close(fd);
        return PIPIT_ENOMEM;
    }
    bus->fd = fd;
    pp_list_init(&bus->heard);
    pp_list_init(&bus->subscriptions);
    pp_buf_init(&bus->in, 2 * PP_T2_FRAME_MAX);
    bus->next_id = 1;
    err = call(bus, &hello); /* somebody is there who speaks like that */
    if (err) {
        pipit_bus_close(bus);
        return err;
    }
    *out_bus = bus;
    return PIPIT_OK;
}

pipit_err pipit_bus_connect(pipit_bus **out_bus, const char *address)
{
    int fd;
    pipit_err err = pp_bus_link_open(&fd, pp_str_of(address), pp_clock_mono_ns() + call_ns);

    return err ? err : pp_bus_attach(out_bus, fd);
}

static void free_subscription(pipit_bus_subscription *s)
{
    pp_list_remove(&s->link);
    pp_free(s);
}

void pipit_bus_close(pipit_bus *bus)
{
    if (!bus)
        return;
    while (!pp_list_empty(&bus->heard))
        drop(bus, PP_CONTAINER(bus->heard.next, pp_bus_heard, link));
    while (!pp_list_empty(&bus->subscriptions))
        free_subscription(PP_CONTAINER(bus->subscriptions.next, pipit_bus_subscription, link));
    pp_buf_fini(&bus->in);
    pp_t2_reader_fini(&bus->reader);
    (void)close(bus->fd);
    pp_free(bus);
}

int pipit_bus_fd(const pipit_bus *bus)
{
    return bus->fd;
}

/* --- processing --------------------------------------------------------------------------- */

static bool concerns(const pipit_bus_subscription *s, const pp_bus_heard *heard,
                     const pp_t2_topic *topic)
{
    if (s->ended || s->serves != (heard->kind == PP_T2_REQ))
        return false;
    return s->serves ? pp_str_eq(pp_str_of(s->text), (pp_str){heard->bytes, heard->topic_len})
                     : pp_t2_topic_matches(&s->topic, topic);
}

static void reap(pipit_bus *bus)
{
    for (pp_link *link = bus->subscriptions.next, *next; link != &bus->subscriptions; link = next) {
        pipit_bus_subscription *s = PP_CONTAINER(link, pipit_bus_subscription, link);

        next = link->next;
        if (s->ended)
            free_subscription(s);
    }
}

/* Subscriptions that callbacks make come behind, and are not freed while one runs. */
static void dispatch(pipit_bus *bus, const pp_bus_heard *heard)
{
    const pipit_bus_msg msg = {
        .topic = heard->bytes,
        .payload = pp_bus_heard_payload(heard),
        .payload_bytes = heard->payload_len,
        .request_id = heard->id,
    };
    pp_t2_topic topic;

    if (!pp_t2_topic_parse(&topic, (pp_str){heard->bytes, heard->topic_len}))
        return;
    bus->depth++;
    for (pp_link *link = bus->subscriptions.next; link != &bus->subscriptions; link = link->next) {
        pipit_bus_subscription *s = PP_CONTAINER(link, pipit_bus_subscription, link);

        if (concerns(s, heard, &topic))
            s->callback(s->context, bus, &msg);
    }
    if (--bus->depth == 0)
        reap(bus);
}

/* The oldest that is for callbacks; responses belong to who asked. */
static pp_bus_heard *next_heard(pipit_bus *bus)
{
    for (pp_link *link = bus->heard.next; link != &bus->heard; link = link->next) {
        pp_bus_heard *heard = PP_CONTAINER(link, pp_bus_heard, link);

        if (heard->kind != PP_T2_RSP)
            return heard;
    }
    return NULL;
}

static bool dispatch_all(pipit_bus *bus)
{
    pp_bus_heard *heard;
    bool any = false;

    while ((heard = next_heard(bus)) != NULL) {
        pp_list_remove(&heard->link);
        dispatch(bus, heard);
        pp_list_init(&heard->link);
        drop(bus, heard);
        any = true;
    }
    return any;
}

static pipit_err stay_alive(pipit_bus *bus)
{
    pp_t2_message m = {.kind = PP_T2_KEEP_ALIVE};

    return pp_clock_mono_ns() - bus->said_ns < keep_alive_ns ? PIPIT_OK : say(bus, &m);
}

pipit_err pipit_bus_process(pipit_bus *bus, int timeout_ms)
{
    int64_t due_ns =
        timeout_ms < 0 ? INT64_MAX : pp_clock_mono_ns() + (int64_t)timeout_ms * 1000000;
    pp_str nothing = {NULL, 0};
    pipit_err err = PIPIT_OK;

    for (;;) {
        int64_t alive_ns = bus->said_ns + keep_alive_ns;

        if (dispatch_all(bus))
            return PIPIT_OK;
        if (bus->broken)
            return bus->broken;
        if (err == PIPIT_ETIMEOUT && pp_clock_mono_ns() >= due_ns)
            return err;
        err = stay_alive(bus);
        if (!err)
            err = move(bus, &nothing, due_ns < alive_ns ? due_ns : alive_ns);
    }
}

/* --- calls -------------------------------------------------------------------------------- */

pipit_err pipit_bus_publish(pipit_bus *bus, const char *topic, const void *payload,
                            size_t payload_bytes, uint64_t *out_recipients)
{
    pp_t2_message m = {.kind = PP_T2_PUB, .topic = pp_str_of(topic)};
    pipit_err err = call_with(bus, &m, payload, payload_bytes);

    if (!err && out_recipients)
        *out_recipients = bus->recipients;
    return err;
}

/* Does another of the same kind and topic need what the server has been told? */
static bool has_twin(const pipit_bus_subscription *s)
{
    for (pp_link *link = s->bus->subscriptions.next; link != &s->bus->subscriptions;
         link = link->next) {
        const pipit_bus_subscription *other = PP_CONTAINER(link, pipit_bus_subscription, link);

        if (other != s && !other->ended && other->serves == s->serves &&
            strcmp(other->text, s->text) == 0)
            return true;
    }
    return false;
}

static pipit_err subscribe(pipit_bus *bus, const char *topic, bool serves,
                           pipit_bus_msg_fn callback, void *context, pipit_bus_subscription **out)
{
    size_t len = strlen(topic);
    pipit_bus_subscription *s = pp_calloc(1, sizeof(*s) + len + 1);
    pp_t2_message m = {.kind = serves ? PP_T2_SRV : PP_T2_SUB, .topic = {topic, len}};
    pipit_err err;

    if (!s)
        return fail(bus, PIPIT_ENOMEM, "out of memory");
    memcpy(s->text, topic, len);
    s->bus = bus;
    s->serves = serves;
    s->callback = callback;
    s->context = context;
    err = pp_t2_topic_parse(&s->topic, (pp_str){s->text, len})
              ? call(bus, &m)
              : fail(bus, PIPIT_EINVAL, "Invalid topic string");
    if (err) {
        pp_free(s);
        return err;
    }
    pp_list_append(&bus->subscriptions, &s->link);
    *out = s;
    return PIPIT_OK;
}

pipit_err pipit_bus_subscribe(pipit_bus *bus, const char *topic, pipit_bus_msg_fn callback,
                              void *context, pipit_bus_subscription **out_subscription)
{
    return subscribe(bus, topic, false, callback, context, out_subscription);
}

pipit_err pipit_bus_serve(pipit_bus *bus, const char *topic, pipit_bus_msg_fn callback,
                          void *context, pipit_bus_subscription **out_subscription)
{
    return subscribe(bus, topic, true, callback, context, out_subscription);
}

void pipit_bus_end(pipit_bus_subscription *s)
{
    pp_t2_message m = {0};

    if (!s || s->ended)
        return;
    s->ended = true;
    if (!has_twin(s)) {
        m.kind = s->serves ? PP_T2_UNSRV : PP_T2_UNSUB;
        m.topic = pp_str_of(s->text);
        (void)say(s->bus, &m); /* if it cannot be said any more, it is not needed either */
    }
    if (s->bus->depth == 0)
        free_subscription(s);
}

static pp_bus_heard *find_response(pipit_bus *bus, uint32_t id)
{
    for (pp_link *link = bus->heard.next; link != &bus->heard; link = link->next) {
        pp_bus_heard *heard = PP_CONTAINER(link, pp_bus_heard, link);

        if (heard->kind == PP_T2_RSP && heard->id == id)
            return heard;
    }
    return NULL;
}

/* Wait for the response; the server says so when there will be none. */
static pipit_err await_response(pipit_bus *bus, uint32_t id, pp_bus_heard **out)
{
    pp_str nothing = {NULL, 0};
    pipit_err err = PIPIT_OK;

    while (!err || err == PIPIT_ETIMEOUT) {
        *out = find_response(bus, id);
        if (*out)
            return PIPIT_OK;
        err = stay_alive(bus);
        if (!err)
            err = move(bus, &nothing, bus->said_ns + keep_alive_ns);
    }
    return err;
}

pipit_err pipit_bus_request(pipit_bus *bus, const char *topic, const void *payload,
                            size_t payload_bytes, void **out_payload, size_t *out_payload_bytes)
{
    pp_t2_message m = {.kind = PP_T2_REQ, .topic = pp_str_of(topic)};
    pp_bus_heard *response;
    void *copy;
    pipit_err err = call_with(bus, &m, payload, payload_bytes);

    if (!err)
        err = await_response(bus, m.id, &response);
    if (err)
        return err;
    if (response->timed_out) {
        drop(bus, response);
        return fail(bus, PIPIT_ETIMEOUT, "Request failed: Timeout while awaiting ACK");
    }
    copy = pp_memdupz(pp_bus_heard_payload(response), response->payload_len);
    if (copy) {
        *out_payload = copy;
        *out_payload_bytes = response->payload_len;
    }
    drop(bus, response);
    return copy ? PIPIT_OK : fail(bus, PIPIT_ENOMEM, "out of memory");
}

void pipit_bus_free(void *payload)
{
    pp_free(payload);
}

pipit_err pipit_bus_respond(pipit_bus *bus, uint32_t request_id, const void *payload,
                            size_t payload_bytes)
{
    pp_t2_message m = {.kind = PP_T2_RSP, .req_id = request_id};

    return call_with(bus, &m, payload, payload_bytes);
}

pipit_err pipit_bus_stop_server(pipit_bus *bus)
{
    pp_t2_message m = {.kind = PP_T2_STOP};

    return call(bus, &m);
}
