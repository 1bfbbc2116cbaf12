/* Who hears what of other accounts, against the model of permission_world.h and two rules of the
 * page on accounts: a stream that is exported and imported is heard under its name there by who
 * subscribes in the importing account, and goes no further; a request to a service that is is
 * published where the service is, and so on, by no export twice.
 *
 * A round makes accounts with random exports, private ones among them, and imports, users with
 * random permissions in them, and has users subscribe, publish, come and go, and the accounts and
 * users get other settings. What is delivered must be what the model delivers: a subset of what is
 * allowed, and all of it. Each publish and each subscription is a case:
 *
 *   PIPIT_MODEL_CASES=10000000 test_share_model       the long run
 */
#include "core/import.h"
#include "core/realm.h"
#include "core/route.h"

#include "base/alloc.h"
#include "core/sub.h"
#include "permission_world.h"

enum {
    CASES = 100 * 1000,
    ACCOUNTS = 3,
    EXPORTS = 3, /* of an account, as imports */
    IMPORTS = 4,
    USERS = 6,
    SUBS = 24,
    STEPS = 400,                   /* of a round */
    SUBJECT_MAX = 2 * (DEPTH + 2), /* of a subject with a prefix */
};

static const char *const account_names[ACCOUNTS] = {"A", "B", "C"};

/* --- the accounts of the model ------------------------------------------------------------ */

struct offer {
    char subject[2 * DEPTH];
    bool is_service, is_private;
    unsigned admitted; /* bit by bit, accounts that may import it if it is private */
};

struct want {
    unsigned exporter;
    bool is_service;
    char subject[2 * DEPTH]; /* there */
    char prefix;             /* in which it lies here; 0: it is called the same */
};

struct nation {
    pp_account *account;
    pp_exports *exports;
    pp_imports *imports;
    struct offer offers[EXPORTS];
    struct want wants[IMPORTS];
};

struct member {
    pp_client client;
    pp_scope scope;
    struct permissions permissions;
    unsigned nation;
};

struct listener {
    pp_sub *sub; /* NULL: none */
    struct member *member;
    char pattern[2 * DEPTH], queue[8];
    set covered;
    unsigned heard, may_hear; /* of the publish under way, and in the model */
};

static struct {
    pp_realm realm;
    pp_router *table[1];
    pp_router router;
    pp_counters counters;
    struct nation nations[ACCOUNTS];
    struct member members[USERS];
    struct listener listeners[SUBS];
    uint64_t serials; /* of views */
    uint64_t publishes, subscribes, delivered, abroad, refused;
} run;

/* --- users of the code under test --------------------------------------------------------- */

static void *fake_outlet(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return client;
}

static size_t fake_head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    if (out)
        memcpy(out, subject.ptr, subject.len);
    return subject.len;
}

/* Whatever way it has come, it is nothing that the listener may not hear. */
static bool fake_deliver(void *outlet, const pp_sub *sub, pp_str head, const pp_msg *msg)
{
    struct listener *l = &run.listeners[(uint8_t)*pp_sub_sid(sub).ptr];
    char subject[64];

    (void)outlet;
    (void)msg;
    assert_ptr_equal(l->sub, sub);
    assert_true(head.len < sizeof(subject));
    memcpy(subject, head.ptr, head.len);
    subject[head.len] = '\0';
    if (!covers(l->pattern, subject) || !may_hear(&l->member->permissions, subject, l->queue))
        fail_msg("SUB %s %s hears %s", l->pattern, l->queue, subject);
    l->heard++;
    return true;
}

static const struct pp_client_ops fake_ops = {
    .outlet = fake_outlet, .head = fake_head, .deliver = fake_deliver};

static pipit_err describe(void *context, const pp_requester *requester, pp_buf *out)
{
    (void)context;
    return pp_buf_addf(out, "{\"acc\":\"%s\"}", requester->account);
}

static const pp_realm_ops realm_ops = {.describe = describe}; /* nobody wants an answer */

static void unsubscribe(struct listener *l)
{
    if (!l->sub)
        return;
    pp_account_unsubscribe(run.nations[l->member->nation].account, l->sub);
    pp_sub_free(l->sub);
    l->sub = NULL;
}

