/* Guests: whom a token lets in, and what becomes of them when their account changes. */
#include "base/alloc.h"
#include "base/hash.h"
#include "server/operators/operators.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>

/* --- what is remembered of a guest --------------------------------------------------------- */

/* Enough to judge it again without its token. */
struct origin {
    char account[PP_NKEY_TEXT_BYTES];
    char subject[PP_NKEY_TEXT_BYTES];
    char issuer[PP_NKEY_TEXT_BYTES];
    int64_t issued_s;
    uint64_t scope_hash; /* of the scope that it has been given; 0: none */
    uint64_t defaults_hash;
    bool bearer;
    bool has_defaults; /* its permissions are those of the account */
};

static void copy_key(char out[PP_NKEY_TEXT_BYTES], pp_str key)
{
    size_t len = key.len < PP_NKEY_TEXT_BYTES ? key.len : PP_NKEY_TEXT_BYTES - 1;

    memcpy(out, key.ptr, len);
    out[len] = '\0';
}

static void forget(void *origin)
{
    pp_free(origin);
}

static uint64_t scope_of(const pp_account_claims *account, pp_str issuer)
{
    const pp_signing_key *key = pp_account_claims_key(account, issuer);

    return key && key->scoped ? key->hash : 0;
}

/* --- letting in ---------------------------------------------------------------------------- */

static uint8_t slow_policy_of(const pp_operators *operators)
{
    return (uint8_t)atomic_load(&operators->server->client_door.limits.slow_policy);
}

static int32_t subs_of(int64_t limit)
{
    return limit < 0 ? PP_USER_UNLIMITED : limit > INT32_MAX ? INT32_MAX : (int32_t)limit;
}

static pipit_err make_guest(pp_operators *operators, const pp_token *token, pp_str shown_name,
                            bool by_callout, const pp_token_grant *grant,
                            const pp_tenant_claims *claims, pp_account *account, pp_user **out_user)
{
    struct origin *origin = pp_calloc(1, sizeof(*origin));
    char name[256];
    pp_guest_setup setup = pp_guest_setup_none(&operators->server->accounts.views, account);
    pp_permissions *permissions = NULL;
    pipit_err err = origin ? PIPIT_OK : PIPIT_ENOMEM;
    pp_buf tags;

    pp_buf_init(&tags, PP_JWT_BYTES_MAX);
    for (size_t i = 0; i < token->jwt.tags.count && !err; i++) {
        err = pp_buf_add(&tags, token->jwt.tags.items[i].ptr, token->jwt.tags.items[i].len);
        if (!err)
            err = pp_buf_add(&tags, "", 1);
    }
    if (!err)
        err = pp_token_permissions(grant, &claims->claims, &permissions);
    if (err)
        goto out;
    copy_key(origin->account, pp_user_claims_account(&token->claims));
    copy_key(origin->subject, token->jwt.subject);
    copy_key(origin->issuer, token->jwt.issuer);
    origin->issued_s = token->jwt.issued_s;
    origin->bearer = grant->limits.bearer;
    origin->scope_hash = scope_of(&claims->claims, token->jwt.issuer);
    origin->has_defaults = pp_claim_permissions_empty(&grant->limits.permissions);
    origin->defaults_hash = claims->defaults_hash;
    setup.permissions = permissions;
    (void)snprintf(name, sizeof(name), "%.*s", PP_STR_ARGS(shown_name));
    setup.name = name;
    /* The key in a callout's token was made up for the question. */
    setup.nkey = by_callout ? NULL : origin->subject;
    setup.issuer = token->jwt.issuer;
    setup.tags = pp_buf_str(&tags);
    setup.expires_s = grant->expires_s;
    setup.max_payload = grant->limits.payload < 0 ? PP_USER_UNLIMITED : grant->limits.payload;
    setup.max_subscriptions = subs_of(grant->limits.subs);
    setup.connection_types = grant->connection_types;
    setup.slow_policy = slow_policy_of(operators);
    setup.proxy_required = grant->limits.proxy_required;
    setup.origin = origin;
    setup.forget = forget;
    err = pp_guest_new(&setup, out_user);
    if (!err)
        origin = NULL; /* the guest's */
out:
    pp_buf_fini(&tags);
    pp_permissions_free(permissions);
    pp_free(origin);
    return err;
}

