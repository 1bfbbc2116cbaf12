#include "core/route.h"

#include "base/alloc.h"
#include "base/random.h"
#include "core/mapping.h"

#include <stdlib.h>
#include <string.h>

enum {
    SETS_AT_START = 16,
    ROUTES_MAX = 1 << 16,
    BYTES_MAX = 64 << 20,
    HEADS_MAX = 16 << 20, /* of one route; more are not kept */
};

void pp_router_init(pp_router *router, uint32_t index, pp_counters *counters)
{
    *router = (pp_router){
        .index = index,
        .random = pp_random_seed(),
        .counters = counters,
        .routes_max = ROUTES_MAX,
        .bytes_max = BYTES_MAX,
    };
}

/* What a cache's sets take beyond those that each begins with. */
static size_t grown_bytes(size_t set_mask)
{
    return (set_mask + 1 - SETS_AT_START) * sizeof(struct pp_route_set);
}

static void cache_free(pp_route_cache *cache)
{
    if (!cache)
        return;
    cache_free(cache->mapped);
    pp_route_cache_clear(cache);
    cache->router->bytes -= grown_bytes(cache->set_mask);
    pp_free(cache->sets);
    pp_free(cache);
}

void pp_router_forget(pp_router *router)
{
    for (uint32_t i = 0; i < router->cache_count; i++) {
        cache_free(router->caches[i]);
        router->caches[i] = NULL;
    }
    pp_free(router->single);
    router->single = NULL;
    router->single_of = NULL;
}

void pp_router_fini(pp_router *router)
{
    pp_router_forget(router);
    pp_free(router->caches);
    pp_free(router->head);
    pp_sub_set_fini(&router->matched);
    *router = (pp_router){0};
}

void pp_router_clear(pp_router *router)
{
    for (uint32_t i = 0; i < router->cache_count; i++) {
        pp_route_cache *cache = router->caches[i];

        if (cache)
            pp_route_cache_clear(cache);
        if (cache && cache->mapped)
            pp_route_cache_clear(cache->mapped);
    }
    pp_free(router->single);
    router->single = NULL;
    router->single_of = NULL;
}

static pp_route_cache *cache_new(pp_router *router, pp_account *account,
                                 const pp_permissions *permissions)
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
    cache->permissions = permissions;
    cache->counters = &account->counters[router->index];
    cache->gens = pp_sublist_generations(account->subs);
    cache->seed = pp_sublist_seed(account->subs);
    return cache;
}

/* The view that had this number has gone, and everybody who saw by it. */
static void forget(pp_router *router, pp_route_cache **at)
{
    if (router->single_of == *at || (router->single_of && router->single_of == (*at)->mapped)) {
        pp_free(router->single);
        router->single = NULL;
        router->single_of = NULL;
    }
    cache_free(*at);
    *at = NULL;
}

pp_route_cache *pp_router_cache(pp_router *router, const pp_scope *scope)
{
    pp_route_cache **at;

    if (scope->view >= router->cache_count) {
        uint32_t count =
            scope->view + 1 > 2 * router->cache_count ? scope->view + 1 : 2 * router->cache_count;
        pp_route_cache **grown = pp_realloc(router->caches, count * sizeof(*grown));

        if (!grown)
            return NULL;
        for (uint32_t i = router->cache_count; i < count; i++)
            grown[i] = NULL;
        router->caches = grown;
        router->cache_count = count;
    }
    at = &router->caches[scope->view];
    if (*at && (*at)->view_serial != scope->view_serial)
        forget(router, at);
    if (!*at) {
        *at = cache_new(router, scope->account, scope->permissions);
        if (*at)
            (*at)->view_serial = scope->view_serial;
    }
    return *at;
}

static void drop(pp_route_cache *cache, struct pp_route_set *set, unsigned way)
{
    pp_route *route = set->routes[way];

    if (!route)
        return;
    cache->route_count--;
    cache->router->bytes -= route->bytes;
    pp_free(route);
    set->routes[way] = NULL;
}

/* Give back the sets that were added while routes crowded: there may be very many caches. */
static void shrink(pp_route_cache *cache)
{
    struct pp_route_set *sets;

    if (cache->set_mask + 1 == SETS_AT_START)
        return;
    sets = pp_calloc(SETS_AT_START, sizeof(*sets));
    if (!sets)
        return; /* it stays as large as it is, and is counted so */
    cache->router->bytes -= grown_bytes(cache->set_mask);
    pp_free(cache->sets);
    cache->sets = sets;
    cache->set_mask = SETS_AT_START - 1;
}

