#include "core/route.h"

#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/random.h"
#include "core/mapping.h"
#include "core/route_build.h"
#include "core/trace.h"

#include <string.h>

enum {
    SETS_AT_START = 16,
    ROUTES_MAX = 1 << 16,
    ROUTE_COST = 16, /* to make a route, in deliveries */
    BYTES_MAX = 64 << 20,
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
    pp_responses_init(&router->responses);
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

/* Call visit for every cache there is, those that mappings lead to after those that they start
 * from. */
static void each_cache(pp_router *router, void (*visit)(pp_route_cache *cache))
{
    for (uint32_t i = 0; i < router->cache_count + 2 * router->inner_count; i++) {
        pp_route_cache *cache =
            i < router->cache_count ? router->caches[i] : router->inner[i - router->cache_count];

        if (cache)
            visit(cache);
        if (cache && cache->mapped)
            visit(cache->mapped);
    }
}

/* Let go of a route. While messages are passed on, one that is being delivered may have been
 * dropped for want of room by another: it stays until nobody delivers. */
static void route_free(pp_router *router, pp_route *route)
{
    if (route && router->depth) {
        route->next_dead = router->dead;
        router->dead = route;
    } else {
        pp_free(route);
    }
}

static void bury(pp_router *router)
{
    pp_route *route;

    while ((route = router->dead)) {
        router->dead = route->next_dead;
        pp_free(route);
    }
}

static void forget_single(pp_router *router)
{
    if (router->single)
        router->single_of->changes++;
    route_free(router, router->single);
    router->single = NULL;
    router->single_of = NULL;
}

void pp_router_forget(pp_router *router)
{
    PP_ASSERT(!router->depth);
    forget_single(router);
    bury(router);
    for (uint32_t i = 0; i < router->cache_count; i++) {
        cache_free(router->caches[i]);
        router->caches[i] = NULL;
    }
    for (uint32_t i = 0; i < 2 * router->inner_count; i++) {
        cache_free(router->inner[i]);
        router->inner[i] = NULL;
    }
}

void pp_router_fini(pp_router *router)
{
    if (!router->counters)
        return; /* it has not been initialised, or ended before */
    pp_router_forget(router);
    pp_responses_fini(&router->responses);
    pp_free(router->caches);
    pp_free(router->inner);
    pp_free(router->head);
    pp_gathering_fini(&router->gathering);
    pp_sub_set_fini(&router->matched);
    *router = (pp_router){0};
}

void pp_router_clear(pp_router *router)
{
    each_cache(router, pp_route_cache_clear);
    forget_single(router);
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

/* Make room for count pointers, of which *old_count are there. False: no memory. */
static bool grow_table(pp_route_cache ***caches, uint32_t old_count, uint32_t count)
{
    pp_route_cache **grown = pp_realloc(*caches, count * sizeof(*grown));

    if (!grown)
        return false;
    for (uint32_t i = old_count; i < count; i++)
        grown[i] = NULL;
    *caches = grown;
    return true;
}

static uint32_t grown_count(uint32_t old, uint32_t index)
{
    return index + 1 > 2 * old ? index + 1 : 2 * old;
}

/* What had this number has gone: a view and everybody who saw by it, or an account. */
static void forget(pp_router *router, pp_route_cache **at)
{
    if (router->single_of == *at || (router->single_of && router->single_of == (*at)->mapped))
        forget_single(router);
    cache_free(*at);
    *at = NULL;
}

pp_route_cache *pp_router_cache(pp_router *router, const pp_scope *scope)
{
    pp_route_cache **at;

    if (scope->view >= router->cache_count) {
        uint32_t count = grown_count(router->cache_count, scope->view);

        if (!grow_table(&router->caches, router->cache_count, count))
            return NULL;
        router->cache_count = count;
    }
    at = &router->caches[scope->view];
    if (*at && (*at)->serial != scope->view_serial)
        forget(router, at);
    if (!*at) {
        *at = cache_new(router, scope->account, scope->permissions);
        if (*at)
            (*at)->serial = scope->view_serial;
    }
    return *at;
}

pp_route_cache *pp_router_inner(pp_router *router, pp_account *account, bool crossed)
{
    pp_route_cache **at;

    if (account->index >= router->inner_count) {
        uint32_t count = grown_count(router->inner_count, account->index);

        if (!grow_table(&router->inner, 2 * router->inner_count, 2 * count))
            return NULL;
        router->inner_count = count;
    }
    at = &router->inner[2 * account->index + crossed];
    if (*at && (*at)->serial != account->serial)
        forget(router, at);
    if (!*at) {
        *at = cache_new(router, account, NULL);
        if (!*at)
            return NULL;
        (*at)->serial = account->serial;
        (*at)->crossed = crossed;
        (*at)->final = !crossed;
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
    route_free(cache->router, route);
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

/* Drop one route, from wherever the hand points to. There is one. */
static void drop_one(pp_route_cache *cache)
{
    for (;; cache->hand++) {
        struct pp_route_set *set = &cache->sets[cache->hand & cache->set_mask];

        for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
            if (set->routes[way]) {
                drop(cache, set, way);
                return;
            }
        }
    }
}

/* Make room for a route: when there are too many, or they are too large, as many go as have to. A
 * cache that has none left while others hold all the bytes makes them begin anew. */
static void make_room(pp_route_cache *cache, size_t bytes)
{
    pp_router *router = cache->router;

    if (cache->route_count >= router->routes_max)
        drop_one(cache);
    while (router->bytes + bytes > router->bytes_max && cache->route_count)
        drop_one(cache);
    if (router->bytes + bytes > router->bytes_max)
        each_cache(router, pp_route_cache_clear);
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

    pp_gathering_clear(&router->gathering);
    router->in_vain += ROUTE_COST + pp_permissions_publish_cost(cache->permissions);
    if (mapping) {
        kind = PP_ROUTE_MAPPED;
    } else if (!pp_permissions_may_publish(cache->permissions, subject)) {
        kind = PP_ROUTE_DENIED;
    } else {
        pipit_err err = pp_gather(&router->gathering, cache->account, subject, cache->crossed);

        router->in_vain += router->gathering.steps;
        if (err)
            return NULL;
    }
    route = pp_route_build(router, subject);
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
    if (!router->depth)
        bury(router);
    pp_count(&router->counters->route_misses, 1);
    cache->changes++;
    pp_alloc_urgent_begin();
    route = ask(cache, subject);
    pp_alloc_urgent_end();
    if (!route)
        return NULL;
    route->hash = hash;
    route->gens = cache->gens;
    route->gen = gen;
    if (!route->complete)
        route->gen.wild--; /* good for this message; the next one asks again */
    if (route->bytes > router->bytes_max / 2 || pp_ceiling_refuses(0)) {
        forget_single(router);
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
        if (cache->mapped) {
            cache->mapped->final = true;
            cache->mapped->crossed = cache->crossed;
        }
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

size_t pp_router_pass(pp_router *router, pp_route_cache *cache, pp_msg *msg)
{
    char *mapped = NULL;
    pp_route *route;
    size_t taken = 0;

    router->depth++;
    route = pp_route_find(cache, msg->subject);
    if (route && route->kind == PP_ROUTE_MAPPED) {
        mapped = pp_alloc(PP_ROUTE_MAPPED_MAX);
        route = mapped ? pp_route_follow(cache, route, mapped, &msg->subject.len, &cache) : NULL;
        msg->subject.ptr = mapped;
    } else if (!route) {
        pp_count(&router->counters->route_failures, 1);
    }
    if (route && msg->witness && pp_trace_deliver(cache, msg, msg->witness, &taken))
        taken = 0;
    else if (route && !msg->witness && route->target_count)
        taken = pp_route_deliver(cache, route, msg);
    router->depth--;
    router->messages++;       /* what is delivered next is another message */
    router->in_vain += taken; /* whoever published counts it as one */
    pp_count(&cache->counters->out_msgs, taken);
    pp_count(&cache->counters->out_bytes, taken * msg->data.len);
    pp_free(mapped);
    return taken;
}
