#include "proto/t2/bridge.h"

#include "base/alloc.h"
#include "base/random.h"
#include "core/claim.h"
#include "core/subject.h"
#include "proto/t2/stage.h"

#include <stdio.h>

enum {
    PREFIX_MAX = 8,
    TOKEN_BYTES = 24, /* in hexadecimal: the id, and what only who was asked knows */
};

#define TOPICS "t2."
#define SERVICES "t2rr."
#define INBOX "_INBOX.t2-"

/* What a subscription of ours is for: its sid. */
enum { HEARS_TOPICS, HEARS_SERVICES, HEARS_ANSWERS };

/* --- to NATS ------------------------------------------------------------------------------ */

/* Who hears a subject, besides ourselves; NULL: nobody. */
static pp_route *find_route(pp_t2_lane *lane, pp_str subject, pp_route_cache **out_cache)
{
    const pp_t2_bus *bus = lane->bus;
    pp_route *route;

    *out_cache = pp_router_inner(lane->router, bus->host.account, false);
    route = *out_cache ? pp_route_find(*out_cache, subject) : NULL;
    for (uint32_t i = 0; route && i < route->target_count; i++) {
        if (route->targets[i].sub->client != &bus->client)
            return route;
    }
    return NULL;
}

/* Publish data on subject; returns how many took it. */
static size_t publish(pp_t2_lane *lane, pp_str subject, pp_str reply, const pp_t2_payload *payload)
{
    pp_t2_bus *bus = lane->bus;
    pp_route_cache *cache;
    pp_t2_bulk plain;
    pp_msg msg;
    size_t taken;

    if (!find_route(lane, subject, &cache))
        return 0;
    if (pp_t2_bulk_plain(&plain, payload, atomic_load(&bus->limits.plain_max))) {
        pp_t2_undeliverable(bus);
        return 0;
    }
    msg = (pp_msg){
        .subject = subject,
        .reply = reply,
        .data = plain.bytes,
        .body = plain.body,
        .from = &bus->client,
        .no_echo = true,
    };
    taken = pp_router_pass(lane->router, cache, &msg);
    pp_t2_bulk_fini(&plain);
    return taken;
}

