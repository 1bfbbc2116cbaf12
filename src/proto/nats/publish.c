/* PUB and HPUB: the way of a message. */
#include "base/alloc.h"
#include "core/subject.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/writer.h"

#include <stdio.h>
#include <string.h>

/* What only the server may publish to, or be answered at, is reserved.
 * Source: NATS client protocol, section 5, "Reserved subjects", "Reserved replies". */
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

/* Is this not the plain case, so that check must look at it? */
static inline bool wants_check(const pp_nats_session *s, const pp_msg *msg)
{
    return s->careful || looks_reserved(msg->subject) || looks_reserved(msg->reply);
}

bool pp_nats_subject_reserved(pp_str subject)
{
    return (pp_str_starts(subject, PP_STR("_GR_.")) && subject.len > 5) ||
           pp_str_starts(subject, PP_STR("$NRG."));
}

void pp_nats_on_publish_line(pp_nats_session *s, const pp_nats_op *op)
{
    if (s->connect.pedantic && !s->line_checked && !pp_subject_literal(op->msg.subject))
        pp_nats_error(s, "Invalid Publish Subject");
    s->line_checked = true;
}

__attribute__((cold, noinline)) void pp_nats_refuse_publish(pp_nats_session *s, const char *what,
                                                            pp_str text)
{
    char quoted[PP_NATS_QUOTE_MAX];

    pp_nats_quote(text, quoted, sizeof(quoted));
    pp_nats_error(s, PP_NATS_PUBLISH_REFUSAL, what, quoted);
}

static void refuse(pp_nats_session *s, pp_nats_way *way, const char *what, pp_str text)
{
    way->refusal = what;
    way->refused = text;
    pp_nats_refuse_publish(s, what, text);
}

/* Checks that the plain case does not need; out_way is written to when the answer is false: the
 * message is refused, since only the server may do that. */
static bool check(pp_nats_session *s, const pp_nats_op *op, pp_nats_way *out_way)
{
    pp_nats_on_publish_line(s, op);
    s->line_checked = false;
    if (pp_nats_subject_reserved(op->msg.subject))
        refuse(s, out_way, "to", op->msg.subject);
    else if (reply_reserved(op->msg.reply))
        refuse(s, out_way, "with Reply of", op->msg.reply);
    else
        return true;
    return false;
}

