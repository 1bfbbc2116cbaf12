/* $SYS.REQ.SERVER: RELOAD, KICK and LDM, which change something.
 * Source: accounts and subjects, section 10. */
#include "net/conn.h"
#include "proto/nats/session.h"
#include "server/monitor/page.h"
#include "server/server.h"
#include "server/system/answer.h"
#include "server/system/question.h"

enum { ERROR_MAX = 64 * 1024 };

/* --- reload -------------------------------------------------------------------------------- */

/* On the monitor's thread: it may wait for loops. */
static pipit_err reload(pp_page *page)
{
    pipit_server *server = page->server;
    pipit_err err;
    pp_buf error;

    pp_buf_init(&error, ERROR_MAX);
    /* The monitor holds it while it answers, and a reload exchanges what it guards. */
    (void)pthread_rwlock_unlock(&server->options_lock);
    err = pp_server_reload(server, &error);
    (void)pthread_rwlock_rdlock(&server->options_lock);
    if (err && error.len)
        err = pp_page_refuse(page, 500, "%.*s", (int)error.len, error.ptr);
    else if (err)
        err = pp_page_refuse(page, 500, "%s", pipit_strerror(err));
    pp_buf_fini(&error);
    return err;
}

static void reply_done(pp_request *request, const pp_monitor_answer *answer)
{
    if (answer->status == 200)
        pp_request_confirm(request);
    else if (answer->body)
        pp_request_refuse(request, 500, false, "%.*s", (int)answer->body_bytes,
                          answer->body->bytes);
    else
        pp_request_refuse(request, 500, false, "out of memory");
    pp_body_unref(answer->body);
}

void pp_answer_reload(pp_request *request)
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_ENDPOINT_COUNT, &question))
        return;
    pp_inquire_with(request, reload, &question.options, reply_done);
    pp_question_fini(&question);
}

/* --- one client ---------------------------------------------------------------------------- */

/* The request goes from loop to loop, since only its own loop knows a connection. */
static void look_for(pp_request *request, void (*look)(pp_task *task))
{
    pp_question question;

    if (!pp_inquiry_read(request, PP_MONITOR_CONNZ, &question))
        return;
    request->cid = question.options.cid;
    request->loop = 0;
    pp_question_fini(&question);
    pp_request_post(request, look);
}

/* The client, if it is here; else the request has gone on, or found nobody. */
static pp_nats_session *find_here(pp_request *request, void (*look)(pp_task *task),
                                  const char *nobody)
{
    pipit_server *server = request->system->server;
    pp_loop *loop = server->loops[request->loop];
    pp_conn *conn = pp_conn_find(loop, request->cid);
    pp_nats_session *session = conn ? pp_nats_session_of(conn) : NULL;

    if (!request->system->running) {
        pp_request_drop(request); /* what was left when the server stopped */
        return NULL;
    }
    if (session)
        return session;
    if (++request->loop == server->worker_count) {
        pp_request_refuse(request, 500, false, "%s", nobody);
    } else {
        request->task.run = look;
        pp_loop_post(server->loops[request->loop], &request->task);
    }
    return NULL;
}

static void kick(pp_task *task)
{
    pp_request *request = PP_CONTAINER(task, pp_request, task);
    pp_nats_session *session = find_here(request, kick, "no such client or leafnode id");

    if (!session)
        return;
    pp_conn_close(session->conn, PP_CLOSE_KICKED, true);
    pp_request_confirm(request);
}

void pp_answer_kick(pp_request *request)
{
    look_for(request, kick);
}

static void send_away(pp_task *task)
{
    pp_request *request = PP_CONTAINER(task, pp_request, task);
    pp_nats_session *session = find_here(request, send_away, "no such client id");

    if (!session)
        return;
    if (pp_nats_send_away(session))
        pp_request_confirm(request);
    else
        pp_request_refuse(request, 500, false,
                          "client does not support Lame Duck Mode or is not ready to receive the "
                          "notification");
}

void pp_answer_lame_duck(pp_request *request)
{
    look_for(request, send_away);
}