void pp_route_cache_clear(pp_route_cache *cache)
{
    for (size_t i = 0; i <= cache->set_mask; i++) {
        for (unsigned way = 0; way < PP_ROUTE_WAYS; way++)
            drop(cache, &cache->sets[i], way);
    }
    cache->changes++;
    shrink(cache);
}

/* Double the sets while routes crowd, and there is room for bytes more besides; a refusal of memory
 * only leaves the cache as it is. */
static void grow(pp_route_cache *cache, size_t bytes)
{
    pp_router *router = cache->router;
    size_t count = (cache->set_mask + 1) * 2;
    size_t more = grown_bytes(count - 1) - grown_bytes(cache->set_mask);
    struct pp_route_set *sets, *old = cache->sets;

    if (count * PP_ROUTE_WAYS > 2 * router->routes_max ||
        router->bytes + bytes + more > router->bytes_max)
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
    router->bytes += more;
}

/* Choose the place for a route of that hash and size: the same subject's old answer, else a free
 * way, else a victim. */
static pp_route **place(pp_route_cache *cache, pp_str subject, uint64_t hash, size_t bytes)
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

        grow(cache, bytes);
        if (cache->set_mask != before)
            return place(cache, subject, hash, bytes);
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

bool pp_route_same_group(const pp_sub *a, const pp_sub *b)
{
    return pp_str_eq(pp_sub_queue(a), pp_sub_queue(b));
}

/* Is what it is given to be remembered, since its permissions let it answer that? */
static bool is_granted(const pp_client *client)
{
    const pp_scope *scope = atomic_load_explicit(&client->scope, memory_order_acquire);

    return scope && client->ops->deliver_granting && pp_permissions_responses(scope->permissions);
}

pipit_err pp_target_resolve(const pp_router *router, pp_sub *sub, pp_target *target)
{
    target->sub = sub;
    target->deliver =
        is_granted(sub->client) ? sub->client->ops->deliver_granting : sub->client->ops->deliver;
    target->flags = atomic_load_explicit(&sub->remaining, memory_order_acquire) == PP_SUB_UNLIMITED
                        ? 0
                        : PP_TARGET_COUNTED;
    target->outlet = sub->client->ops->outlet(sub->client, router->index);
    if (!target->outlet)
        return sub->client->ops->closing && sub->client->ops->closing(sub->client, router->index)
                   ? PIPIT_ECLOSED
                   : PIPIT_ENOMEM;
    target->tap = pp_sub_tap(sub, router->index);
    return target->tap ? PIPIT_OK : PIPIT_ENOMEM;
}

static size_t count_groups(pp_sub **subs, size_t count)
{
    size_t groups = 0;

    for (size_t i = 0; i < count; i++)
        groups += i == 0 || by_queue(&subs[i - 1], &subs[i]) != 0;
    return groups;
}

size_t pp_route_partition(pp_sub_set *set)
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

/* Leave out those whose permissions forbid them to hear it. */
static void filter(pp_sub_set *set, pp_str subject)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->count; i++) {
        const pp_scope *scope =
            atomic_load_explicit(&set->subs[i]->client->scope, memory_order_acquire);

        if (!scope ||
            pp_permissions_may_hear(scope->permissions, subject, pp_sub_queue(set->subs[i])))
            set->subs[kept++] = set->subs[i];
    }
    set->count = kept;
}

/* Sum and greatest of the heads of a set. */
static size_t measure_heads(const pp_sub_set *set, pp_str subject, size_t *out_longest)
{
    size_t sum = 0, longest = 0;

    for (size_t i = 0; i < set->count; i++) {
        size_t len = set->subs[i]->client->ops->head(set->subs[i], subject, NULL);

        sum += len;
        longest = len > longest ? len : longest;
    }
    *out_longest = longest;
    return sum;
}

/* Room to make a head of len bytes when it is needed. */
static bool reserve_head(pp_router *router, size_t len)
{
    char *grown;

    if (len + PP_ROUTE_HEAD_SLACK <= router->head_cap)
        return true;
    grown = pp_realloc(router->head, len + PP_ROUTE_HEAD_SLACK);
    if (!grown)
        return false;
    memset(grown, 0, len + PP_ROUTE_HEAD_SLACK);
    router->head = grown;
    router->head_cap = len + PP_ROUTE_HEAD_SLACK;
    return true;
}

