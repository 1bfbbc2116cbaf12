#include "server/monitor/caches.h"

#include "server/monitor/sweep.h"
#include "server/server.h"

enum { SETS_PER_STEP = 16 };

/* A walk over the sets of one cache after the other. A cache that grows between two steps has its
 * routes elsewhere: some may be missed or counted twice, which does no harm to a sum that is out of
 * date when it is read. */
struct state {
    pp_str account;
    bool with_targets;
    uint32_t cache;
    size_t set;
    pp_cache_sums sums;
};

static void add_set(const struct pp_route_set *set, pp_cache_sums *sums)
{
    for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
        const pp_route *route = set->routes[way];

        if (!route)
            continue;
        sums->targets += route->target_count;
        if (route->target_count > sums->targets_max)
            sums->targets_max = route->target_count;
    }
}

static bool is_wanted(const struct state *state, const pp_route_cache *cache)
{
    return cache &&
           (!state->account.len || pp_str_eq(state->account, pp_str_of(cache->account->name)));
}

static bool step(pp_worker *worker, void *arg)
{
    struct state *state = arg;
    const pp_router *router = &worker->router;
    const pp_route_cache *cache;

    if (state->cache >= router->cache_count) {
        state->sums.bytes = router->bytes;
        state->sums.pool_bytes = pp_chunk_pool_bytes(&worker->loop.chunks);
        state->sums.read_bytes = worker->loop.read_cap;
        return true;
    }
    cache = router->caches[state->cache];
    if (state->set == 0 && is_wanted(state, cache))
        state->sums.routes += cache->route_count;
    if (!state->with_targets)
        cache = NULL;
    for (unsigned i = 0; is_wanted(state, cache) && i < SETS_PER_STEP; i++, state->set++) {
        if (state->set > cache->set_mask) {
            cache = NULL;
            break;
        }
        add_set(&cache->sets[state->set], &state->sums);
    }
    if (!is_wanted(state, cache)) {
        state->cache++;
        state->set = 0;
    }
    return false;
}

void pp_cache_sums_read(pipit_server *server, pp_str account, bool with_targets, pp_cache_sums *out)
{
    struct state states[PP_WORKERS_MAX];
    pipit_server_stats stats;

    for (unsigned i = 0; i < server->worker_count; i++)
        states[i] = (struct state){.account = account, .with_targets = with_targets};
    pp_sweep(server, step, states, sizeof(states[0]));
    *out = (pp_cache_sums){0};
    for (unsigned i = 0; i < server->worker_count; i++) {
        const pp_cache_sums *s = &states[i].sums;

        out->routes += s->routes;
        out->bytes += s->bytes;
        out->targets += s->targets;
        out->targets_max = s->targets_max > out->targets_max ? s->targets_max : out->targets_max;
        out->pool_bytes += s->pool_bytes;
        out->read_bytes += s->read_bytes;
    }
    pipit_server_get_stats(server, &stats);
    out->hit_rate = stats.in_msgs ? (double)stats.route_hits / (double)stats.in_msgs : 0;
}