void pp_t2_bridge_publish(pp_t2_lane *lane, pp_str topic, const pp_t2_payload *payload)
{
    char subject[PREFIX_MAX + PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_to_subject(PP_STR(TOPICS), topic, subject);

    (void)publish(lane, (pp_str){subject, len}, PP_STR(""), payload);
}

bool pp_t2_bridge_serves(pp_t2_lane *lane, pp_str topic)
{
    char subject[PREFIX_MAX + PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_to_subject(PP_STR(SERVICES), topic, subject);
    pp_route_cache *cache;

    return find_route(lane, (pp_str){subject, len}, &cache) != NULL;
}

size_t pp_t2_bridge_ask(pp_t2_lane *lane, pp_str topic, const pp_t2_request *request,
                        const pp_t2_payload *payload)
{
    char subject[PREFIX_MAX + PP_T2_TOPIC_MAX], reply[64];
    size_t len = pp_t2_topic_to_subject(PP_STR(SERVICES), topic, subject);
    int reply_len = snprintf(reply, sizeof(reply), INBOX "%.*s.%08x%016llx", PP_T2_SECRET_BYTES,
                             lane->bus->secret, request->id, (unsigned long long)request->token);

    return publish(lane, (pp_str){subject, len}, (pp_str){reply, (size_t)reply_len}, payload);
}

void pp_t2_bridge_answer(pp_t2_lane *lane, pp_str reply, const pp_t2_payload *payload)
{
    (void)publish(lane, reply, PP_STR(""), payload);
}

pipit_err pp_t2_bridge_claim(pp_t2_bus *bus, pp_str topic)
{
    char subject[PREFIX_MAX + PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_to_subject(PP_STR(SERVICES), topic, subject);

    return pp_claim_take(bus->host.account, (pp_str){subject, len}, bus, NULL);
}

void pp_t2_bridge_unclaim(pp_t2_bus *bus, pp_str topic)
{
    char subject[PREFIX_MAX + PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_to_subject(PP_STR(SERVICES), topic, subject);

    (void)pp_claim_release(bus->host.account, (pp_str){subject, len}, bus);
}

/* --- from NATS ---------------------------------------------------------------------------- */

static bool publish_here(pp_t2_lane *lane, pp_str rest, const pp_msg *msg)
{
    char text[PP_T2_TOPIC_MAX];
    pp_t2_message m = {.kind = PP_T2_PUB, .payload = {.data = pp_msg_payload(msg)}};
    pp_t2_topic topic;
    pp_t2_bulk bulk;
    size_t count;
    pipit_err err;

    m.topic = (pp_str){text, pp_t2_topic_from_subject(rest, text)};
    if (!m.topic.len || !pp_t2_topic_parse(&topic, m.topic)) {
        pp_t2_undeliverable(lane->bus);
        return false;
    }
    err = pp_t2_bus_match(lane, &topic);
    lane->router->in_vain += lane->cost; /* the publisher is not of this door */
    lane->cost = 0;
    if (err || lane->found_count == 0)
        return false;
    if (m.payload.data.len > PP_T2_FRAME_MAX || pp_t2_bulk_content(&bulk, &m, NULL)) {
        pp_t2_undeliverable(lane->bus);
        return false;
    }
    count = pp_t2_stage_to_found(lane, &bulk);
    pp_t2_bulk_fini(&bulk);
    return count != 0;
}

static bool ask_here(pp_t2_lane *lane, pp_str rest, const pp_msg *msg)
{
    char text[PP_T2_TOPIC_MAX];
    size_t len = pp_t2_topic_from_subject(rest, text);
    pp_str data = pp_msg_payload(msg);

    if (!len || !msg->reply.len || data.len > PP_T2_FRAME_MAX) {
        pp_t2_undeliverable(lane->bus);
        return false;
    }
    return pp_t2_ask_from_nats(lane, (pp_str){text, len}, msg->reply, data);
}

static bool read_hex(pp_str text, uint64_t *out_value)
{
    *out_value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (digit < 0)
            return false;
        *out_value = *out_value << 4 | (unsigned)digit;
    }
    return true;
}

static bool answer_here(pp_t2_lane *lane, const pp_msg *msg)
{
    pp_str subject = msg->subject, data = pp_msg_payload(msg);
    const char *text = subject.ptr + subject.len - TOKEN_BYTES;
    uint64_t id, token;

    if (subject.len != sizeof(INBOX) - 1 + PP_T2_SECRET_BYTES + 1 + TOKEN_BYTES ||
        !read_hex((pp_str){text, 8}, &id) || !read_hex((pp_str){text + 8, 16}, &token))
        return false;
    if (data.len > PP_T2_FRAME_MAX) {
        pp_t2_undeliverable(lane->bus);
        return false;
    }
    return pp_t2_answer_from_nats(lane, (uint32_t)id, token, data);
}

/* The bytes behind a prefix that the index has compared. */
static pp_str behind(pp_str subject, size_t prefix)
{
    return (pp_str){subject.ptr + prefix, subject.len - prefix};
}

/* --- what the core asks ------------------------------------------------------------------- */

static void *lane_of(pp_client *client, uint32_t router_index)
{
    return &PP_CONTAINER(client, pp_t2_bus, client)->lanes[router_index];
}

static bool deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_t2_lane *lane = outlet;

    (void)head;
    switch (sub->text[0]) {
    case HEARS_TOPICS:
        return publish_here(lane, behind(msg->subject, sizeof(TOPICS) - 1), msg);
    case HEARS_SERVICES:
        return ask_here(lane, behind(msg->subject, sizeof(SERVICES) - 1), msg);
    default:
        return answer_here(lane, msg);
    }
}

static const struct pp_client_ops client_ops = {
    .outlet = lane_of,
    .head = pp_client_no_head,
    .deliver = deliver,
    .hears_no_wildcards = true,
};

/* --- life --------------------------------------------------------------------------------- */

static pipit_err subscribe(pp_t2_bus *bus, char what, const char *subject)
{
    pp_sub *sub = pp_sub_new(&bus->client, (pp_str){&what, 1}, PP_STR(""));
    pipit_err err;

    if (!sub)
        return PIPIT_ENOMEM;
    err = pp_account_subscribe(bus->host.account, sub, pp_str_of(subject));
    if (err)
        pp_sub_free(sub);
    else
        bus->subs[(size_t)what] = sub;
    return err;
}

static void make_secret(pp_t2_bus *bus)
{
    static const char letters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    unsigned char bytes[PP_T2_SECRET_BYTES];

    pp_random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bus->secret[i] = letters[bytes[i] & 63];
}

pipit_err pp_t2_bridge_open(pp_t2_bus *bus)
{
    char inbox[64];
    pipit_err err;

    bus->client.ops = &client_ops;
    make_secret(bus);
    (void)snprintf(inbox, sizeof(inbox), INBOX "%.*s.*", PP_T2_SECRET_BYTES, bus->secret);
    err = subscribe(bus, HEARS_TOPICS, TOPICS ">");
    if (!err)
        err = subscribe(bus, HEARS_SERVICES, SERVICES ">");
    if (!err)
        err = subscribe(bus, HEARS_ANSWERS, inbox);
    return err;
}

void pp_t2_bridge_close(pp_t2_bus *bus)
{
    for (size_t i = 0; i < sizeof(bus->subs) / sizeof(bus->subs[0]); i++) {
        if (!bus->subs[i])
            continue;
        pp_account_unsubscribe(bus->host.account, bus->subs[i]);
        pp_sub_free(bus->subs[i]);
    }
}
