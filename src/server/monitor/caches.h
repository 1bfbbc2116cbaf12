/* server/monitor/caches.h -- what the loops' route caches hold, and what loops keep for output. */
#ifndef PP_SERVER_MONITOR_CACHES_H
#define PP_SERVER_MONITOR_CACHES_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct pipit_server;

typedef struct pp_cache_sums {
    uint64_t routes;
    uint64_t bytes;
    uint64_t targets, targets_max; /* of routes: all together, the most of one */
    uint64_t pool_bytes;           /* free chunks kept for output */
    uint64_t read_bytes;           /* input buffers */
    double hit_rate;               /* of publishes ever that found their route */
} pp_cache_sums;

/* Of one account's caches, or of all if account is empty; hit_rate, bytes and pools are those of
 * the whole server. Targets only if they are wanted: that takes a look at each route. Thread: the
 * monitor's. */
void pp_cache_sums_read(struct pipit_server *server, pp_str account, bool with_targets,
                        pp_cache_sums *out);

#endif
