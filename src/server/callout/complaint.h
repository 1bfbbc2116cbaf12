/* server/callout/complaint.h -- what is told in the account of a callout service: whom it, or what
 * it has answered, has kept out, and why.
 *
 * The service's owner learns there what the client must not. */
#ifndef PP_SERVER_CALLOUT_COMPLAINT_H
#define PP_SERVER_CALLOUT_COMPLAINT_H

#include "auth/login.h"
#include "core/account.h"

struct pp_system;

typedef struct pp_complaint {
    pp_account *account; /* of the service; it does not go meanwhile */
    const pp_login_shown *shown;
    pp_str user_key; /* of the token that was shown; empty: none was */
    pp_str reason;   /* may be empty */
} pp_complaint;

/* Tell it to whoever listens there. Thread: the home loop's, not while a message is delivered.
 * Source: accounts and subjects, section 9, AUTH.ERR; nats-server 2.15.2 as observed. */
void pp_complaint_tell(struct pp_system *system, const pp_complaint *complaint);

#endif