static void subscribe(unsigned place)
{
    struct listener *l = &run.listeners[place];
    char sid = (char)place;

    unsubscribe(l);
    l->member = &run.members[below(USERS)];
    random_pattern(l->pattern);
    l->queue[0] = '\0';
    if (below(3) == 0)
        random_queue(l->queue, false);
    l->covered = set_of(l->pattern);
    run.subscribes++;
    if (!may_subscribe(&l->member->permissions, &l->covered, l->queue))
        return;
    l->sub = pp_sub_new(&l->member->client, (pp_str){&sid, 1}, pp_str_of(l->queue));
    assert_non_null(l->sub);
    assert_int_equal(
        pp_account_subscribe(run.nations[l->member->nation].account, l->sub, pp_str_of(l->pattern)),
        PIPIT_OK);
}

/* As a reload does it. */
static void renew_member(struct member *m)
{
    struct nation *nation = &run.nations[m->nation];

    pp_permissions_free(m->permissions.made);
    random_permissions(&m->permissions);
    m->scope = (pp_scope){nation->account, m->permissions.made, m->scope.view, ++run.serials};
    pp_router_forget(&run.router);
    pp_account_touch_all(nation->account);
    for (unsigned i = 0; i < SUBS; i++) {
        struct listener *l = &run.listeners[i];

        if (l->sub && l->member == m && !may_subscribe(&m->permissions, &l->covered, l->queue))
            unsubscribe(l);
    }
}

/* --- exports and imports of the code under test ------------------------------------------- */

static void random_offers(struct nation *nation)
{
    for (unsigned i = 0; i < EXPORTS; i++) {
        struct offer *offer = &nation->offers[i];

        random_pattern(offer->subject);
        offer->is_service = below(2);
        offer->is_private = below(3) == 0;
        offer->admitted = below(1 << ACCOUNTS);
    }
}

static void export(struct nation *nation)
{
    const char *names[EXPORTS][ACCOUNTS];
    pp_export entries[EXPORTS];

    for (unsigned i = 0; i < EXPORTS; i++) {
        const struct offer *offer = &nation->offers[i];

        entries[i] = (pp_export){.subject = offer->subject,
                                 .is_service = offer->is_service,
                                 .is_private = offer->is_private,
                                 .names = names[i]};
        for (unsigned a = 0; a < ACCOUNTS; a++) {
            if (offer->admitted >> a & 1)
                names[i][entries[i].name_count++] = account_names[a];
        }
    }
    assert_int_equal(pp_exports_new(&nation->exports, nation->account, entries, EXPORTS, NULL),
                     PIPIT_OK);
    atomic_store(&nation->account->exports, nation->exports);
}

/* Mostly of something that is offered. */
static void random_wants(unsigned importer)
{
    for (unsigned i = 0; i < IMPORTS; i++) {
        struct want *want = &run.nations[importer].wants[i];
        const struct offer *offer;

        want->exporter = (importer + 1 + below(ACCOUNTS - 1)) % ACCOUNTS;
        offer = &run.nations[want->exporter].offers[below(EXPORTS)];
        want->is_service = offer->is_service;
        want->prefix = below(2) ? 0 : "ab"[below(2)];
        if (below(4))
            strcpy(want->subject, offer->subject);
        else
            random_pattern(want->subject);
    }
}

static void import(struct nation *nation)
{
    char local[IMPORTS][SUBJECT_MAX];
    pp_import_entry entries[IMPORTS];

    for (unsigned i = 0; i < IMPORTS; i++) {
        const struct want *want = &nation->wants[i];

        local[i][0] = want->prefix;
        local[i][1] = '.';
        strcpy(local[i] + 2, want->subject);
        entries[i] = (pp_import_entry){.exporter = run.nations[want->exporter].account,
                                       .subject = want->subject,
                                       .local = want->prefix ? local[i] : NULL,
                                       .is_service = want->is_service};
        (void)atomic_fetch_add(&entries[i].exporter->named_by, 1);
    }
    assert_int_equal(pp_imports_new(&nation->imports, nation->account, entries, IMPORTS, NULL),
                     PIPIT_OK);
    atomic_store(&nation->account->imports, nation->imports);
    assert_int_equal(pp_imports_put_up(nation->imports), PIPIT_OK);
}

