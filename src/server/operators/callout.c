/* Accounts that have a service of their own decide who may come in: whoever shows a good token of
 * such an account, and is not the service itself, comes in as whom the service says.
 *
 * Stricter than nats-server, which asks the service also about tokens that are not good for
 * themselves. */
#include "base/alloc.h"
#include "server/callout/calls.h"
#include "server/operators/operators.h"
#include "server/server.h"

#include <stdio.h>

#define REFUSE(reason, ...)                                                                        \
    ((void)snprintf((reason), PP_CALLOUT_REASON_BYTES, __VA_ARGS__), PIPIT_EINVAL)

/* One question of an account. */
struct asked {
    pp_operators *operators;
    pp_tenant_claims *claims; /* of the account, when it was asked; held */
    uint8_t xkey[PP_NKEY_RAW_BYTES];
    /* While the account that an answer names is looked for. */
    pp_login search; /* nobody's: it is only woken */
    struct pp_call *call;
    char *answer; /* NULL: it has not been looked for */
    size_t answer_len;
};

static bool among(const pp_claim_list *list, pp_str text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (pp_str_eq(list->items[i], text))
            return true;
    }
    return false;
}

/* --- answers ------------------------------------------------------------------------------- */

static pipit_err check_signer(const pp_account_claims *account, const pp_callout_answer *answer,
                              char *reason)
{
    pp_str named = answer->claims.issuer_account, key = account->jwt->subject;

    if (answer->sealed)
        return PIPIT_OK; /* a box can only be the service's */
    if (named.len && !pp_str_eq(named, key))
        return REFUSE(reason,
                      "Auth callout response issuer account \"%.*s\" is not the callout account",
                      PP_STR_ARGS(named));
    if (!pp_str_eq(answer->jwt.issuer, key) && !pp_account_claims_key(account, answer->jwt.issuer))
        return REFUSE(reason, "Auth callout signing key is unknown");
    return PIPIT_OK;
}

/* Where the user may go: this account, or one that it has named. */
static pipit_err check_target(const pp_account_claims *account, const pp_callout_answer *answer,
                              char *reason)
{
    pp_str target = pp_user_claims_account(&answer->user.claims), key = account->jwt->subject;

    if (!pp_str_eq(target, key) && !among(&account->allowed_accounts, target) &&
        !among(&account->allowed_accounts, PP_STR("*")))
        return REFUSE(reason,
                      "Account \"%.*s\" not permitted as valid account option for auth callout for "
                      "account \"%.*s\"",
                      PP_STR_ARGS(answer->user.jwt.issuer), PP_STR_ARGS(key));
    return PIPIT_OK;
}

static pipit_err read_answer(const struct asked *asked, const pp_callout_question *question,
                             pp_str message, pp_callout_answer *answer, char *reason)
{
    const pp_account_claims *account = &asked->claims->claims;
    pipit_err err = pp_callout_answer_open(answer, question, message, reason);

    if (!err)
        err = check_signer(account, answer, reason);
    if (!err)
        err = pp_callout_answer_user(answer, question, reason);
    return err ? err : check_target(account, answer, reason);
}

/* It has been looked for. On the home loop; who has looked may have taken the search for a login of
 * its own kind. */
static void on_found(pp_login *search)
{
    struct asked *asked = PP_CONTAINER(search, struct asked, search);

    if (search->verdict.user)
        pp_user_let_go(search->verdict.user);
    pp_calls_resume(asked->call, (pp_str){asked->answer, asked->answer_len});
}

/* Put the answer off until the account that it names is known. False: that has been tried. */
static bool look_for(struct asked *asked, struct pp_call *call, pp_str key, pp_str message)
{
    if (asked->answer)
        return false;
    asked->answer = pp_memdupz(message.ptr, message.len);
    asked->answer_len = message.len;
    asked->call = call;
    asked->search = (pp_login){.wake = on_found};
    return asked->answer && !pp_operators_fetch(asked->operators, key, &asked->search);
}

static void place(const struct asked *asked, const pp_tenant_claims *target, pp_login *login,
                  pp_token *token, int64_t now_s, char *reason)
{
    pp_operators *operators = asked->operators;
    pp_str key = pp_user_claims_account(&token->claims);
    pp_str name = token->jwt.name.len ? token->jwt.name : login->shown.user;
    pp_user *user = NULL;
    const char *why = "";

    switch (pp_operators_place(operators, login, token, target, name, now_s, &user, &why)) {
    case PP_TOKEN_FINE:
        pp_login_admit(login, user);
        break;
    case PP_TOKEN_NO_MEMORY:
        pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
        break;
    case PP_TOKEN_PROXY_REQUIRED:
        pp_login_refuse(login, PP_LOGIN_PROXY_REQUIRED, NULL);
        (void)snprintf(reason, PP_CALLOUT_REASON_BYTES, "%s", why);
        break;
    default:
        (void)snprintf(reason, PP_CALLOUT_REASON_BYTES, "Auth callout user on account \"%.*s\": %s",
                       PP_STR_ARGS(key), why);
    }
}

