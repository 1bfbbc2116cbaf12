/* core/sub.h -- a subscription: one client's wish to hear a pattern.
 *
 * Made and removed by the loop of its client; seen by every loop that publishes to it, through
 * their route caches, until it has been retired (base/reclaim.h). */
#ifndef PP_CORE_SUB_H
#define PP_CORE_SUB_H

#include "base/reclaim.h"
#include "base/str.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

struct pp_client;
struct pp_pattern;

#define PP_SUB_UNLIMITED INT32_MIN
#define PP_SUB_ENDED (-1) /* by its client: where there was a limit, no more is delivered */

/* One loop's view of a subscription it has delivered to: only that loop writes it. */
typedef struct pp_tap {
    struct pp_tap *next; /* fixed once the tap can be seen */
    uint32_t router_index;
    atomic_uint_fast64_t delivered;
} pp_tap;

typedef struct pp_sub {
    struct pp_client *client;   /* borrowed; outlives the subscription */
    struct pp_pattern *pattern; /* the index's; NULL when not inserted */
    union {
        struct {
            struct pp_sub *next; /* in the pattern's ring; guarded by the index's lock */
            struct pp_sub *prev;
        };
        pp_retired retired; /* once removed from the index */
    };
    _Atomic(pp_tap *) taps; /* grows at the front only; freed with the subscription */
    /* Deliveries left before it ends by itself; PP_SUB_UNLIMITED: never. Who makes it 0 has taken
     * the last and says so (exhausted); who finds 0 when it ends knows that somebody does. */
    _Atomic int32_t remaining;
    uint16_t sid_len;
    uint16_t queue_len;
    char text[]; /* sid, then the queue group's name */
} pp_sub;

/* Errors: NULL on no memory. sid and queue are copied; each at most UINT16_MAX bytes. */
pp_sub *pp_sub_new(struct pp_client *client, pp_str sid, pp_str queue);
/* Only for one that was never inserted, or from its retirement. */
void pp_sub_free(pp_sub *sub);

static inline pp_str pp_sub_sid(const pp_sub *sub)
{
    return (pp_str){sub->text, sub->sid_len};
}

/* The queue group's name; empty for a plain subscription. */
static inline pp_str pp_sub_queue(const pp_sub *sub)
{
    return (pp_str){sub->text + sub->sid_len, sub->queue_len};
}

/* The tap of one router, made on first use; NULL on no memory. Thread: that router's loop. */
pp_tap *pp_sub_tap(pp_sub *sub, uint32_t router_index);

/* Messages delivered to it so far, by all loops. Thread: any; exact when nobody delivers. */
uint64_t pp_sub_delivered(const pp_sub *sub);

#endif
