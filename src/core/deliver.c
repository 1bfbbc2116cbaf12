/* Handing a message to the targets of a route. */
#include "core/route.h"

#include "base/random.h"

/* Take one of the deliveries that are left. *out_last: it was the last. */
static bool take_remaining(pp_sub *sub, bool *out_last)
{
    int32_t left = atomic_load_explicit(&sub->remaining, memory_order_relaxed);

    *out_last = false;
    if (left == PP_SUB_UNLIMITED)
        return true;
    do {
        if (left <= 0)
            return false;
    } while (!atomic_compare_exchange_weak(&sub->remaining, &left, left - 1));
    *out_last = left == 1;
    return true;
}

/* One that could not be delivered. False: its client has ended it meanwhile. */
static bool give_back_remaining(pp_sub *sub)
{
    int32_t left = atomic_load_explicit(&sub->remaining, memory_order_relaxed);

    do {
        if (left < 0)
            return left == PP_SUB_UNLIMITED;
    } while (!atomic_compare_exchange_weak(&sub->remaining, &left, left + 1));
    return true;
}

/* The subscriptions with a limit: rare, so not in the way of the others. */
static bool deliver_counted(const pp_router *router, const pp_target *target, pp_str head,
                            const pp_msg *msg)
{
    pp_sub *sub = target->sub;
    bool last, delivered;

    if (!take_remaining(sub, &last))
        return false;
    delivered = target->deliver(target->outlet, sub, head, msg);
    if (last && (delivered || !give_back_remaining(sub)))
        sub->client->ops->exhausted(sub, router->index);
    else if (!delivered && !last)
        (void)give_back_remaining(sub);
    return delivered;
}

static pp_str name_of(const pp_route *route, const pp_target *target)
{
    if (target->flags & PP_TARGET_IMPORTED)
        return route->aliases[route->alias_of[target - route->targets]].subject;
    return (pp_str){route->subject, route->subject_len};
}

/* For routes that keep no heads. */
static pp_str make_head(const pp_router *router, const pp_route *route, const pp_target *target)
{
    return (pp_str){router->head, target->sub->client->ops->head(
                                      target->sub, name_of(route, target), router->head)};
}

static inline bool stage(const pp_router *router, const pp_target *target, pp_str head,
                         const pp_msg *msg)
{
    if (PP_UNLIKELY(target->flags & PP_TARGET_COUNTED)) {
        if (!deliver_counted(router, target, head, msg))
            return false;
    } else if (!target->deliver(target->outlet, target->sub, head, msg)) {
        return false;
    }
    pp_count(&target->tap->delivered, 1);
    return true;
}

bool pp_target_deliver(const pp_router *router, const pp_target *target, pp_str head,
                       const pp_msg *msg)
{
    return stage(router, target, head, msg);
}

bool pp_target_head(pp_router *router, const pp_sub *sub, pp_str subject, pp_str *out_head)
{
    size_t len = sub->client->ops->head(sub, subject, NULL);

    if (!pp_router_reserve_head(router, len))
        return false;
    *out_head = (pp_str){router->head, sub->client->ops->head(sub, subject, router->head)};
    return true;
}

void pp_target_count_import(pp_account *from, pp_account *to, uint32_t router_index,
                            const pp_msg *msg)
{
    pp_account_counters *there = &from->counters[router_index];
    pp_account_counters *here = &to->counters[router_index];

    /* Whoever published counts it for its own account, where nobody has heard it. */
    pp_count(&there->own_msgs, 1);
    pp_count(&there->own_bytes, msg->data.len);
    pp_count(&here->out_msgs, 1);
    pp_count(&here->out_bytes, msg->data.len);
}

/* To somebody in an account that imports it as a stream. */
static bool deliver_imported(const pp_route_cache *cache, const pp_route *route,
                             const pp_target *target, pp_str head, const pp_msg *msg)
{
    pp_router *router = cache->router;
    pp_msg here = *msg;
    bool taken;

    here.subject = name_of(route, target);
    router->messages++; /* what carries its subject is another message than before */
    taken = stage(router, target, head, &here);
    router->messages++;
    if (taken)
        pp_target_count_import(cache->account,
                               route->aliases[route->alias_of[target - route->targets]].account,
                               router->index, msg);
    return taken;
}

/* To a target with something special about it, or of a route that keeps no heads. */
static __attribute__((noinline)) bool deliver_rare(const pp_route_cache *cache,
                                                   const pp_route *route, const pp_target *target,
                                                   const pp_msg *msg)
{
    pp_str head;

    if (route->heads)
        head = (pp_str){route->heads + target->head_at, target->head_len};
    else
        head = make_head(cache->router, route, target);
    if (target->flags & PP_TARGET_IMPORTED)
        return deliver_imported(cache, route, target, head, msg);
    return stage(cache->router, target, head, msg);
}

static inline bool deliver_one(const pp_route_cache *cache, const pp_route *route,
                               const pp_target *target, const pp_msg *msg)
{
    const char *heads = route->heads;

    if (PP_UNLIKELY(msg->no_echo) && target->sub->client == msg->from)
        return false;
    if (PP_UNLIKELY(target->flags || !heads))
        return deliver_rare(cache, route, target, msg);
    if (!target->deliver(target->outlet, target->sub,
                         (pp_str){heads + target->head_at, target->head_len}, msg))
        return false;
    pp_count(&target->tap->delivered, 1);
    return true;
}

size_t pp_route_deliver(pp_route_cache *cache, const pp_route *route, const pp_msg *msg)
{
    pp_router *router = cache->router;
    size_t taken = 0;

    cache->router->messages++;
    for (uint32_t i = 0; i < route->plain_count; i++)
        taken += deliver_one(cache, route, &route->targets[i], msg);
    router->in_vain += route->plain_count - taken;
    for (uint32_t g = 0; g < route->group_count; g++) {
        const pp_target_group group = route->groups[g];
        uint32_t at;

        if (group.count == 0)
            continue;
        at = pp_random_below(&router->random, group.count);
        for (uint32_t tries = 0; tries < group.count; tries++) {
            if (deliver_one(cache, route, &route->targets[group.first + at], msg)) {
                taken++;
                break;
            }
            router->in_vain++;
            if (++at == group.count)
                at = 0;
        }
    }
    return taken;
}