static bool judge(void *context, struct pp_call *call, pp_login *login,
                  const pp_callout_question *question, pp_str message,
                  char reason[PP_CALLOUT_REASON_BYTES])
{
    struct asked *asked = context;
    pp_callout_answer answer = {0};
    pp_tenant_claims *target = NULL;
    pipit_err err = read_answer(asked, question, message, &answer, reason);
    pp_str key = err ? PP_STR("") : pp_user_claims_account(&answer.user.claims);
    bool later = false;

    pp_login_refuse(login, err && err != PIPIT_EINVAL ? PP_LOGIN_NO_MEMORY : PP_LOGIN_DENIED, NULL);
    if (!err)
        target = pp_operators_claims(asked->operators, key);
    if (target)
        place(asked, target, login, &answer.user, question->now_s, reason);
    else if (!err)
        later = look_for(asked, call, key, message);
    /* From here on, if later, the call may have been judged, and asked be gone. */
    if (!err && !target && !later)
        (void)REFUSE(reason,
                     "No valid account \"%.*s\" for auth callout response on account \"%.*s\"",
                     PP_STR_ARGS(key), PP_STR_ARGS(question->account));
    pp_tenant_claims_let_go(target);
    pp_callout_answer_fini(&answer);
    return !later;
}

static void done(void *context)
{
    struct asked *asked = context;

    pp_tenant_claims_let_go(asked->claims);
    pp_free(asked->answer);
    pp_free(asked);
}

/* --- questions ----------------------------------------------------------------------------- */

static pp_tenant *tenant_of(pp_operators *operators, pp_str key)
{
    pp_tenant *tenant;

    (void)pthread_mutex_lock(&operators->lock);
    tenant = pp_tenants_find(&operators->tenants, key);
    (void)pthread_mutex_unlock(&operators->lock);
    return tenant; /* it stays */
}

/* user's token tells the service more than the user remembers. */
static pipit_err ask_about(pp_operators *operators, pp_login *login, struct asked *asked,
                           pp_account *account)
{
    const pp_account_claims *claims = &asked->claims->claims;
    pp_tenant *tenant = tenant_of(operators, claims->jwt->subject);
    pp_token token = {0};
    pp_operator_plan *plan;
    pp_call_setup setup = {
        .account = account,
        .asked = &tenant->asked,
        .timeout_ns = pp_server_settings(operators->server)->auth_timeout_ns,
        .judge = judge,
        .done = done,
        .context = asked,
        .service_xkey = claims->auth_xkey.len ? asked->xkey : NULL,
    };
    char reason[PP_JWT_REASON_BYTES];
    pipit_err err;

    (void)pthread_mutex_lock(&operators->lock);
    plan = operators->plan;
    pp_operator_plan_hold(plan);
    (void)pthread_mutex_unlock(&operators->lock);
    setup.request.jwt =
        pp_jwt_looks_like(login->shown.jwt) ? login->shown.jwt : pp_str_of(plan->sentinel);
    setup.request.issuer = claims->jwt->subject;
    err = pp_token_read(&token, setup.request.jwt, pp_operators_now_s(), reason);
    if (!err) {
        setup.request.user_key = token.jwt.subject;
        setup.request.user_name = token.jwt.name;
        setup.request.user_tags = token.jwt.tags.items;
        setup.request.user_tag_count = token.jwt.tags.count;
        err = pp_calls_ask(&operators->server->calls, login, &setup);
    } else if (err == PIPIT_EINVAL) {
        pp_login_refuse(login, PP_LOGIN_DENIED, "User JWT not valid"); /* it has just expired */
        err = PIPIT_OK;
    }
    pp_token_fini(&token);
    pp_operator_plan_let_go(plan);
    return err;
}

pipit_err pp_operators_call_out(pp_authority *callout, pp_login *login)
{
    pp_operators *operators = PP_CONTAINER(callout, pp_operators, callout);
    const pp_user *user = login->verdict.user;
    pp_account *account = user ? user->scope.account : NULL;
    pp_tenant_claims *claims =
        user ? pp_operators_claims(operators, pp_str_of(account->name)) : NULL;
    struct asked *asked;
    pipit_err err;

    if (!claims || !claims->claims.auth_users.count ||
        among(&claims->claims.auth_users, pp_str_of(user->nkey))) {
        pp_tenant_claims_let_go(claims);
        return PIPIT_OK;
    }
    login->verdict = (pp_login_verdict){0};
    pp_user_let_go(user);
    asked = pp_calloc(1, sizeof(*asked));
    if (!asked) {
        pp_tenant_claims_let_go(claims);
        return PIPIT_ENOMEM;
    }
    *asked = (struct asked){.operators = operators, .claims = claims};
    if (claims->claims.auth_xkey.len)
        (void)pp_nkey_decode(claims->claims.auth_xkey, PP_NKEY_CURVE, asked->xkey);
    err = ask_about(operators, login, asked, account);
    if (err != PIPIT_EAGAIN)
        done(asked);
    return err;
}

pp_authority *pp_operators_callout(pp_authority *authority)
{
    return &PP_CONTAINER(authority, pp_operators, authority)->callout;
}
