#include "core/trace.h"

#include "base/random.h"

enum { PATTERN_MAX = 1 << 20 };

struct walk {
    pp_route_cache *cache;
    const pp_msg *msg;
    pp_witness *witness;
    pp_buf pattern; /* of the recipient that is tried */
};

static pp_verdict hand_over(const struct walk *walk, pp_sub *sub)
{
    pp_router *router = walk->cache->router;
    pp_target target;
    pipit_err err = pp_target_resolve(router, sub, &target);
    pp_str head;

    if (err)
        return err == PIPIT_ECLOSED ? PP_VERDICT_CLOSED : PP_VERDICT_REFUSED;
    if (walk->witness->dry)
        return PP_VERDICT_DELIVERED;
    if (!pp_target_head(router, sub, walk->msg->subject, &head))
        return PP_VERDICT_REFUSED;
    return pp_target_deliver(router, &target, head, walk->msg) ? PP_VERDICT_DELIVERED
                                                               : PP_VERDICT_REFUSED;
}

static pp_verdict judge(const struct walk *walk, pp_sub *sub)
{
    const pp_scope *scope = atomic_load_explicit(&sub->client->scope, memory_order_acquire);

    if (walk->msg->no_echo && sub->client == walk->msg->from)
        return PP_VERDICT_ECHO;
    if (scope &&
        !pp_permissions_may_hear(scope->permissions, walk->msg->subject, pp_sub_queue(sub)))
        return PP_VERDICT_FORBIDDEN;
    if (atomic_load_explicit(&sub->remaining, memory_order_acquire) == 0)
        return PP_VERDICT_EXHAUSTED;
    return hand_over(walk, sub);
}

static bool attempt(struct walk *walk, pp_sub *sub)
{
    pp_verdict verdict;

    walk->pattern.len = 0; /* before it is delivered to, which may be its end */
    if (!pp_sublist_copy_pattern(walk->cache->account->subs, sub, &walk->pattern))
        walk->pattern.len = 0;
    verdict = judge(walk, sub);
    walk->witness->seen++;
    walk->witness->see(walk->witness, sub, pp_buf_str(&walk->pattern), verdict);
    return verdict == PP_VERDICT_DELIVERED;
}

/* The members of one queue group. */
static bool attempt_group(struct walk *walk, pp_sub **members, uint32_t count)
{
    uint32_t at = pp_random_below(&walk->cache->router->random, count);

    for (uint32_t tries = 0; tries < count; tries++) {
        if (attempt(walk, members[at]))
            return true;
        if (++at == count)
            at = 0;
    }
    return false;
}

pipit_err pp_trace_deliver(pp_route_cache *cache, const pp_msg *msg, pp_witness *witness,
                           size_t *out_taken)
{
    pp_sub_set *set = &cache->router->matched;
    struct walk walk = {.cache = cache, .msg = msg, .witness = witness};
    pipit_err err = pp_sublist_match(cache->account->subs, msg->subject, set);
    size_t plain, taken = 0;

    if (err)
        return err;
    pp_buf_init(&walk.pattern, PATTERN_MAX);
    plain = pp_route_partition(set);
    cache->router->messages += !witness->dry;
    for (size_t i = 0; i < plain; i++)
        taken += attempt(&walk, set->subs[i]);
    for (size_t first = plain, end; first < set->count; first = end) {
        for (end = first + 1; end < set->count; end++) {
            if (!pp_route_same_group(set->subs[first], set->subs[end]))
                break;
        }
        taken += attempt_group(&walk, set->subs + first, (uint32_t)(end - first));
    }
    pp_buf_fini(&walk.pattern);
    *out_taken = taken;
    return PIPIT_OK;
}
