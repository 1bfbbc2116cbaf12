/* Who hears what, against a model that knows no rules but those of the page.
 *
 * A round makes users with random permissions, has them subscribe, publish, come and go and get
 * other permissions, all through the index and the routes that the server uses. The model asks
 * nothing of the code under test: a pattern is the set of all the subjects of a small world that
 * it covers, found by trying each, so that "within" and "overlaps" are plain set operations. The
 * world is one token deeper than any pattern is and has a token that none names, so what holds in
 * it holds everywhere. Each publish and each subscription is a case:
 *
 *   PIPIT_MODEL_CASES=10000000 test_permission_model       the long run
 */
#include "core/route.h"

#include "base/alloc.h"
#include "core/account.h"
#include "core/permission.h"
#include "core/sub.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    CASES = 200 * 1000,
    DEPTH = 3,        /* of patterns */
    WORLD_TOKENS = 3, /* a, b and z, which no pattern names */
    WORLD = 3 + 9 + 27 + 81,
    WORDS = (WORLD + 63) / 64,
    USERS = 5,
    SUBS = 24,
    RULES_MAX = 4,
    STEPS = 400, /* of a round */
};

static uint64_t dice;

static unsigned below(unsigned bound)
{
    return pp_random_below(&dice, bound);
}

/* --- the world and its sets --------------------------------------------------------------- */

typedef struct set {
    uint64_t bits[WORDS];
} set;

static char world[WORLD][2 * (DEPTH + 1)];

static void make_world(void)
{
    static const char tokens[WORLD_TOKENS] = {'a', 'b', 'z'};
    size_t at = 0;

    for (unsigned depth = 1, count = WORLD_TOKENS; depth <= DEPTH + 1;
         depth++, count *= WORLD_TOKENS) {
        for (unsigned n = 0; n < count; n++, at++) {
            for (unsigned t = 0, rest = n; t < depth; t++, rest /= WORLD_TOKENS) {
                world[at][2 * t] = tokens[rest % WORLD_TOKENS];
                world[at][2 * t + 1] = t + 1 < depth ? '.' : '\0';
            }
        }
    }
    assert_int_equal(at, WORLD);
}

/* One-letter tokens: letter by letter. */
static bool covers(const char *pattern, const char *subject)
{
    for (;; pattern += 2, subject += 2) {
        if (*pattern == '>')
            return true;
        if (*pattern != '*' && *pattern != *subject)
            return false;
        if (!pattern[1] || !subject[1])
            return !pattern[1] && !subject[1];
    }
}

static set set_of(const char *pattern)
{
    set s = {0};

    for (unsigned i = 0; i < WORLD; i++) {
        if (covers(pattern, world[i]))
            s.bits[i / 64] |= 1ull << i % 64;
    }
    return s;
}

static bool within(const set *inner, const set *outer)
{
    for (unsigned i = 0; i < WORDS; i++) {
        if (inner->bits[i] & ~outer->bits[i])
            return false;
    }
    return true;
}

static bool has(const set *s, unsigned subject)
{
    return s->bits[subject / 64] >> subject % 64 & 1;
}

/* --- permissions of the model ------------------------------------------------------------- */

struct rule {
    char subject[2 * DEPTH];
    char queue[8]; /* "": none named */
    set covered;
};

struct rules {
    bool has_allow;
    struct rule allow[RULES_MAX], deny[RULES_MAX];
    unsigned allow_count, deny_count;
};

struct permissions {
    bool any; /* false: all is allowed */
    struct rules publish, subscribe;
    pp_permissions *made; /* of the code under test */
};

static void random_pattern(char out[2 * DEPTH])
{
    static const char tokens[] = "aabb*";
    unsigned depth = 1 + below(DEPTH);

    for (unsigned t = 0; t < depth; t++) {
        bool last = t + 1 == depth;

        out[2 * t] = last && below(4) == 0 ? '>' : tokens[below(5)];
        out[2 * t + 1] = last ? '\0' : '.';
    }
}

static void random_queue(char out[8], bool of_rule)
{
    static const char *const names[] = {"q", "r", "q.x", "q.y", "*", "q.*", ">", "q.>"};

    strcpy(out, names[below(of_rule ? 8 : 4)]);
}

