/* core/route.h -- subject to targets, remembered.
 *
 * Each loop has a router, and a router has one route cache per view (core/scope.h) it has published
 * from. A route is the answer of the account's index for one subject, with everything a delivery
 * needs already resolved: whether it may be published at all, the recipients that may hear it,
 * their outlets, the bytes their frames begin with, the counters to add to. A route is used only
 * while its generation is the index's; a stale one is never looked into, for what it points at may
 * be gone. Nothing here is shared between loops but the index and the taps of subscriptions. */
#ifndef PP_CORE_ROUTE_H
#define PP_CORE_ROUTE_H

#include "base/assert.h"
#include "base/counters.h"
#include "base/hash.h"
#include "core/client.h"
#include "core/gather.h"
#include "core/response.h"
#include "core/scope.h"

enum {
    PP_ROUTE_WAYS = 4,
    PP_ROUTE_HEAD_SLACK = 32, /* readable bytes behind a head */
    PP_ROUTE_HEAD_MAX = (1 << 28) - 1,
    PP_ROUTE_MAPPED_MAX = 64 * 1024, /* bytes of a subject that a mapping made */
    PP_TARGET_COUNTED = 1,           /* the subscription ends after a number of deliveries */
    PP_TARGET_IMPORTED = 2,          /* in another account, under another subject */
};

typedef struct pp_target {
    bool (*deliver)(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg);
    void *outlet;
    pp_sub *sub;
    pp_tap *tap;
    uint32_t head_at; /* from the route's heads */
    uint32_t head_len : 28;
    uint32_t flags : 4;
} pp_target;

/* Members [first, first + count) of one queue group. */
typedef struct pp_target_group {
    uint32_t first;
    uint32_t count;
} pp_target_group;

/* The message in an account that imports it. */
typedef struct pp_route_alias {
    pp_account *account;
    pp_str subject;
} pp_route_alias;

typedef enum pp_route_kind {
    PP_ROUTE_PLAIN,
    PP_ROUTE_DENIED, /* the publisher has no permission; no targets */
    PP_ROUTE_MAPPED, /* a mapping says for each message where it goes; no targets */
} pp_route_kind;

/* One allocation: targets, aliases, groups, subject and heads lie behind it. */
typedef struct pp_route {
    uint64_t hash;
    const pp_sublist_gens *gens; /* the account's */
    pp_sublist_gen gen;
    size_t bytes;         /* of this allocation */
    uint32_t plain_count; /* targets [0, plain_count) each get a copy */
    uint32_t group_count;
    uint32_t target_count;
    uint32_t subject_len;
    bool complete; /* false: a recipient could not be resolved this time */
    pp_route_kind kind;
    const struct pp_mapping *mapping; /* borrowed from the account's */
    struct pp_route *next_dead;       /* among the router's */
    pp_target *targets;
    pp_route_alias *aliases;
    uint32_t *alias_of; /* by target, for those that are imported */
    pp_target_group *groups;
    const char *heads; /* NULL: too many bytes to keep, made for each delivery */
    const char *subject;
} pp_route;

struct pp_route_set {
    uint32_t tags[PP_ROUTE_WAYS]; /* upper half of the hash; a route decides */
    pp_route *routes[PP_ROUTE_WAYS];
};

typedef struct pp_route_cache {
    struct pp_router *router;
    uint64_t serial; /* of the view; of the account, if it is an inner one */
    pp_account *account;
    const pp_permissions *permissions;
    pp_account_counters *counters; /* of the account on this loop */
    bool final;                    /* subjects come from a mapping: they are not mapped again */
    bool crossed;                  /* messages come from another account: no stream has them */
    struct pp_route_cache *mapped; /* where mappings lead to; NULL until used */
    const pp_sublist_gens *gens;   /* the account's */
    uint64_t seed;
    struct pp_route_set *sets;
    size_t set_mask;
    size_t route_count;
    unsigned next_victim;
    size_t hand;      /* where the next route is dropped when there are too many */
    uint64_t changes; /* counts what may end the life of a route */
} pp_route_cache;

typedef struct pp_router {
    uint32_t index; /* the loop's */
    uint32_t cache_count;
    pp_route_cache **caches; /* by view; NULL until used */
    uint64_t random;
    uint64_t messages; /* delivered so far: tells a message from the next */
    /* Work beside deliveries, counted as if it were some: recipients that were looked for, and that
     * did not take what they were given. Whoever shares out a turn's time counts it. */
    uint64_t in_vain;
    pp_counters *counters;
    struct pp_realm *realm; /* NULL: no message leaves its account */
    /* By account, twice: for what comes from another, and for what the server says. NULL until
     * used. */
    pp_route_cache **inner;
    uint32_t inner_count;
    unsigned depth; /* of messages that are being passed on to other accounts */
    pp_route *dead; /* routes that were dropped meanwhile: one of them may be in use */
    pp_responses responses;
    pp_gathering gathering; /* scratch, as these */
    pp_sub_set matched;
    char *head; /* for heads that are not kept */
    size_t head_cap;
    pp_route *single;          /* the last route that was too large to keep among the others */
    pp_route_cache *single_of; /* the cache it belongs to */
    size_t bytes;              /* of the routes in all caches, and of sets added for them */
    size_t bytes_max;
    size_t routes_max; /* per cache */
} pp_router;

