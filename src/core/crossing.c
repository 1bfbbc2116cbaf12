#include "core/crossing.h"

#include "base/alloc.h"
#include "base/body.h"
#include "base/random.h"
#include "core/desk.h"
#include "core/header.h"
#include "core/realm.h"
#include "core/response.h"
#include "core/route.h"
#include "core/trace.h"

#include <string.h>

enum { INFO_MAX = 64 * 1024, KEPT_SUBJECT = 512 };

static const pp_str info_name = {PP_REQUEST_INFO_HEADER, sizeof(PP_REQUEST_INFO_HEADER) - 1};
/* What says where a trace goes, and that it goes nowhere: servers further on would not know the
 * subject that it names. */
static const pp_str trace_name = {"Nats-Trace-Dest", 15};
static const pp_str no_trace = {"Nats-Trace-Dest: trace disabled\r\n", 33};

static void drop(pp_router *router)
{
    pp_count(&router->counters->crossing_drops, 1);
}

/* --- requests: who asks ------------------------------------------------------------------- */

/* Who asks, as seen behind this step. The first account is the one that counts; the last in between
 * is named. Source: accounts and subjects, section 4. */
static pp_requester requester_of(const pp_passage *passage, const pp_msg *msg)
{
    pp_requester requester = {
        .client = msg->from,
        .account = passage->import->importer->name,
        .to = passage->import->exporter,
        .share = passage->import->share,
        .name_server = passage->import->share,
    };

    for (const pp_passage *at = passage->before; at && at->import; at = at->before) {
        if (!requester.via)
            requester.via = requester.account;
        requester.account = at->import->importer->name;
        requester.share = at->import->share;
        requester.name_server |= at->import->share;
    }
    return requester;
}

static pipit_err describe(const pp_router *router, const pp_passage *passage, const pp_msg *msg,
                          pp_buf *out)
{
    const pp_realm *realm = router->realm;
    pp_requester requester = requester_of(passage, msg);

    return realm->ops->describe(realm->context, &requester, out);
}

/* The message as it arrives there: with a header that says who asks. Its data lies in the body that
 * is returned; NULL: no memory. */
static pp_body *dress(const pp_msg *msg, pp_str info, pp_msg *out)
{
    pp_str block = pp_msg_header(msg), payload = pp_msg_payload(msg);
    const pp_str names[] = {info_name, trace_name};
    pp_body *body = pp_body_new(block.len + PP_HEADER_MORE + no_trace.len + info_name.len + 2 +
                                info.len + 4 + payload.len + 2);
    char *at;

    if (!body)
        return NULL;
    at = body->bytes;
    at += pp_header_copy_without(block, names, msg->witness ? 2 : 1, at);
    if (msg->witness) {
        memcpy(at, no_trace.ptr, no_trace.len);
        at += no_trace.len;
    }
    memcpy(at, info_name.ptr, info_name.len);
    at += info_name.len;
    memcpy(at, ": ", 2);
    memcpy(at + 2, info.ptr, info.len);
    at += 2 + info.len;
    memcpy(at, "\r\n\r\n", 4);
    at += 4;
    out->header_len = (uint32_t)(at - body->bytes);
    if (payload.len)
        memcpy(at, payload.ptr, payload.len);
    at += payload.len;
    out->data = (pp_str){body->bytes, (size_t)(at - body->bytes)};
    memcpy(at, "\r\n", 2); /* large data ends so wherever it goes */
    out->body = out->data.len >= PP_MSG_REFER_MIN ? body : NULL;
    out->wire = (pp_str){NULL, 0};
    return body;
}

/* --- requests: how long it takes ---------------------------------------------------------- */

/* Begin to measure, if this request is measured. Latency for the exporter shows of who asks what
 * this import shares. */
