/* A router: its caches by view and by account, and messages that are passed on through one. */
#include "core/route_inside.h"

#include "base/alloc.h"
#include "base/random.h"
#include "core/trace.h"

enum {
    ROUTES_MAX = 1 << 16,
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

void pp_router_each_cache(pp_router *router, void (*visit)(pp_route_cache *cache))
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

void pp_router_free_route(pp_router *router, pp_route *route)
{
    if (route && router->depth) {
        route->next_dead = router->dead;
        router->dead = route;
    } else {
        pp_free(route);
    }
}

void pp_router_bury(pp_router *router)
{
    pp_route *route;

    while ((route = router->dead)) {
        router->dead = route->next_dead;
        pp_free(route);
    }
}

void pp_router_forget_single(pp_router *router)
{
    if (router->single)
        router->single_of->changes++;
    pp_router_free_route(router, router->single);
    router->single = NULL;
    router->single_of = NULL;
}

void pp_router_forget(pp_router *router)
{
    PP_ASSERT(!router->depth);
    pp_router_forget_single(router);
    pp_router_bury(router);
    for (uint32_t i = 0; i < router->cache_count; i++) {
        pp_route_cache_free(router->caches[i]);
        router->caches[i] = NULL;
    }
    for (uint32_t i = 0; i < 2 * router->inner_count; i++) {
        pp_route_cache_free(router->inner[i]);
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
    pp_router_each_cache(router, pp_route_cache_clear);
    pp_router_forget_single(router);
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
        pp_router_forget_single(router);
    pp_route_cache_free(*at);
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
        *at = pp_route_cache_new(router, scope->account, scope->permissions);
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
        *at = pp_route_cache_new(router, account, NULL);
        if (!*at)
            return NULL;
        (*at)->serial = account->serial;
        (*at)->crossed = crossed;
        (*at)->final = !crossed;
    }
    return *at;
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