static void end_imports(struct nation *nation)
{
    atomic_store(&nation->account->imports, NULL);
    pp_imports_take_down(nation->imports);
    pp_imports_free(nation->imports);
}

static void relink_all(void)
{
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        for (unsigned i = 0; i < IMPORTS; i++)
            (void)pp_import_relink(&run.nations[a].imports->items[i]);
    }
}

static void renew_exports(struct nation *nation)
{
    pp_exports *old = nation->exports;

    random_offers(nation);
    export(nation);
    relink_all();
    pp_exports_free(old);
}

static void renew_imports(unsigned importer)
{
    end_imports(&run.nations[importer]);
    random_wants(importer);
    import(&run.nations[importer]);
}

/* --- what the page says ------------------------------------------------------------------- */

/* Does all that one covers fall under the other? Both are at most DEPTH deep. */
static bool is_part(const char *inner, const char *outer)
{
    const set small = set_of(inner), large = set_of(outer);

    return within(&small, &large);
}

/* Which export an import means: the last of just its subject, else the first of which it is a
 * part. NULL: none, or it is not for this account. */
static const struct offer *offer_of(unsigned importer, const struct want *want)
{
    const struct offer *exact = NULL, *wider = NULL, *offer;

    for (unsigned i = 0; i < EXPORTS; i++) {
        offer = &run.nations[want->exporter].offers[i];
        if (offer->is_service != want->is_service)
            continue;
        if (strcmp(offer->subject, want->subject) == 0)
            exact = offer;
        else if (!wider && is_part(want->subject, offer->subject))
            wider = offer;
    }
    offer = exact ? exact : wider;
    return offer && (!offer->is_private || offer->admitted >> importer & 1) ? offer : NULL;
}

struct step {
    const struct step *before;
    const struct offer *offer;
};

static bool has_come_by(const struct step *step, const struct offer *offer)
{
    for (; step; step = step->before) {
        if (step->offer == offer)
            return true;
    }
    return false;
}

/* Groups of one publish, each of which one member hears of it. */
struct groups {
    const char *queue[SUBS * (IMPORTS + 1)];
    unsigned count;
};

static unsigned expected_of_groups;

static void hear(unsigned nation, const char *subject, struct groups *groups)
{
    for (unsigned i = 0; i < SUBS; i++) {
        struct listener *l = &run.listeners[i];
        unsigned n = 0;

        if (!l->sub || l->member->nation != nation || !covers(l->pattern, subject) ||
            !may_hear(&l->member->permissions, subject, l->queue))
            continue;
        l->may_hear++;
        if (!*l->queue)
            continue;
        while (n < groups->count && strcmp(groups->queue[n], l->queue) != 0)
            n++;
        if (n == groups->count)
            groups->queue[groups->count++] = l->queue;
    }
}

static void arrive(unsigned nation, const char *subject, const struct step *before)
{
    struct groups groups = {.count = 0};

    hear(nation, subject, &groups);
    for (unsigned importer = 0; importer < ACCOUNTS && !before; importer++) {
        for (unsigned i = 0; i < IMPORTS; i++) {
            const struct want *want = &run.nations[importer].wants[i];
            char name[SUBJECT_MAX + 2] = {want->prefix, '.'};

            if (want->exporter != nation || want->is_service || importer == nation ||
                !covers(want->subject, subject) || !offer_of(importer, want))
                continue;
            strcpy(name + 2, subject);
            hear(importer, want->prefix ? name : subject, &groups);
        }
    }
    expected_of_groups += groups.count;
    for (unsigned i = 0; i < IMPORTS; i++) {
        const struct want *want = &run.nations[nation].wants[i];
        const struct offer *offer = want->is_service ? offer_of(nation, want) : NULL;
        const struct step step = {before, offer};
        const char *there = subject;

        if (!offer || has_come_by(before, offer))
            continue;
        if (want->prefix && (subject[0] != want->prefix || !subject[1]))
            continue;
        if (want->prefix)
            there = subject + 2;
        if (covers(want->subject, there))
            arrive(want->exporter, there, &step);
    }
}

/* --- rounds ------------------------------------------------------------------------------- */

