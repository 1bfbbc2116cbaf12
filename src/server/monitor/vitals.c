#include "server/monitor/vitals.h"

#include "base/clock.h"
#include "server/server.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

uint64_t pp_vitals_rss_bytes(void)
{
    unsigned long long size, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    int fields;

    if (!file)
        return 0;
    fields = fscanf(file, "%llu %llu", &size, &resident);
    (void)fclose(file); /* read only */
    return fields == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

int64_t pp_vitals_cpu_ns(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * PP_NS_PER_S +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

double pp_cpu_meter_read(pp_cpu_meter *meter, int64_t now_ns, int64_t start_ns)
{
    int64_t before_ns = meter->mono_ns ? meter->mono_ns : start_ns;
    int64_t cpu_ns;
    double tenths;

    if (now_ns - before_ns < (meter->mono_ns ? PP_NS_PER_S : PP_NS_PER_MS))
        return meter->percent;
    cpu_ns = pp_vitals_cpu_ns();
    tenths = 1000.0 * (double)(cpu_ns - meter->cpu_ns) / (double)(now_ns - before_ns);
    meter->percent = (double)(int64_t)(tenths + 0.5) / 10;
    meter->cpu_ns = cpu_ns;
    meter->mono_ns = now_ns;
    return meter->percent;
}

uint64_t pp_vitals_sum(const pipit_server *server, size_t offset)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < server->worker_count; i++)
        total += atomic_load_explicit(
            (atomic_uint_fast64_t *)((char *)&server->workers[i].counters + offset),
            memory_order_relaxed);
    return total;
}

const char *pp_vitals_system_account(const pipit_server *server)
{
    const pp_account *account = pp_directory_system(server->directory);

    return account ? account->name : NULL;
}

struct visit {
    void (*each)(const pp_account_sums *sums, void *arg);
    void *arg;
    const pp_account *system;
};

static void visit_account(pp_account *account, void *arg)
{
    struct visit *visit = arg;
    size_t patterns, nodes;
    pp_account_totals totals;

    pp_account_sum(account, &totals);
    pp_sublist_size(account->subs, &patterns, &nodes);
    visit->each(
        &(pp_account_sums){
            .name = account->name,
            .title = pp_account_title(account),
            .account = account,
            .is_system = account == visit->system,
            .conns = (uint64_t)atomic_load_explicit(&account->clients, memory_order_relaxed),
            .total_conns = totals.connections_opened,
            .subs = pp_account_subs(account),
            .in_msgs = totals.in_msgs,
            .in_bytes = totals.in_bytes,
            .out_msgs = totals.out_msgs,
            .out_bytes = totals.out_bytes,
            .slow_consumers = totals.slow_consumers,
            .subs_inserted = totals.subs_inserted,
            .subs_removed = totals.subs_removed,
            .patterns = patterns,
            .nodes = nodes,
        },
        visit->arg);
}

pipit_err pp_vitals_each_account(pipit_server *server,
                                 void (*visit)(const pp_account_sums *sums, void *arg), void *arg)
{
    struct visit v = {visit, arg, pp_directory_system(server->directory)};

    pp_accounts_each(&server->accounts, visit_account, &v);
    return PIPIT_OK;
}

int64_t pp_vitals_wall_ns(const pipit_server *server, int64_t mono_ns)
{
    return server->start_wall_ns + (mono_ns - server->start_mono_ns);
}
