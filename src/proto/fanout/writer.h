/* proto/fanout/writer.h -- the lines that a server says of itself.
 *
 * Pure. Source: fanout, wire protocol, sections 2, 4.1 and 4.2. */
#ifndef PP_PROTO_FANOUT_WRITER_H
#define PP_PROTO_FANOUT_WRITER_H

#include <stddef.h>
#include <stdint.h>

#define PP_FANOUT_GREETING "debug!connected...\n"
#define PP_FANOUT_BUSY "debug!busy\n"

enum {
    PP_FANOUT_INFO_LINES = 15,
    PP_FANOUT_INFO_BYTES = 1024,
    PP_FANOUT_TIME_BYTES = 21,
};

/* What `info` tells, in its order. */
typedef struct pp_fanout_facts {
    uint64_t uptime_s;
    int64_t client_limit;
    uint64_t rejected;
    uint64_t descriptors_soft, descriptors_hard; /* as the system has them */
    uint64_t max_connections, connections;
    uint64_t channels;
    uint64_t subscriptions;
    uint64_t total_connections, announcements, messages, subscribes, unsubscribes, pings;
} pp_fanout_facts;

/* Write the answer to `info` to out, of PP_FANOUT_INFO_BYTES; returns its length. */
size_t pp_fanout_info(const pp_fanout_facts *facts, char *out);

/* Write the answer to `ping` to out, of PP_FANOUT_TIME_BYTES; returns its length. */
size_t pp_fanout_time(uint64_t unix_s, char *out);

#endif
