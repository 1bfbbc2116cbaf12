/* server/callout/callout.h -- the service that a configuration lets decide who may come in.
 *
 * Made with the gate that it has the last word behind, from the same configuration, and never
 * changed. Source: NATS authentication, section 8. */
#ifndef PP_SERVER_CALLOUT_CALLOUT_H
#define PP_SERVER_CALLOUT_CALLOUT_H

#include "auth/login.h"
#include "auth/users.h"
#include "config/options.h"
#include "server/accounts.h"
#include "server/callout/calls.h"

typedef struct pp_callout pp_callout;

typedef struct pp_callout_setup {
    const pp_callout_options *options;
    int64_t timeout_ns;
    uint8_t slow_policy; /* of whom it lets in */
    const pp_users *users;
    pp_accounts *accounts;
    pp_account *account; /* where it is asked; NULL: it does not exist, and nobody is let in */
    pp_account *global;
    pp_calls *calls;
} pp_callout_setup;

/* Owner: options are copied; the rest is borrowed for its life. Errors: PIPIT_ENOMEM. */
pipit_err pp_callout_new(pp_callout **out_callout, const pp_callout_setup *setup);
/* When no login waits for it. */
void pp_callout_free(pp_callout *callout);

pp_authority *pp_callout_authority(pp_callout *callout);

/* Let a login in as the user of an answer, or refuse it: what is left to do when it is known who
 * vouches for the answer, where its user goes and by what limits (grant->limits). users is the
 * table that the user's account stands and falls with. reason is as of pp_call_setup's judge. */
typedef struct pp_callout_place {
    pp_account *account;
    bool asks_here; /* the service is asked in that account: who is let in must not */
    pp_views *views;
    const pp_users *users; /* held by whoever is let in */
    uint8_t slow_policy;
} pp_callout_place;

void pp_callout_let_in(pp_login *login, const pp_callout_answer *answer,
                       const pp_callout_question *question, const pp_callout_place *place,
                       pp_token_grant *grant, char reason[PP_CALLOUT_REASON_BYTES]);

#endif
