/* Who hears what, against a model that knows no rules but those of the page.
 *
 * A round makes users with random permissions, has them subscribe, publish, come and go and get
 * other permissions, all through the index and the routes that the server uses; the model is that
 * of permission_world.h. Each publish and each subscription is a case:
 *
 *   PIPIT_MODEL_CASES=10000000 test_permission_model       the long run
 */
#include "core/route.h"

#include "base/alloc.h"
#include "core/account.h"
#include "core/sub.h"
#include "permission_world.h"

enum {
    CASES = 200 * 1000,
    USERS = 5,
    SUBS = 24,
    STEPS = 400, /* of a round */
};

/* --- users of the code under test --------------------------------------------------------- */

struct member {
    pp_client client;
    pp_scope scope;
    struct permissions permissions;
};

struct listener {
    pp_sub *sub; /* NULL: none */
    struct member *member;
    char pattern[2 * DEPTH], queue[8];
    set covered;
    unsigned heard;
};

static struct {
    pp_account *account;
    pp_router router;
    pp_counters counters;
    struct member members[USERS];
    struct listener listeners[SUBS];
    uint64_t serials; /* of views */
    uint64_t publishes, subscribes, delivered, refused;
} run;

static void *fake_outlet(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return client;
}

static size_t fake_head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    (void)subject;
    (void)out;
    return 0;
}

static bool fake_deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    uint8_t place = (uint8_t)*pp_sub_sid(sub).ptr;

    (void)outlet;
    (void)head;
    (void)msg;
    assert_ptr_equal(run.listeners[place].sub, sub);
    run.listeners[place].heard++;
    return true;
}

static const struct pp_client_ops fake_ops = {
    .outlet = fake_outlet, .head = fake_head, .deliver = fake_deliver};

static void unsubscribe(struct listener *l)
{
    if (!l->sub)
        return;
    pp_sublist_remove(run.account->subs, l->sub);
    pp_sub_free(l->sub);
    l->sub = NULL;
}

static void subscribe(unsigned place)
{
    struct listener *l = &run.listeners[place];
    char sid = (char)place;
    bool wanted, may;

    unsubscribe(l);
    l->member = &run.members[below(USERS)];
    random_pattern(l->pattern);
    l->queue[0] = '\0';
    if (below(2))
        random_queue(l->queue, false);
    l->covered = set_of(l->pattern);
    wanted = may_subscribe(&l->member->permissions, &l->covered, l->queue);
    may = pp_permissions_may_subscribe(l->member->permissions.made, pp_str_of(l->pattern),
                                       pp_str_of(l->queue));
    run.subscribes++;
    if (may != wanted)
        fail_msg("SUB %s %s: the page says %d", l->pattern, l->queue, wanted);
    if (!may)
        return;
    l->sub = pp_sub_new(&l->member->client, (pp_str){&sid, 1}, pp_str_of(l->queue));
    assert_non_null(l->sub);
    assert_int_equal(pp_sublist_insert(run.account->subs, l->sub, pp_str_of(l->pattern)), PIPIT_OK);
}

/* As a reload does it: other permissions, all routes stale, subscriptions judged anew. */
static void renew(struct member *m)
{
    pp_permissions_free(m->permissions.made);
    random_permissions(&m->permissions);
    m->scope = (pp_scope){run.account, m->permissions.made, m->scope.view, ++run.serials};
    if (below(2))
        pp_router_forget(&run.router); /* else the serial tells */
    pp_sublist_touch_all(run.account->subs);
    for (unsigned i = 0; i < SUBS; i++) {
        struct listener *l = &run.listeners[i];

        if (l->sub && l->member == m && !may_subscribe(&m->permissions, &l->covered, l->queue))
            unsubscribe(l);
    }
}

/* What each listener may hear of it; for the members of a group together. */
static void check(const struct member *from, unsigned subject, const pp_route *route)
{
    bool sent = may_publish(&from->permissions, world[subject]);

    assert_int_equal(route->kind == PP_ROUTE_DENIED, !sent);
    for (unsigned i = 0; i < SUBS; i++) {
        const struct listener *l = &run.listeners[i];
        unsigned heard = 0;
        bool may = false;

        if (!l->sub)
            continue;
        for (unsigned n = 0; n < SUBS; n++) {
            const struct listener *other = &run.listeners[n];
            bool same = n == i || (*l->queue && strcmp(l->queue, other->queue) == 0);
            bool allowed = other->sub && has(&other->covered, subject) &&
                           may_hear(&other->member->permissions, world[subject], other->queue);

            if (!other->sub || !same)
                continue;
            if (other->heard && !(sent && allowed))
                fail_msg("%s heard by SUB %s %s", world[subject], other->pattern, other->queue);
            heard += other->heard;
            may |= allowed;
        }
        if (heard != (sent && may))
            fail_msg("%s heard %u times by SUB %s %s", world[subject], heard, l->pattern, l->queue);
        run.delivered += l->heard;
    }
    run.refused += !sent;
}

static void publish(void)
{
    const struct member *from = &run.members[below(USERS)];
    unsigned subject = below(WORLD);
    pp_route_cache *cache = pp_router_cache(&run.router, &from->scope);
    pp_msg msg = {.subject = pp_str_of(world[subject])};
    const pp_route *route;

    assert_non_null(cache);
    for (unsigned i = 0; i < SUBS; i++)
        run.listeners[i].heard = 0;
    route = pp_route_find(cache, msg.subject);
    assert_non_null(route);
    if (route->target_count)
        (void)pp_route_deliver(cache, route, &msg);
    check(from, subject, route);
    run.publishes++;
}

static void begin_round(void)
{
    assert_int_equal(pp_account_new(&run.account, "A", 1), PIPIT_OK);
    pp_router_init(&run.router, 0, &run.counters);
    for (unsigned i = 0; i < USERS; i++) {
        struct member *m = &run.members[i];

        random_permissions(&m->permissions);
        m->client.ops = &fake_ops;
        m->scope = (pp_scope){run.account, m->permissions.made, i, ++run.serials};
        atomic_store(&m->client.scope, &m->scope);
    }
    for (unsigned i = 0; i < SUBS; i++)
        subscribe(i);
}

static void end_round(void)
{
    for (unsigned i = 0; i < SUBS; i++)
        unsubscribe(&run.listeners[i]);
    for (unsigned i = 0; i < USERS; i++)
        pp_permissions_free(run.members[i].permissions.made);
    pp_router_fini(&run.router);
    pp_account_free(run.account);
}

static void test_permission_model(void **state)
{
    const char *given = getenv("PIPIT_MODEL_CASES");
    uint64_t cases = given ? strtoull(given, NULL, 10) : CASES;
    int64_t live = pp_alloc_live();

    (void)state;
    dice = test_seed("permission_model") | 1;
    make_world();
    while (run.publishes + run.subscribes < cases) {
        begin_round();
        for (unsigned step = 0; step < STEPS; step++) {
            switch (below(16)) {
            case 0:
                subscribe(below(SUBS));
                break;
            case 1:
                if (below(8) == 0)
                    renew(&run.members[below(USERS)]);
                break;
            default:
                publish();
            }
        }
        end_round();
    }
    assert_int_equal(pp_alloc_live(), live);
    printf("%" PRIu64 " publishes, %" PRIu64 " refused, %" PRIu64 " copies heard; %" PRIu64
           " subscriptions judged\n",
           run.publishes, run.refused, run.delivered, run.subscribes);
    assert_true(run.refused && run.delivered > run.publishes / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_permission_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
