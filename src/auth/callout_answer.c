#include "auth/callout_answer.h"

#include "auth/xkey.h"

#include <stdio.h>

#define REFUSE(reason, ...)                                                                        \
    ((void)snprintf((reason), PP_CALLOUT_REASON_BYTES, __VA_ARGS__), PIPIT_EINVAL)

/* A phrase of who has decoded something, as a sentence. */
static pipit_err pass_on(char *reason, const char *phrase, pipit_err err)
{
    if (err != PIPIT_EINVAL)
        return err;
    (void)snprintf(reason, PP_CALLOUT_REASON_BYTES, "%s", phrase);
    if (reason[0] >= 'a' && reason[0] <= 'z')
        reason[0] = (char)(reason[0] - 'a' + 'A');
    return PIPIT_EINVAL;
}

/* Any issue is one too many, warnings too. */
static pipit_err refuse_issues(pp_claim_issues *issues, const char *sentence, char *reason)
{
    pp_str text = pp_buf_str(&issues->text);
    const char *end = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    pipit_err err = PIPIT_OK;

    if (issues->errors || issues->warnings || issues->time_checks)
        err = REFUSE(reason, "%s: %.*s", sentence, end ? (int)(end - text.ptr) : PP_STR_ARGS(text));
    pp_claim_issues_fini(issues);
    return err;
}

/* --- the answer ---------------------------------------------------------------------------- */

/* The token in a message, which may be sealed if the question was. */
static pipit_err unseal(pp_callout_answer *answer, const pp_callout_question *question,
                        pp_str message, pp_str *out_token, char *reason)
{
    pipit_err err;

    *out_token = message;
    if (!question->service_xkey ||
        (message.len >= 3 && pp_str_eq((pp_str){message.ptr, 3}, PP_STR("eyJ"))))
        return PIPIT_OK;
    pp_buf_init(&answer->opened, PP_CALLOUT_ANSWER_MAX);
    err =
        pp_xkey_open(question->server_xkey_seed, question->service_xkey, message, &answer->opened);
    if (err == PIPIT_EINVAL)
        return REFUSE(reason, "Error decrypting auth callout response on account \"%.*s\"",
                      PP_STR_ARGS(question->account));
    answer->sealed = true;
    *out_token = pp_buf_str(&answer->opened);
    return err;
}

static pipit_err check_answer(const pp_callout_answer *answer, const pp_callout_question *question,
                              char *reason)
{
    pp_claim_issues issues;
    pipit_err err;

    pp_claim_issues_init(&issues);
    pp_authorization_claims_check(&answer->claims, question->now_s, &issues);
    err = refuse_issues(&issues, "Authorization response had validation errors", reason);
    if (err)
        return err;
    if (!pp_str_eq(answer->jwt.subject, question->user_nkey))
        return REFUSE(reason, "Auth callout violation: auth callout response is not for expected "
                              "user");
    if (!pp_str_eq(answer->jwt.audience, question->server_id))
        return REFUSE(reason, "Auth callout violation: auth callout response is not for server");
    return PIPIT_OK;
}

pipit_err pp_callout_answer_open(pp_callout_answer *answer, const pp_callout_question *question,
                                 pp_str message, char reason[PP_CALLOUT_REASON_BYTES])
{
    char phrase[PP_JWT_REASON_BYTES] = "";
    pp_str token;
    pipit_err err;

    if (!message.len)
        return REFUSE(reason, "Auth callout violation: \"no reason supplied\" on account \"%.*s\"",
                      PP_STR_ARGS(question->account));
    if (message.len > PP_CALLOUT_ANSWER_MAX)
        return REFUSE(reason, "Auth callout violation: response has more than %d bytes",
                      (int)PP_CALLOUT_ANSWER_MAX);
    err = unseal(answer, question, message, &token, reason);
    if (err)
        return err;
    err = pp_jwt_decode(&answer->jwt, token, phrase);
    if (!err)
        err = pp_authorization_claims_read(&answer->claims, &answer->jwt, phrase);
    if (err)
        return pass_on(reason, phrase, err);
    return check_answer(answer, question, reason);
}

void pp_callout_answer_fini(pp_callout_answer *answer)
{
    pp_jwt_fini(&answer->jwt);
    pp_token_fini(&answer->user);
    pp_buf_fini(&answer->opened);
}

/* --- the user in it ------------------------------------------------------------------------ */

static pipit_err check_user(const pp_callout_answer *answer, const pp_callout_question *question,
                            char *reason)
{
    pp_claim_issues issues;
    pipit_err err;

    pp_claim_issues_init(&issues);
    pp_user_claims_check(&answer->user.claims, question->now_s, &issues);
    err = refuse_issues(&issues, "Error validating user JWT", reason);
    if (err)
        return err;
    if (!pp_str_eq(answer->user.jwt.subject, question->user_nkey))
        return REFUSE(reason,
                      "Expected authorized user of \"%.*s\" but got \"%.*s\" on account "
                      "\"%.*s\"",
                      PP_STR_ARGS(question->user_nkey), PP_STR_ARGS(answer->user.jwt.subject),
                      PP_STR_ARGS(question->account));
    return PIPIT_OK;
}

pipit_err pp_callout_answer_user(pp_callout_answer *answer, const pp_callout_question *question,
                                 char reason[PP_CALLOUT_REASON_BYTES])
{
    char phrase[PP_JWT_REASON_BYTES] = "";
    pipit_err err;

    if (answer->claims.error.len)
        return REFUSE(reason, "Auth callout service returned an error: %.*s",
                      PP_STR_ARGS(answer->claims.error));
    err = pp_jwt_decode(&answer->user.jwt, answer->claims.user, phrase);
    if (!err)
        err = pp_user_claims_read(&answer->user.claims, &answer->user.jwt, phrase);
    if (err)
        return pass_on(reason, phrase, err);
    return check_user(answer, question, reason);
}

pipit_err pp_callout_answer_terms(const pp_callout_answer *answer,
                                  const pp_callout_question *question, const pp_token_visit *visit,
                                  pp_token_grant *grant, char reason[PP_CALLOUT_REASON_BYTES])
{
    const char *phrase;

    switch (pp_token_terms(&answer->user, visit, grant, &phrase)) {
    case PP_TOKEN_FINE:
        return PIPIT_OK;
    case PP_TOKEN_EXPIRED:
        return REFUSE(reason, "Authorized user on account \"%.*s\" outside of valid connect times",
                      PP_STR_ARGS(question->account));
    default:
        return REFUSE(reason, "Authorized user on account \"%.*s\": %s",
                      PP_STR_ARGS(question->account), phrase);
    }
}
