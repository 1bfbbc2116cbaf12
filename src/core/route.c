#include "core/route.h"

#include "base/alloc.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

enum {
    SETS_AT_START = 16,
    ROUTES_MAX = 1 << 16,
    TARGETS_MAX = 1 << 20,
};

void pp_router_init(pp_router *router, uint32_t index, pp_counters *counters)
{
    *router = (pp_router){
        .index = index,
        .random = pp_random_seed(),
        .counters = counters,
        .routes_max = ROUTES_MAX,
        .targets_max = TARGETS_MAX,
    };
}

void pp_router_fini(pp_router *router)
{
    for (uint32_t i = 0; i < router->cache_count; i++) {
        pp_route_cache *cache = router->caches[i];

        if (!cache)
            continue;
        pp_route_cache_clear(cache);
        pp_free(cache->sets);
        pp_free(cache);
    }
    pp_free(router->caches);
    pp_sub_set_fini(&router->matched);
    *router = (pp_router){0};
}

static pp_route_cache *cache_new(pp_router *router, pp_account *account)
{
    pp_route_cache *cache = pp_calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    cache->sets = pp_calloc(SETS_AT_START, sizeof(*cache->sets));
    if (!cache->sets) {
        pp_free(cache);
        return NULL;
    }
    cache->set_mask = SETS_AT_START - 1;
    cache->router = router;
    cache->account = account;
    cache->gens = pp_sublist_generations(account->subs);
    cache->seed = pp_sublist_seed(account->subs);
    return cache;
}

pp_route_cache *pp_router_cache(pp_router *router, pp_account *account)
{
    if (account->id >= router->cache_count) {
        uint32_t count = account->id + 1 > 2 * router->cache_count ? account->id + 1
                                                                   : 2 * router->cache_count;
        pp_route_cache **grown = pp_realloc(router->caches, count * sizeof(*grown));

        if (!grown)
            return NULL;
        for (uint32_t i = router->cache_count; i < count; i++)
            grown[i] = NULL;
        router->caches = grown;
        router->cache_count = count;
    }
    if (!router->caches[account->id])
        router->caches[account->id] = cache_new(router, account);
    return router->caches[account->id];
}

void pp_route_cache_clear(pp_route_cache *cache)
{
    for (size_t i = 0; i <= cache->set_mask; i++) {
        for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
            pp_free(cache->sets[i].routes[way]);
            cache->sets[i].routes[way] = NULL;
        }
    }
    cache->route_count = 0;
    cache->target_count = 0;
    cache->changes++;
}

/* Double the sets while routes crowd; a refusal of memory only leaves the cache as it is. */
static void grow(pp_route_cache *cache)
{
    size_t count = (cache->set_mask + 1) * 2;
    struct pp_route_set *sets, *old = cache->sets;

    if (count * PP_ROUTE_WAYS > 2 * cache->router->routes_max)
        return;
    sets = pp_calloc(count, sizeof(*sets));
    if (!sets)
        return;
    for (size_t i = 0; i <= cache->set_mask; i++) {
        for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
            pp_route *route = old[i].routes[way];
            struct pp_route_set *set;
            unsigned to = 0;

            if (!route)
                continue;
            /* The routes of one old set part between two new ones, so there is room. */
            set = &sets[route->hash & (count - 1)];
            while (set->routes[to])
                to++;
            set->routes[to] = route;
            set->tags[to] = (uint32_t)(route->hash >> 32);
        }
    }
    pp_free(old);
    cache->sets = sets;
    cache->set_mask = count - 1;
}

static void drop(pp_route_cache *cache, struct pp_route_set *set, unsigned way)
{
    pp_route *route = set->routes[way];

    if (!route)
        return;
    cache->route_count--;
    cache->target_count -= route->target_count;
    pp_free(route);
    set->routes[way] = NULL;
}

