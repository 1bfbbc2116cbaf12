/* Who may publish where it is asked to answer, and nowhere else (core/grants.h).
 *
 * Source: NATS authentication, section 9.2. One thing is not as in nats-server 2.15: a message with
 * the reply subject of an earlier one can be answered anew, instead of using up the answer to that
 * one. */
#include "proto/nats/session.h"

static const pp_permission_responses *terms_of(const pp_nats_session *s)
{
    return pp_permissions_responses(pp_nats_user(s)->scope.permissions);
}

static pp_grants *grants_of(pp_nats_session *s)
{
    return atomic_load_explicit(&s->grants, memory_order_acquire);
}

bool pp_nats_prepare_answers(pp_nats_session *s, const pp_user *user)
{
    const pp_scope *before = atomic_load_explicit(&s->client.scope, memory_order_relaxed);
    pp_grants *grants = grants_of(s);

    /* What one account asks for is nothing to another. */
    if (grants && before && before->account != user->scope.account)
        pp_grants_restart(grants);
    if (grants || !pp_permissions_responses(user->scope.permissions))
        return true;
    if (pp_grants_new(&grants))
        return false;
    atomic_store_explicit(&s->grants, grants, memory_order_release);
    return true;
}

void pp_nats_grant_answer(pp_nats_session *s, const pp_sub *sub, pp_str reply, pp_loop *loop)
{
    const pp_scope *scope = atomic_load_explicit(&s->client.scope, memory_order_acquire);
    pp_grants *grants = grants_of(s);

    if (!grants || !pp_permissions_responses(scope->permissions))
        return;
    ((pp_nats_context *)loop->context)->router->in_vain +=
        pp_permissions_publish_cost(scope->permissions);
    if (!pp_permissions_may_publish(scope->permissions, reply))
        (void)pp_grants_add(grants, reply, sub, loop->now_ns);
}

bool pp_nats_may_answer(pp_nats_session *s, pp_str subject)
{
    const pp_permission_responses *terms = terms_of(s);
    pp_grants *grants = grants_of(s);

    return terms && grants && pp_grants_take(grants, subject, terms, s->conn->loop->now_ns);
}

void pp_nats_expire_answers(pp_nats_session *s)
{
    /* Who may not answer any more, after a reload, has no use for any of it. */
    static const pp_permission_responses none = {.allowed = true, .ttl_ns = 0};
    const pp_permission_responses *terms = terms_of(s);
    pp_grants *grants = grants_of(s);

    if (grants)
        pp_grants_expire(grants, terms ? terms : &none, s->conn->loop->now_ns);
}
