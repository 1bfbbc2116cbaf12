/* Sums of what the loops have counted. */
#include "server/server.h"

#include "core/sublist.h"

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)counter, memory_order_relaxed);
}

/* What has begun and not ended; the end is read first, so that it never seems to come too soon. */
static uint64_t standing(const atomic_uint_fast64_t *begun, const atomic_uint_fast64_t *ended)
{
    uint64_t gone = atomic_load_explicit((atomic_uint_fast64_t *)ended, memory_order_acquire);
    uint64_t come = get(begun);

    return come > gone ? come - gone : 0;
}

void pipit_server_get_stats(const pipit_server *server, pipit_server_stats *out)
{
    *out = (pipit_server_stats){0};
    for (unsigned i = 0; i < server->worker_count; i++) {
        const pp_counters *c = &server->workers[i].counters;

        out->in_msgs += get(&c->in_msgs);
        out->in_bytes += get(&c->in_bytes);
        out->out_msgs += get(&c->out_msgs);
        out->out_bytes += get(&c->out_bytes);
        out->total_connections += get(&c->connections_opened);
        out->connections += standing(&c->connections_opened, &c->connections_closed);
        out->subscriptions += standing(&c->subs_inserted, &c->subs_removed);
        out->slow_consumers += get(&c->slow_consumers);
        out->stalls += get(&c->stalls);
        out->route_misses += get(&c->route_misses);
        out->turns += get(&c->turns);
        out->sleeps += get(&c->sleeps);
        out->sends += get(&c->sends);
        out->receives += get(&c->receives);
    }
    pp_lodging_count(&((pipit_server *)server)->lodging, out);
    out->subscriptions += (uint64_t)atomic_load_explicit((atomic_int_fast64_t *)&server->local_subs,
                                                         memory_order_relaxed);
    out->route_hits = out->in_msgs > out->route_misses ? out->in_msgs - out->route_misses : 0;
}

static void dump_account(pp_account *account, void *arg)
{
    pipit_server *server = arg;
    pp_buf text;

    pp_buf_init(&text, 64 * 1024);
    if (!pp_sublist_dump(account->subs, &text))
        pp_log_write(&server->log, PP_LOG_INFO, "dump: account=%s %.*s", account->name,
                     (int)text.len - 1, text.ptr); /* without the end of the line */
    pp_buf_fini(&text);
}

void pipit_server_dump(pipit_server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        const pp_counters *c = &server->workers[i].counters;

#define PP_COUNTER_LOG(name, meaning)                                                              \
    pp_log_write(&server->log, PP_LOG_INFO, "dump: loop=%u %s=%llu (%s)", i, #name,                \
                 (unsigned long long)get(&c->name), meaning);
        PP_COUNTERS(PP_COUNTER_LOG)
#undef PP_COUNTER_LOG
    }
    pp_log_write(&server->log, PP_LOG_INFO, "dump: memory bytes=%zu limit=%zu short=%d",
                 pp_ceiling_used(), pp_ceiling_bytes(), pp_ceiling_pressed());
    pp_accounts_each(&server->accounts, dump_account, server);
}