/* One allocation for a route with what lies behind it. */
static pp_route *route_new(pp_str subject, size_t targets, size_t groups, size_t heads_bytes)
{
    size_t bytes = sizeof(pp_route) + targets * sizeof(pp_target) +
                   groups * sizeof(pp_target_group) + subject.len + heads_bytes +
                   PP_ROUTE_HEAD_SLACK;
    pp_route *route = pp_alloc(bytes);
    char *subject_copy;

    if (!route)
        return NULL;
    *route = (pp_route){.bytes = bytes, .complete = true, .subject_len = (uint32_t)subject.len};
    route->targets = (pp_target *)(route + 1);
    route->groups = (pp_target_group *)(route->targets + targets);
    subject_copy = (char *)(route->groups + groups);
    memcpy(subject_copy, subject.ptr, subject.len);
    route->subject = subject_copy;
    route->heads = heads_bytes ? subject_copy + subject.len : NULL;
    memset(subject_copy + subject.len + heads_bytes, 0, PP_ROUTE_HEAD_SLACK);
    return route;
}

static pp_route *build(pp_router *router, pp_str subject, pp_sub_set *set)
{
    size_t plain = pp_route_partition(set), head_at = 0, longest;
    size_t groups = count_groups(set->subs + plain, set->count - plain);
    size_t heads_bytes = measure_heads(set, subject, &longest);
    pp_target_group *group = NULL;
    pp_route *route;

    if (heads_bytes > HEADS_MAX) {
        heads_bytes = 0;
        if (!reserve_head(router, longest))
            return NULL;
    }
    route = route_new(subject, set->count, groups, heads_bytes);
    if (!route)
        return NULL;
    for (size_t i = 0; i < set->count; i++) {
        pp_sub *sub = set->subs[i];
        pp_target *target = &route->targets[route->target_count];
        pipit_err err;

        if (i >= plain && (i == plain || by_queue(&set->subs[i - 1], &set->subs[i]) != 0)) {
            group = &route->groups[route->group_count++];
            *group = (pp_target_group){route->target_count, 0};
        }
        err = pp_target_resolve(router, sub, target);
        if (err) {
            route->complete &= err == PIPIT_ECLOSED; /* its end will make the route stale */
            continue;
        }
        if (route->heads) {
            target->head_at = (uint32_t)head_at;
            target->head_len = PP_ROUTE_HEAD_MAX &
                               sub->client->ops->head(sub, subject, (char *)route->heads + head_at);
            head_at += target->head_len;
        }
        route->target_count++;
        if (group)
            group->count++;
        else
            route->plain_count++;
    }
    return route;
}

/* Make room for a route: when there are too many, or they are too large, all go. */
static void make_room(pp_route_cache *cache, size_t bytes)
{
    pp_router *router = cache->router;

    if (cache->route_count >= router->routes_max)
        pp_route_cache_clear(cache);
    if (router->bytes + bytes <= router->bytes_max)
        return;
    for (uint32_t i = 0; i < router->cache_count; i++) {
        pp_route_cache *other = router->caches[i];

        if (other)
            pp_route_cache_clear(other);
        if (other && other->mapped)
            pp_route_cache_clear(other->mapped);
    }
}

static bool is_single(const pp_route_cache *cache, pp_str subject, uint64_t hash)
{
    const pp_route *route = cache->router->single;

    return route && cache->router->single_of == cache && route->hash == hash &&
           route->subject_len == subject.len &&
           memcmp(route->subject, subject.ptr, subject.len) == 0 && pp_route_valid(route);
}

/* The answer for a subject: mappings come first, then permissions, then who subscribes.
 * Source: accounts and subjects, section 6: permissions are asked for what a mapping makes. */
static pp_route *ask(pp_route_cache *cache, pp_str subject)
{
    pp_router *router = cache->router;
    const pp_mappings *mappings =
        cache->final ? NULL : atomic_load_explicit(&cache->account->mappings, memory_order_acquire);
    const pp_mapping *mapping = mappings ? pp_mappings_find(mappings, subject) : NULL;
    pp_route_kind kind = PP_ROUTE_PLAIN;
    pp_route *route;

    router->matched.count = 0;
    if (mapping) {
        kind = PP_ROUTE_MAPPED;
    } else if (!pp_permissions_may_publish(cache->permissions, subject)) {
        kind = PP_ROUTE_DENIED;
    } else {
        pipit_err err = pp_sublist_match(cache->account->subs, subject, &router->matched);

        router->in_vain += router->matched.steps + router->matched.count;
        if (err)
            return NULL;
        filter(&router->matched, subject);
    }
    route = build(router, subject, &router->matched);
    if (route) {
        route->kind = kind;
        route->mapping = mapping;
    }
    return route;
}

