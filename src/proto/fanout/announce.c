/* Announcements: messages of the core, published to the channel's subject. */
#include "base/body.h"
#include "proto/fanout/session.h"
#include "proto/fanout/subject.h"

#include <string.h>

/* Several recipients share a long message. */
static pp_body *share(pp_str message)
{
    pp_body *body = pp_body_new(message.len + PP_FANOUT_LINE_SLACK);

    if (!body)
        return NULL;
    memcpy(body->bytes, message.ptr, message.len);
    memcpy(body->bytes + message.len, "\r\n", 2); /* as large data ends wherever it goes */
    return body;
}

static uint64_t count_published(pp_fanout_session *s, const pp_fanout_op *op, size_t taken)
{
    pp_account_counters *account = s->context->routes->counters;
    pp_counters *counters = s->conn->loop->counters;
    uint64_t bytes = op->message.len;

    s->conn->in_msgs++;
    s->conn->in_bytes += bytes;
    pp_count(&counters->in_msgs, 1);
    pp_count(&counters->in_bytes, bytes);
    pp_count(&account->in_msgs, 1);
    pp_count(&account->in_bytes, bytes);
    pp_count(&account->out_msgs, taken);
    pp_count(&account->out_bytes, taken * bytes);
    return taken;
}

/* A mapping of the account says where it goes, or it may not be published at all. */
static size_t publish_otherwise(pp_fanout_session *s, const pp_route *route, pp_msg *msg)
{
    if (route->kind == PP_ROUTE_DENIED) {
        pp_count(&s->context->counters.refused, 1);
        return 0;
    }
    if (route->kind == PP_ROUTE_MAPPED &&
        pp_router_pass(s->context->router, s->context->routes, msg))
        pp_count(&s->context->counters.announcements, 1);
    return 0; /* passing has counted what was taken */
}

static uint64_t publish(pp_fanout_session *s, const pp_fanout_op *op, pp_msg *msg)
{
    pp_fanout_context *context = s->context;
    const pp_route *route = pp_route_find(context->routes, msg->subject);
    size_t taken = 0;

    if (!route) {
        pp_count(&s->conn->loop->counters->route_failures, 1);
    } else if (route->target_count) {
        pp_count(&context->counters.announcements, 1);
        taken = pp_route_deliver(context->routes, route, msg);
    } else if (route->kind != PP_ROUTE_PLAIN) {
        taken = publish_otherwise(s, route, msg);
    }
    return count_published(s, op, taken);
}

uint64_t pp_fanout_announce(pp_fanout_session *s, const pp_fanout_op *op)
{
    const pp_fanout_settings *settings = s->context->settings;
    char subject[PP_FANOUT_SUBJECT_BYTES(PP_FANOUT_NAME_MAX)];
    pp_msg msg = {.data = op->message, .from = &s->client};
    pp_body *body = NULL;
    uint64_t cost;

    if (op->channel.len > settings->name_max || op->message.len > settings->message_max) {
        pp_count(&s->context->counters.refused, 1);
        return 0;
    }
    if (!s->context->routes)
        s->context->routes = pp_router_cache(s->context->router, settings->scope);
    if (op->message.len >= PP_MSG_REFER_MIN)
        body = share(op->message);
    if (!s->context->routes || (op->message.len >= PP_MSG_REFER_MIN && !body)) {
        pp_body_unref(body);
        pp_count(&s->conn->loop->counters->route_failures, 1);
        return 0;
    }
    if (body) {
        msg.data.ptr = body->bytes;
        msg.body = body;
    }
    msg.subject = (pp_str){subject, pp_fanout_subject(op->channel, subject)};
    cost = publish(s, op, &msg);
    pp_body_unref(body);
    return cost;
}
