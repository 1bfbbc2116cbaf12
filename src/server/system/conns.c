#include "server/system/conns.h"

#include "base/clock.h"
#include "base/json.h"
#include "server/monitor/page.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"
#include "server/system/request.h"
#include "server/system/service.h"

#include <string.h>

enum { NAME_MAX_BYTES = 512, TEXT_MAX = 64 * 1024, AT_ONCE = 32 };

static const int64_t distance_ns = 100 * PP_NS_PER_MS;
static const int64_t beat_ns = 30 * PP_NS_PER_S;
static const int64_t breath_ns = PP_NS_PER_MS; /* between runs of AT_ONCE accounts */

/* A copy, since the account may go when the lock is let go of. */
struct tally {
    pp_account_sums sums;
    char name[NAME_MAX_BYTES];
};

/* False: its name is longer than a subject may be. */
static bool take(struct tally *tally, const pp_account *account)
{
    size_t len = strlen(account->name);
    int64_t clients = atomic_load_explicit(&account->clients, memory_order_relaxed);
    pp_account_totals totals;

    if (len >= sizeof(tally->name))
        return false;
    pp_account_sum(account, &totals);
    memcpy(tally->name, account->name, len + 1);
    tally->sums = (pp_account_sums){
        .name = tally->name,
        .title = pp_account_title(account), /* for this turn */
        .conns = clients > 0 ? (uint64_t)clients : 0,
        .subs = pp_account_subs(account),
        .in_msgs = totals.in_msgs,
        .in_bytes = totals.in_bytes,
        .out_msgs = totals.out_msgs,
        .out_bytes = totals.out_bytes,
        .slow_consumers = totals.slow_consumers,
    };
    return true;
}

static pipit_err write_event(pp_system *system, pp_buf *out, void *arg)
{
    struct tally *tally = arg;
    pp_json json;

    pp_json_init(&json, out, 0);
    pp_advisory_begin(system, &json, "io.nats.server.advisory.v1.account_connections");
    pp_account_sums_write(&json, &tally->sums);
    pp_json_end_object(&json);
    return pp_json_finish(&json);
}

/* --- telling ------------------------------------------------------------------------------- */

static void tell(pp_services *own)
{
    pp_system *system = own->system;
    pp_accounts *accounts = &system->server->accounts;
    struct tally tally;
    pp_account *account;
    bool taken;

    (void)pthread_mutex_lock(&accounts->lock);
    account = atomic_load(&own->account);
    taken = account && take(&tally, account);
    (void)pthread_mutex_unlock(&accounts->lock);
    if (!taken)
        return;
    own->told_ns = system->home->loop.now_ns;
    pp_system_announce(system, write_event, &tally, "$SYS.SERVER.ACCOUNT.%s.CONNS", tally.name);
    pp_system_announce(system, write_event, &tally, "$SYS.ACCOUNT.%s.SERVER.CONNS", tally.name);
}

static void on_late(pp_timer *timer);

static void put_off(pp_services *own, int64_t due_ns)
{
    pp_system *system = own->system;

    if (!pp_list_empty(&own->late_link))
        return;
    pp_list_append(&system->late, &own->late_link);
    if (system->late_timer.place == PP_TIMER_IDLE)
        pp_timer_set(&system->home->loop.timers, &system->late_timer, due_ns, on_late);
}

static void on_late(pp_timer *timer)
{
    pp_system *system = PP_CONTAINER(timer, pp_system, late_timer);

    for (unsigned i = 0; i < AT_ONCE && !pp_list_empty(&system->late); i++) {
        pp_services *own = PP_CONTAINER(system->late.next, pp_services, late_link);

        pp_list_remove(&own->late_link);
        pp_list_init(&own->late_link);
        tell(own);
    }
    if (!pp_list_empty(&system->late))
        pp_timer_set(&system->home->loop.timers, timer, system->home->loop.now_ns + breath_ns,
                     on_late);
}

void pp_conns_on_count(pp_task *task)
{
    pp_services *own = PP_CONTAINER(task, pp_services, count);
    int64_t now_ns = own->system->home->loop.now_ns;

    atomic_store(&own->changed, false);
    if (!own->system->running || !atomic_load(&own->account))
        return; /* it is about to be freed, and must not be listed any more */
    if (own->told_ns && now_ns - own->told_ns < distance_ns)
        put_off(own, own->told_ns + distance_ns);
    else
        tell(own);
}

/* Source: accounts and subjects, section 9: not of the global account. */
static bool is_told_of(const pp_account *account)
{
    return strcmp(account->name, "$G") != 0;
}

void pp_conns_note(pp_system *system, pp_account *account)
{
    pp_services *own = atomic_load_explicit(&account->services, memory_order_acquire);

    if (own && pp_system_is_heard(system) && is_told_of(account) &&
        !atomic_exchange(&own->changed, true))
        pp_loop_post(&system->home->loop, &own->count);
}

/* --- every 30 s ---------------------------------------------------------------------------- */

static void remind(pp_account *account, void *arg)
{
    pp_services *own = atomic_load(&account->services);
    pp_system *system = arg;

    if (own && is_told_of(account) &&
        atomic_load_explicit(&account->clients, memory_order_relaxed) > 0)
        put_off(own, system->home->loop.now_ns);
}

static void on_beat(pp_timer *timer)
{
    pp_system *system = PP_CONTAINER(timer, pp_system, beat_timer);

    if (pp_system_is_heard(system))
        pp_accounts_each(&system->server->accounts, remind, system);
    pp_timer_set(&system->home->loop.timers, timer, system->home->loop.now_ns + beat_ns, on_beat);
}

void pp_conns_start(pp_system *system)
{
    pp_timer_set(&system->home->loop.timers, &system->beat_timer,
                 system->home->loop.now_ns + beat_ns, on_beat);
}

/* --- when asked ---------------------------------------------------------------------------- */

struct search {
    pp_str name;
    struct tally tally;
    bool found;
};

static void look(pp_account *account, void *arg)
{
    struct search *search = arg;

    if (pp_str_eq(pp_str_of(account->name), search->name))
        search->found = take(&search->tally, account);
}

void pp_conns_answer(pp_request *request, pp_str account)
{
    pp_system *system = request->system;
    struct search search = {.name = account};
    pp_buf text;

    pp_accounts_each(&system->server->accounts, look, &search);
    if (!search.found || !search.tally.sums.conns) {
        pp_request_drop(request);
        return;
    }
    pp_buf_init(&text, TEXT_MAX);
    if (write_event(system, &text, &search.tally))
        pp_request_drop(request);
    else
        pp_request_answer_text(request, pp_buf_str(&text));
    pp_buf_fini(&text);
}
