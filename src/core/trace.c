#include "core/trace.h"

#include "base/random.h"
#include "core/subject.h"

enum { PATTERN_MAX = 1 << 20 };

struct walk {
    pp_route_cache *cache;
    const pp_msg *msg;
    pp_witness *witness;
    pp_gathering *g;
    pp_buf pattern; /* of the recipient that is tried */
};

static pp_verdict hand_over(const struct walk *walk, const pp_hearer *hearer, const pp_msg *msg)
{
    pp_router *router = walk->cache->router;
    pp_target target;
    pipit_err err = pp_target_resolve(router, hearer->sub, &target);
    pp_str head;
    bool taken;

    if (err)
        return err == PIPIT_ECLOSED ? PP_VERDICT_CLOSED : PP_VERDICT_REFUSED;
    if (walk->witness->dry && !hearer->sub->client->ops->passes_on)
        return PP_VERDICT_DELIVERED;
    if (!pp_target_head(router, hearer->sub, msg->subject, &head))
        return PP_VERDICT_REFUSED;
    router->messages += hearer->alias != 0; /* with its subject it is another message */
    taken = pp_target_deliver(router, &target, head, msg);
    router->messages += hearer->alias != 0;
    if (taken && hearer->alias)
        pp_target_count_import(walk->cache->account, pp_gathering_import(walk->g, hearer)->importer,
                               router->index, msg);
    return taken ? PP_VERDICT_DELIVERED : PP_VERDICT_REFUSED;
}

static pp_verdict judge(const struct walk *walk, const pp_hearer *hearer)
{
    const pp_sub *sub = hearer->sub;
    const pp_scope *scope = atomic_load_explicit(&sub->client->scope, memory_order_acquire);
    pp_msg msg = *walk->msg;

    msg.subject = pp_gathering_subject(walk->g, hearer, walk->msg->subject);
    msg.witness = walk->witness;
    if (msg.no_echo && sub->client == msg.from)
        return PP_VERDICT_ECHO;
    if (scope && !pp_permissions_may_hear(scope->permissions, msg.subject, pp_sub_queue(sub)))
        return PP_VERDICT_FORBIDDEN;
    if (atomic_load_explicit(&((pp_sub *)sub)->remaining, memory_order_acquire) == 0)
        return PP_VERDICT_EXHAUSTED;
    return hand_over(walk, hearer, &msg);
}

/* What the recipient subscribes to, as a pattern of the account that exports to it. */
static void outward(const pp_import *import, pp_buf *pattern)
{
    pp_str there = pp_str_of(import->pairing.there);
    pp_str here = pp_buf_str(pattern);
    char text[PP_TRANSFORM_RESULT_MAX];
    size_t len;

    if (pp_subject_subset(here, pp_str_of(import->pairing.here)) &&
        !pp_pairing_outward(&import->pairing, here, text, sizeof(text), &len))
        there = (pp_str){text, len};
    pattern->len = 0;
    if (pp_buf_add(pattern, there.ptr, there.len))
        pattern->len = 0;
}

/* Copy its pattern before it is delivered to, which may be its end. */
static void learn_pattern(struct walk *walk, const pp_hearer *hearer)
{
    const pp_import *import = pp_gathering_import(walk->g, hearer);
    pp_account *account = import ? import->importer : walk->cache->account;

    walk->pattern.len = 0;
    if (hearer->sub->client->ops->passes_on ||
        !pp_sublist_copy_pattern(account->subs, hearer->sub, &walk->pattern))
        walk->pattern.len = 0;
    else if (import)
        outward(import, &walk->pattern);
}

static bool attempt(struct walk *walk, const pp_hearer *hearer)
{
    pp_witness *witness = walk->witness;
    const pp_import *import = pp_gathering_import(walk->g, hearer);
    const pp_account *account = import ? import->importer : walk->cache->account;
    pp_verdict verdict;

    learn_pattern(walk, hearer);
    if (import)
        witness->see_leave(witness, import, walk->msg->subject,
                           pp_gathering_subject(walk->g, hearer, walk->msg->subject));
    verdict = judge(walk, hearer);
    witness->seen++;
    if (!hearer->sub->client->ops->passes_on && (!import || pp_trace_follows(import)))
        witness->see(witness, account, hearer->sub, pp_buf_str(&walk->pattern), verdict);
    return verdict == PP_VERDICT_DELIVERED;
}

/* The members of one queue group. */
static bool attempt_group(struct walk *walk, const pp_hearer *members, uint32_t count)
{
    uint32_t at = pp_random_below(&walk->cache->router->random, count);

    for (uint32_t tries = 0; tries < count; tries++) {
        if (attempt(walk, &members[at]))
            return true;
        if (++at == count)
            at = 0;
    }
    return false;
}

static size_t attempt_all(struct walk *walk)
{
    const pp_gathering *g = walk->g;
    size_t plain = pp_gathering_partition(walk->g), taken = 0;

    for (size_t i = 0; i < plain; i++)
        taken += attempt(walk, &g->hearers[i]);
    for (size_t first = plain, end; first < g->count; first = end) {
        for (end = first + 1; end < g->count; end++) {
            if (!pp_hearers_same_group(&g->hearers[first], &g->hearers[end]))
                break;
        }
        taken += attempt_group(walk, g->hearers + first, (uint32_t)(end - first));
    }
    return taken;
}

pipit_err pp_trace_deliver(pp_route_cache *cache, const pp_msg *msg, pp_witness *witness,
                           size_t *out_taken)
{
    pp_gathering g = {0}; /* not the router's: others are gathered while this is walked */
    struct walk walk = {.cache = cache, .msg = msg, .witness = witness, .g = &g};
    pipit_err err = pp_gather(&g, cache->account, msg->subject, cache->crossed);

    if (!err) {
        pp_buf_init(&walk.pattern, PATTERN_MAX);
        cache->router->messages += !witness->dry;
        *out_taken = attempt_all(&walk);
        pp_buf_fini(&walk.pattern);
    }
    pp_gathering_fini(&g);
    return err;
}