/* Choose the place for a hash: the same subject's old answer, else a free way, else a victim. */
static pp_route **place(pp_route_cache *cache, pp_str subject, uint64_t hash)
{
    struct pp_route_set *set = &cache->sets[hash & cache->set_mask];
    unsigned choice = PP_ROUTE_WAYS;

    for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
        pp_route *route = set->routes[way];

        if (!route) {
            choice = way;
        } else if (route->hash == hash && route->subject_len == subject.len &&
                   memcmp(route->subject, subject.ptr, subject.len) == 0) {
            choice = way;
            break;
        }
    }
    if (choice == PP_ROUTE_WAYS && cache->route_count < cache->router->routes_max) {
        size_t before = cache->set_mask;

        grow(cache);
        if (cache->set_mask != before)
            return place(cache, subject, hash);
    }
    if (choice == PP_ROUTE_WAYS)
        choice = cache->next_victim++ % PP_ROUTE_WAYS;
    drop(cache, set, choice);
    set->tags[choice] = (uint32_t)(hash >> 32);
    return &set->routes[choice];
}

static int by_queue(const void *a, const void *b)
{
    pp_str x = pp_sub_queue(*(pp_sub *const *)a), y = pp_sub_queue(*(pp_sub *const *)b);
    size_t len = x.len < y.len ? x.len : y.len;
    int order = len ? memcmp(x.ptr, y.ptr, len) : 0;

    if (order)
        return order;
    return x.len < y.len ? -1 : x.len > y.len;
}

/* Everything about one recipient that delivering will need. False: it cannot take messages now. */
static bool resolve_target(const pp_router *router, pp_sub *sub, pp_target *target)
{
    target->sub = sub;
    target->deliver = sub->client->ops->deliver;
    target->flags = atomic_load_explicit(&sub->remaining, memory_order_acquire) == PP_SUB_UNLIMITED
                        ? 0
                        : PP_TARGET_COUNTED;
    target->outlet = sub->client->ops->outlet(sub->client, router->index);
    if (!target->outlet)
        return false;
    target->tap = pp_sub_tap(sub, router->index);
    return target->tap != NULL;
}

static size_t count_groups(pp_sub **subs, size_t count)
{
    size_t groups = 0;

    for (size_t i = 0; i < count; i++)
        groups += i == 0 || by_queue(&subs[i - 1], &subs[i]) != 0;
    return groups;
}

/* Put the plain ones first, then the groups in order; returns how many are plain. */
static size_t partition(pp_sub_set *set)
{
    size_t plain = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (set->subs[i]->queue_len == 0) {
            pp_sub *sub = set->subs[i];

            set->subs[i] = set->subs[plain];
            set->subs[plain++] = sub;
        }
    }
    if (set->count - plain > 1)
        qsort(set->subs + plain, set->count - plain, sizeof(*set->subs), by_queue);
    return plain;
}