static pp_account *account_of(pp_operators *operators, pp_str key, pp_operator_plan **out_plan)
{
    pp_tenant *tenant;

    (void)pthread_mutex_lock(&operators->lock);
    tenant = pp_tenants_find(&operators->tenants, key);
    *out_plan = operators->plan;
    pp_operator_plan_hold(*out_plan);
    (void)pthread_mutex_unlock(&operators->lock);
    return tenant ? tenant->account : NULL;
}

void pp_operators_decide(pp_operators *operators, pp_login *login, pp_token *token,
                         const pp_tenant_claims *claims)
{
    const pp_token_visit visit = {
        .nonce = login->shown.nonce,
        .sig = login->shown.sig,
        .host = login->shown.host,
        .connection_type = login->shown.connection_type,
        .proxied = login->proxy != NULL,
        .now_s = pp_operators_now_s(),
    };
    pp_login_fault fault = PP_LOGIN_DENIED;
    pp_operator_plan *plan;
    pp_account *account = account_of(operators, pp_user_claims_account(&token->claims), &plan);
    pp_token_grant grant;
    pp_token_fault judged;
    pp_user *user = NULL;
    const char *why;

    judged = pp_token_judge(token, &claims->claims, &plan->trust, &visit, &grant, &why);
    if (!judged && account &&
        make_guest(operators, token, token->jwt.name, false, &grant, claims, account, &user))
        judged = PP_TOKEN_NO_MEMORY;
    pp_operator_plan_let_go(plan);
    if (user) {
        pp_login_admit(login, user);
        return;
    }
    if (judged == PP_TOKEN_PROXY_REQUIRED)
        fault = PP_LOGIN_PROXY_REQUIRED;
    else if (judged == PP_TOKEN_NO_MEMORY)
        fault = PP_LOGIN_NO_MEMORY;
    pp_login_refuse(login, fault, why);
}

pp_token_fault pp_operators_place(pp_operators *operators, pp_login *login, pp_token *token,
                                  const pp_tenant_claims *claims, pp_str name, int64_t now_s,
                                  pp_user **out_user, const char **out_why)
{
    const pp_token_visit visit = {
        .host = login->shown.host,
        .connection_type = login->shown.connection_type,
        .proxied = login->proxy != NULL,
        .known = true, /* it has shown who it is to whoever has written the token */
        .now_s = now_s,
    };
    pp_operator_plan *plan;
    pp_account *account = account_of(operators, pp_user_claims_account(&token->claims), &plan);
    pp_token_grant grant;
    pp_token_fault fault =
        pp_token_judge(token, &claims->claims, &plan->trust, &visit, &grant, out_why);

    if (!fault && grant.limits.proxy_required && !login->proxy) {
        *out_why = "Proxy required";
        fault = PP_TOKEN_PROXY_REQUIRED;
    }
    if (!fault)
        fault = pp_token_terms(token, &visit, &grant, out_why);
    grant.limits.subs = grant.limits.payload = PP_CLAIM_NO_LIMIT; /* as nats-server has it */
    if (!fault &&
        (!account || make_guest(operators, token, name, true, &grant, claims, account, out_user)))
        fault = PP_TOKEN_NO_MEMORY;
    pp_operator_plan_let_go(plan);
    return fault;
}

/* --- looking again ------------------------------------------------------------------------- */

static bool judge_again(const struct origin *origin, const pp_account_claims *claims,
                        const pp_trust *trust, bool ended, pp_departure *out_why)
{
    const pp_trusted_key *trusted = pp_trust_find(trust, claims->jwt->issuer);
    pp_str issuer = pp_str_of(origin->issuer);
    int64_t expires_s = claims->jwt->expires_s;

    *out_why = PP_DEPARTURE_ACCOUNT_EXPIRED;
    if (ended || (expires_s > 0 && pp_operators_now_s() >= expires_s))
        return false;
    *out_why = PP_DEPARTURE_REVOKED;
    if (pp_claim_revoked(&claims->revocations, pp_str_of(origin->subject), origin->issued_s))
        return false;
    *out_why = PP_DEPARTURE_DENIED;
    if (origin->bearer && claims->disallow_bearer)
        return false;
    *out_why = PP_DEPARTURE_UNTRUSTED;
    if (!trusted)
        return false;
    if (!pp_account_claims_key(claims, issuer) &&
        (trusted->strict || !pp_str_eq(issuer, claims->jwt->subject)))
        return false;
    return scope_of(claims, issuer) == origin->scope_hash;
}