pp_route *pp_route_resolve(pp_route_cache *cache, pp_str subject, uint64_t hash)
{
    pp_router *router = cache->router;
    /* Read before matching: what changes from here on makes the answer stale, not wrong. */
    pp_sublist_gen gen = pp_sublist_gen_read(cache->gens, hash);
    pp_route *route;

    if (is_single(cache, subject, hash))
        return router->single;
    pp_count(&router->counters->route_misses, 1);
    cache->changes++;
    route = ask(cache, subject);
    if (!route)
        return NULL;
    route->hash = hash;
    route->gens = cache->gens;
    route->gen = gen;
    if (!route->complete)
        route->gen.wild--; /* good for this message; the next one asks again */
    if (route->bytes > router->bytes_max / 2) {
        pp_free(router->single);
        router->single = route;
        router->single_of = cache;
        return route;
    }
    make_room(cache, route->bytes);
    *place(cache, subject, hash, route->bytes) = route;
    cache->route_count++;
    router->bytes += route->bytes;
    return route;
}

pp_route_cache *pp_route_cache_final(pp_route_cache *cache)
{
    if (cache->final)
        return cache;
    if (!cache->mapped) {
        cache->mapped = cache_new(cache->router, cache->account, cache->permissions);
        if (cache->mapped)
            cache->mapped->final = true;
    }
    return cache->mapped;
}

pp_route *pp_route_follow(pp_route_cache *cache, const pp_route *route, char *to, size_t *out_len,
                          pp_route_cache **out_cache)
{
    pp_str subject = {route->subject, route->subject_len};
    pp_route_cache *mapped = pp_route_cache_final(cache);

    *out_len = 0;
    if (!mapped)
        return NULL;
    if (pp_mapping_apply(route->mapping, subject, pp_random_next(&cache->router->random), to,
                         PP_ROUTE_MAPPED_MAX, out_len))
        *out_len = 0;
    if (*out_len == 0)
        return NULL;
    *out_cache = mapped;
    return pp_route_find(mapped, (pp_str){to, *out_len});
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

/* For routes that keep no heads. */
static pp_str make_head(const pp_router *router, const pp_route *route, const pp_sub *sub)
{
    pp_str subject = {route->subject, route->subject_len};

    return (pp_str){router->head, sub->client->ops->head(sub, subject, router->head)};
}

static inline bool stage(const pp_router *router, const pp_target *target, pp_str head,
                         const pp_msg *msg)
{
    if (PP_UNLIKELY(target->flags)) {
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

    if (!reserve_head(router, len))
        return false;
    *out_head = (pp_str){router->head, sub->client->ops->head(sub, subject, router->head)};
    return true;
}

static inline bool deliver_one(const pp_router *router, const pp_route *route,
                               const pp_target *target, const pp_msg *msg)
{
    pp_str head;

    if (PP_UNLIKELY(msg->no_echo) && target->sub->client == msg->from)
        return false;
    if (PP_LIKELY(route->heads))
        head = (pp_str){route->heads + target->head_at, target->head_len};
    else
        head = make_head(router, route, target->sub);
    return stage(router, target, head, msg);
}

size_t pp_route_deliver(pp_route_cache *cache, const pp_route *route, const pp_msg *msg)
{
    pp_router *router = cache->router;
    size_t taken = 0;

    cache->router->messages++;
    for (uint32_t i = 0; i < route->plain_count; i++)
        taken += deliver_one(router, route, &route->targets[i], msg);
    router->in_vain += route->plain_count - taken;
    for (uint32_t g = 0; g < route->group_count; g++) {
        const pp_target_group group = route->groups[g];
        uint32_t at;

        if (group.count == 0)
            continue;
        at = pp_random_below(&router->random, group.count);
        for (uint32_t tries = 0; tries < group.count; tries++) {
            if (deliver_one(router, route, &route->targets[group.first + at], msg)) {
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
