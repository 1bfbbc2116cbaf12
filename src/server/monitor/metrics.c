/* The same figures for those who keep them: one scrape costs each loop a few microseconds, however
 * many connections there are. Sets of labels are limited: accounts beyond ACCOUNTS_MAX are summed
 * up as "other". */
#include "base/alloc.h"
#include "base/ceiling.h"
#include "base/clock.h"
#include "server/monitor/caches.h"
#include "server/monitor/exposition.h"
#include "server/monitor/history.h"
#include "server/monitor/page.h"

#include <stdio.h>

enum { ACCOUNTS_MAX = 1000 };

/* --- the server --------------------------------------------------------------------------- */

static void put_server(pp_exposition *e, pp_page *page)
{
    const pipit_server *server = page->server;
    const pp_label labels[] = {
        {"version", PP_STR(PIPIT_VERSION)},
        {"follows", PP_STR(PP_NATS_VERSION)},
        {"server_id", pp_str_of(server->server_id)},
        {"server_name", pp_str_of(server->settings->server_name)},
        PP_NO_LABEL,
    };

    pp_exposition_info(e, "pipit_build", "Which server this is.");
    pp_exposition_labels(e, labels);
    pp_exposition_gauge(e, "pipit_start_time_seconds", "When the server started, Unix time.");
    pp_exposition_seconds(e, PP_NO_LABEL, (uint64_t)server->start_wall_ns);
    pp_exposition_gauge(e, "pipit_config_load_time_seconds",
                        "When the configuration in force was loaded, Unix time.");
    pp_exposition_seconds(e, PP_NO_LABEL, (uint64_t)server->config_wall_ns);
    pp_exposition_counter(e, "pipit_cpu_seconds", "CPU time of the process.");
    pp_exposition_seconds(e, PP_NO_LABEL, (uint64_t)pp_vitals_cpu_ns());
    pp_exposition_gauge(e, "pipit_ready", "1 while clients are accepted.");
    pp_exposition_u64(e, PP_NO_LABEL,
                      atomic_load(&page->server->open) &&
                          !atomic_load(&page->server->nats_door.lame_duck));
}

/* Counters that are sums over loops and no more. */
static const struct counter {
    const char *name;
    const char *help;
    size_t offset;
} counters[] = {
#define COUNTER(name, field, help)                                                                 \
    {                                                                                              \
        "pipit_" name, help, offsetof(pp_counters, field)                                          \
    }
    COUNTER("received_messages", in_msgs, "Messages accepted from clients."),
    COUNTER("received_bytes", in_bytes, "Bytes of their headers and payloads."),
    COUNTER("sent_messages", out_msgs, "Copies of messages handed to clients."),
    COUNTER("sent_bytes", out_bytes, "Bytes of their headers and payloads."),
    COUNTER("accepted_connections", connections_opened, "Connections of clients accepted."),
    COUNTER("slow_consumers", slow_consumers, "Connections closed for not keeping up."),
    COUNTER("stale_connections", stale_connections, "Connections closed for not answering pings."),
    COUNTER("stalls", stalls, "Times a publisher was made to wait for a recipient."),
    COUNTER("crossings", crossings, "Requests and responses passed to other accounts."),
    COUNTER(
        "crossing_drops", crossing_drops,
        "Requests and responses not passed: too many are awaited, too long a way, or no memory."),
    COUNTER("stall_drops", stall_drops,
            "Copies dropped for a recipient that lags, where publishers never wait."),
    COUNTER("dropped_new_messages", drops_new,
            "Messages dropped for a slow consumer as they came."),
    COUNTER("dropped_old_messages", drops_old,
            "Messages dropped for a slow consumer after they had waited."),
    COUNTER("conflated_messages", conflated,
            "Messages of which a slow consumer gets a newer one instead."),
    COUNTER("memory_refusals", memory_refusals,
            "Connections and subscriptions refused at the memory limit."),
    COUNTER("memory_closed_connections", memory_closed,
            "Connections closed to stay below the memory limit."),
    COUNTER("auth_failures", auth_failures, "Connections refused for their credentials."),
    COUNTER("protocol_errors", protocol_errors, "Connections closed for what they sent."),
    COUNTER("no_responders", no_responders, "Requests answered with 503."),
    COUNTER("made_subscriptions", subs_inserted, "Subscriptions made."),
    COUNTER("ended_subscriptions", subs_removed, "Subscriptions ended."),
    COUNTER("route_cache_misses", route_misses, "Publishes that asked the subscription index."),
    COUNTER("route_failures", route_failures, "Publishes that memory did not suffice to route."),
#undef COUNTER
};

