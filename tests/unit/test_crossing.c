/* Messages between two accounts, on two routers of one thread, with clients that keep a record, a
 * clock that is set by hand, and no server. */
#include "core/crossing.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "core/desk.h"
#include "core/realm.h"
#include "core/route.h"
#include "core/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { ROUTERS = 2, TEXT_MAX = 256, HEARD_MAX = 64 };

struct heard {
    const pp_client *by;
    char subject[TEXT_MAX], reply[TEXT_MAX], data[TEXT_MAX];
};

static struct world {
    pp_realm realm;
    pp_router *table[ROUTERS];
    pp_counters counters[ROUTERS];
    pp_router routers[ROUTERS];
    pp_account *e, *i; /* exports, imports */
    pp_exports *exports;
    pp_imports *imports;
    pp_client clients[4];
    struct heard heard[HEARD_MAX];
    size_t heard_count;
    int64_t now_ns, scheduled_ns;
    int last_status;
    unsigned reports;
} w;

/* --- fakes -------------------------------------------------------------------------------- */

static void *outlet(pp_client *client, uint32_t router_index)
{
    (void)router_index;
    return pp_fault("outlet") ? NULL : client;
}

static size_t head(const pp_sub *sub, pp_str subject, char *out)
{
    (void)sub;
    if (out)
        memcpy(out, subject.ptr, subject.len);
    return subject.len;
}

