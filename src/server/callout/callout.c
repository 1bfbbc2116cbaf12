#include "server/callout/callout.h"

#include "base/alloc.h"
#include "base/list.h"
#include "net/conn.h"

#include <stdio.h>
#include <string.h>

struct pp_callout {
    pp_authority authority;
    pp_callout_setup setup; /* its options are these: */
    char issuer[PP_NKEY_TEXT_BYTES];
    bool seals;
    uint8_t service_xkey[PP_NKEY_RAW_BYTES];
    char **auth_users;
    size_t auth_user_count;
    char **allowed; /* names of accounts */
    size_t allowed_count;
    atomic_uint asked;
};

/* --- whom it concerns ---------------------------------------------------------------------- */

static bool among(char *const *texts, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(texts[i], text) == 0)
            return true;
    }
    return false;
}

/* A user that the service itself is; no name is nobody's. */
static bool is_service(const pp_callout *callout, const pp_user *user)
{
    const char *name = user && user->nkey ? user->nkey : user ? user->name : "";

    return *name && among(callout->auth_users, callout->auth_user_count, name);
}

/* Whom somebody who was refused has named: whoever shows the wrong password of the service's user
 * is refused, whatever the service would say. */
static const pp_user *named(const pp_callout *callout, const pp_login_shown *shown)
{
    const pp_users *users = callout->setup.users;
    const pp_user *user = NULL;

    if (shown->nkey.len)
        user = pp_users_find_nkey(users, shown->nkey);
    if (!user && shown->user.len)
        user = pp_users_find(users, shown->user);
    if (!user && shown->user.len) {
        user = pp_users_single(users, shown->entrance);
        if (user && !pp_str_eq(pp_str_of(user->name), shown->user))
            user = NULL;
    }
    return user;
}

/* Somebody said to be the service itself, and is not. */
static bool pretends(const pp_callout *callout, const pp_login *login)
{
    return !login->verdict.user && login->verdict.fault == PP_LOGIN_DENIED &&
           is_service(callout, named(callout, &login->shown));
}

static bool concerns(const pp_callout *callout, const pp_login *login)
{
    const pp_user *user = login->verdict.user;

    if (!user)
        return login->verdict.fault == PP_LOGIN_DENIED;
    if (user->scope.account != callout->setup.global && callout->allowed_count &&
        !among(callout->allowed, callout->allowed_count, user->scope.account->name))
        return false;
    return !is_service(callout, user);
}

/* --- whom it lets in ----------------------------------------------------------------------- */

/* Keeps what a guest's account stands and falls with. */
static void forget(void *origin)
{
    pp_users_let_go(origin);
}

static void *hold_users(const pp_users *users)
{
    pp_users *held = (pp_users *)users; /* only its count of holders changes */

    pp_users_hold(held);
    return held;
}

/* What it is called from now on: as its token says, or else as it has called itself. */
static pipit_err copy_name(const pp_login *login, const pp_callout_answer *answer, char **out_name)
{
    const pp_login_shown *shown = &login->shown;
    pp_str name = answer->user.jwt.name;

    if (!name.len)
        name = shown->nkey.len ? shown->nkey : shown->user;
    if (!name.len && login->candidate)
        name = pp_str_of(login->candidate->name);
    if (!name.len && shown->token.len)
        name = PP_STR("[REDACTED]");
    *out_name = pp_memdupz(name.len ? name.ptr : "", name.len);
    return *out_name ? PIPIT_OK : PIPIT_ENOMEM;
}

static pipit_err make_guest(const pp_login *login, const pp_callout_answer *answer,
                            const pp_callout_place *place, pp_token_grant *grant,
                            pp_user **out_user)
{
    pp_guest_setup setup = pp_guest_setup_none(place->views, place->account);
    pp_permissions *permissions = NULL;
    char *name = NULL;
    pipit_err err = pp_claim_permissions_make_closed(
        &grant->limits.permissions, place->asks_here ? PP_STR(PP_CALLOUT_SUBJECT) : PP_STR(""),
        &permissions);

    if (!err)
        err = copy_name(login, answer, &name);
    if (!err) {
        setup.permissions = permissions;
        setup.name = name;
        setup.expires_s = grant->expires_s;
        setup.connection_types = grant->connection_types;
        setup.slow_policy = place->slow_policy;
        setup.proxy_required = grant->limits.proxy_required;
        setup.origin = hold_users(place->users);
        setup.forget = forget;
        err = pp_guest_new(&setup, out_user);
        if (err)
            forget(setup.origin);
    }
    pp_permissions_free(permissions);
    pp_free(name);
    return err;
}

