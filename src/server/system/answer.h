/* server/system/answer.h -- who answers what; see the table in service.c. Thread: the home loop's.
 */
#ifndef PP_SERVER_SYSTEM_ANSWER_H
#define PP_SERVER_SYSTEM_ANSWER_H

#include "server/monitor/monitor.h"
#include "server/system/request.h"

/* Which part of an account is asked for; service.detail. */
enum {
    PP_ACCOUNT_SUBSZ,
    PP_ACCOUNT_CONNZ,
    PP_ACCOUNT_LEAFZ,
    PP_ACCOUNT_JSZ,
    PP_ACCOUNT_INFO,
    PP_ACCOUNT_STATZ,
    PP_ACCOUNT_CONNS,
    PP_ACCOUNTS_STATZ, /* of all */
};

/* server_answers.c */
void pp_answer_server(pp_request *request); /* detail: the monitor's endpoint */
void pp_answer_stats(pp_request *request);
void pp_answer_id(pp_request *request);
void pp_answer_profile(pp_request *request);

/* account_answers.c */
void pp_answer_account(pp_request *request);
void pp_answer_subscribers(pp_request *request);

/* user_answer.c */
void pp_answer_user(pp_request *request);
void pp_answer_nobody(pp_request *request);

/* control.c: what changes something */
void pp_answer_reload(pp_request *request);
void pp_answer_kick(pp_request *request);
void pp_answer_lame_duck(pp_request *request);

/* ../operators/token_requests.c: tokens of accounts, in operator mode */
void pp_answer_token_update(pp_request *request);
void pp_answer_token_delete(pp_request *request);
void pp_answer_token_list(pp_request *request);
void pp_answer_token_lookup(pp_request *request);
void pp_answer_token_pack(pp_request *request);

/* inquiry.c: with the monitor's help */

/* Read the body of request as options of endpoint. False: it could not be read, or is not for this
 * server, and the request has been dealt with. Fini after true only. */
struct pp_question;
bool pp_inquiry_read(pp_request *request, pp_monitor_endpoint endpoint,
                     struct pp_question *question);

/* What becomes of the monitor's page; the request is the callee's. Thread: the monitor's. */
typedef void (*pp_inquiry_fn)(pp_request *request, const pp_monitor_answer *answer);

/* Ask an endpoint, or whatever write writes; the request is dealt with when it cannot be asked. */
void pp_inquire(pp_request *request, pp_monitor_endpoint endpoint,
                const pp_monitor_options *options, pp_inquiry_fn reply);
void pp_inquire_with(pp_request *request, pp_monitor_write_fn write,
                     const pp_monitor_options *options, pp_inquiry_fn reply);

/* As most: JSON is the data, a text is an error. */
void pp_inquiry_reply(pp_request *request, const pp_monitor_answer *answer);

#endif