static pp_latency *measure(pp_router *router, const pp_passage *passage, const pp_msg *msg)
{
    const pp_realm *realm = router->realm;
    pp_requester requester;
    pp_latency *latency = NULL;
    pp_buf who, header;

    pp_buf_init(&who, INFO_MAX);
    pp_buf_init(&header, INFO_MAX);
    if (pp_latency_wanted(passage->export, pp_msg_header(msg), pp_random_next(&router->random),
                          &header)) {
        requester = requester_of(passage, msg);
        requester.via = NULL;
        requester.share = requester.name_server = passage->import->share;
        if (!realm->ops->describe(realm->context, &requester, &who))
            latency = pp_latency_new(passage->export, pp_buf_str(&who), pp_buf_str(&header));
    }
    if (latency) {
        latency->request_ns = realm->ops->now_ns(realm->context);
        if (msg->from)
            latency->requester_rtt_ns = realm->ops->rtt_ns(realm->context, msg->from);
    }
    pp_buf_fini(&who);
    pp_buf_fini(&header);
    return latency;
}

static void tell(pp_router *router, pp_latency *latency, int status, const char *description)
{
    if (!latency)
        return;
    latency->status = status;
    latency->description = description;
    router->realm->ops->report(router->realm->context, router, latency);
}

/* --- requests: the way there -------------------------------------------------------------- */

/* Has the message come by this export before, or too far? */
static bool goes_round(const pp_passage *before, const pp_export *export)
{
    if (before && before->number >= PP_PASSAGES_MAX)
        return true;
    for (; before; before = before->before) {
        if (before->export == export)
            return true;
    }
    return false;
}

static bool keeps_reply(pp_str reply)
{
    return !reply.len || pp_str_starts(reply, PP_STR("$JS.ACK."));
}

/* Await the response, whose subject there is written to subject. */
static pipit_err await(pp_router *router, const pp_passage *passage, const pp_msg *msg,
                       char *subject, pp_response **out)
{
    const pp_export *export = passage->export;
    pp_desk *desk = pp_desk_of(passage->import->exporter);
    const pp_response_setup setup = {
        .exporter = passage->import->exporter,
        .requester = passage->import->importer,
        .client = msg->from,
        .reply = msg->reply,
        .kind = export->response,
        .threshold_ns = export->threshold_ns,
        .latency = desk ? measure(router, passage, msg) : NULL,
    };
    pipit_err err = desk ? pp_response_await(router, &setup, out) : PIPIT_ENOMEM;

    if (!err)
        pp_desk_write(desk, router->index, (*out)->token, subject);
    return err;
}

/* Publish it there. */
static size_t arrive(pp_router *router, const pp_passage *passage, const pp_msg *msg,
                     pp_str subject, pp_str reply)
{
    pp_route_cache *cache = pp_router_inner(router, passage->import->exporter, true);
    pp_msg there = *msg;
    pp_body *body = NULL;
    size_t taken = 0;
    pp_buf info;

    pp_buf_init(&info, INFO_MAX);
    there.subject = subject;
    there.reply = reply;
    there.passage = passage;
    if (!pp_trace_follows(passage->import))
        there.witness = NULL;
    if (cache && !describe(router, passage, msg, &info))
        body = dress(msg, pp_buf_str(&info), &there);
    pp_buf_fini(&info);
    if (body) {
        pp_count(&router->counters->crossings, 1);
        taken = pp_router_pass(router, cache, &there);
    } else {
        drop(router);
    }
    pp_body_unref(body);
    return taken;
}

/* A request that wants a response. */
static size_t ask(pp_router *router, const pp_passage *passage, const pp_msg *msg, pp_str subject)
{
    char text[PP_DESK_SUBJECT_BYTES];
    pp_response *response;
    size_t taken;

    if (await(router, passage, msg, text, &response)) {
        drop(router);
        return 0;
    }
    taken = arrive(router, passage, msg, subject, (pp_str){text, sizeof(text)});
    if (!taken && pp_response_end(response))
        tell(router, response->latency, 503, "Service Unavailable");
    pp_response_give_back(response);
    return taken;
}

