/* A bus: how it comes about, and what a program asks of it. */
#include "bus/bus.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "bus/attach.h"

#include <string.h>
#include <unistd.h>

const char *pipit_bus_error(const pipit_bus *bus)
{
    return bus->error;
}

/* --- connecting --------------------------------------------------------------------------- */

static pipit_bus *bus_new(void)
{
    pipit_bus *bus = pp_calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    pp_list_init(&bus->heard);
    pp_list_init(&bus->subscriptions);
    pp_buf_init(&bus->in, 2 * PP_T2_FRAME_MAX);
    bus->next_id = 1;
    return bus;
}

/* Is somebody there who speaks like that? If not, or if err is an error, the bus goes. */
static pipit_err greet(pipit_bus **out_bus, pipit_bus *bus, pipit_err err)
{
    pp_t2_message hello = {.kind = PP_T2_KEEP_ALIVE};

    if (!err)
        err = pp_bus_call(bus, &hello);
    if (err)
        pipit_bus_close(bus);
    else
        *out_bus = bus;
    return err;
}

pipit_err pp_bus_attach(pipit_bus **out_bus, int fd)
{
    pipit_bus *bus = bus_new();

    if (!bus) {
        (void)close(fd);
        return PIPIT_ENOMEM;
    }
    pp_bus_link_adopt(&bus->link, fd);
    return greet(out_bus, bus, PIPIT_OK);
}

static pipit_err dial(pipit_bus **out_bus, pp_str address, const pipit_bus_options *options)
{
    pipit_bus *bus = bus_new();

    if (!bus)
        return PIPIT_ENOMEM;
    return greet(out_bus, bus, pp_bus_link_open(&bus->link, address, options, pp_bus_call_due()));
}

pipit_err pipit_bus_connect_with(pipit_bus **out_bus, const char *address,
                                 const pipit_bus_options *options)
{
    pp_str where = pp_str_of(address);
    pipit_bus_options o = {0};

    if (options)
        memcpy(&o, options,
               options->struct_bytes && options->struct_bytes < sizeof(o) ? options->struct_bytes
                                                                          : sizeof(o));
    if ((o.tls_cert_file == NULL) != (o.tls_key_file == NULL))
        return PIPIT_EINVAL;
    if (pp_str_eq(where, PP_STR("memory:")))
        return o.server ? pipit_bus_connect_memory(out_bus, o.server) : PIPIT_EINVAL;
    return dial(out_bus, where, &o);
}

pipit_err pipit_bus_connect(pipit_bus **out_bus, const char *address)
{
    return pipit_bus_connect_with(out_bus, address, NULL);
}

void pipit_bus_close(pipit_bus *bus)
{
    if (!bus)
        return;
    while (!pp_list_empty(&bus->heard))
        pp_bus_drop(bus, PP_CONTAINER(bus->heard.next, pp_bus_heard, link));
    pp_bus_free_subscriptions(bus);
    pp_buf_fini(&bus->in);
    pp_t2_reader_fini(&bus->reader);
    pp_bus_link_close(&bus->link);
    pp_free(bus);
}

int pipit_bus_fd(const pipit_bus *bus)
{
    return bus->link.wire.fd;
}

/* --- processing ------------------------------------------------------------------------ */

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
        pp_bus_dispatch(bus, heard);
        pp_list_init(&heard->link);
        pp_bus_drop(bus, heard);
        any = true;
    }
    return any;
}

pipit_err pipit_bus_process(pipit_bus *bus, int timeout_ms)
{
    int64_t due_ns =
        timeout_ms < 0 ? INT64_MAX : pp_clock_mono_ns() + (int64_t)timeout_ms * 1000000;
    pp_str nothing = {NULL, 0};
    pipit_err err = PIPIT_OK;

    for (;;) {
        int64_t alive_ns = pp_bus_alive_until(bus);

        if (dispatch_all(bus))
            return PIPIT_OK;
        if (bus->broken)
            return bus->broken;
        if (err == PIPIT_ETIMEOUT && pp_clock_mono_ns() >= due_ns)
            return err;
        err = pp_bus_stay_alive(bus);
        if (!err)
            err = pp_bus_move(bus, &nothing, due_ns < alive_ns ? due_ns : alive_ns);
    }
}

/* --- calls -------------------------------------------------------------------------------- */

pipit_err pipit_bus_publish(pipit_bus *bus, const char *topic, const void *payload,
                            size_t payload_bytes, uint64_t *out_recipients)
{
    pp_t2_message m = {.kind = PP_T2_PUB, .topic = pp_str_of(topic)};
    pipit_err err = pp_bus_call_with(bus, &m, payload, payload_bytes);

    if (!err && out_recipients)
        *out_recipients = bus->recipients;
    return err;
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
        err = pp_bus_stay_alive(bus);
        if (!err)
            err = pp_bus_move(bus, &nothing, pp_bus_alive_until(bus));
    }
    return err;
}

pipit_err pipit_bus_request(pipit_bus *bus, const char *topic, const void *payload,
                            size_t payload_bytes, void **out_payload, size_t *out_payload_bytes)
{
    pp_t2_message m = {.kind = PP_T2_REQ, .topic = pp_str_of(topic)};
    pp_bus_heard *response;
    void *copy;
    pipit_err err = pp_bus_call_with(bus, &m, payload, payload_bytes);

    if (!err)
        err = await_response(bus, m.id, &response);
    if (err)
        return err;
    if (response->timed_out) {
        pp_bus_drop(bus, response);
        return pp_bus_fail(bus, PIPIT_ETIMEOUT, "Request failed: Timeout while awaiting ACK");
    }
    copy = pp_memdupz(pp_bus_heard_payload(response), response->payload_len);
    if (copy) {
        *out_payload = copy;
        *out_payload_bytes = response->payload_len;
    }
    pp_bus_drop(bus, response);
    return copy ? PIPIT_OK : pp_bus_fail(bus, PIPIT_ENOMEM, "out of memory");
}

void pipit_bus_free(void *payload)
{
    pp_free(payload);
}

pipit_err pipit_bus_respond(pipit_bus *bus, uint32_t request_id, const void *payload,
                            size_t payload_bytes)
{
    pp_t2_message m = {.kind = PP_T2_RSP, .req_id = request_id};

    return pp_bus_call_with(bus, &m, payload, payload_bytes);
}

pipit_err pipit_bus_stop_server(pipit_bus *bus)
{
    pp_t2_message m = {.kind = PP_T2_STOP};

    return pp_bus_call(bus, &m);
}
