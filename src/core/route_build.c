#include "core/route_build.h"

#include "base/alloc.h"

#include <string.h>

enum { HEADS_MAX = 16 << 20 /* of one route; more are not kept */ };

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

/* How much there is of what lies behind a route. */
struct sizes {
    size_t plain, groups;
    size_t heads, longest; /* bytes of heads, and of the longest */
};

/* Leave out those whose permissions forbid them to hear it. */
static void filter(pp_router *router, pp_str subject)
{
    pp_gathering *g = &router->gathering;
    size_t kept = 0;

    for (size_t i = 0; i < g->count; i++) {
        const pp_hearer *hearer = &g->hearers[i];
        const pp_scope *scope =
            atomic_load_explicit(&hearer->sub->client->scope, memory_order_acquire);

        if (scope)
            router->in_vain += pp_permissions_subscribe_cost(scope->permissions);
        if (!scope ||
            pp_permissions_may_hear(scope->permissions, pp_gathering_subject(g, hearer, subject),
                                    pp_sub_queue(hearer->sub)))
            g->hearers[kept++] = *hearer;
    }
    g->count = kept;
}

static void measure(pp_gathering *g, pp_str subject, struct sizes *out)
{
    *out = (struct sizes){.plain = pp_gathering_partition(g)};
    for (size_t i = 0; i < g->count; i++) {
        const pp_hearer *hearer = &g->hearers[i];
        size_t len = hearer->sub->client->ops->head(hearer->sub,
                                                    pp_gathering_subject(g, hearer, subject), NULL);

        out->heads += len;
        out->longest = len > out->longest ? len : out->longest;
        if (i >= out->plain)
            out->groups += i == out->plain || !pp_hearers_same_group(hearer - 1, hearer);
    }
}

bool pp_router_reserve_head(pp_router *router, size_t len)
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

/* One allocation for a route with what lies behind it, largest alignment first. */
static pp_route *route_new(pp_str subject, const pp_gathering *g, const struct sizes *sizes)
{
    size_t aliases = g->alias_count;
    size_t bytes = sizeof(pp_route) + g->count * sizeof(pp_target) +
                   aliases * sizeof(pp_route_alias) + sizes->groups * sizeof(pp_target_group) +
                   (aliases ? g->count * sizeof(uint32_t) : 0) + subject.len +
                   (aliases ? g->texts.len : 0) + sizes->heads + PP_ROUTE_HEAD_SLACK;
    pp_route *route = pp_alloc(bytes);
    char *text;

    if (!route)
        return NULL;
    *route = (pp_route){.bytes = bytes, .complete = true, .subject_len = (uint32_t)subject.len};
    route->targets = (pp_target *)(route + 1);
    route->aliases = (pp_route_alias *)(route->targets + g->count);
    route->groups = (pp_target_group *)(route->aliases + aliases);
    route->alias_of = (uint32_t *)(route->groups + sizes->groups);
    text = (char *)(route->alias_of + (aliases ? g->count : 0));
    route->subject = text;
    memcpy(text, subject.ptr, subject.len);
    text += subject.len;
    for (size_t i = 0; i < aliases; i++)
        route->aliases[i] = (pp_route_alias){g->aliases[i].import->importer,
                                             {text + g->aliases[i].at, g->aliases[i].len}};
    if (aliases) {
        memcpy(text, g->texts.ptr, g->texts.len);
        text += g->texts.len;
    }
    route->heads = sizes->heads ? text : NULL;
    memset(text + sizes->heads, 0, PP_ROUTE_HEAD_SLACK);
    return route;
}

/* Resolve one hearer into the next target of the route. False: it cannot be had now. */
static bool add_target(pp_router *router, pp_route *route, const pp_hearer *hearer, pp_str name,
                       size_t *head_at)
{
    pp_target *target = &route->targets[route->target_count];
    pipit_err err = pp_target_resolve(router, hearer->sub, target);

    if (err) {
        route->complete &= err == PIPIT_ECLOSED; /* its end will make the route stale */
        return false;
    }
    if (hearer->alias) {
        target->flags |= PP_TARGET_IMPORTED;
        route->alias_of[route->target_count] = hearer->alias - 1;
    }
    if (route->heads) {
        target->head_at = (uint32_t)*head_at;
        target->head_len =
            PP_ROUTE_HEAD_MAX &
            hearer->sub->client->ops->head(hearer->sub, name, (char *)route->heads + *head_at);
        *head_at += target->head_len;
    }
    route->target_count++;
    return true;
}

pp_route *pp_route_build(pp_router *router, pp_str subject)
{
    pp_gathering *g = &router->gathering;
    pp_target_group *group = NULL;
    struct sizes sizes;
    size_t head_at = 0;
    pp_route *route;

    filter(router, subject);
    measure(g, subject, &sizes);
    if (sizes.heads > HEADS_MAX) {
        sizes.heads = 0;
        if (!pp_router_reserve_head(router, sizes.longest))
            return NULL;
    }
    route = route_new(subject, g, &sizes);
    if (!route)
        return NULL;
    for (size_t i = 0; i < g->count; i++) {
        const pp_hearer *hearer = &g->hearers[i];

        if (i >= sizes.plain && (i == sizes.plain || !pp_hearers_same_group(hearer - 1, hearer))) {
            group = &route->groups[route->group_count++];
            *group = (pp_target_group){route->target_count, 0};
        }
        if (!add_target(router, route, hearer, pp_gathering_subject(g, hearer, subject), &head_at))
            continue;
        if (group)
            group->count++;
        else
            route->plain_count++;
    }
    return route;
}
