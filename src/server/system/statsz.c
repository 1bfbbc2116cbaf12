#include "server/system/statsz.h"

#include "base/clock.h"
#include "base/cores.h"
#include "base/json.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"
#include "server/system/system.h"

static const int64_t interval_min_ns = 250 * PP_NS_PER_MS;
static const int64_t interval_max_ns = 10 * PP_NS_PER_S;
static const int64_t distance_min_ns = PP_NS_PER_S;

static void put_pair(pp_json *json, const char *key, uint64_t msgs, uint64_t bytes)
{
    pp_json_begin_object(json, key);
    pp_json_u64(json, "msgs", msgs);
    pp_json_u64(json, "bytes", bytes);
    pp_json_end_object(json);
}

static void put_kinds(pp_json *json, const char *key, uint64_t clients)
{
    static const char *const others[] = {"routes", "gateways", "leafs"};

    if (!clients)
        return;
    pp_json_begin_object(json, key);
    pp_json_u64(json, "clients", clients);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        pp_json_u64(json, others[i], 0);
    pp_json_end_object(json);
}

struct census {
    uint64_t active, subs;
};

static void count_account(pp_account *account, void *arg)
{
    struct census *census = arg;

    census->active += atomic_load_explicit(&account->clients, memory_order_relaxed) > 0;
    census->subs += pp_account_subs(account);
}

static void put_stats(pp_system *system, pp_json *json)
{
    pipit_server *server = system->server;
    uint64_t stale = PP_VITALS_SUM(server, stale_connections);
    struct census census = {0};
    pipit_server_stats stats;

    pipit_server_get_stats(server, &stats);
    pp_accounts_each(&server->accounts, count_account, &census);
    pp_json_time(json, "start", server->start_wall_ns);
    pp_json_u64(json, "mem", pp_vitals_rss_bytes());
    pp_json_u64(json, "cores", pp_cores());
    pp_json_f64(json, "cpu",
                pp_cpu_meter_read(&system->cpu, pp_clock_mono_ns(), server->start_mono_ns));
    pp_json_u64(json, "connections", stats.connections);
    pp_json_u64(json, "total_connections", stats.total_connections);
    pp_json_u64(json, "active_accounts", census.active);
    pp_json_u64(json, "subscriptions", census.subs);
    put_pair(json, "sent", stats.out_msgs, stats.out_bytes);
    put_pair(json, "sent_to_clients", stats.out_msgs, stats.out_bytes);
    put_pair(json, "received", stats.in_msgs, stats.in_bytes);
    put_pair(json, "received_from_clients", stats.in_msgs, stats.in_bytes);
    pp_json_u64(json, "slow_consumers", stats.slow_consumers);
    put_kinds(json, "slow_consumer_stats", stats.slow_consumers);
    if (stale)
        pp_json_u64(json, "stale_connections", stale);
    put_kinds(json, "stale_connection_stats", stale);
    if (stats.stalls)
        pp_json_u64(json, "stalled_clients", stats.stalls);
    pp_json_u64(json, "active_servers", 1);
    pp_json_u64(json, "gomaxprocs", server->worker_count);
}

pipit_err pp_stats_write(pp_system *system, pp_buf *out, void *unused)
{
    pp_json json;

    (void)unused;
    pp_json_init(&json, out, 0);
    pp_json_begin_object(&json, NULL);
    pp_identity_write(system, &json, "server");
    pp_json_begin_object(&json, "statsz");
    put_stats(system, &json);
    pp_json_end_object(&json);
    pp_json_end_object(&json);
    return pp_json_finish(&json);
}

void pp_stats_broadcast(pp_system *system)
{
    int64_t now_ns = system->home->loop.now_ns;

    if (!pp_system_is_heard(system) ||
        (system->stats_sent_ns && now_ns - system->stats_sent_ns < distance_min_ns))
        return;
    system->stats_sent_ns = now_ns;
    pp_system_announce(system, pp_stats_write, NULL, "$SYS.SERVER.%s.STATSZ",
                       system->server->server_id);
}

static void on_timer(pp_timer *timer)
{
    pp_system *system = PP_CONTAINER(timer, pp_system, stats_timer);
    int64_t next_ns = 2 * system->stats_interval_ns;

    if (!pp_system_stays_awake(system)) {
        pp_timer_cancel(&system->home->loop.timers, &system->beat_timer);
        return;
    }
    if (pp_system_is_heard(system))
        pp_system_announce(system, pp_stats_write, NULL, "$SYS.SERVER.%s.STATSZ",
                           system->server->server_id);
    system->stats_interval_ns = next_ns < interval_max_ns ? next_ns : interval_max_ns;
    pp_timer_set(&system->home->loop.timers, timer,
                 system->home->loop.now_ns + system->stats_interval_ns, on_timer);
}

void pp_stats_start(pp_system *system)
{
    system->stats_interval_ns = interval_min_ns;
    pp_timer_set(&system->home->loop.timers, &system->stats_timer,
                 system->home->loop.now_ns + interval_min_ns, on_timer);
}