static void put_traffic(pp_exposition *e, const pipit_server *server)
{
    pipit_server_stats stats;

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        pp_exposition_counter(e, counters[i].name, counters[i].help);
        pp_exposition_u64(e, PP_NO_LABEL, pp_vitals_sum(server, counters[i].offset));
    }
    pipit_server_get_stats(server, &stats);
    pp_exposition_counter(e, "pipit_route_cache_hits", "Publishes whose route was remembered.");
    pp_exposition_u64(e, PP_NO_LABEL, stats.route_hits);
    pp_exposition_gauge(e, "pipit_connections", "Clients connected.");
    pp_exposition_u64(e, PP_NO_LABEL, stats.connections);
    pp_exposition_gauge(e, "pipit_connections_limit", "Clients that may be connected.");
    pp_exposition_u64(
        e, PP_NO_LABEL,
        server->settings->max_connections > 0 ? (uint64_t)server->settings->max_connections : 0);
    pp_exposition_gauge(e, "pipit_subscriptions", "Subscriptions there are.");
    pp_exposition_u64(e, PP_NO_LABEL, stats.subscriptions);
}

static void put_closed(pp_exposition *e, const pipit_server *server)
{
    uint64_t by_reason[PP_CLOSE_REASON_COUNT];

    pp_history_count(server->history, by_reason);
    pp_exposition_counter(e, "pipit_closed_connections",
                          "Connections of clients ended, by reason.");
    for (unsigned i = PP_CLOSE_NONE + 1; i < PP_CLOSE_REASON_COUNT; i++)
        pp_exposition_u64(e,
                          (pp_label){"reason", pp_str_of(pp_close_reason_text((pp_close_reason)i))},
                          by_reason[i]);
}

static void put_requests(pp_exposition *e, const pp_monitor *monitor)
{
#define PATH_OF(name, path, counted, noun) [name] = path,
    static const char *const paths[] = {PP_MONITOR_ENDPOINTS(PATH_OF)};
#undef PATH_OF

    pp_exposition_counter(e, "pipit_http_requests", "Requests to the monitoring port, by path.");
    for (unsigned i = 0; i < PP_MONITOR_ENDPOINT_COUNT; i++) {
        if (i != PP_MONITOR_SUBSCRIPTIONSZ) /* counted with subsz */
            pp_exposition_u64(e, (pp_label){"path", pp_str_of(paths[i])},
                              pp_monitor_requests(monitor, (pp_monitor_endpoint)i));
    }
}

/* --- loops -------------------------------------------------------------------------------- */

static void put_turns(pp_exposition *e, pp_label label, const pp_turns *turns)
{
    uint64_t counts[PP_TURN_BUCKETS], bounds_ns[PP_TURN_BUCKETS];

    for (unsigned i = 0; i < PP_TURN_BUCKETS; i++) {
        counts[i] =
            atomic_load_explicit((atomic_uint_fast64_t *)&turns->counts[i], memory_order_relaxed);
        bounds_ns[i] = pp_turns_bound_ns(i);
    }
    pp_exposition_times(
        e, label, counts, bounds_ns, PP_TURN_BUCKETS,
        atomic_load_explicit((atomic_uint_fast64_t *)&turns->sum_ns, memory_order_relaxed));
}

static pp_label loop_label(unsigned index, char text[16])
{
    return (pp_label){"loop", {text, (size_t)snprintf(text, 16, "%u", index)}};
}

static void put_loops(pp_exposition *e, const pipit_server *server)
{
    static const struct counter of_loop[] = {
        {"pipit_loop_sleeps", "Times a loop slept.", offsetof(pp_counters, sleeps)},
        {"pipit_loop_ways_given", "Times a loop let others run before it slept.",
         offsetof(pp_counters, ways_given)},
        {"pipit_loop_send_calls", "Send calls a loop made.", offsetof(pp_counters, sends)},
        {"pipit_loop_receive_calls", "Receive calls a loop made.", offsetof(pp_counters, receives)},
    };
    char text[16];

    pp_exposition_histogram(e, "pipit_loop_turn_seconds",
                            "How long the turns of a loop took, sleep aside.");
    for (unsigned i = 0; i < server->worker_count; i++)
        put_turns(e, loop_label(i, text), &server->workers[i].loop.turns);
    pp_exposition_gauge(e, "pipit_loop_longest_turn_seconds", "The longest turn of a loop so far.");
    for (unsigned i = 0; i < server->worker_count; i++)
        pp_exposition_seconds(
            e, loop_label(i, text),
            atomic_load_explicit((atomic_uint_fast64_t *)&server->workers[i].loop.turns.longest_ns,
                                 memory_order_relaxed));
    for (size_t c = 0; c < sizeof(of_loop) / sizeof(of_loop[0]); c++) {
        pp_exposition_counter(e, of_loop[c].name, of_loop[c].help);
        for (unsigned i = 0; i < server->worker_count; i++)
            pp_exposition_u64(
                e, loop_label(i, text),
                atomic_load_explicit((atomic_uint_fast64_t *)((char *)&server->workers[i].counters +
                                                              of_loop[c].offset),
                                     memory_order_relaxed));
    }
}

/* --- memory ------------------------------------------------------------------------------- */

