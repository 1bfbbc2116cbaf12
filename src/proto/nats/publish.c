/* PUB and HPUB: the way of a message. */
#include "core/subject.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/writer.h"

#include <stdio.h>

/* What only the server may publish to, or be answered at.
 * Source: NATS client protocol, section 5, "Reserved subjects", "Reserved replies". */
static bool subject_reserved(pp_str subject)
{
    return (pp_str_starts(subject, PP_STR("_GR_.")) && subject.len > 5) ||
           pp_str_starts(subject, PP_STR("$NRG."));
}

static bool reply_reserved(pp_str reply)
{
    return pp_str_starts(reply, PP_STR("_R_.")) ||
           (pp_str_starts(reply, PP_STR("$JS.ACK.")) && reply.len > 8) ||
           (pp_str_starts(reply, PP_STR("_GR_.")) && reply.len > 5);
}

static inline bool looks_reserved(pp_str text)
{
    return text.len && (text.ptr[0] == '_' || text.ptr[0] == '$');
}

void pp_nats_on_publish_line(pp_nats_session *s, const pp_nats_op *op)
{
    if (s->connect.pedantic && !s->line_checked && !pp_subject_literal(op->msg.subject))
        pp_nats_error(s, "Invalid Publish Subject");
    s->line_checked = true;
}

/* Checks that the plain case does not need. False: the message is dropped. */
static bool check(pp_nats_session *s, const pp_nats_op *op)
{
    char quoted[PP_NATS_QUOTE_MAX];

    pp_nats_on_publish_line(s, op);
    s->line_checked = false;
    if (subject_reserved(op->msg.subject)) {
        pp_nats_quote(op->msg.subject, quoted, sizeof(quoted));
        pp_nats_error(s, "Permissions Violation for Publish to %s", quoted);
        return false;
    }
    if (reply_reserved(op->msg.reply)) {
        pp_nats_quote(op->msg.reply, quoted, sizeof(quoted));
        pp_nats_error(s, "Permissions Violation for Publish with Reply of %s", quoted);
        return false;
    }
    pp_nats_ok(s);
    return true;
}

/* The publisher's own plain subscription that would hear the reply. */
static pp_sub *find_listener(pp_nats_session *s, pp_str reply)
{
    pp_sub_set *set = &s->context->router->matched;

    if (pp_sublist_match(s->context->door->account->subs, reply, set))
        return NULL;
    for (size_t i = 0; i < set->count; i++) {
        pp_sub *sub = set->subs[i];

        if (sub->client == &s->client && sub->queue_len == 0 &&
            atomic_load(&sub->remaining) != 0)
            return sub;
    }
    return NULL;
}

/* Source: NATS client protocol, section 9. */
static void say_no_responders(pp_nats_session *s, const pp_nats_op *op)
{
    static const char before[] = "NATS/1.0 503\r\nNats-Subject: ";
    pp_sub *listener = find_listener(s, op->msg.reply);
    size_t len = sizeof(before) - 1 + op->msg.subject.len + 4;
    pp_str sid;
    char *room, *at;

    if (!listener)
        return;
    sid = pp_sub_sid(listener);
    room = pp_outlet_room(&s->conn->own, 5 + op->msg.reply.len + 1 + sid.len + 46 + len + 2);
    if (!room) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    at = room;
    at += sprintf(at, "HMSG %.*s %.*s %zu %zu\r\n%s%.*s\r\n\r\n\r\n", PP_STR_ARGS(op->msg.reply),
                  PP_STR_ARGS(sid), len, len, before, PP_STR_ARGS(op->msg.subject));
    pp_outlet_wrote(&s->conn->own, (size_t)(at - room));
    pp_count(&s->conn->loop->counters->no_responders, 1);
}

/* The route of op's subject. While the same line repeats within one window it is that of the last
 * message, unasked: all of the window was sent before it was read, so a SUB that was answered
 * before has been seen by the first; and what the route points at lives until the turn ends. */
static inline pp_route *find_route(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_context *context = s->context;
    pp_route_cache *routes = s->routes;

    if (op->repeats && context->route && context->route_changes == routes->changes)
        return context->route;
    context->route = pp_route_find(routes, op->msg.subject);
    context->route_changes = routes->changes;
    return context->route;
}

void pp_nats_on_publish(pp_nats_session *s, const pp_nats_op *op)
{
    const pp_msg *msg = &op->msg;
    pp_route *route;

    if (PP_UNLIKELY(s->careful || looks_reserved(msg->subject) || looks_reserved(msg->reply)) &&
        !check(s, op))
        return;
    route = find_route(s, op);
    if (PP_UNLIKELY(!route)) {
        pp_count(&s->conn->loop->counters->route_failures, 1);
        return;
    }
    if (route->target_count && PP_LIKELY(pp_route_deliver(s->routes, route, msg)))
        return;
    if (msg->reply.len && s->connect.no_responders)
        say_no_responders(s, op);
}
