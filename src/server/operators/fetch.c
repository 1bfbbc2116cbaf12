/* Tokens of accounts on their way, and the logins that wait for them. */
#include "base/alloc.h"
#include "server/operators/operators.h"
#include "server/server.h"

#include <string.h>

static void lock(pp_operators *operators)
{
    (void)pthread_mutex_lock(&operators->lock);
}

static void unlock(pp_operators *operators)
{
    (void)pthread_mutex_unlock(&operators->lock);
}

static const pp_log *log_of(const pp_operators *operators)
{
    return &operators->server->log;
}

/* --- fetching ------------------------------------------------------------------------------ */

static void answer(pp_operators *operators, pp_login *login)
{
    char reason[PP_JWT_REASON_BYTES];
    const char *text = login->shown.jwt.len ? login->shown.jwt.ptr : NULL;
    pp_tenant_claims *claims = NULL;
    pp_operator_plan *plan;
    pp_token token = {0};
    pipit_err err;

    lock(operators);
    plan = operators->plan;
    pp_operator_plan_hold(plan);
    unlock(operators);
    err = pp_token_read(&token,
                        pp_jwt_looks_like(login->shown.jwt) && text ? login->shown.jwt
                                                                    : pp_str_of(plan->sentinel),
                        pp_operators_now_s(), reason);
    if (!err)
        claims = pp_operators_claims(operators, pp_user_claims_account(&token.claims));
    if (claims)
        pp_operators_decide(operators, login, &token, claims);
    else
        pp_login_refuse(login, err == PIPIT_ENOMEM ? PP_LOGIN_NO_MEMORY : PP_LOGIN_DENIED,
                        "Account JWT lookup error");
    pp_tenant_claims_let_go(claims);
    pp_token_fini(&token);
    pp_operator_plan_let_go(plan);
}

static void take_out(pp_operators *operators, pp_fetch *done)
{
    pp_fetch **at = &operators->fetches;

    lock(operators);
    while (*at != done)
        at = &(*at)->next;
    *at = done->next;
    operators->fetch_count--;
    for (const pp_login *login = done->waiting; login; login = login->work)
        operators->waiting_count--;
    unlock(operators);
}

/* On the home loop: it has been found, or not. */
static void on_fetched(pp_fetch *found)
{
    pp_operators *operators = found->operators;
    char reason[PP_JWT_REASON_BYTES] = "";
    pp_login *login;
    pipit_err err = found->err;

    if (!err && found->token.len)
        err = pp_operators_install(operators, pp_str_of(found->key), pp_buf_str(&found->token),
                                   reason);
    if (err && *reason)
        pp_log_write(log_of(operators), PP_LOG_WARN, "Account %s: %s", found->key, reason);
    take_out(operators, found);
    login = found->waiting;
    while (login) {
        pp_login *next = login->work; /* it may be gone as soon as it has been woken */

        login->work = NULL;
        answer(operators, login);
        pp_login_wake(login);
        login = next;
    }
    pp_buf_fini(&found->token);
    pp_free(found);
}

static void on_job_done(pp_task *task)
{
    pp_fetch *found = PP_CONTAINER(task, pp_fetch, job.done);

    if (found->job.dropped)
        found->err = PIPIT_ECLOSED;
    on_fetched(found);
}

static void on_task(pp_task *task)
{
    on_fetched(PP_CONTAINER(task, pp_fetch, task));
}

/* By the plan that is in force, which a reload may exchange meanwhile. */
static void ask(pp_operators *operators, pp_fetch *wanted)
{
    pp_operator_plan *plan;

    (void)pthread_mutex_lock(&operators->lock);
    plan = operators->plan;
    pp_operator_plan_hold(plan);
    (void)pthread_mutex_unlock(&operators->lock);
    wanted->err = pp_fetch_url(operators->url, &plan->tls, wanted->key, operators->timeout_ns,
                               &operators->clerk.hurry, &wanted->token);
    pp_operator_plan_let_go(plan);
}

/* On a clerk's thread. */
static void look_up(pp_clerk_job *job)
{
    pp_fetch *wanted = PP_CONTAINER(job, pp_fetch, job);
    pp_operators *operators = wanted->operators;

    if (operators->store)
        wanted->err = pp_token_store_load(operators->store, pp_str_of(wanted->key),
                                          pp_operators_now_s(), &wanted->token);
    else
        ask(operators, wanted);
    while (wanted->token.len && wanted->token.ptr[wanted->token.len - 1] <= ' ')
        wanted->token.len--;
}

/* Where it is known from the start there is nothing to wait for. */
static bool preload(pp_operators *operators, pp_fetch *wanted)
{
    const char *token;

    token = pp_operator_plan_preload(operators->plan, pp_str_of(wanted->key));
    wanted->err = token ? pp_buf_add(&wanted->token, token, strlen(token)) : PIPIT_ENOTFOUND;
    return token || operators->kind == PP_RESOLVER_MEM;
}

static void send_for(pp_operators *operators, pp_fetch *wanted)
{
    bool known;

    lock(operators);
    known = operators->store ? false : preload(operators, wanted);
    unlock(operators);
    if (known) {
        wanted->task.run = on_task;
        pp_loop_post(operators->clerk.home, &wanted->task);
        return;
    }
    wanted->err = PIPIT_OK;
    wanted->job.work = look_up;
    wanted->job.done.run = on_job_done;
    pp_clerk_give(&operators->clerk, &wanted->job);
}

static pp_fetch *find_fetch(const pp_operators *operators, pp_str key)
{
    pp_fetch *one = operators->fetches;

    while (one && !pp_str_eq(pp_str_of(one->key), key))
        one = one->next;
    return one;
}

pipit_err pp_operators_fetch(pp_operators *operators, pp_str key, pp_login *login)
{
    pp_fetch *wanted, *fresh = NULL;
    pipit_err err = PIPIT_OK;

    if (pp_nkey_decode(key, PP_NKEY_ACCOUNT, NULL))
        return PIPIT_EINVAL;
    lock(operators);
    wanted = find_fetch(operators, key);
    if (operators->waiting_count >= PP_WAITING_MAX ||
        (!wanted && operators->fetch_count >= PP_FETCHES_MAX))
        err = PIPIT_ELIMIT;
    if (!err && !wanted) {
        fresh = wanted = pp_calloc(1, sizeof(*fresh));
        err = fresh ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (fresh) {
        fresh->operators = operators;
        memcpy(fresh->key, key.ptr, key.len);
        pp_buf_init(&fresh->token, PP_JWT_BYTES_MAX + 16);
        fresh->next = operators->fetches;
        operators->fetches = fresh;
        operators->fetch_count++;
    }
    if (!err && login) {
        login->work = wanted->waiting;
        wanted->waiting = login;
        operators->waiting_count++;
    }
    unlock(operators);
    if (fresh)
        send_for(operators, fresh);
    return err;
}
