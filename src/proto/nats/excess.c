/* Limits of an account that have become lower than what is there: who has more subscriptions than
 * are allowed now is closed, and as many connections as are too many, each loop its newest first.
 * Source: nats-server 2.15, observed; it keeps the oldest of all when a token changes, and any when
 * a file does. */
#include "base/alloc.h"
#include "proto/nats/session.h"

#include <stdlib.h>

struct excess {
    const pp_account *account;  /* NULL: of all */
    pp_nats_session **sessions; /* of accounts that have too many */
    size_t count, cap;
};

static bool is_lower(int64_t limit, int64_t count)
{
    return limit >= 0 && count > limit;
}

static bool has_too_many_subs(const pp_nats_session *s)
{
    int64_t count = (int64_t)s->sids.count - atomic_load(&s->exhausted);
    int64_t account =
        atomic_load_explicit(&pp_nats_account(s)->max_subscriptions, memory_order_relaxed);

    return is_lower(account, count) || is_lower(pp_nats_user(s)->max_subscriptions, count);
}

static bool is_crowded(const pp_account *account)
{
    pp_account *a = (pp_account *)account; /* only read */

    return is_lower(atomic_load_explicit(&a->max_connections, memory_order_relaxed),
                    atomic_load_explicit(&a->clients, memory_order_relaxed));
}

/* Without memory those stay for whom there is none: newcomers are refused all the same. */
static void collect(struct excess *excess, pp_nats_session *s)
{
    if (excess->count == excess->cap) {
        size_t cap = excess->cap ? 2 * excess->cap : 64;
        pp_nats_session **grown = pp_realloc(excess->sessions, cap * sizeof(pp_nats_session *));

        if (!grown)
            return;
        excess->sessions = grown;
        excess->cap = cap;
    }
    excess->sessions[excess->count++] = s;
}

static void look(pp_conn *conn, void *arg)
{
    struct excess *excess = arg;
    pp_nats_session *s = pp_nats_session_of(conn);

    if (!s || !s->in_account || conn->closing ||
        (excess->account && pp_nats_account(s) != excess->account))
        return;
    if (has_too_many_subs(s))
        pp_nats_refuse(s, PP_CLOSE_SUBSCRIPTIONS, "maximum subscriptions exceeded");
    else if (is_crowded(pp_nats_account(s)))
        collect(excess, s);
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = (*(pp_nats_session *const *)a)->conn->id;
    uint64_t y = (*(pp_nats_session *const *)b)->conn->id;

    return (x < y) - (x > y);
}

void pp_nats_close_account_excess(pp_nats_context *context, const pp_account *account)
{
    struct excess excess = {.account = account};

    pp_conn_each(context->loop, look, &excess);
    if (excess.count)
        qsort(excess.sessions, excess.count, sizeof(pp_nats_session *), newest_first);
    for (size_t i = 0; i < excess.count; i++) {
        pp_nats_session *s = excess.sessions[i];

        if (pp_nats_leave_crowd(s))
            pp_nats_refuse(s, PP_CLOSE_ACCOUNT_CONNECTIONS,
                           "maximum account active connections exceeded");
    }
    pp_free(excess.sessions);
}
