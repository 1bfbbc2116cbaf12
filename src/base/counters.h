/* base/counters.h -- what one loop has counted. Written by its loop, summed by whoever asks. */
#ifndef PP_BASE_COUNTERS_H
#define PP_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* Source of the meanings: NATS client protocol, "Statistics semantics". */
#define PP_COUNTERS(X)                                                                             \
    X(in_msgs, "messages accepted from clients")                                                   \
    X(in_bytes, "bytes of their headers and payloads")                                             \
    X(out_msgs, "copies staged to clients")                                                        \
    X(out_bytes, "bytes of their headers and payloads")                                            \
    X(connections_opened, "connections accepted")                                                  \
    X(connections_closed, "connections ended")                                                     \
    X(subs_inserted, "subscriptions made")                                                         \
    X(subs_removed, "subscriptions ended")                                                         \
    X(slow_consumers, "connections closed for not keeping up")                                     \
    X(stale_connections, "connections closed for not answering pings")                             \
    X(stalls, "times a publisher was made to wait for a recipient")                                \
    X(stall_drops, "copies dropped for a recipient that lags, where publishers never wait")        \
    X(drops_new, "messages dropped for a slow consumer as they came")                              \
    X(drops_old, "messages dropped for a slow consumer after they had waited")                     \
    X(conflated, "messages of which a slow consumer gets a newer one instead")                     \
    X(memory_refusals, "connections and subscriptions refused at the memory limit")                \
    X(memory_closed, "connections closed to stay below the memory limit")                          \
    X(route_misses, "publishes that asked the index")                                              \
    X(route_failures, "publishes that memory did not suffice to route")                            \
    X(no_responders, "requests answered with 503")                                                 \
    X(crossings, "requests and responses passed to other accounts")                                \
    X(crossing_drops, "those not passed: too many are awaited, too long a way, or no memory")      \
    X(auth_failures, "connections refused for their credentials")                                  \
    X(protocol_errors, "connections closed for what they sent")                                    \
    X(turns, "times the loop woke up or went round")                                               \
    X(sleeps, "times the loop slept")                                                              \
    X(ways_given, "times the loop let others run before it slept")                                 \
    X(sends, "send calls made")                                                                    \
    X(receives, "receive calls made")

typedef struct pp_counters {
#define PP_COUNTER_FIELD(name, text) _Alignas(8) atomic_uint_fast64_t name;
    PP_COUNTERS(PP_COUNTER_FIELD)
#undef PP_COUNTER_FIELD
} pp_counters;

/* Only the owning loop adds, so no locked instruction is needed. */
static inline void pp_count(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#endif
