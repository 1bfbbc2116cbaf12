/* server/system/request.h -- a question put to the server in a message, until it is answered.
 *
 *   [pp_request_take]            [answer of its service]            [pp_request_answer, ...]
 *  -------------------> posted ---------------------------> answering ----------------> gone
 *    on any loop                     on the home loop                on any thread
 *
 * It copies what it needs of the message. As long as it lives it holds the root of the account in
 * which it was put, so that neither can go. Every request ends in one of the functions below. */
#ifndef PP_SERVER_SYSTEM_REQUEST_H
#define PP_SERVER_SYSTEM_REQUEST_H

#include "auth/users.h"
#include "base/body.h"
#include "base/buf.h"
#include "core/message.h"
#include "net/loop.h"
#include "server/system/encoding.h"
#include "server/system/service.h"
#include "server/system/system.h"

struct pp_monitor_answer;

typedef struct pp_request {
    pp_task task;
    pp_system *system;
    const pp_service *service;
    const pp_user *root; /* of the account; held */
    const pp_user *user; /* who asks; held. NULL: the program that the server lives in */
    pp_encoding encoding;
    bool from_tenant; /* put in another account than the system's */
    bool counted;     /* among the tenants' */
    bool too_large;   /* its payload was, and is not here */
    /* With the monitor: what becomes of its page. */
    void (*on_page)(struct pp_request *request, const struct pp_monitor_answer *answer);
    uint64_t cid;    /* of the client that it is about */
    unsigned loop;   /* where that client is looked for */
    pp_body *answer; /* what to send */
    size_t answer_len;
    size_t answer_header_len;
    size_t subject_len, reply_len, body_len;
    char texts[]; /* subject, reply, body */
} pp_request;

/* Make a request of a message. False: there are too many, or no memory; then nobody took the
 * message. Thread: the publisher's loop. */
bool pp_request_take(pp_system *system, const pp_service *service, pp_account *account,
                     bool from_tenant, const pp_msg *msg);

static inline pp_account *pp_request_account(const pp_request *request)
{
    return request->root->scope.account;
}

static inline pp_str pp_request_subject(const pp_request *request)
{
    return (pp_str){request->texts, request->subject_len};
}

static inline pp_str pp_request_reply(const pp_request *request)
{
    return (pp_str){request->texts + request->subject_len, request->reply_len};
}

static inline pp_str pp_request_body(const pp_request *request)
{
    return (pp_str){request->texts + request->subject_len + request->reply_len, request->body_len};
}

/* Run run(&request->task) on the home loop; the request is the task's then. Thread: any. */
void pp_request_post(pp_request *request, void (*run)(pp_task *task));

/* Answer with {"server":...,"data":data}; data is JSON. */
void pp_request_answer(pp_request *request, pp_str data);
/* With {"server":...} alone: it has been done. */
void pp_request_confirm(pp_request *request);
/* With an error; with_data: and "data":null before it, as for what was understood. */
void pp_request_refuse(pp_request *request, int code, bool with_data, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* With text as it is. */
void pp_request_answer_text(pp_request *request, pp_str text);
/* Not at all. */
void pp_request_drop(pp_request *request);

#endif
