/* Routes by subject: sets of a few, more of them while they crowd, and room made when there is
 * none. */
#include "core/route_inside.h"

#include "base/alloc.h"

#include <string.h>

enum { SETS_AT_START = 16 };

/* What a cache's sets take beyond those that each begins with. */
static size_t grown_bytes(size_t set_mask)
{
    return (set_mask + 1 - SETS_AT_START) * sizeof(struct pp_route_set);
}

void pp_route_cache_free(pp_route_cache *cache)
{
    if (!cache)
        return;
    pp_route_cache_free(cache->mapped);
    pp_route_cache_clear(cache);
    cache->router->bytes -= grown_bytes(cache->set_mask);
    pp_free(cache->sets);
    pp_free(cache);
}

pp_route_cache *pp_route_cache_new(pp_router *router, pp_account *account,
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

static void drop(pp_route_cache *cache, struct pp_route_set *set, unsigned way)
{
    pp_route *route = set->routes[way];

    if (!route)
        return;
    cache->route_count--;
    cache->router->bytes -= route->bytes;
    pp_router_free_route(cache->router, route);
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
        pp_router_each_cache(router, pp_route_cache_clear);
}

void pp_route_cache_keep(pp_route_cache *cache, pp_route *route)
{
    const pp_str subject = {route->subject, route->subject_len};

    make_room(cache, route->bytes);
    *place(cache, subject, route->hash, route->bytes) = route;
    cache->route_count++;
    cache->router->bytes += route->bytes;
}
