/* Requests that the monitor's thread answers: from the body of a message to the page, and back. */
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/question.h"

bool pp_inquiry_read(pp_request *request, pp_monitor_endpoint endpoint, pp_question *question)
{
    pipit_err err = pp_question_parse(question, pp_request_body(request), endpoint);

    if (!err && pp_question_is_for(question, request->system))
        return true;
    if (err == PIPIT_EINVAL)
        pp_request_refuse(request, question->code, question->understood, "%s", question->error);
    else
        pp_request_drop(request);
    pp_question_fini(question);
    return false;
}

/* --- asking -------------------------------------------------------------------------------- */

/* Ordinary accounts may keep the monitor busy only so much: others ask it too. */
static bool count_tenant(pp_request *request)
{
    pp_system *system = request->system;

    if (!request->from_tenant)
        return true;
    if (atomic_fetch_add(&system->tenants, 1) >= PP_SYSTEM_TENANTS_MAX) {
        (void)atomic_fetch_sub(&system->tenants, 1);
        return false;
    }
    request->counted = true;
    return true;
}

/* The reply function of a job is the monitor's; which of ours goes with it stands here. */
static void on_reply(void *context, const pp_monitor_answer *answer)
{
    pp_request *request = context;

    request->on_page(request, answer);
}

static void on_refused(pp_request *request, pipit_err err)
{
    pp_request_refuse(request, 500, true, "%s",
                      err == PIPIT_EAGAIN    ? "too many requests wait: ask again later"
                      : err == PIPIT_ECLOSED ? "the server is stopping"
                      : err == PIPIT_ETOOBIG ? "the request is too long"
                      : err == PIPIT_ELIMIT  ? "no thread for the answer"
                                             : "out of memory");
}

void pp_inquire_with(pp_request *request, pp_monitor_write_fn write,
                     const pp_monitor_options *options, pp_inquiry_fn reply)
{
    pp_monitor *monitor = request->system->server->monitor;
    pipit_err err = PIPIT_EAGAIN;

    request->on_page = reply;
    if (count_tenant(request))
        err = pp_monitor_run(monitor, write, options, on_reply, request);
    if (err)
        on_refused(request, err);
}

void pp_inquire(pp_request *request, pp_monitor_endpoint endpoint,
                const pp_monitor_options *options, pp_inquiry_fn reply)
{
    pp_monitor *monitor = request->system->server->monitor;
    pipit_err err = PIPIT_EAGAIN;

    request->on_page = reply;
    if (count_tenant(request))
        err = pp_monitor_ask(monitor, endpoint, options, on_reply, request);
    if (err)
        on_refused(request, err);
}

void pp_inquiry_reply(pp_request *request, const pp_monitor_answer *answer)
{
    pp_str text = {answer->body ? answer->body->bytes : NULL, answer->body_bytes};

    if (!answer->body)
        pp_request_refuse(request, 500, true, "out of memory");
    else if (answer->status >= 400)
        pp_request_refuse(request, 500, true, "%.*s", PP_STR_ARGS(text));
    else
        pp_request_answer(request, text);
    pp_body_unref(answer->body);
}
