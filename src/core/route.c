/* The answer for a subject: asked of mappings, permissions and the index, and remembered. */
#include "core/route_inside.h"

#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/random.h"
#include "core/mapping.h"
#include "core/route_build.h"

#include <string.h>

enum { ROUTE_COST = 16 /* to make a route, in deliveries */ };

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
        pp_router_bury(router);
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
        pp_router_forget_single(router);
        router->single = route;
        router->single_of = cache;
        return route;
    }
    pp_route_cache_keep(cache, route);
    return route;
}

pp_route_cache *pp_route_cache_final(pp_route_cache *cache)
{
    if (cache->final)
        return cache;
    if (!cache->mapped) {
        cache->mapped = pp_route_cache_new(cache->router, cache->account, cache->permissions);
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
