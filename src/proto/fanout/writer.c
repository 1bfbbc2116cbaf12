#include "proto/fanout/writer.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

size_t pp_fanout_info(const pp_fanout_facts *f, char *out)
{
    uint64_t t = f->uptime_s;
    /* Limits as the original shows them: in 32 bits with a sign, so that none is -1. */
    int n = snprintf(out, PP_FANOUT_INFO_BYTES,
                     "uptime: %" PRIu64 "d %" PRIu64 "h %" PRIu64 "m %" PRIu64 "s\n"
                     "client-limit: %" PRId64 "\n"
                     "limit rejected connections: %" PRIu64 "\n"
                     "rlimits: Soft=%" PRId32 " Hard=%" PRId32 "\n"
                     "max connections: %" PRIu64 "\n"
                     "current connections: %" PRIu64 "\n"
                     "current channels: %" PRIu64 "\n"
                     "current subscriptions: %" PRIu64 "\n"
                     "user-requested subscriptions: %" PRId64 "\n"
                     "total connections: %" PRIu64 "\n"
                     "total announcements: %" PRIu64 "\n"
                     "total messages: %" PRIu64 "\n"
                     "total subscribes: %" PRIu64 "\n"
                     "total unsubscribes: %" PRIu64 "\n"
                     "total pings: %" PRIu64 "\n",
                     t / 86400, t / 3600 % 24, t / 60 % 60, t % 60, f->client_limit, f->rejected,
                     (int32_t)f->descriptors_soft, (int32_t)f->descriptors_hard, f->max_connections,
                     f->connections, f->channels, f->subscriptions,
                     (int64_t)(f->subscriptions - f->connections), f->total_connections,
                     f->announcements, f->messages, f->subscribes, f->unsubscribes, f->pings);

    return (size_t)n; /* 22 numbers of 20 digits and 341 other bytes fit */
}

size_t pp_fanout_time(uint64_t unix_s, char *out)
{
    size_t n = pp_u64_format(out, unix_s);

    out[n++] = '\n';
    return n;
}