static void random_rules(struct rule *rules, unsigned *count, bool queues)
{
    *count = below(RULES_MAX + 1);
    for (unsigned i = 0; i < *count; i++) {
        random_pattern(rules[i].subject);
        rules[i].queue[0] = '\0';
        if (queues && below(3) == 0)
            random_queue(rules[i].queue, true);
        rules[i].covered = set_of(rules[i].subject);
    }
}

static void to_core(const struct rule *from, unsigned count, pp_permission_rule *to)
{
    for (unsigned i = 0; i < count; i++)
        to[i] = (pp_permission_rule){pp_str_of(from[i].subject), pp_str_of(from[i].queue)};
}

static pp_permission_rules core_rules(const struct rules *rules, pp_permission_rule *allow,
                                      pp_permission_rule *deny)
{
    to_core(rules->allow, rules->allow_count, allow);
    to_core(rules->deny, rules->deny_count, deny);
    return (pp_permission_rules){.has_allow = rules->has_allow,
                                 .allow = allow,
                                 .allow_count = rules->allow_count,
                                 .deny = deny,
                                 .deny_count = rules->deny_count};
}

static void random_direction(struct rules *rules, bool queues)
{
    rules->has_allow = below(2);
    random_rules(rules->allow, &rules->allow_count, queues);
    random_rules(rules->deny, &rules->deny_count, queues);
    if (!rules->has_allow)
        rules->allow_count = 0;
}

static void random_permissions(struct permissions *p)
{
    pp_permission_rule space[4][RULES_MAX];
    pp_permission_rules publish, subscribe;

    p->any = below(6) != 0;
    p->made = NULL;
    if (!p->any)
        return;
    random_direction(&p->publish, false);
    random_direction(&p->subscribe, true);
    publish = core_rules(&p->publish, space[0], space[1]);
    subscribe = core_rules(&p->subscribe, space[2], space[3]);
    assert_int_equal(pp_permissions_new(&p->made, &publish, &subscribe), PIPIT_OK);
}

/* --- what the page says ------------------------------------------------------------------- */

static bool may_publish(const struct permissions *p, unsigned subject)
{
    bool may = !p->any || !p->publish.has_allow;

    for (unsigned i = 0; p->any && i < p->publish.allow_count; i++)
        may |= has(&p->publish.allow[i].covered, subject);
    for (unsigned i = 0; p->any && i < p->publish.deny_count; i++)
        may &= !has(&p->publish.deny[i].covered, subject);
    return may;
}

/* Groups have ordinary names here. */
static bool same_queue(const char *pattern, const char *queue)
{
    return covers(pattern, queue);
}

static bool may_subscribe(const struct permissions *p, const set *subjects, const char *queue)
{
    bool plain = false, named = false, fits = false, may = true;

    if (!p->any)
        return true;
    for (unsigned i = 0; i < p->subscribe.allow_count; i++) {
        const struct rule *rule = &p->subscribe.allow[i];

        if (!within(subjects, &rule->covered))
            continue;
        plain |= !*rule->queue;
        named |= *rule->queue != '\0';
        fits |= *rule->queue && same_queue(rule->queue, queue);
    }
    if (p->subscribe.has_allow)
        may = *queue && named ? fits : plain;
    for (unsigned i = 0; i < p->subscribe.deny_count; i++) {
        const struct rule *rule = &p->subscribe.deny[i];

        if (within(subjects, &rule->covered) &&
            (!*rule->queue || (*queue && same_queue(rule->queue, queue))))
            may = false;
    }
    return may;
}

static bool may_hear(const struct permissions *p, unsigned subject, const char *queue)
{
    for (unsigned i = 0; p->any && i < p->subscribe.deny_count; i++) {
        const struct rule *rule = &p->subscribe.deny[i];

        if (has(&rule->covered, subject) &&
            (!*rule->queue || (*queue && same_queue(rule->queue, queue))))
            return false;
    }
    return true;
}

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
    bool sent = may_publish(&from->permissions, subject);

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
                           may_hear(&other->member->permissions, subject, other->queue);

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
