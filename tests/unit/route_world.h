/* tests/unit/route_world.h -- clients that only keep a record, and routers between them.
 *
 * Removed subscriptions are freed at once here, so that under AddressSanitizer a look into a stale
 * route ends the test. */
#ifndef PIPIT_TESTS_UNIT_ROUTE_WORLD_H
#define PIPIT_TESTS_UNIT_ROUTE_WORLD_H

#include "base/alloc.h"
#include "base/fault.h"
#include "core/route.h"
#include "core/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { ROUTERS = 2, TAKEN_MAX = 4096 };

/* --- fake clients --------------------------------------------------------------------------- */

struct fake;

struct fake_outlet {
    struct fake *fake;
    uint32_t router_index;
};

struct fake {
    pp_client client;
    struct fake_outlet outlets[ROUTERS];
    bool closing;             /* has no outlet, and says why */
    bool no_memory;           /* has no outlet this time */
    atomic_bool refuses;      /* takes nothing */
    atomic_uint refusals;     /* so many more, then it takes */
    atomic_uint taken;        /* deliveries */
    atomic_uint exhausted;    /* calls */
    atomic_uint exhausted_on; /* the router's index at the last one */
    atomic_uint outlets_asked;
    void (*on_outlet)(void); /* called once, when it is asked for its outlet */
};

/* What was delivered since the last look; only by tests of one thread. */
static struct {
    const pp_sub *subs[TAKEN_MAX];
    size_t count;
    bool off;
} taken;

static inline struct fake *fake_of(const pp_client *client)
{
    return (struct fake *)(void *)client;
}

static inline void *fake_outlet(pp_client *client, uint32_t router_index)
{
    struct fake *fake = fake_of(client);

    (void)atomic_fetch_add(&fake->outlets_asked, 1);
    if (fake->on_outlet) {
        void (*on_outlet)(void) = fake->on_outlet;

        fake->on_outlet = NULL;
        on_outlet();
    }
    if (fake->closing || fake->no_memory || pp_fault("outlet"))
        return NULL;
    fake->outlets[router_index] = (struct fake_outlet){fake, router_index};
    return &fake->outlets[router_index];
}

static inline bool fake_closing(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return fake_of(client)->closing;
}

static inline size_t fake_head(const pp_sub *sub, pp_str subject, char *out)
{
    pp_str sid = pp_sub_sid(sub);

    if (out) {
        memcpy(out, subject.ptr, subject.len);
        out[subject.len] = '/';
        memcpy(out + subject.len + 1, sid.ptr, sid.len);
    }
    return subject.len + 1 + sid.len;
}

static inline void check_head(const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    static _Thread_local char expected[UINT16_MAX + 256];
    size_t len = fake_head(sub, msg->subject, expected);

    if (head.len != len || memcmp(head.ptr, expected, len) != 0)
        abort(); /* on any thread */
    for (unsigned i = 0; i < PP_ROUTE_HEAD_SLACK; i++)
        (void)*(const volatile char *)&head.ptr[head.len + i];
}

static inline bool fake_deliver(void *way, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    struct fake_outlet *outlet = way;
    struct fake *fake = outlet->fake;
    unsigned left = atomic_load(&fake->refusals);

    if (sub->client != &fake->client)
        abort();
    check_head(sub, head, msg);
    if (atomic_load(&fake->refuses))
        return false;
    while (left) {
        if (atomic_compare_exchange_weak(&fake->refusals, &left, left - 1))
            return false;
    }
    (void)atomic_fetch_add(&fake->taken, 1);
    if (!taken.off && taken.count < TAKEN_MAX)
        taken.subs[taken.count++] = sub;
    return true;
}

static inline void fake_exhausted(pp_sub *sub, uint32_t router_index)
{
    atomic_store(&fake_of(sub->client)->exhausted_on, router_index);
    (void)atomic_fetch_add(&fake_of(sub->client)->exhausted, 1);
}

static const struct pp_client_ops fake_ops = {
    .outlet = fake_outlet,
    .closing = fake_closing,
    .head = fake_head,
    .deliver = fake_deliver,
    .exhausted = fake_exhausted,
};

/* --- a world -------------------------------------------------------------------------------- */

enum { CLIENTS = 8 };

struct world {
    pp_account *account;
    pp_scope scope;
    pp_counters counters[ROUTERS];
    pp_router routers[ROUTERS];
    pp_route_cache *caches[ROUTERS];
    struct fake clients[CLIENTS];
};

static inline void world_init(struct world *w)
{
    *w = (struct world){0};
    taken.count = 0;
    taken.off = false;
    assert_int_equal(pp_account_new(&w->account, "A", ROUTERS), PIPIT_OK);
    w->scope = (pp_scope){.account = w->account};
    for (unsigned i = 0; i < ROUTERS; i++) {
        pp_router_init(&w->routers[i], i, &w->counters[i]);
        w->caches[i] = pp_router_cache(&w->routers[i], &w->scope);
        assert_non_null(w->caches[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        w->clients[i].client.ops = &fake_ops;
}

static inline void world_fini(struct world *w)
{
    for (unsigned i = 0; i < ROUTERS; i++)
        pp_router_fini(&w->routers[i]);
    pp_account_free(w->account);
}

static inline pp_sub *subscribe(struct world *w, unsigned client, const char *subject,
                                const char *queue, const char *sid)
{
    pp_sub *sub = pp_sub_new(&w->clients[client].client, pp_str_of(sid), pp_str_of(queue));

    assert_non_null(sub);
    assert_int_equal(pp_sublist_insert(w->account->subs, sub, pp_str_of(subject)), PIPIT_OK);
    return sub;
}

static inline void unsubscribe(struct world *w, pp_sub *sub)
{
    pp_sublist_remove(w->account->subs, sub);
    pp_sub_free(sub);
}

static inline pp_route *find(struct world *w, const char *subject)
{
    pp_route *route = pp_route_find(w->caches[0], pp_str_of(subject));

    assert_non_null(route);
    return route;
}

static inline uint64_t misses(const struct world *w)
{
    return atomic_load(&w->counters[0].route_misses);
}

static inline pp_msg message(const char *subject)
{
    return (pp_msg){.subject = pp_str_of(subject), .data = PP_STR("data")};
}

/* How many took it; taken has them. */
static inline size_t publish(struct world *w, const char *subject)
{
    pp_msg msg = message(subject);
    size_t count;

    taken.count = 0;
    count = pp_route_deliver(w->caches[0], find(w, subject), &msg);
    if (!taken.off)
        assert_int_equal(count, taken.count);
    return count;
}

static inline unsigned times_taken(const pp_sub *sub)
{
    unsigned times = 0;

    for (size_t i = 0; i < taken.count; i++)
        times += taken.subs[i] == sub;
    return times;
}

#endif