static void keep(char out[TEXT_MAX], pp_str text)
{
    assert_true(text.len < TEXT_MAX);
    if (text.len)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static bool deliver(void *way, const pp_sub *sub, pp_str made, const pp_msg *msg)
{
    struct heard *heard = &w.heard[w.heard_count];

    assert_true(pp_str_eq(made, msg->subject));
    assert_ptr_equal(way, sub->client);
    if (w.heard_count == HEARD_MAX)
        return false;
    w.heard_count++;
    heard->by = sub->client;
    keep(heard->subject, msg->subject);
    keep(heard->reply, msg->reply);
    keep(heard->data, msg->data);
    return true;
}

static void exhausted(pp_sub *sub, uint32_t router_index)
{
    (void)sub;
    (void)router_index;
}

static const struct pp_client_ops client_ops = {
    .outlet = outlet, .head = head, .deliver = deliver, .exhausted = exhausted};

static pipit_err describe(void *context, const pp_requester *requester, pp_buf *out)
{
    (void)context;
    return pp_buf_addf(out, "{%s%s%s}", requester->account, requester->via ? " by " : "",
                       requester->via ? requester->via : "");
}

static int64_t now_ns(void *context)
{
    (void)context;
    return w.now_ns;
}

static void schedule(void *context, pp_router *router, int64_t when_ns)
{
    (void)context;
    (void)router;
    w.scheduled_ns = when_ns;
}

static void report(void *context, pp_router *router, const pp_latency *latency)
{
    (void)context;
    (void)router;
    w.last_status = latency->status;
    w.reports++;
}

static int64_t rtt_ns(void *context, const pp_client *client)
{
    (void)context;
    (void)client;
    return 0;
}

static const pp_realm_ops realm_ops = {.describe = describe,
                                       .now_ns = now_ns,
                                       .schedule = schedule,
                                       .report = report,
                                       .rtt_ns = rtt_ns};

/* --- the world ---------------------------------------------------------------------------- */

static const pp_export offered[] = {
    {.subject = "st.*"},
    {.subject = "svc.*", .is_service = true, .latency_subject = "lat", .latency_percent = 100},
    {.subject = "many", .is_service = true, .response = PP_RESPONSE_MANY, .threshold_ns = 100},
};

static pipit_err give(void)
{
    const pp_import_entry wanted[] = {
        {.exporter = w.e, .subject = "st.*", .local = "here.$1"},
        {.exporter = w.e, .subject = "svc.*", .local = "my.$1", .is_service = true},
        {.exporter = w.e, .subject = "many", .is_service = true},
    };
    pipit_err err = pp_exports_new(&w.exports, w.e, offered, 3, NULL);

    if (err)
        return err;
    atomic_store(&w.e->exports, w.exports);
    (void)atomic_fetch_add(&w.e->named_by, 3);
    err = pp_imports_new(&w.imports, w.i, wanted, 3, NULL);
    if (err)
        return err;
    atomic_store(&w.i->imports, w.imports);
    return pp_imports_put_up(w.imports);
}

static void take_away(void)
{
    if (w.imports) {
        atomic_store(&w.i->imports, NULL);
        pp_imports_take_down(w.imports);
    }
    if (w.e)
        atomic_store(&w.e->exports, NULL);
    pp_imports_free(w.imports);
    pp_exports_free(w.exports);
    w.imports = NULL;
    w.exports = NULL;
}

static pipit_err world_init(void)
{
    pipit_err err;

    w = (struct world){.scheduled_ns = INT64_MAX, .now_ns = 1000};
    w.realm = (pp_realm){.ops = &realm_ops, .routers = w.table, .router_count = ROUTERS};
    for (unsigned n = 0; n < ROUTERS; n++) {
        pp_router_init(&w.routers[n], n, &w.counters[n]);
        w.routers[n].realm = &w.realm;
        w.table[n] = &w.routers[n];
    }
    for (unsigned n = 0; n < 4; n++)
        w.clients[n].ops = &client_ops;
    err = pp_account_new(&w.e, "E", ROUTERS);
    if (!err)
        err = pp_account_new(&w.i, "I", ROUTERS);
    if (err)
        return err;
    w.e->realm = w.i->realm = &w.realm;
    w.e->state = w.i->state = PP_ACCOUNT_LISTED;
    w.i->index = 1;
    return give();
}

static void world_fini(void)
{
    for (unsigned n = 0; n < ROUTERS; n++)
        pp_router_fini(&w.routers[n]);
    take_away();
    pp_account_free(w.e);
    pp_account_free(w.i);
}

static pp_sub *subscribe(pp_account *account, unsigned client, const char *subject,
                         const char *queue)
{
    pp_sub *sub = pp_sub_new(&w.clients[client], PP_STR("1"), pp_str_of(queue));

    if (sub && pp_account_subscribe(account, sub, pp_str_of(subject))) {
        pp_sub_free(sub);
        sub = NULL;
    }
    return sub;
}

/* At once, so that under AddressSanitizer a look into a stale route ends the test. */
static void unsubscribe(pp_account *account, pp_sub *sub)
{
    if (!sub)
        return;
    pp_account_unsubscribe(account, sub);
    pp_sub_free(sub);
}

static size_t publish(unsigned router, pp_account *account, unsigned client, const char *subject,
                      const char *reply, const char *data)
{
    static const pp_permissions *const all = NULL;
    pp_scope scope = {account, all, account->index, 1};
    pp_route_cache *cache = pp_router_cache(&w.routers[router], &scope);
    pp_msg msg = {
        .subject = pp_str_of(subject),
        .reply = pp_str_of(reply),
        .data = pp_str_of(data),
        .from = &w.clients[client],
    };
    pp_route *route;

    w.heard_count = 0;
    route = cache ? pp_route_find(cache, msg.subject) : NULL;
    return route ? pp_route_deliver(cache, route, &msg) : 0;
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_crossing_of_streams(void **state)
{
    pp_sub *own, *there, *wide;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    own = subscribe(w.e, 0, "st.*", "");
    assert_int_equal(publish(0, w.e, 3, "st.1", "r", "x"), 1);
    there = subscribe(w.i, 1, "here.1", ""); /* known at once, also to who has a route */
    assert_int_equal(publish(0, w.e, 3, "st.1", "r", "x"), 2);
    assert_string_equal(w.heard[1].subject, "here.1");
    assert_string_equal(w.heard[1].reply, "r");
    assert_int_equal(publish(0, w.e, 3, "st.2", "r", "x"), 1);
    wide = subscribe(w.i, 2, ">", "");
    assert_int_equal(publish(0, w.e, 3, "st.2", "r", "x"), 2);
    assert_int_equal(publish(1, w.e, 3, "st.1", "r", "x"), 3);
    unsubscribe(w.i, there);
    assert_int_equal(publish(0, w.e, 3, "st.1", "r", "x"), 2);
    assert_int_equal(publish(1, w.e, 3, "st.1", "r", "x"), 2);
    unsubscribe(w.i, wide);
    assert_int_equal(publish(1, w.e, 3, "st.1", "r", "x"), 1);
    unsubscribe(w.e, own);
    world_fini();
}

static void test_crossing_of_interest_that_does_not_matter(void **state)
{
    pp_sublist_gen before, after;
    pp_sub *sub;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    before = pp_sublist_gen_read(pp_sublist_generations(w.e->subs), 0);
    sub = subscribe(w.i, 0, "_INBOX.1.*", "");
    unsubscribe(w.i, sub);
    sub = subscribe(w.i, 0, "here.1", ""); /* a literal: only its slot */
    unsubscribe(w.i, sub);
    after = pp_sublist_gen_read(pp_sublist_generations(w.e->subs), 0);
    assert_int_equal(before.wild, after.wild);
    world_fini();
}

static void test_crossing_of_requests(void **state)
{
    char reply[TEXT_MAX];
    pp_sub *service, *listener;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    assert_int_equal(publish(0, w.i, 1, "my.1", "r", "q"), 0);
    assert_int_equal(w.last_status, 503);
    assert_int_equal(atomic_load(&w.i->awaited), 0);
    service = subscribe(w.e, 0, "svc.*", "");
    listener = subscribe(w.i, 1, "r", "");
    assert_int_equal(publish(0, w.i, 1, "my.1", "r", "q"), 1);
    assert_string_equal(w.heard[0].subject, "svc.1");
    assert_string_equal(w.heard[0].data, "NATS/1.0\r\nNats-Request-Info: {I}\r\n\r\nq");
    assert_int_equal(strlen(w.heard[0].reply), PP_DESK_SUBJECT_BYTES);
    strcpy(reply, w.heard[0].reply);
    assert_int_equal(atomic_load(&w.i->awaited), 1);
    assert_int_equal(publish(1, w.e, 0, reply, "", "a"), 1); /* on another loop */
    assert_string_equal(w.heard[0].subject, "r");
    assert_string_equal(w.heard[0].data, "a");
    assert_int_equal(w.last_status, 200);
    assert_int_equal(atomic_load(&w.i->awaited), 0);
    assert_int_equal(publish(1, w.e, 0, reply, "", "a"), 0); /* once */
    assert_int_equal(publish(0, w.i, 1, "my.1", "", "q"), 1);
    assert_int_equal(w.last_status, 400);
    unsubscribe(w.e, service);
    unsubscribe(w.i, listener);
    world_fini();
}

static void test_crossing_of_several_responses(void **state)
{
    char reply[TEXT_MAX];
    pp_sub *service, *listener;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    service = subscribe(w.e, 0, "many", "");
    listener = subscribe(w.i, 1, "r.*", "");
    assert_int_equal(publish(0, w.i, 1, "many", "r.1", "q"), 1);
    strcpy(reply, w.heard[0].reply);
    assert_int_equal(w.scheduled_ns, 1100);
    w.now_ns = 1050;
    assert_int_equal(publish(0, w.e, 0, reply, "", "1"), 1);
    /* Each begins the time anew. */
    assert_int_equal(pp_responses_expire(&w.routers[0], 1100), 1150);
    assert_int_equal(publish(1, w.e, 0, reply, "", "2"), 1);
    assert_int_equal(publish(1, w.e, 0, reply, "", ""), 1); /* the last */
    assert_int_equal(publish(1, w.e, 0, reply, "", "3"), 0);
    assert_int_equal(publish(0, w.i, 1, "many", "r.2", "q"), 1);
    strcpy(reply, w.heard[0].reply);
    assert_int_equal(pp_responses_expire(&w.routers[0], 1200), INT64_MAX);
    assert_int_equal(publish(0, w.e, 0, reply, "", "late"), 0);
    assert_int_equal(atomic_load(&w.i->awaited), 0);
    unsubscribe(w.e, service);
    unsubscribe(w.i, listener);
    world_fini();
}

static void test_crossing_of_clients_that_go(void **state)
{
    pp_sub *service, *listener, *other;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    service = subscribe(w.e, 0, "svc.*", "");
    listener = subscribe(w.i, 1, "r.*", "");
    other = subscribe(w.i, 2, "r.1", "");
    assert_int_equal(publish(0, w.i, 1, "my.1", "r.1", "q"), 1);
    assert_int_equal(publish(0, w.i, 1, "my.1", "r.2", "q"), 1);
    assert_int_equal(publish(0, w.i, 2, "my.1", "r.2", "q"), 1);
    assert_int_equal(pp_responses_unheard(&w.routers[0], &w.clients[1], PP_STR("x.*")), 2);
    assert_int_equal(atomic_load(&w.i->awaited), 3);
    unsubscribe(w.i, listener);
    (void)pp_responses_unheard(&w.routers[0], &w.clients[1], PP_STR("r.*"));
    assert_int_equal(atomic_load(&w.i->awaited), 2); /* one is heard by the other */
    assert_int_equal(w.last_status, 408);
    pp_responses_forget_client(&w.routers[0], &w.clients[1]);
    assert_null(atomic_load(&w.clients[1].responses));
    assert_int_equal(atomic_load(&w.i->awaited), 2);
    unsubscribe(w.i, other);
    pp_responses_forget_client(&w.routers[0], &w.clients[2]);
    assert_int_equal(atomic_load(&w.i->awaited), 1); /* nobody's any more: its time will end it */
    unsubscribe(w.e, service);
    world_fini();
}

static void test_crossing_when_exports_go(void **state)
{
    char reply[TEXT_MAX];
    pp_sub *service, *listener, *there;

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    service = subscribe(w.e, 0, "svc.*", "");
    listener = subscribe(w.i, 1, "r", "");
    there = subscribe(w.i, 1, "here.*", "");
    assert_int_equal(publish(0, w.e, 3, "st.1", "", "x"), 1);
    assert_int_equal(publish(0, w.i, 1, "my.1", "r", "q"), 1);
    strcpy(reply, w.heard[0].reply);
    take_away(); /* and free: no route may look there any more */
    assert_int_equal(publish(0, w.e, 3, "st.1", "", "x"), 0);
    assert_int_equal(publish(0, w.i, 1, "my.1", "r", "q"), 0);
    assert_int_equal(publish(0, w.e, 0, reply, "", "a"), 1); /* what was asked is answered */
    assert_int_equal(give(), PIPIT_OK);
    assert_int_equal(publish(0, w.e, 3, "st.1", "", "x"), 1);
    assert_int_equal(publish(0, w.i, 1, "my.1", "r", "q"), 1);
    unsubscribe(w.e, service);
    unsubscribe(w.i, listener);
    unsubscribe(w.i, there);
    world_fini();
}

/* Routes are dropped for want of room while one of them is delivered. */
static void test_crossing_without_room_for_routes(void **state)
{
    pp_sub *service, *listeners[4];

    (void)state;
    assert_int_equal(world_init(), PIPIT_OK);
    w.routers[0].routes_max = 1;
    w.routers[0].bytes_max = 64;
    service = subscribe(w.e, 0, "svc.*", "");
    for (unsigned n = 0; n < 4; n++)
        listeners[n] = subscribe(w.i, n, "my.>", "");
    for (unsigned n = 0; n < 20; n++) {
        char subject[16];

        (void)snprintf(subject, sizeof(subject), "my.%u", n);
        assert_int_equal(publish(0, w.i, 1, subject, "r", "q"), 5);
    }
    for (unsigned n = 0; n < 4; n++)
        unsubscribe(w.i, listeners[n]);
    unsubscribe(w.e, service);
    world_fini();
}

static void play(void)
{
    pp_sub *subs[3] = {NULL};
    char reply[TEXT_MAX];

    subs[0] = subscribe(w.e, 0, "svc.*", "");
    subs[1] = subscribe(w.i, 1, "r", "q");
    subs[2] = subscribe(w.i, 1, "here.*", "");
    (void)publish(0, w.e, 3, "st.1", "", "x");
    if (publish(0, w.i, 1, "my.1", "r", "q")) {
        strcpy(reply, w.heard[0].reply);
        (void)publish(1, w.e, 0, reply, "again", "a");
    }
    (void)publish(0, w.i, 1, "my.1", "", "q");
    (void)pp_responses_expire(&w.routers[0], INT64_MAX - 1);
    (void)pp_responses_expire(&w.routers[1], INT64_MAX - 1);
    pp_responses_forget_client(&w.routers[0], &w.clients[1]);
    pp_responses_forget_client(&w.routers[1], &w.clients[0]);
    unsubscribe(w.e, subs[0]);
    unsubscribe(w.i, subs[1]);
    unsubscribe(w.i, subs[2]);
}

static void test_crossing_fault_sweep(void **state)
{
    int64_t live_before = pp_alloc_live();
    bool more = true;

    (void)state;
    for (unsigned nth = 1; more; nth++) {
        pp_fault_arm("*", nth);
        if (!world_init())
            play();
        more = pp_fault_disarm();
        world_fini();
        assert_int_equal(pp_alloc_live(), live_before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crossing_of_streams),
        cmocka_unit_test(test_crossing_of_interest_that_does_not_matter),
        cmocka_unit_test(test_crossing_of_requests),
        cmocka_unit_test(test_crossing_of_several_responses),
        cmocka_unit_test(test_crossing_of_clients_that_go),
        cmocka_unit_test(test_crossing_when_exports_go),
        cmocka_unit_test(test_crossing_without_room_for_routes),
        cmocka_unit_test(test_crossing_fault_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
