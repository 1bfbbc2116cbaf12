/* Messages that want to be traced: delivered while an event is written about them, which is then
 * published to where their sender, or its account, wants it.
 *
 * Source: accounts and subjects, section 11, and nats-server 2.15.2 as observed. */
#include "proto/nats/quote.h"
#include "proto/nats/session.h"
#include "proto/nats/trace_event.h"
#include "proto/nats/trace_header.h"

#include "base/random.h"
#include "core/subject.h"
#include "net/parcel.h"

#include <stdio.h>
#include <string.h>

enum {
    PLAIN_COST = 16, /* of a trace, in deliveries */
    ENTRY_COST = 8,
};

/* --- the event on its way ----------------------------------------------------------------- */

static void open_event(pp_nats_session *s, const pp_nats_op *op, pp_str block, pp_str error,
                       pp_trace_event *event)
{
    const pp_nats_settings *settings = s->context->settings;
    const pp_trace_server server = {
        .name = pp_str_of(settings->server_name),
        .host = pp_str_of(settings->host),
        .id = pp_str_of(settings->server_id),
        .version = PP_STR(PP_NATS_VERSION),
        .seq = atomic_fetch_add(&s->context->door->events, 1) + 1,
    };
    const pp_trace_ingress ingress = {
        .header = block,
        .msg_bytes = op->msg.data.len,
        .cid = s->conn->id,
        .name = pp_nats_connect_text(&s->connect, PP_CONNECT_NAME),
        .account = pp_str_of(s->routes->account->name),
        .subject = op->msg.subject,
        .error = error,
    };

    pp_trace_event_open(event, &server, &ingress);
}

/* From the server itself into the publisher's account, to a subject that is not mapped. */
static size_t deliver_event(pp_nats_session *s, pp_str dest, pp_str text)
{
    const pp_scope *root = atomic_load_explicit(&s->routes->account->root, memory_order_acquire);
    pp_route_cache *cache = root ? pp_router_cache(s->context->router, root) : NULL;
    pp_msg msg = {.subject = dest, .data = text};
    const pp_route *route;
    size_t taken = 0;

    cache = cache ? pp_route_cache_final(cache) : NULL;
    route = cache ? pp_route_find(cache, dest) : NULL;
    if (!route) {
        pp_count(&s->conn->loop->counters->route_failures, 1);
        return 0;
    }
    if (!route->target_count)
        return 0;
    if (text.len >= PP_PARCEL_REFER_MIN) {
        msg.body = pp_parcel_body(text);
        if (!msg.body)
            return 0;
        msg.data.ptr = msg.body->bytes;
    }
    taken = pp_route_deliver(cache, route, &msg);
    pp_count(&cache->counters->out_msgs, taken);
    pp_count(&cache->counters->out_bytes, taken * text.len);
    pp_body_unref(msg.body);
    return taken;
}

static size_t close_event(pp_nats_session *s, pp_str dest, pp_trace_event *event)
{
    size_t taken = 0;

    if (!pp_trace_event_close(event))
        taken = deliver_event(s, dest, pp_buf_str(&event->text));
    pp_trace_event_fini(event);
    return taken;
}

/* --- where it goes ------------------------------------------------------------------------ */

typedef enum permit { GRANTED, UNUSABLE, REFUSED } permit;

/* May the client have events sent there? If it is not allowed it is told so. */
static permit check_dest(pp_nats_session *s, pp_str dest)
{
    if (!pp_subject_literal(dest))
        return UNUSABLE;
    for (size_t i = 0; i < dest.len; i++) {
        if (memchr(" \t\r\n\f", dest.ptr[i], 5))
            return UNUSABLE;
    }
    if (!pp_nats_subject_reserved(dest) &&
        pp_permissions_may_publish(pp_nats_user(s)->scope.permissions, dest))
        return GRANTED;
    pp_nats_refuse_publish(s, "to", dest);
    return REFUSED;
}

/* --- tracing ------------------------------------------------------------------------------ */

struct watch {
    pp_witness witness;
    pp_trace_event event;
    const pp_account *account; /* that it was published in */
};

static struct watch *watch_of(pp_witness *witness)
{
    return PP_CONTAINER(witness, struct watch, witness);
}

static void see(pp_witness *witness, const pp_account *account, const pp_sub *sub, pp_str pattern,
                pp_verdict verdict)
{
    struct watch *watch = watch_of(witness);

    pp_trace_event_recipient(&watch->event, account == watch->account ? NULL : account->name, sub,
                             pattern, verdict);
}

static void see_leave(pp_witness *witness, const pp_import *import, pp_str from, pp_str to)
{
    if (import->is_service)
        pp_trace_event_request(&watch_of(witness)->event, import->exporter->name, from, to);
    else
        pp_trace_event_export(&watch_of(witness)->event, import->importer->name, to);
}

/* Why a message was refused, as its publisher was told. */
static pp_str refusal_text(const pp_nats_way *way, char *out, size_t out_cap)
{
    char quoted[PP_NATS_QUOTE_MAX];

    if (!way->refusal)
        return (pp_str){NULL, 0};
    pp_nats_quote(way->refused, quoted, sizeof(quoted));
    (void)snprintf(out, out_cap, PP_NATS_PUBLISH_REFUSAL, way->refusal, quoted);
    return pp_str_of(out);
}