static pp_route *build(pp_router *router, pp_str subject, pp_sub_set *set)
{
    size_t plain = partition(set);
    size_t groups = count_groups(set->subs + plain, set->count - plain);
    size_t heads_bytes = 0, head_at = 0;
    pp_target_group *group = NULL;
    pp_route *route;
    char *subject_copy, *heads;

    for (size_t i = 0; i < set->count; i++)
        heads_bytes += set->subs[i]->client->ops->head(set->subs[i], subject, NULL);
    if (heads_bytes > PP_ROUTE_HEAD_MAX)
        return NULL;
    route = pp_alloc(sizeof(*route) + set->count * sizeof(pp_target) +
                     groups * sizeof(pp_target_group) + subject.len + heads_bytes +
                     PP_ROUTE_HEAD_SLACK);
    if (!route)
        return NULL;
    route->targets = (pp_target *)(route + 1);
    route->groups = (pp_target_group *)(route->targets + set->count);
    subject_copy = (char *)(route->groups + groups);
    heads = subject_copy + subject.len;
    route->subject = subject_copy;
    route->heads = heads;
    memcpy(subject_copy, subject.ptr, subject.len);
    memset(heads + heads_bytes, 0, PP_ROUTE_HEAD_SLACK);
    route->subject_len = (uint32_t)subject.len;
    route->plain_count = route->target_count = route->group_count = 0;
    route->complete = true;
    for (size_t i = 0; i < set->count; i++) {
        pp_sub *sub = set->subs[i];
        pp_target *target = &route->targets[route->target_count];

        if (i >= plain && (i == plain || by_queue(&set->subs[i - 1], &set->subs[i]) != 0)) {
            group = &route->groups[route->group_count++];
            *group = (pp_target_group){route->target_count, 0};
        }
        if (!resolve_target(router, sub, target)) {
            route->complete = false;
            continue;
        }
        target->head_at = (uint32_t)head_at;
        target->head_len =
            PP_ROUTE_HEAD_MAX & sub->client->ops->head(sub, subject, heads + head_at);
        head_at += target->head_len;
        route->target_count++;
        if (group)
            group->count++;
        else
            route->plain_count++;
    }
    return route;
}

pp_route *pp_route_resolve(pp_route_cache *cache, pp_str subject, uint64_t hash)
{
    pp_router *router = cache->router;
    /* Read before matching: what changes from here on makes the answer stale, not wrong. */
    pp_sublist_gen gen = pp_sublist_gen_read(cache->gens, hash);
    pp_route *route;

    pp_count(&router->counters->route_misses, 1);
    cache->changes++;
    if (pp_sublist_match(cache->account->subs, subject, &router->matched))
        return NULL;
    route = build(router, subject, &router->matched);
    if (!route)
        return NULL;
    route->hash = hash;
    route->gen = gen;
    if (!route->complete)
        route->gen.wild--; /* good for this message; the next one asks again */
    if (cache->target_count + route->target_count > router->targets_max)
        pp_route_cache_clear(cache);
    *place(cache, subject, hash) = route;
    cache->route_count++;
    cache->target_count += route->target_count;
    return route;
}

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

/* The subscriptions with a limit: rare, so not in the way of the others. */
static bool deliver_counted(const pp_target *target, pp_str head, const pp_msg *msg)
{
    pp_sub *sub = target->sub;
    bool last;

    if (!take_remaining(sub, &last))
        return false;
    if (!target->deliver(target->outlet, sub, head, msg)) {
        (void)atomic_fetch_add(&sub->remaining, 1);
        return false;
    }
    if (last)
        sub->client->ops->exhausted(sub);
    return true;
}

static inline bool deliver_one(const pp_route *route, const pp_target *target, const pp_msg *msg)
{
    pp_str head = {route->heads + target->head_at, target->head_len};

    if (PP_UNLIKELY(msg->no_echo) && target->sub->client == msg->from)
        return false;
    if (PP_UNLIKELY(target->flags)) {
        if (!deliver_counted(target, head, msg))
            return false;
    } else if (!target->deliver(target->outlet, target->sub, head, msg)) {
        return false;
    }
    pp_count(&target->tap->delivered, 1);
    return true;
}

size_t pp_route_deliver(pp_route_cache *cache, const pp_route *route, const pp_msg *msg)
{
    size_t taken = 0;

    for (uint32_t i = 0; i < route->plain_count; i++)
        taken += deliver_one(route, &route->targets[i], msg);
    for (uint32_t g = 0; g < route->group_count; g++) {
        const pp_target_group group = route->groups[g];
        uint32_t at;

        if (group.count == 0)
            continue;
        at = pp_random_below(&cache->router->random, group.count);
        for (uint32_t tries = 0; tries < group.count; tries++) {
            if (deliver_one(route, &route->targets[group.first + at], msg)) {
                taken++;
                break;
            }
            if (++at == group.count)
                at = 0;
        }
    }
    return taken;
}
