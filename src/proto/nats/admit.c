/* Who a client is: its user's account and permissions, and what becomes of it when they change. */
#include "base/alloc.h"
#include "proto/nats/quote.h"
#include "proto/nats/session.h"

static int64_t lower(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

/* It is not counted among the account's clients any more. */
static void note_left(pp_nats_session *s, pp_account *account)
{
    s->in_account = false;
    pp_count(&account->counters[s->conn->loop->index].connections_closed, 1);
    PP_NATS_OBSERVE(s, counted, account);
}

void pp_nats_leave_account(pp_nats_session *s)
{
    pp_account *account;

    if (!s->in_account)
        return;
    account = pp_nats_account(s);
    (void)atomic_fetch_sub(&account->clients, 1);
    note_left(s, account);
}

bool pp_nats_leave_crowd(pp_nats_session *s)
{
    pp_account *account = pp_nats_account(s);
    int64_t max = atomic_load_explicit(&account->max_connections, memory_order_relaxed);
    int_fast64_t clients = atomic_load(&account->clients);

    /* Other loops do the same: together they close as many as are too many. */
    do {
        if (max < 0 || clients <= max)
            return false;
    } while (!atomic_compare_exchange_weak(&account->clients, &clients, clients - 1));
    note_left(s, account);
    return true;
}

/* A user whose scope other loops may have found in the turn that they are in. */
struct leaving {
    pp_retired retired;
    const pp_user *user;
};

static void let_user_go(pp_retired *retired)
{
    struct leaving *leaving = PP_CONTAINER(retired, struct leaving, retired);

    pp_user_let_go(leaving->user);
    pp_free(leaving);
}

/* Take the place, and what comes with it. */
static bool take(pp_nats_session *s, const pp_user *user)
{
    const pp_scope *before = atomic_load_explicit(&s->client.scope, memory_order_relaxed);
    struct leaving *leaving = before ? pp_alloc(sizeof(*leaving)) : NULL;
    pp_route_cache *routes = pp_router_cache(s->context->router, &user->scope);

    if (!routes || (before && !leaving) || !pp_nats_prepare_answers(s, user)) {
        pp_free(leaving);
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL);
        return false;
    }
    s->routes = routes;
    if (leaving)
        leaving->user = pp_nats_user(s);
    pp_user_hold(user);
    atomic_store_explicit(&s->client.scope, &user->scope, memory_order_release);
    if (leaving)
        pp_reclaim_retire(&s->conn->loop->reclaimer, &leaving->retired, let_user_go);
    s->reader.payload_max =
        lower(lower(s->context->settings->max_payload, user->max_payload),
              atomic_load_explicit(&user->scope.account->max_payload, memory_order_relaxed));
    s->context->route = NULL;
    (void)pp_conn_set_policy(s->conn, (pp_slow_policy)user->slow_policy); /* NATS has frames */
    return true;
}

bool pp_nats_admit(pp_nats_session *s, const pp_user *user)
{
    pp_account *account = user->scope.account;
    int64_t max = atomic_load_explicit(&account->max_connections, memory_order_relaxed);

    pp_nats_leave_account(s);
    if (!take(s, user))
        return false;
    s->in_account = true;
    pp_count(&account->counters[s->conn->loop->index].connections_opened, 1);
    if (atomic_fetch_add(&account->clients, 1) >= max && max != PP_ACCOUNT_UNLIMITED) {
        pp_nats_refuse(s, PP_CLOSE_ACCOUNT_CONNECTIONS,
                       "maximum account active connections exceeded");
        return false;
    }
    PP_NATS_OBSERVE(s, counted, account);
    return true;
}

bool pp_nats_admit_anybody(pp_nats_session *s)
{
    const pp_user *anybody = pp_nats_anybody(s);
    pp_account *account = anybody ? anybody->scope.account : NULL;
    int64_t max;

    if (!account)
        return false;
    max = atomic_load_explicit(&account->max_connections, memory_order_relaxed);
    if (max != PP_ACCOUNT_UNLIMITED && atomic_load(&account->clients) >= max)
        return false;
    return pp_nats_admit(s, anybody);
}

/* --- after a reload ----------------------------------------------------------------------- */

/* Source: NATS configuration, section 5. */
static void end_forbidden(pp_nats_session *s, pp_sub *sub)
{
    char subject[PP_NATS_QUOTE_MAX], queue[PP_NATS_QUOTE_MAX], sid[PP_NATS_QUOTE_MAX];

    pp_nats_quote(pp_sublist_pattern(sub), subject, sizeof(subject));
    pp_nats_quote(pp_sub_sid(sub), sid, sizeof(sid));
    if (sub->queue_len) {
        pp_nats_quote(pp_sub_queue(sub), queue, sizeof(queue));
        pp_nats_error(s, "Permissions Violation for Subscription to %s using queue %s (sid %s)",
                      subject, queue, sid);
    } else {
        pp_nats_error(s, "Permissions Violation for Subscription to %s (sid %s)", subject, sid);
    }
    pp_nats_end_sub(s, sub);
}