static size_t trace(pp_nats_session *s, const pp_nats_op *op, pp_str dest, bool only,
                    uint64_t *cost)
{
    struct watch watch = {
        .witness = {.see = see, .see_leave = see_leave, .dry = only},
        .account = s->routes->account,
    };
    char error[PP_NATS_QUOTE_MAX + 64];
    size_t taken = 0;
    pp_nats_way way;
    bool found = pp_nats_find_way(s, op, &way);

    open_event(s, op, pp_msg_header(&op->msg), refusal_text(&way, error, sizeof(error)),
               &watch.event);
    if (way.mapped)
        pp_trace_event_mapped(&watch.event, way.msg.subject);
    if (found && way.route && pp_trace_deliver(way.cache, &way.msg, &watch.witness, &taken)) {
        pp_count(&s->conn->loop->counters->route_failures, 1);
        found = false;
    }
    if (found && taken == 0 && op->msg.reply.len && s->connect.no_responders)
        pp_nats_say_no_responders(s, way.msg.subject, op->msg.reply);
    *cost += PLAIN_COST + ENTRY_COST * watch.witness.seen;
    *cost += close_event(s, dest, &watch.event);
    return only ? 0 : taken;
}

/* --- switching off further on ------------------------------------------------------------- */

static char *put(char *at, pp_str text)
{
    if (text.len)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* Copy the block without its trace destinations. */
static char *put_others(char *at, pp_str block)
{
    size_t kept = 0, next = 0;
    pp_header_field field;

    while (pp_header_next(block, &next, &field)) {
        if (pp_str_eq(field.name, PP_STR("Nats-Trace-Dest"))) {
            at = put(at, (pp_str){block.ptr + kept, (size_t)(field.name.ptr - block.ptr) - kept});
            kept = next;
        }
    }
    return put(at, (pp_str){block.ptr + kept, block.len - kept});
}

static bool ends_whole(pp_str block)
{
    return block.len >= 4 && memcmp(block.ptr + block.len - 4, "\r\n\r\n", 4) == 0;
}

/* Let the message say that no server further on shall trace it. Without memory, or where the block
 * has no proper end, it goes as it is. */
static size_t publish_untraced(pp_nats_session *s, const pp_nats_op *op)
{
    static const pp_str line = {"Nats-Trace-Dest: trace disabled\r\n", 33};
    pp_str block = pp_msg_header(&op->msg);
    pp_nats_op altered = *op;
    pp_body *body = NULL;
    size_t taken;
    char *at;

    if (ends_whole(block))
        body = pp_body_new(op->msg.data.len + line.len + 2);
    if (!body)
        return pp_nats_publish_by_way(s, op);
    at = put_others(body->bytes, (pp_str){block.ptr, block.len - 2});
    at = put(at, line);
    at = put(at, PP_STR("\r\n"));
    altered.msg.header_len = (uint32_t)(at - body->bytes);
    at = put(at, pp_msg_payload(&op->msg));
    altered.msg.data = (pp_str){body->bytes, (size_t)(at - body->bytes)};
    altered.msg.body = body;
    altered.msg.wire = (pp_str){NULL, 0};
    (void)put(at, PP_STR("\r\n"));
    taken = pp_nats_publish_by_way(s, &altered);
    pp_body_unref(body);
    return taken;
}

/* --- what a message asks for -------------------------------------------------------------- */

static bool chosen(pp_nats_session *s)
{
    unsigned percent =
        atomic_load_explicit(&s->routes->account->trace_sampling, memory_order_relaxed);

    return percent == 0 || pp_random_below(&s->context->router->random, 100) < percent;
}

/* Trace it to dest; or drop it; or publish it as if it had not asked. */
static size_t trace_if_granted(pp_nats_session *s, const pp_nats_op *op,
                               const pp_trace_header *header, uint64_t *cost)
{
    size_t taken = 0;

    if (s->careful)
        pp_nats_on_publish_line(s, op); /* what is wrong with the line comes first */
    switch (check_dest(s, header->dest)) {
    case GRANTED:
        taken = trace(s, op, header->dest, header->only, cost);
        break;
    case UNUSABLE:
        if (!header->only)
            taken = pp_nats_publish_by_way(s, op);
        break;
    case REFUSED:
        break;
    }
    s->line_checked = false;
    return taken;
}

static const char *account_dest(const pp_nats_session *s)
{
    return atomic_load_explicit(&s->routes->account->trace_dest, memory_order_acquire);
}

bool pp_nats_trace_hinted(const pp_nats_session *s, const pp_nats_op *op)
{
    return pp_trace_hinted(pp_msg_header(&op->msg), account_dest(s) != NULL);
}

size_t pp_nats_publish_hinted(pp_nats_session *s, const pp_nats_op *op, uint64_t *cost)
{
    pp_trace_header header;

    pp_trace_header_read(pp_msg_header(&op->msg), &header);
    if (header.wish == PP_TRACE_PARENT) {
        header.dest = pp_str_of(account_dest(s));
        if (!header.dest.len)
            header.wish = PP_TRACE_NONE;
        else if (!chosen(s))
            header.wish = PP_TRACE_RETIRED;
    }
    if (header.wish == PP_TRACE_NONE)
        return pp_nats_publish_by_way(s, op);
    if (header.wish == PP_TRACE_RETIRED)
        return publish_untraced(s, op);
    return trace_if_granted(s, op, &header, cost);
}

void pp_nats_trace_too_big(pp_nats_session *s, const pp_nats_op *op, pp_str window)
{
    const char *end = window.ptr + window.len;
    size_t arrived = (size_t)(end - op->msg.data.ptr);
    pp_str block = {op->msg.data.ptr, arrived < op->msg.header_len ? arrived : op->msg.header_len};
    pp_trace_header header;
    pp_trace_event event;

    pp_trace_header_read(block, &header);
    if (header.wish != PP_TRACE_DEST || check_dest(s, header.dest) != GRANTED)
        return;
    open_event(s, op, block, PP_STR("maximum payload exceeded"), &event);
    (void)close_event(s, header.dest, &event);
}
