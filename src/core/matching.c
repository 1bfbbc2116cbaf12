#include "core/matching.h"

#include "base/random.h"
#include "core/subject.h"

static bool may_hear(pp_router *router, const pp_sub *sub, const pp_msg *msg)
{
    const pp_scope *scope = atomic_load_explicit(&sub->client->scope, memory_order_acquire);

    if (sub->client->ops->hears_no_wildcards && !pp_subject_literal(msg->subject))
        return false;
    if (!scope)
        return true;
    router->in_vain += pp_permissions_subscribe_cost(scope->permissions);
    return pp_permissions_may_hear(scope->permissions, msg->subject, pp_sub_queue(sub));
}

static bool attempt(pp_router *router, const pp_hearer *hearer, const pp_msg *msg)
{
    pp_target target = {0};
    pp_str head;

    if (!may_hear(router, hearer->sub, msg) || (msg->no_echo && hearer->sub->client == msg->from))
        return false;
    return !pp_target_resolve(router, hearer->sub, &target) &&
           pp_target_head(router, hearer->sub, msg->subject, &head) &&
           pp_target_deliver(router, &target, head, msg);
}

/* One member of a queue group, whichever can. */
static bool attempt_group(pp_router *router, const pp_hearer *members, uint32_t count,
                          const pp_msg *msg)
{
    uint32_t at = pp_random_below(&router->random, count);

    for (uint32_t tries = 0; tries < count; tries++) {
        if (attempt(router, &members[at], msg))
            return true;
        if (++at == count)
            at = 0;
    }
    return false;
}

pipit_err pp_router_publish_matching(pp_router *router, pp_account *account, const pp_msg *msg,
                                     size_t *out_taken)
{
    pp_gathering g = {0}; /* not the router's: a recipient may publish in turn */
    pipit_err err = pp_gather_matching(&g, account, msg->subject);
    size_t plain = pp_gathering_partition(&g), taken = 0;

    router->messages++;
    for (size_t i = 0; i < plain; i++)
        taken += attempt(router, &g.hearers[i], msg);
    for (size_t first = plain, end; first < g.count; first = end) {
        for (end = first + 1; end < g.count; end++) {
            if (!pp_hearers_same_group(&g.hearers[first], &g.hearers[end]))
                break;
        }
        taken += attempt_group(router, g.hearers + first, (uint32_t)(end - first), msg);
    }
    router->messages++; /* what is delivered next is another message */
    router->in_vain += g.steps;
    pp_gathering_fini(&g);
    *out_taken = taken;
    return err;
}
