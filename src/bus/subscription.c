/* Who is called with what has been heard. Callbacks run when nothing else is under way, and may
 * make calls of their own; what they hear in turn is kept behind what is kept already. */
#include "bus/bus.h"

#include "base/alloc.h"

#include <string.h>

static void free_subscription(pipit_bus_subscription *s)
{
    pp_list_remove(&s->link);
    pp_free(s);
}

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
void pp_bus_dispatch(pipit_bus *bus, const pp_bus_heard *heard)
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

void pp_bus_free_subscriptions(pipit_bus *bus)
{
    while (!pp_list_empty(&bus->subscriptions))
        free_subscription(PP_CONTAINER(bus->subscriptions.next, pipit_bus_subscription, link));
}

/* --- making and ending -------------------------------------------------------------------- */

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
        return pp_bus_fail(bus, PIPIT_ENOMEM, "out of memory");
    memcpy(s->text, topic, len);
    s->bus = bus;
    s->serves = serves;
    s->callback = callback;
    s->context = context;
    err = pp_t2_topic_parse(&s->topic, (pp_str){s->text, len})
              ? pp_bus_call(bus, &m)
              : pp_bus_fail(bus, PIPIT_EINVAL, "Invalid topic string");
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
        (void)pp_bus_say(s->bus, &m); /* if it cannot be said any more, it is not needed either */
    }
    if (s->bus->depth == 0)
        free_subscription(s);
}