void pp_callout_let_in(pp_login *login, const pp_callout_answer *answer,
                       const pp_callout_question *question, const pp_callout_place *place,
                       pp_token_grant *grant, char reason[PP_CALLOUT_REASON_BYTES])
{
    const pp_token_visit visit = {
        .host = login->shown.host,
        .connection_type = login->shown.connection_type,
        .proxied = login->proxy != NULL,
        .now_s = question->now_s,
    };
    pp_user *user;
    pipit_err err;

    pp_login_refuse(login, PP_LOGIN_DENIED, NULL);
    if (grant->limits.proxy_required && !login->proxy) {
        pp_login_refuse(login, PP_LOGIN_PROXY_REQUIRED, NULL);
        (void)snprintf(reason, PP_CALLOUT_REASON_BYTES, "Proxy required");
        return;
    }
    err = pp_callout_answer_terms(answer, question, &visit, grant, reason);
    if (!err)
        err = make_guest(login, answer, place, grant, &user);
    if (!err)
        pp_login_admit(login, user);
    else if (err == PIPIT_ENOMEM)
        pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
    else if (!*reason)
        (void)snprintf(reason, PP_CALLOUT_REASON_BYTES,
                       "Could not register auth callout user: its permissions are not valid");
}

/* --- answers ------------------------------------------------------------------------------- */

#define REFUSE(reason, ...)                                                                        \
    ((void)snprintf((reason), PP_CALLOUT_REASON_BYTES, __VA_ARGS__), PIPIT_EINVAL)

/* Who vouches for the user, and where it goes. */
static pipit_err find_place(const pp_callout *callout, const pp_callout_answer *answer,
                            const pp_callout_question *question, pp_callout_place *out_place,
                            char *reason)
{
    const pp_token *user = &answer->user;

    if (user->claims.issuer_account.len)
        return REFUSE(reason,
                      "Error non operator mode account \"%.*s\": attempted to use "
                      "issuer_account",
                      PP_STR_ARGS(question->account));
    if (!pp_str_eq(user->jwt.issuer, pp_str_of(callout->issuer)))
        return REFUSE(reason,
                      "Wrong issuer for auth callout response on account \"%.*s\", "
                      "expected \"%s\" got \"%.*s\"",
                      PP_STR_ARGS(question->account), callout->issuer,
                      PP_STR_ARGS(user->jwt.issuer));
    *out_place = (pp_callout_place){
        .account = pp_accounts_find(callout->setup.accounts, user->jwt.audience),
        .views = &callout->setup.accounts->views,
        .users = callout->setup.users,
        .slow_policy = callout->setup.slow_policy,
    };
    if (!out_place->account)
        return REFUSE(reason,
                      "No valid account \"%.*s\" for auth callout response on account "
                      "\"%.*s\": account missing",
                      PP_STR_ARGS(user->jwt.audience), PP_STR_ARGS(question->account));
    out_place->asks_here = out_place->account == callout->setup.account;
    return PIPIT_OK;
}

static pipit_err read_answer(const pp_callout *callout, const pp_callout_question *question,
                             pp_str message, pp_callout_answer *answer, char *reason)
{
    pipit_err err = pp_callout_answer_open(answer, question, message, reason);

    /* A box can only be the service's, so that it does not matter who has signed what is in it. */
    if (!err && !answer->sealed && !pp_str_eq(answer->jwt.issuer, pp_str_of(callout->issuer)))
        err = REFUSE(reason, "Auth callout signing key is unknown");
    return err ? err : pp_callout_answer_user(answer, question, reason);
}

static bool judge(void *context, struct pp_call *call, pp_login *login,
                  const pp_callout_question *question, pp_str message,
                  char reason[PP_CALLOUT_REASON_BYTES])
{
    const pp_callout *callout = context;
    pp_callout_answer answer = {0};
    pp_callout_place place;
    pipit_err err = read_answer(callout, question, message, &answer, reason);

    (void)call;
    pp_login_refuse(login, PP_LOGIN_DENIED, NULL);
    if (!err)
        err = find_place(callout, &answer, question, &place, reason);
    if (!err) {
        pp_token_grant grant = {.limits = answer.user.claims.limits};

        pp_callout_let_in(login, &answer, question, &place, &grant, reason);
    } else if (err != PIPIT_EINVAL) {
        pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
    }
    pp_callout_answer_fini(&answer);
    return true;
}

/* --- the authority ------------------------------------------------------------------------- */

