/* PUB and HPUB: the way of a message. */
#include "base/alloc.h"
#include "core/subject.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/writer.h"

#include <stdio.h>
#include <string.h>

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

static __attribute__((cold, noinline)) void refuse_publish(pp_nats_session *s, const char *what,
                                                           pp_str text)
{
    char quoted[PP_NATS_QUOTE_MAX];

    pp_nats_quote(text, quoted, sizeof(quoted));
    pp_nats_error(s, "Permissions Violation for Publish %s %s", what, quoted);
}

/* Checks that the plain case does not need. False: the message is dropped. */
static bool check(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_on_publish_line(s, op);
    s->line_checked = false;
    if (subject_reserved(op->msg.subject)) {
        refuse_publish(s, "to", op->msg.subject);
        return false;
    }
    if (reply_reserved(op->msg.reply)) {
        refuse_publish(s, "with Reply of", op->msg.reply);
        return false;
    }
    pp_nats_ok(s);
    return true;
}

/* The publisher's own plain subscription that would hear the reply. */
static pp_sub *find_listener(pp_nats_session *s, pp_str reply)
{
    pp_sub_set *set = &s->context->router->matched;

    if (pp_sublist_match(pp_nats_account(s)->subs, reply, set))
        return NULL;
    for (size_t i = 0; i < set->count; i++) {
        pp_sub *sub = set->subs[i];

        if (sub->client == &s->client && sub->queue_len == 0 && atomic_load(&sub->remaining) != 0)
            return sub;
    }
    return NULL;
}

static char *put(char *at, pp_str text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* Source: NATS client protocol, section 9. */
static void say_no_responders(pp_nats_session *s, pp_str subject, pp_str reply)
{
    static const pp_str before = {"NATS/1.0 503\r\nNats-Subject: ", 28};
    pp_sub *listener = find_listener(s, reply);
    size_t len = before.len + subject.len + 4;
    char sizes[48], *room, *at;
    pp_str sid;
    int sizes_len;

    if (!listener)
        return;
    sid = pp_sub_sid(listener);
    sizes_len = snprintf(sizes, sizeof(sizes), " %zu %zu\r\n", len, len);
    room = pp_outlet_room(&s->conn->own, 5 + reply.len + 1 + sid.len + (size_t)sizes_len + len + 2);
    if (!room) {
        pp_conn_close(s->conn, PP_CLOSE_NO_MEMORY, false);
        return;
    }
    at = put(room, PP_STR("HMSG "));
    at = put(at, reply);
    *at++ = ' ';
    at = put(at, sid);
    at = put(at, (pp_str){sizes, (size_t)sizes_len});
    at = put(at, before);
    at = put(at, subject);
    at = put(at, PP_STR("\r\n\r\n\r\n"));
    pp_outlet_wrote(&s->conn->own, (size_t)(at - room));
    pp_count(&s->conn->loop->counters->no_responders, 1);
}

/* The route of op's subject; that of the last message, if it repeats and nothing has changed. */
static inline pp_route *find_route(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_context *context = s->context;
    pp_route_cache *routes = s->routes;

    if (op->repeats && context->route && context->route_changes == routes->changes &&
        PP_LIKELY(pp_route_valid(context->route)))
        return context->route;
    context->route = pp_route_find(routes, op->msg.subject);
    context->route_changes = routes->changes;
    return context->route;
}

/* Where a mapping leads to. The publisher's own form of the frame holds good behind the subject. */
static pp_route *follow(pp_nats_session *s, const pp_route *route, pp_msg *msg,
                        pp_route_cache **out_cache)
{
    pp_nats_context *context = s->context;
    size_t len;

    context->route = NULL; /* the memo of a window speaks of plain routes */
    if (!context->mapped_subject) {
        context->mapped_subject = pp_alloc(PP_ROUTE_MAPPED_MAX);
        if (!context->mapped_subject)
            return NULL;
    }
    route = pp_route_follow(s->routes, route, context->mapped_subject, &len, out_cache);
    msg->subject = (pp_str){context->mapped_subject, len};
    return (pp_route *)route;
}

/* A route that leads nowhere by itself: denied, or mapped. False: the message is dropped, and the
 * publisher knows if it should. *inout_subject becomes what it was mapped to. */
static __attribute__((noinline)) bool publish_otherwise(pp_nats_session *s, const pp_route *route,
                                                        const pp_nats_op *op, size_t *out_taken,
                                                        pp_str *inout_subject)
{
    pp_route_cache *cache = s->routes;
    pp_msg msg = op->msg;

    *out_taken = 0;
    if (route->kind == PP_ROUTE_MAPPED) {
        route = follow(s, route, &msg, &cache);
        if (!route)
            return true; /* to nobody */
        *inout_subject = msg.subject;
    }
    /* What is reserved is not to be had by a mapping either (observed in nats-server 2.15.2). */
    if (route->kind == PP_ROUTE_DENIED || subject_reserved(msg.subject)) {
        refuse_publish(s, "to", msg.subject);
        return false;
    }
    if (route->target_count)
        *out_taken = pp_route_deliver(cache, route, &msg);
    return true;
}

size_t pp_nats_on_publish(pp_nats_session *s, const pp_nats_op *op)
{
    const pp_msg *msg = &op->msg;
    pp_str subject = msg->subject;
    pp_route *route;
    size_t taken;

    if (PP_UNLIKELY(s->careful || looks_reserved(msg->subject) || looks_reserved(msg->reply)) &&
        !check(s, op))
        return 0;
    route = find_route(s, op);
    if (PP_UNLIKELY(!route)) {
        pp_count(&s->conn->loop->counters->route_failures, 1);
        return 0;
    }
    if (PP_LIKELY(route->target_count))
        taken = pp_route_deliver(s->routes, route, msg);
    else if (PP_LIKELY(route->kind == PP_ROUTE_PLAIN))
        taken = 0;
    else if (!publish_otherwise(s, route, op, &taken, &subject))
        return 0;
    if (PP_UNLIKELY(taken == 0) && msg->reply.len && s->connect.no_responders)
        say_no_responders(s, subject, msg->reply);
    return taken;
}