/* The same with other permissions. */
static const pp_user *remake(pp_operators *operators, const pp_user *old,
                             const struct origin *origin, const pp_tenant_claims *claims)
{
    struct origin *copy = pp_alloc(sizeof(*copy));
    pp_guest_setup setup =
        pp_guest_setup_none(&operators->server->accounts.views, old->scope.account);
    pp_permissions *permissions = NULL;
    pp_user *user = NULL;

    if (!copy ||
        pp_claim_permissions_make_closed(&claims->claims.default_permissions,
                                         pp_account_claims_closed(&claims->claims), &permissions))
        goto out;
    *copy = *origin;
    copy->defaults_hash = claims->defaults_hash;
    setup.permissions = permissions;
    setup.name = old->name;
    setup.nkey = old->nkey;
    setup.issuer = pp_guest_issuer(old);
    setup.tags = pp_guest_tags(old);
    setup.expires_s = old->expires_s;
    setup.max_payload = old->max_payload;
    setup.max_subscriptions = old->max_subscriptions;
    setup.connection_types = old->connection_types;
    setup.slow_policy = slow_policy_of(operators);
    setup.proxy_required = old->proxy_required;
    setup.origin = copy;
    setup.forget = forget;
    if (!pp_guest_new(&setup, &user))
        copy = NULL; /* the guest's */
out:
    pp_permissions_free(permissions);
    pp_free(copy);
    return user;
}

const pp_user *pp_operators_renew(pp_authority *authority, const pp_user *old,
                                  pp_departure *out_why)
{
    pp_operators *operators = PP_CONTAINER(authority, pp_operators, authority);
    const struct origin *origin = pp_guest_origin(old);
    pp_tenant_claims *claims = NULL;
    const pp_user *user = NULL;
    pp_operator_plan *plan;
    pp_tenant *tenant;
    bool ended = true;

    *out_why = PP_DEPARTURE_GONE;
    if (!origin)
        return NULL;
    (void)pthread_mutex_lock(&operators->lock);
    plan = operators->plan;
    pp_operator_plan_hold(plan);
    tenant = pp_tenants_find(&operators->tenants, pp_str_of(origin->account));
    if (tenant) {
        claims = tenant->claims;
        pp_tenant_claims_hold(claims);
        ended = tenant->ended;
    }
    (void)pthread_mutex_unlock(&operators->lock);
    if (claims && judge_again(origin, &claims->claims, &plan->trust, ended, out_why)) {
        if (!origin->has_defaults || origin->defaults_hash == claims->defaults_hash) {
            pp_user_hold(old);
            user = old;
        } else {
            *out_why = PP_DEPARTURE_DENIED; /* no memory: rather than let it keep too much */
            user = remake(operators, old, origin, claims);
        }
    }
    pp_tenant_claims_let_go(claims);
    pp_operator_plan_let_go(plan);
    return user;
}

/* --- all sessions of an account ------------------------------------------------------------ */

struct part {
    pp_task task;
    pp_worker *worker;
    struct pp_review *review;
};

struct pp_review {
    pp_account *account;
    unsigned count;
    atomic_uint left;
    struct part parts[];
};

static void run_part(pp_task *task)
{
    struct part *part = PP_CONTAINER(task, struct part, task);
    struct pp_review *review = part->review;

    pp_nats_review_account(&part->worker->nats, review->account);
    if (atomic_fetch_sub(&review->left, 1) == 1)
        pp_free(review);
}

struct pp_review *pp_review_new(pipit_server *server, pp_account *account)
{
    unsigned count = server->worker_count;
    struct pp_review *review = pp_calloc(1, sizeof(*review) + count * sizeof(struct part));

    if (!review)
        return NULL;
    review->account = account;
    review->count = count;
    atomic_init(&review->left, count);
    for (unsigned i = 0; i < count; i++)
        review->parts[i] = (struct part){
            .task.run = run_part,
            .worker = &server->workers[i],
            .review = review,
        };
    return review;
}

void pp_review_post(struct pp_review *review)
{
    unsigned count = review->count; /* the last part to run frees it */

    for (unsigned i = 0; i < count; i++)
        pp_loop_post(&review->parts[i].worker->loop, &review->parts[i].task);
}

void pp_review_free(struct pp_review *review)
{
    pp_free(review);
}