static void check(const struct member *from, const char *subject)
{
    unsigned groups = 0;

    for (unsigned i = 0; i < SUBS; i++) {
        const struct listener *l = &run.listeners[i];
        bool as_often = *l->queue ? l->heard <= l->may_hear : l->heard == l->may_hear;

        if (!l->sub)
            continue;
        if (!as_often)
            fail_msg("%s in %s: heard %u times by SUB %s %s in %s, %u were right", subject,
                     account_names[from->nation], l->heard, l->pattern, l->queue,
                     account_names[l->member->nation], l->may_hear);
        groups += *l->queue ? l->heard : 0;
        run.delivered += l->heard;
        run.abroad += l->member->nation != from->nation ? l->heard : 0;
    }
    if (groups != expected_of_groups)
        fail_msg("%s in %s: %u groups heard it, %u were right", subject,
                 account_names[from->nation], groups, expected_of_groups);
}

static void publish(void)
{
    struct member *from = &run.members[below(USERS)];
    const char *subject = world[below(WORLD)];
    bool sent = may_publish(&from->permissions, subject);
    pp_route_cache *cache = pp_router_cache(&run.router, &from->scope);
    pp_msg msg = {.subject = pp_str_of(subject), .data = PP_STR("x")};
    const pp_route *route;

    assert_non_null(cache);
    for (unsigned i = 0; i < SUBS; i++)
        run.listeners[i].heard = run.listeners[i].may_hear = 0;
    expected_of_groups = 0;
    if (sent)
        arrive(from->nation, subject, NULL);
    route = pp_route_find(cache, msg.subject);
    assert_non_null(route);
    assert_int_equal(route->kind == PP_ROUTE_DENIED, !sent);
    if (route->target_count)
        (void)pp_route_deliver(cache, route, &msg);
    check(from, subject);
    run.publishes++;
    run.refused += !sent;
}

static void begin_round(void)
{
    pp_router_init(&run.router, 0, &run.counters);
    run.realm = (pp_realm){.ops = &realm_ops, .routers = run.table, .router_count = 1};
    run.table[0] = &run.router;
    run.router.realm = &run.realm;
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        struct nation *nation = &run.nations[a];

        assert_int_equal(pp_account_new(&nation->account, account_names[a], 1), PIPIT_OK);
        nation->account->realm = &run.realm;
        nation->account->state = PP_ACCOUNT_LISTED;
        nation->account->index = a;
        random_offers(nation);
        export(nation);
    }
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        random_wants(a);
        import(&run.nations[a]);
    }
    for (unsigned i = 0; i < USERS; i++) {
        struct member *m = &run.members[i];

        random_permissions(&m->permissions);
        m->nation = i % ACCOUNTS;
        m->client.ops = &fake_ops;
        m->scope = (pp_scope){run.nations[m->nation].account, m->permissions.made, ACCOUNTS + i,
                              ++run.serials};
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
    for (unsigned a = 0; a < ACCOUNTS; a++)
        end_imports(&run.nations[a]);
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        atomic_store(&run.nations[a].account->exports, NULL);
        pp_exports_free(run.nations[a].exports);
        pp_account_free(run.nations[a].account);
    }
}

static void step(void)
{
    switch (below(64)) {
    case 0:
        renew_member(&run.members[below(USERS)]);
        break;
    case 1:
        renew_exports(&run.nations[below(ACCOUNTS)]);
        break;
    case 2:
        renew_imports(below(ACCOUNTS));
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        subscribe(below(SUBS));
        break;
    default:
        publish();
    }
}

static void test_share_model(void **state)
{
    const char *given = getenv("PIPIT_MODEL_CASES");
    uint64_t cases = given ? strtoull(given, NULL, 10) : CASES;
    int64_t live = pp_alloc_live();

    (void)state;
    dice = test_seed("share_model") | 1;
    make_world();
    while (run.publishes + run.subscribes < cases) {
        begin_round();
        for (unsigned i = 0; i < STEPS; i++)
            step();
        end_round();
    }
    assert_int_equal(pp_alloc_live(), live);
    printf("%" PRIu64 " publishes, %" PRIu64 " refused, %" PRIu64 " copies heard, %" PRIu64
           " of them in other accounts\n",
           run.publishes, run.refused, run.delivered, run.abroad);
    assert_true(run.refused && run.abroad > run.publishes / 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share_model)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
