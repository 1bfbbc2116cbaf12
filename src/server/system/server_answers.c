/* $SYS.REQ.SERVER: what the server tells about itself.
 * Source: accounts and subjects, section 10; NATS monitoring, section 18. */
#include "base/json.h"
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/question.h"
#include "server/system/statsz.h"

enum { TEXT_MAX = 64 * 1024 };

/* A server that is not well is no error of the request; one without Raft has no groups. */
static void reply_as_data(pp_request *request, const pp_monitor_answer *answer)
{
    pp_str text = {answer->body ? answer->body->bytes : NULL, answer->body_bytes};

    if (answer->body && request->service->detail == PP_MONITOR_HEALTHZ) {
        pp_request_answer(request, text);
        pp_body_unref(answer->body);
    } else if (answer->status == 404) {
        pp_request_answer(request, PP_STR("{}"));
        pp_body_unref(answer->body);
    } else {
        pp_inquiry_reply(request, answer);
    }
}

void pp_answer_server(pp_request *request)
{
    pp_monitor_endpoint endpoint = (pp_monitor_endpoint)request->service->detail;
    pp_question question;

    if (!pp_inquiry_read(request, endpoint, &question))
        return;
    question.options.tell_status = true;
    pp_inquire(request, endpoint, &question.options, reply_as_data);
    pp_question_fini(&question);
}

void pp_answer_stats(pp_request *request)
{
    pp_question question;
    pp_buf text;

    if (!pp_inquiry_read(request, PP_MONITOR_ENDPOINT_COUNT, &question))
        return;
    pp_question_fini(&question);
    if (!request->reply_len) {
        pp_stats_broadcast(request->system);
        pp_request_drop(request);
        return;
    }
    pp_buf_init(&text, TEXT_MAX);
    if (pp_stats_write(request->system, &text, NULL))
        pp_request_drop(request);
    else
        pp_request_answer_text(request, pp_buf_str(&text));
    pp_buf_fini(&text);
}

/* As nats-server does: any body will do, and every server answers. */
void pp_answer_id(pp_request *request)
{
    const pipit_server *server = request->system->server;
    const pp_nats_settings *settings = pp_server_settings(server);
    pp_json json;
    pp_buf text;

    pp_buf_init(&text, TEXT_MAX);
    pp_json_init(&json, &text, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "name", pp_str_of(settings->server_name));
    pp_json_text(&json, "host", pp_str_of(settings->host));
    pp_json_text(&json, "id", pp_str_of(server->server_id));
    pp_json_end_object(&json);
    if (pp_json_finish(&json))
        pp_request_drop(request);
    else
        pp_request_answer_text(request, pp_buf_str(&text));
    pp_buf_fini(&text);
}

/* Profiles are those of Go's runtime. */
void pp_answer_profile(pp_request *request)
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_ENDPOINT_COUNT, &question))
        return;
    pp_question_fini(&question);
    pp_request_answer(request,
                      PP_STR("{\"profile\":null,\"error\":\"this server writes no profiles\"}"));
}