struct forbidden {
    pp_nats_session *s;
    pp_sub **subs;
    size_t count;
};

static void collect_forbidden(pp_sub *sub, void *arg)
{
    struct forbidden *f = arg;

    if (!pp_permissions_may_subscribe(pp_nats_user(f->s)->scope.permissions,
                                      pp_sublist_pattern(sub), pp_sub_queue(sub)))
        f->subs[f->count++] = sub;
}

static void check_subs(pp_nats_session *s)
{
    struct forbidden f = {.s = s};

    if (!s->sids.count)
        return;
    f.subs = pp_alloc(s->sids.count * sizeof(*f.subs));
    if (!f.subs) {
        pp_nats_refuse(s, PP_CLOSE_NO_MEMORY, NULL); /* rather than let it hear too much */
        return;
    }
    pp_nats_sids_each(&s->sids, collect_forbidden, &f);
    for (size_t i = 0; i < f.count && !s->conn->closing; i++)
        end_forbidden(s, f.subs[i]);
    pp_free(f.subs);
}

/* Source: NATS authentication, section 5.4. */
static void depart(pp_nats_session *s, pp_departure why)
{
    switch (why) {
    case PP_DEPARTURE_GONE:
        pp_conn_close(s->conn, PP_CLOSE_CLIENT, true);
        break;
    case PP_DEPARTURE_UNTRUSTED:
        pp_nats_refuse(s, PP_CLOSE_AUTH, NULL);
        break;
    case PP_DEPARTURE_REVOKED:
        pp_nats_refuse(s, PP_CLOSE_REVOKED, "User Authentication Revoked");
        break;
    case PP_DEPARTURE_EXPIRED:
        pp_nats_refuse(s, PP_CLOSE_AUTH_EXPIRED, "User Authentication Expired");
        break;
    case PP_DEPARTURE_ACCOUNT_EXPIRED:
        pp_nats_refuse(s, PP_CLOSE_AUTH_EXPIRED, "Account Authentication Expired");
        break;
    case PP_DEPARTURE_DENIED:
        pp_nats_refuse(s, PP_CLOSE_AUTH, "Authorization Violation");
        break;
    }
}

static void renew_user(pp_nats_session *s)
{
    const pp_user *old = pp_nats_user(s), *user;
    pp_departure why;

    if (s->proxy_key && !pp_gate_trusts(s->context->settings->gate, s->proxy_key)) {
        pp_nats_refuse(s, PP_CLOSE_PROXY_NOT_TRUSTED, "Authorization Violation");
        return;
    }
    user = pp_gate_renew(s->context->settings->gate, old, pp_nats_connection_type(s->conn),
                         s->proxy_key != NULL, &why);
    if (!user) {
        depart(s, why);
        return;
    }
    /* The old one is not let go before the loop's turn is over. */
    if (take(s, user) && !pp_permissions_equal(old->scope.permissions, user->scope.permissions))
        check_subs(s);
    if (user->expires_s)
        pp_nats_schedule_ping(s, false);
    pp_user_let_go(user);
}

static void renew(pp_conn *conn, void *arg)
{
    pp_nats_session *s = (pp_nats_session *)conn->session;
    const pp_nats_settings *settings;

    if (conn->door->proto != &pp_nats_proto)
        return;
    settings = s->context->settings;
    s->reader.line_max = settings->max_control_line;
    s->reader.payload_max = settings->max_payload;
    if (s->authenticated) {
        if (*(const bool *)arg && !s->expects_proxy)
            pp_nats_schedule_ping(s, false);
        renew_user(s);
    } else if (!s->login && !s->expects_layer) {
        s->authenticated = !s->tls && pp_nats_admit_anybody(s);
        s->conn->guarded = !s->authenticated;
        if (s->authenticated)
            pp_nats_schedule_start(s);
    }
}

bool pp_nats_close_excess(pp_conn *conn)
{
    if (conn->door->proto != &pp_nats_proto)
        return false;
    pp_nats_refuse((pp_nats_session *)conn->session, PP_CLOSE_CONNECTIONS,
                   "maximum connections exceeded");
    return true;
}

static void review(pp_conn *conn, void *arg)
{
    pp_nats_session *s = pp_nats_session_of(conn);

    if (s && s->authenticated && !conn->closing && pp_nats_account(s) == arg)
        renew_user(s);
}

void pp_nats_review_account(pp_nats_context *context, pp_account *account)
{
    context->route = NULL;
    pp_conn_each(context->loop, review, account);
    pp_nats_close_account_excess(context, account);
}

void pp_nats_renew_sessions(pp_nats_context *context, bool new_interval)
{
    context->route = NULL;
    pp_conn_each(context->loop, renew, &new_interval);
    pp_nats_close_account_excess(context, NULL);
}
