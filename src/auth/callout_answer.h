/* auth/callout_answer.h -- what a callout service has answered, looked at step by step.
 *
 *   [pp_callout_answer_open]   who has signed it?   [pp_callout_answer_user]   [.._terms]
 *  ------------------------> opened ---------------------------------------> read -------> terms
 *
 * Pure. An answer proves who has written it: the key that signed it, or, where it is sealed, the
 * owner of the service's curve key. Whether that one is to be believed, and in which account it may
 * place somebody, is the caller's to say. Source: NATS authentication, section 8; the order of
 * looking, and the sentences, are those of nats-server 2.15. */
#ifndef PP_AUTH_CALLOUT_ANSWER_H
#define PP_AUTH_CALLOUT_ANSWER_H

#include "auth/claims.h"
#include "auth/nkey.h"
#include "auth/token_login.h"
#include "base/buf.h"

enum {
    PP_CALLOUT_REASON_BYTES = 512,
    PP_CALLOUT_ANSWER_MAX = PP_JWT_BYTES_MAX + 64, /* bytes of a message, with its box */
};

/* What an answer must fit. */
typedef struct pp_callout_question {
    pp_str user_nkey; /* made for it */
    pp_str server_id;
    pp_str account;                  /* where it was asked; for sentences */
    const uint8_t *server_xkey_seed; /* NULL: nothing was sealed */
    const uint8_t *service_xkey;     /* whose the boxes are; NULL like that */
    int64_t now_s;
} pp_callout_question;

/* Zeroed: nothing of it is there yet. */
typedef struct pp_callout_answer {
    pp_buf opened; /* of a sealed one */
    bool sealed;
    pp_jwt jwt;
    pp_authorization_claims claims;
    pp_token user; /* from pp_callout_answer_user on */
} pp_callout_answer;

/* Look at a message. reason gets a sentence without its full stop. *answer is for
 * pp_callout_answer_fini also after a failure. Errors, here and below: PIPIT_EINVAL, see reason;
 * PIPIT_ENOMEM. */
pipit_err pp_callout_answer_open(pp_callout_answer *answer, const pp_callout_question *question,
                                 pp_str message, char reason[PP_CALLOUT_REASON_BYTES]);
void pp_callout_answer_fini(pp_callout_answer *answer);

/* Its writer is believed: take the user's token out of it. */
pipit_err pp_callout_answer_user(pp_callout_answer *answer, const pp_callout_question *question,
                                 char reason[PP_CALLOUT_REASON_BYTES]);

/* The terms of the token's user, whose limits, if they are not the token's own, are in
 * grant->limits. Times, kinds of connection, where from; not whether a proxy is needed. */
pipit_err pp_callout_answer_terms(const pp_callout_answer *answer,
                                  const pp_callout_question *question, const pp_token_visit *visit,
                                  pp_token_grant *grant, char reason[PP_CALLOUT_REASON_BYTES]);

#endif
