/* server/monitor/vitals.h -- what the process uses, and sums of what loops and accounts counted. */
#ifndef PP_SERVER_MONITOR_VITALS_H
#define PP_SERVER_MONITOR_VITALS_H

#include "base/counters.h"
#include "core/account.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipit_server;

/* Resident memory of this process; 0: the system does not say. */
uint64_t pp_vitals_rss_bytes(void);

/* CPU time of this process, ever. */
int64_t pp_vitals_cpu_ns(void);

/* How busy the process is: of the time between two looks, in percent of one core, rounded to
 * tenths. Looks at most once a second. Zeroed: since the first look. */
typedef struct pp_cpu_meter {
    int64_t cpu_ns, mono_ns; /* at the last look */
    double percent;
} pp_cpu_meter;

/* start_ns: when the process began to work, for the first look. */
double pp_cpu_meter_read(pp_cpu_meter *meter, int64_t now_ns, int64_t start_ns);

/* What one account has to say for itself. */
typedef struct pp_account_sums {
    const char *name;          /* borrowed for the call */
    pp_str title;              /* what people call it; the same */
    const pp_account *account; /* the same; the lock of accounts is held */
    bool is_system;
    uint64_t conns, total_conns;
    uint64_t subs;
    uint64_t in_msgs, in_bytes, out_msgs, out_bytes; /* in: from clients */
    uint64_t slow_consumers;
    uint64_t subs_inserted, subs_removed;
    uint64_t patterns, nodes; /* of the subscription index */
} pp_account_sums;

/* Call visit for each account, in the order of their names. Errors: PIPIT_ENOMEM. */
pipit_err pp_vitals_each_account(struct pipit_server *server,
                                 void (*visit)(const pp_account_sums *sums, void *arg), void *arg);

/* One counter of pp_counters, by its offset, summed over all loops. */
uint64_t pp_vitals_sum(const struct pipit_server *server, size_t offset);
#define PP_VITALS_SUM(server, counter) pp_vitals_sum((server), offsetof(pp_counters, counter))

/* The system account's name; NULL: there is none. */
const char *pp_vitals_system_account(const struct pipit_server *server);

/* A time of the monotonic clock as one of the calendar. */
int64_t pp_vitals_wall_ns(const struct pipit_server *server, int64_t mono_ns);

#endif