/* One that wants none, or is to be answered where it says. */
static size_t send(pp_router *router, const pp_passage *passage, const pp_msg *msg, pp_str subject)
{
    bool measured = !msg->reply.len && !(msg->witness && msg->witness->dry);
    pp_latency *latency = measured ? measure(router, passage, msg) : NULL;
    size_t taken = arrive(router, passage, msg, subject, msg->reply);

    tell(router, latency, 400, "Bad Request");
    pp_free(latency);
    return taken;
}

static bool cross(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_router *router = outlet;
    const pp_import *import = pp_import_of(sub);
    const pp_passage passage = {
        .before = msg->passage,
        .import = import,
        .export = atomic_load_explicit(&((pp_import *)import)->export, memory_order_acquire),
        .number = msg->passage ? msg->passage->number + 1 : 1,
    };
    char kept[KEPT_SUBJECT], *copy = NULL;
    size_t taken;

    if (!passage.export || !head.len)
        return false;
    if (goes_round(msg->passage, passage.export)) {
        drop(router);
        return false;
    }
    if (msg->witness)
        msg->witness->see_leave(msg->witness, import, msg->subject, head);
    if (msg->witness && msg->witness->dry && !pp_trace_follows(import))
        return true;
    if (head.ptr == router->head) { /* routing there may need that place, too */
        copy = head.len <= sizeof(kept) ? kept : pp_alloc(head.len);
        if (!copy)
            return false;
        memcpy(copy, head.ptr, head.len);
        head.ptr = copy;
    }
    taken = keeps_reply(msg->reply) || (msg->witness && msg->witness->dry)
                ? send(router, &passage, msg, head)
                : ask(router, &passage, msg, head);
    if (copy != kept)
        pp_free(copy);
    if (taken) { /* who published counts it as heard in this account */
        pp_account_counters *counters = &import->importer->counters[router->index];

        pp_count(&counters->own_msgs, 1);
        pp_count(&counters->own_bytes, msg->data.len);
    }
    return taken != 0;
}

/* --- responses ---------------------------------------------------------------------------- */

/* The message without what it says of who has asked. NULL: it says nothing, or there is no memory;
 * then out is as msg. */
static pp_body *undress(const pp_msg *msg, pp_msg *out)
{
    pp_str block = pp_msg_header(msg), payload = pp_msg_payload(msg);
    pp_body *body;
    size_t len;

    *out = *msg;
    if (!block.len || !pp_header_has(block, info_name))
        return NULL;
    body = pp_body_new(block.len + PP_HEADER_MORE + payload.len + 4);
    if (!body)
        return NULL;
    len = pp_header_copy_without(block, &info_name, 1, body->bytes);
    memcpy(body->bytes + len, "\r\n", 2);
    len += 2;
    out->header_len = (uint32_t)len;
    if (payload.len)
        memcpy(body->bytes + len, payload.ptr, payload.len);
    len += payload.len;
    memcpy(body->bytes + len, "\r\n", 2);
    out->data = (pp_str){body->bytes, len};
    out->body = len >= PP_MSG_REFER_MIN ? body : NULL;
    out->wire = (pp_str){NULL, 0};
    return body;
}

/* Who responds may want an answer in turn: it comes by the requester's desk. */
static pp_response *await_answer(pp_router *router, const pp_response *response, const pp_msg *msg,
                                 char *subject)
{
    pp_desk *desk = pp_desk_of(response->requester);
    const pp_response_setup setup = {
        .exporter = response->requester,
        .requester = response->exporter,
        .client = msg->from,
        .reply = msg->reply,
        .kind = response->kind,
        .threshold_ns = response->threshold_ns,
    };
    pp_response *answer;

    if (!desk || pp_response_await(router, &setup, &answer))
        return NULL;
    pp_desk_write(desk, router->index, answer->token, subject);
    return answer;
}