void pp_router_init(pp_router *router, uint32_t index, pp_counters *counters);
void pp_router_fini(pp_router *router);

/* Forget all routes and keep the caches. Thread: the router's loop, not while one is used. */
void pp_router_clear(pp_router *router);

/* The cache from where all of account is seen, for messages that come from another account
 * (crossed), or else for the server's own, which are not mapped. NULL: no memory. */
pp_route_cache *pp_router_inner(pp_router *router, pp_account *account, bool crossed);

/* Route msg, whose subject this may change, and deliver it; also while another message of this
 * router is being delivered. Returns how many took it. Thread: the router's loop, inside a turn. */
size_t pp_router_pass(pp_router *router, pp_route_cache *cache, pp_msg *msg);

/* The router's cache for the view of scope, made on first use; what another view had under its
 * number goes. NULL: no memory. Thread: the router's loop, not while a route is looked at. */
pp_route_cache *pp_router_cache(pp_router *router, const pp_scope *scope);

/* Forget all caches: views, permissions and mappings have changed. Caches and routes that were
 * found before are gone. Thread: the router's loop. */
void pp_router_forget(pp_router *router);

/* Ask the index and remember. NULL: no memory for the answer. */
pp_route *pp_route_resolve(pp_route_cache *cache, pp_str subject, uint64_t hash);

/* Where a message on the subject of a PP_ROUTE_MAPPED route goes this time: writes the subject to
 * to, of PP_ROUTE_MAPPED_MAX bytes, and its length. *out_cache is the cache to publish through.
 * Returns its route, valid as from pp_route_find; NULL: nowhere, or no memory. */
pp_route *pp_route_follow(pp_route_cache *cache, const pp_route *route, char *to, size_t *out_len,
                          pp_route_cache **out_cache);

/* The cache for subjects of cache's view that are not to be mapped (again), made on first use.
 * NULL: no memory. */
pp_route_cache *pp_route_cache_final(pp_route_cache *cache);

/* Stage msg for every target; returns how many took it. Thread: the router's loop, inside a turn.
 */
size_t pp_route_deliver(pp_route_cache *cache, const pp_route *route, const pp_msg *msg);

static inline bool pp_route_valid(const pp_route *route)
{
    pp_sublist_gen gen = pp_sublist_gen_read(route->gens, route->hash);

    return gen.wild == route->gen.wild && gen.slot == route->gen.slot;
}

/* The route of a subject. Valid until the next call on any cache of its router. NULL: no memory. */
static inline pp_route *pp_route_find(pp_route_cache *cache, pp_str subject)
{
    uint64_t hash = pp_hash(subject.ptr, subject.len, cache->seed);
    const struct pp_route_set *set = &cache->sets[hash & cache->set_mask];

    for (unsigned way = 0; way < PP_ROUTE_WAYS; way++) {
        pp_route *route = set->routes[way];

        if (set->tags[way] == (uint32_t)(hash >> 32) && route && route->hash == hash &&
            route->subject_len == subject.len &&
            memcmp(route->subject, subject.ptr, subject.len) == 0) {
            if (PP_LIKELY(pp_route_valid(route)))
                return route;
            break;
        }
    }
    return pp_route_resolve(cache, subject, hash);
}

/* --- parts, for whoever goes through recipients without a route --------------------------- */

/* Everything about one recipient that delivering will need, but its head.
 * Errors: PIPIT_ECLOSED it will not take messages any more; PIPIT_ENOMEM. */
pipit_err pp_target_resolve(const pp_router *router, pp_sub *sub, pp_target *target);

/* The head of its frame, made in the router's scratch. False: no memory. */
bool pp_target_head(pp_router *router, const pp_sub *sub, pp_str subject, pp_str *out_head);

/* Stage msg for one; false: not taken. */
bool pp_target_deliver(const pp_router *router, const pp_target *target, pp_str head,
                       const pp_msg *msg);

/* Room to make a head of len bytes when it is needed. */
bool pp_router_reserve_head(pp_router *router, size_t len);

/* Count a message for who hears it in another account than it was published in. */
void pp_target_count_import(pp_account *from, pp_account *to, uint32_t router_index,
                            const pp_msg *msg);

/* Forget everything remembered. */
void pp_route_cache_clear(pp_route_cache *cache);

#endif