/* The publisher's own plain subscription that would hear the reply. */
static pp_sub *find_listener(pp_nats_session *s, pp_str reply)
{
    pp_sub_set *set = &s->context->router->matched;
    pipit_err err = pp_sublist_match(pp_nats_account(s)->subs, reply, set);

    s->context->router->in_vain += set->steps + set->count;
    if (err)
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
void pp_nats_say_no_responders(pp_nats_session *s, pp_str subject, pp_str reply)
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

/* The route of the last message, if op repeats that and nothing has changed; NULL: look closer.
 * What the last one was checked for holds for this one, too: refused messages leave no route. */
static inline pp_route *repeat_route(const pp_nats_session *s, const pp_nats_op *op)
{
    const pp_nats_context *context = s->context;

    return op->repeats && !s->careful && context->route &&
                   context->route_changes == s->routes->changes &&
                   PP_LIKELY(pp_route_valid(context->route))
               ? context->route
               : NULL;
}

static inline pp_route *find_route(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_context *context = s->context;
    pp_route_cache *routes = s->routes;

    context->route = pp_route_find(routes, op->msg.subject);
    context->route_changes = routes->changes;
    return context->route;
}

/* Where a mapping leads to. The publisher's own form of the frame holds good behind the subject. */
static void follow(pp_nats_session *s, pp_nats_way *way)
{
    pp_nats_context *context = s->context;
    const pp_route *route = way->route;
    size_t len;

    way->mapped = true;
    way->route = NULL;
    way->msg.subject.len = 0;
    context->route = NULL; /* the memo of a window speaks of plain routes */
    if (!context->mapped_subject) {
        context->mapped_subject = pp_alloc(PP_ROUTE_MAPPED_MAX);
        if (!context->mapped_subject)
            return;
    }
    way->route = pp_route_follow(s->routes, route, context->mapped_subject, &len, &way->cache);
    way->msg.subject = (pp_str){context->mapped_subject, len};
}

/* Where only the server's leave to answer leads: as whoever may publish anywhere, once. */
static void follow_grant(pp_nats_session *s, pp_nats_way *way)
{
    const pp_scope *root = atomic_load_explicit(&s->routes->account->root, memory_order_acquire);
    pp_route_cache *cache;

    if (!root || !pp_nats_may_answer(s, way->msg.subject))
        return;
    s->context->route = NULL; /* room for the other route may have been made by forgetting this */
    cache = pp_router_cache(s->context->router, root);
    cache = cache ? pp_route_cache_final(cache) : NULL;
    way->route = cache ? pp_route_find(cache, way->msg.subject) : NULL;
    if (way->route)
        way->cache = cache;
    else
        pp_count(&s->conn->loop->counters->route_failures, 1);
}

/* The way of a message that has been checked. */
static void find_way(pp_nats_session *s, const pp_nats_op *op, pp_nats_way *way)
{
    *way = (pp_nats_way){.cache = s->routes, .msg = op->msg};
    way->route = find_route(s, op);
    if (!way->route)
        pp_count(&s->conn->loop->counters->route_failures, 1);
    else if (way->route->kind == PP_ROUTE_MAPPED)
        follow(s, way);
    if (way->route && way->route->kind == PP_ROUTE_DENIED)
        follow_grant(s, way);
    /* What is reserved is not to be had by a mapping either (observed in nats-server 2.15.2). */
    if (way->route &&
        (way->route->kind == PP_ROUTE_DENIED || pp_nats_subject_reserved(way->msg.subject)))
        refuse(s, way, "to", way->msg.subject);
    else
        pp_nats_ok(s);
}

bool pp_nats_find_way(pp_nats_session *s, const pp_nats_op *op, pp_nats_way *way)
{
    *way = (pp_nats_way){0};
    if (wants_check(s, &op->msg) && !check(s, op, way))
        return false;
    find_way(s, op, way);
    return !way->refusal && (way->route || way->mapped);
}

static size_t go(pp_nats_session *s, const pp_nats_op *op, const pp_nats_way *way)
{
    size_t taken = 0;

    if (way->refusal || !(way->route || way->mapped))
        return 0;
    if (way->route && way->route->target_count)
        taken = pp_route_deliver(way->cache, way->route, &way->msg);
    if (taken == 0 && op->msg.reply.len && s->connect.no_responders)
        pp_nats_say_no_responders(s, way->msg.subject, op->msg.reply);
    return taken;
}

__attribute__((noinline)) size_t pp_nats_publish_by_way(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_way way;

    return pp_nats_find_way(s, op, &way) ? go(s, op, &way) : 0;
}

/* One that has been checked, but whose route leads nowhere by itself. */
static __attribute__((noinline)) size_t publish_otherwise(pp_nats_session *s, const pp_nats_op *op)
{
    pp_nats_way way;

    find_way(s, op, &way);
    return go(s, op, &way);
}

/* True: it may go the short way. */
static __attribute__((noinline)) bool pass_check(pp_nats_session *s, const pp_nats_op *op,
                                                 size_t *out_taken)
{
    pp_nats_way refused;

    *out_taken = 0;
    s->context->route = NULL;
    if (!s->connect.verbose)
        return check(s, op, &refused);
    *out_taken = pp_nats_publish_by_way(s, op); /* what it is told depends on the route */
    return false;
}

static inline __attribute__((always_inline)) size_t publish(pp_nats_session *s,
                                                            const pp_nats_op *op)
{
    const pp_msg *msg = &op->msg;
    pp_route *route = repeat_route(s, op);
    size_t taken;

    if (PP_UNLIKELY(!route)) {
        if (PP_UNLIKELY(wants_check(s, msg)) && !pass_check(s, op, &taken))
            return taken;
        route = find_route(s, op);
        if (PP_UNLIKELY(!route)) {
            pp_count(&s->conn->loop->counters->route_failures, 1);
            return 0;
        }
    }
    if (PP_LIKELY(route->target_count))
        taken = pp_route_deliver(s->routes, route, msg);
    else if (PP_LIKELY(route->kind == PP_ROUTE_PLAIN))
        taken = 0;
    else
        return publish_otherwise(s, op);
    if (PP_UNLIKELY(taken == 0) && msg->reply.len && s->connect.no_responders)
        pp_nats_say_no_responders(s, msg->subject, msg->reply);
    return taken;
}

size_t pp_nats_on_publish(pp_nats_session *s, const pp_nats_op *op)
{
    return publish(s, op);
}

bool pp_nats_unheard(const pp_nats_session *s, const pp_nats_op *op)
{
    const pp_route *route = s->context->route;

    return op->verb == PP_NATS_PUB && !s->careful && route && pp_route_valid(route) &&
           route->kind == PP_ROUTE_PLAIN && route->target_count == 0 &&
           !(op->msg.reply.len && s->connect.no_responders);
}

/* Not to be inlined: it must not be in the way of messages without headers. */
__attribute__((noinline)) pp_nats_published pp_nats_on_header_publish(pp_nats_session *s,
                                                                      const pp_nats_op *op)
{
    pp_nats_published published = {0};

    if (PP_UNLIKELY(pp_nats_trace_hinted(s, op)))
        published.taken = pp_nats_publish_hinted(s, op, &published.cost);
    else
        published.taken = publish(s, op);
    return published;
}
