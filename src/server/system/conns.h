/* server/system/conns.h -- how many clients an account has: told when that changes, every 30 s
 * while there are any, and when asked.
 *
 * Of an account that changes fast it is told ten times a second at most, the last word always. */
#ifndef PP_SERVER_SYSTEM_CONNS_H
#define PP_SERVER_SYSTEM_CONNS_H

#include "core/account.h"
#include "net/loop.h"

struct pp_request;
struct pp_system;

/* Set the timer. Thread: the home loop's. */
void pp_conns_start(struct pp_system *system);

/* An account has a client more or less. Thread: that client's loop. */
void pp_conns_note(struct pp_system *system, pp_account *account);

/* The task pp_services.count. */
void pp_conns_on_count(pp_task *task);

/* Answer with the event itself; silent about an account without clients. Thread: the home loop's.
 */
void pp_conns_answer(struct pp_request *request, pp_str account);

#endif