static size_t respond(pp_router *router, const pp_response *response, const pp_msg *msg)
{
    pp_route_cache *cache = pp_router_inner(router, response->requester, true);
    const pp_passage passage = {.before = msg->passage,
                                .number = msg->passage ? msg->passage->number + 1 : 1};
    char subject[PP_DESK_SUBJECT_BYTES];
    pp_response *answer = NULL;
    size_t taken;
    pp_body *body;
    pp_msg there;

    if (!cache || passage.number > PP_PASSAGES_MAX) {
        drop(router);
        return 0;
    }
    body = undress(msg, &there);
    there.subject = (pp_str){response->reply, response->reply_len};
    there.passage = &passage;
    there.witness = NULL;
    if (!keeps_reply(msg->reply)) {
        answer = await_answer(router, response, msg, subject);
        there.reply = answer ? (pp_str){subject, sizeof(subject)} : (pp_str){NULL, 0};
        there.wire = (pp_str){NULL, 0};
    }
    pp_count(&router->counters->crossings, 1);
    taken = pp_router_pass(router, cache, &there);
    pp_body_unref(body);
    if (answer) {
        if (!taken)
            (void)pp_response_end(answer);
        pp_response_give_back(answer);
    }
    return taken;
}

/* The one response that was measured is here. */
static void conclude(pp_router *router, pp_response *response, const pp_msg *msg,
                     int64_t arrived_ns)
{
    pp_latency *latency = response->latency;
    const pp_realm *realm = router->realm;

    latency->responder = msg->from;
    latency->response_ns = arrived_ns;
    if (msg->from)
        latency->responder_rtt_ns = realm->ops->rtt_ns(realm->context, msg->from);
    realm->ops->report(realm->context, router, latency);
}

static bool take_response(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    pp_router *router = outlet;
    pp_account *exporter = PP_CONTAINER(sub->client, pp_desk, client)->account;
    pp_realm *realm = router->realm;
    pp_response *response;
    int64_t arrived_ns;
    size_t taken;

    (void)head;
    if (msg->witness && msg->witness->dry)
        return true;
    response = pp_response_find(realm, exporter, msg->subject, msg->data.len == 0);
    if (!response)
        return false;
    arrived_ns = response->latency ? realm->ops->now_ns(realm->context) : 0;
    taken = respond(router, response, msg);
    if (!taken)
        (void)pp_response_end(response);
    if (response->latency)
        conclude(router, response, msg, arrived_ns);
    pp_response_give_back(response);
    if (taken) {
        pp_count(&exporter->counters[router->index].own_msgs, 1);
        pp_count(&exporter->counters[router->index].own_bytes, msg->data.len);
    }
    return taken != 0;
}

/* --- the tables of operations -------------------------------------------------------------- */

static void *router_of(const pp_account *account, uint32_t router_index)
{
    return account->realm ? account->realm->routers[router_index] : NULL;
}

static void *import_outlet(pp_client *client, uint32_t router_index)
{
    return router_of(PP_CONTAINER(client, pp_import, client)->importer, router_index);
}

/* The subject there; nothing for one that would be too long. */
static size_t import_head(const pp_sub *sub, pp_str subject, char *out)
{
    const pp_import *import = pp_import_of(sub);
    char text[PP_TRANSFORM_RESULT_MAX];
    size_t len;

    if (pp_pairing_outward(&import->pairing, subject, text, sizeof(text), &len))
        return 0;
    if (out)
        memcpy(out, text, len);
    return len;
}

static void *desk_outlet(pp_client *client, uint32_t router_index)
{
    return router_of(PP_CONTAINER(client, pp_desk, client)->account, router_index);
}

static void no_end(pp_sub *sub, uint32_t router_index)
{
    (void)sub; /* none has a limit */
    (void)router_index;
}

const struct pp_client_ops pp_service_import_ops = {
    .outlet = import_outlet,
    .head = import_head,
    .deliver = cross,
    .exhausted = no_end,
    .hears_no_imports = true,
    .passes_on = true,
};

const struct pp_client_ops pp_desk_ops = {
    .outlet = desk_outlet,
    .head = pp_client_no_head,
    .deliver = take_response,
    .exhausted = no_end,
    .hears_no_imports = true,
    .passes_on = true,
};
