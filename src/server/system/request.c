#include "server/system/request.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/json.h"
#include "proto/nats/session.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MAX = 256 * 1024 * 1024,
    DESCRIPTION_MAX = 1024,
    TEXTS_MAX = 64 * 1024, /* of subject and reply */
};

/* --- taking -------------------------------------------------------------------------------- */

static void on_arrival(pp_task *task)
{
    pp_request *request = PP_CONTAINER(task, pp_request, task);

    if (!request->system->running)
        pp_request_drop(request);
    else if (request->too_large)
        pp_request_refuse(request, 400, false, "a request may have %zu bytes",
                          pp_service_body_max(request->service));
    else
        request->service->answer(request);
}

static const pp_user *who(const pp_msg *msg)
{
    if (!msg->from || msg->from->ops != &pp_nats_client_ops)
        return NULL;
    return pp_nats_user(PP_CONTAINER(msg->from, pp_nats_session, client));
}

static void fill(pp_request *request, const pp_msg *msg)
{
    pp_str body = pp_msg_payload(msg);
    char *to = request->texts;

    request->subject_len = msg->subject.len;
    request->reply_len = msg->reply.len;
    request->body_len = request->too_large ? 0 : body.len;
    memcpy(to, msg->subject.ptr, msg->subject.len);
    if (msg->reply.len)
        memcpy(to + msg->subject.len, msg->reply.ptr, msg->reply.len);
    if (request->body_len)
        memcpy(to + msg->subject.len + msg->reply.len, body.ptr, body.len);
    request->encoding = pp_encoding_wanted(pp_msg_header(msg));
}

bool pp_request_take(pp_system *system, const pp_service *service, pp_account *account,
                     bool from_tenant, const pp_msg *msg)
{
    size_t body_len = pp_msg_payload(msg).len;
    size_t body_max = pp_service_body_max(service);
    bool too_large = body_len > body_max;
    unsigned requests_max = PP_SYSTEM_REQUESTS_MAX - (from_tenant ? PP_SYSTEM_RESERVED : 0);
    const pp_scope *root = atomic_load(&account->root);
    pp_request *request = NULL;

    if (atomic_fetch_add(&system->requests, 1) < requests_max && root &&
        msg->subject.len + msg->reply.len <= TEXTS_MAX)
        request = pp_alloc(sizeof(*request) + msg->subject.len + msg->reply.len +
                           (too_large ? 0 : body_len));
    if (!request) {
        (void)atomic_fetch_sub(&system->requests, 1);
        (void)atomic_fetch_add_explicit(&system->dropped, 1, memory_order_relaxed);
        return false;
    }
    *request = (pp_request){
        .system = system,
        .service = service,
        .root = PP_CONTAINER(root, pp_user, scope),
        .user = who(msg),
        .from_tenant = from_tenant,
        .too_large = too_large,
    };
    pp_user_hold(request->root);
    if (request->user)
        pp_user_hold(request->user);
    fill(request, msg);
    pp_request_post(request, on_arrival);
    return true;
}

void pp_request_post(pp_request *request, void (*run)(pp_task *task))
{
    request->task.run = run;
    pp_loop_post(&request->system->home->loop, &request->task);
}

/* --- answering ----------------------------------------------------------------------------- */

void pp_request_drop(pp_request *request)
{
    pp_system *system = request->system;

    if (request->counted)
        (void)atomic_fetch_sub(&system->tenants, 1);
    (void)atomic_fetch_sub(&system->requests, 1);
    pp_body_unref(request->answer);
    pp_user_let_go(request->root);
    if (request->user)
        pp_user_let_go(request->user);
    pp_free(request);
}

/* On the home loop. */
static void send_answer(pp_task *task)
{
    pp_request *request = PP_CONTAINER(task, pp_request, task);
    pp_system *system = request->system;
    pp_audience audience;

    if (system->running &&
        pp_audience_find(system, pp_request_account(request), pp_request_reply(request), &audience))
        (void)pp_audience_tell_body(system, &audience, pp_request_reply(request), request->answer,
                                    request->answer_len, request->answer_header_len);
    pp_request_drop(request);
}

void pp_request_answer_text(pp_request *request, pp_str text)
{
    if (!request->reply_len ||
        pp_encoding_apply(request->encoding, text, &request->answer, &request->answer_len,
                          &request->answer_header_len)) {
        pp_request_drop(request);
        return;
    }
    if (pp_loop_current() == &request->system->home->loop)
        send_answer(&request->task);
    else
        pp_request_post(request, send_answer);
}

/* {"server":{...} */
static pipit_err begin(pp_request *request, pp_buf *out)
{
    pipit_err err;
    pp_json json;

    pp_buf_init(out, ANSWER_MAX);
    err = pp_buf_addf(out, "{\"server\":");
    pp_json_init(&json, out, 0);
    pp_identity_write(request->system, &json, NULL);
    return err ? err : pp_json_finish(&json);
}

/* The rest, and away with it. */
static void finish(pp_request *request, pp_buf *out, pipit_err err)
{
    if (!err)
        err = pp_buf_add(out, "}", 1);
    if (err)
        pp_request_drop(request);
    else
        pp_request_answer_text(request, pp_buf_str(out));
    pp_buf_fini(out);
}

void pp_request_answer(pp_request *request, pp_str data)
{
    pp_buf out;
    pipit_err err = begin(request, &out);

    if (!err)
        err = pp_buf_addf(&out, ",\"data\":");
    if (!err)
        err = pp_buf_add(&out, data.ptr, data.len);
    finish(request, &out, err);
}

void pp_request_confirm(pp_request *request)
{
    pp_buf out;
    pipit_err err = begin(request, &out);

    finish(request, &out, err);
}

void pp_request_refuse(pp_request *request, int code, bool with_data, const char *format, ...)
{
    char description[DESCRIPTION_MAX];
    pp_buf out;
    pipit_err err = begin(request, &out);
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(description, sizeof(description), format, args);
    va_end(args);
    len = len < (int)sizeof(description) ? len : (int)sizeof(description) - 1;
    if (!err)
        err = pp_buf_addf(&out, ",%s\"error\":{\"code\":%d,\"description\":",
                          with_data ? "\"data\":null," : "", code);
    if (!err)
        err = pp_json_quote(&out, (pp_str){description, (size_t)len});
    if (!err)
        err = pp_buf_addf(&out, "}");
    finish(request, &out, err);
}