static void put_memory(pp_exposition *e, pp_page *page)
{
    size_t kept, kept_bytes;
    pp_cache_sums caches;

    pp_cache_sums_read(page->server, (pp_str){NULL, 0}, false, &caches);
    pp_history_size(page->server->history, &kept, &kept_bytes);
    pp_exposition_gauge(e, "pipit_resident_memory_bytes", "Memory of the process.");
    pp_exposition_u64(e, PP_NO_LABEL, pp_vitals_rss_bytes());
    pp_exposition_gauge(e, "pipit_memory_limit_bytes", "Ceiling for the process; 0: none.");
    pp_exposition_u64(e, PP_NO_LABEL, pp_ceiling_bytes());
    pp_exposition_gauge(e, "pipit_allocated_objects", "Pieces of memory in use.");
    pp_exposition_u64(e, PP_NO_LABEL, (uint64_t)pp_alloc_live());
    pp_exposition_gauge(e, "pipit_part_memory_bytes", "Memory of a part of the server.");
    pp_exposition_u64(e, (pp_label){"part", PP_STR("route_caches")}, caches.bytes);
    pp_exposition_u64(e, (pp_label){"part", PP_STR("output_pools")}, caches.pool_bytes);
    pp_exposition_u64(e, (pp_label){"part", PP_STR("input_buffers")}, caches.read_bytes);
    pp_exposition_u64(e, (pp_label){"part", PP_STR("closed_connections")}, kept_bytes);
    pp_exposition_gauge(e, "pipit_route_cache_entries", "Routes that are remembered.");
    pp_exposition_u64(e, PP_NO_LABEL, caches.routes);
    pp_exposition_gauge(e, "pipit_remembered_closed_connections",
                        "Closed connections that /connz can show.");
    pp_exposition_u64(e, PP_NO_LABEL, kept);
}

/* --- accounts ----------------------------------------------------------------------------- */

/* The figures of an account; which one, by its place in pp_account_sums. */
static const struct figure {
    const char *name;
    const char *help;
    size_t offset;
    bool is_counter;
} figures[] = {
#define FIGURE(name, field, counter, help)                                                         \
    {                                                                                              \
        "pipit_account_" name, help, offsetof(pp_account_sums, field), counter                     \
    }
    FIGURE("connections", conns, false, "Clients of an account connected."),
    FIGURE("subscriptions", subs, false, "Subscriptions of an account."),
    FIGURE("index_patterns", patterns, false, "Different subjects of these subscriptions."),
    FIGURE("index_nodes", nodes, false, "Forks in the index of these subjects."),
    FIGURE("received_messages", in_msgs, true, "Messages accepted from clients of an account."),
    FIGURE("received_bytes", in_bytes, true, "Bytes of their headers and payloads."),
    FIGURE("sent_messages", out_msgs, true, "Copies of messages handed to clients of an account."),
    FIGURE("sent_bytes", out_bytes, true, "Bytes of their headers and payloads."),
    FIGURE("slow_consumers", slow_consumers, true,
           "Connections of an account closed for not keeping up."),
#undef FIGURE
};

enum { FIGURE_COUNT = sizeof(figures) / sizeof(figures[0]) };

struct accounts {
    pp_exposition *e;
    size_t figure; /* the one that is being written */
    size_t count;
    uint64_t others;
};

static void put_account(const pp_account_sums *sums, void *arg)
{
    struct accounts *accounts = arg;
    uint64_t value = *(const uint64_t *)((const char *)sums + figures[accounts->figure].offset);

    if (accounts->count++ < ACCOUNTS_MAX)
        pp_exposition_u64(accounts->e, (pp_label){"account", pp_str_of(sums->name)}, value);
    else
        accounts->others += value;
}

static pipit_err put_accounts(pp_exposition *e, pipit_server *server)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < FIGURE_COUNT && !err; i++) {
        struct accounts accounts = {.e = e, .figure = i};

        if (figures[i].is_counter)
            pp_exposition_counter(e, figures[i].name, figures[i].help);
        else
            pp_exposition_gauge(e, figures[i].name, figures[i].help);
        err = pp_vitals_each_account(server, put_account, &accounts);
        if (accounts.count > ACCOUNTS_MAX)
            pp_exposition_u64(e, (pp_label){"account", PP_STR("other")}, accounts.others);
    }
    return err;
}

pipit_err pp_monitor_write_metrics(pp_page *page)
{
    pp_exposition e;
    pipit_err err;

    page->content_type = pp_exposition_content_type(page->options->open_metrics);
    page->open_to_all = false;
    pp_exposition_init(&e, &page->body, page->options->open_metrics);
    put_server(&e, page);
    put_traffic(&e, page->server);
    put_closed(&e, page->server);
    put_loops(&e, page->server);
    put_memory(&e, page);
    for (const pp_side_door *const *door = pp_side_doors; *door; door++) {
        if ((*door)->metrics)
            (*door)->metrics(page->server, &e);
    }
    err = put_accounts(&e, page->server);
    put_requests(&e, page->monitor);
    return err ? err : pp_exposition_finish(&e);
}