static pipit_err ask(pp_authority *authority, pp_login *login)
{
    pp_callout *callout = PP_CONTAINER(authority, pp_callout, authority);
    const pp_user *user = login->verdict.user;
    const pp_call_setup setup = {
        .account = callout->setup.account,
        .asked = &callout->asked,
        .request.issuer = pp_str_of(callout->issuer),
        .request.user = pp_str_of(user && user->table ? user->name : ""),
        .timeout_ns = callout->setup.timeout_ns,
        .judge = judge,
        .context = callout,
        .service_xkey = callout->seals ? callout->service_xkey : NULL,
    };

    if (pretends(callout, login))
        return callout->setup.account ? pp_calls_report(callout->setup.calls, login, &setup,
                                                        pp_close_reason_text(PP_CLOSE_AUTH))
                                      : PIPIT_OK;
    if (!concerns(callout, login))
        return PIPIT_OK;
    login->candidate = user && user->table ? user : NULL; /* stays as long as the table does */
    if (user)
        pp_user_let_go(user);
    login->verdict = (pp_login_verdict){0};
    if (!callout->setup.account) {
        pp_login_refuse(login, PP_LOGIN_DENIED, "the account of the auth callout does not exist");
        return PIPIT_OK;
    }
    return pp_calls_ask(callout->setup.calls, login, &setup);
}

/* A reload cannot change who is asked, so what was said then holds, where the account is still
 * there. The user moves to the table in force, and lets go of the one before. */
static const pp_user *renew(pp_authority *authority, const pp_user *old, pp_departure *out_why)
{
    const pp_callout *callout = PP_CONTAINER(authority, pp_callout, authority);
    pp_account *account = old->scope.account;
    pp_guest_setup setup = pp_guest_setup_none(&callout->setup.accounts->views, account);
    pp_user *user = NULL;

    *out_why = PP_DEPARTURE_GONE;
    if (pp_accounts_find(callout->setup.accounts, pp_str_of(account->name)) != account)
        return NULL;
    *out_why = PP_DEPARTURE_DENIED;
    setup.permissions = old->scope.permissions;
    setup.name = old->name;
    setup.expires_s = old->expires_s;
    setup.connection_types = old->connection_types;
    setup.slow_policy = callout->setup.slow_policy;
    setup.proxy_required = old->proxy_required;
    setup.origin = hold_users(callout->setup.users);
    setup.forget = forget;
    if (pp_guest_new(&setup, &user))
        forget(setup.origin);
    return user;
}

pp_authority *pp_callout_authority(pp_callout *callout)
{
    return &callout->authority;
}

/* --- life ---------------------------------------------------------------------------------- */

static pipit_err copy_texts(const char *const *texts, size_t count, char ***out_texts,
                            size_t *out_count)
{
    *out_texts = pp_calloc(count + 1, sizeof(char *));
    if (!*out_texts)
        return PIPIT_ENOMEM;
    for (; *out_count < count; (*out_count)++) {
        const char *text = texts[*out_count];

        (*out_texts)[*out_count] = pp_memdupz(text, strlen(text));
        if (!(*out_texts)[*out_count])
            return PIPIT_ENOMEM;
    }
    return PIPIT_OK;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pp_free(texts[i]);
    pp_free(texts);
}

pipit_err pp_callout_new(pp_callout **out_callout, const pp_callout_setup *setup)
{
    const pp_callout_options *options = setup->options;
    pp_callout *callout = pp_calloc(1, sizeof(*callout));
    pipit_err err;

    if (!callout)
        return PIPIT_ENOMEM;
    callout->authority = (pp_authority){.ask = ask, .renew = renew};
    callout->setup = *setup;
    callout->setup.options = NULL;
    (void)snprintf(callout->issuer, sizeof(callout->issuer), "%s", options->issuer);
    callout->seals = options->xkey && !pp_nkey_decode(pp_str_of(options->xkey), PP_NKEY_CURVE,
                                                      callout->service_xkey);
    err = copy_texts(options->auth_users, options->auth_user_count, &callout->auth_users,
                     &callout->auth_user_count);
    if (!err)
        err = copy_texts(options->allowed_accounts, options->allowed_account_count,
                         &callout->allowed, &callout->allowed_count);
    if (err)
        pp_callout_free(callout);
    else
        *out_callout = callout;
    return err;
}

void pp_callout_free(pp_callout *callout)
{
    if (!callout)
        return;
    free_texts(callout->auth_users, callout->auth_user_count);
    free_texts(callout->allowed, callout->allowed_count);
    pp_free(callout);
}
