/* proto/fanout/channels.h -- the channels that exist: those that somebody at this door has
 * subscribed to. The core knows who hears what; this knows how many there are.
 *
 * Thread: any; under its lock, held for a look-up. */
#ifndef PP_PROTO_FANOUT_CHANNELS_H
#define PP_PROTO_FANOUT_CHANNELS_H

#include "base/err.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pp_fanout_channel;

typedef struct pp_fanout_channels {
    pthread_mutex_t lock; /* guards the table */
    struct pp_fanout_channel **table;
    size_t mask;
    uint64_t seed;
    atomic_size_t count;
} pp_fanout_channels;

void pp_fanout_channels_init(pp_fanout_channels *channels);
/* When nobody has any. */
void pp_fanout_channels_fini(pp_fanout_channels *channels);

/* One more subscribes to it. Errors: PIPIT_ELIMIT it would be a new one beyond max; PIPIT_ENOMEM.
 */
pipit_err pp_fanout_channels_enter(pp_fanout_channels *channels, pp_str name, size_t max);
/* One of them does not any more. */
void pp_fanout_channels_leave(pp_fanout_channels *channels, pp_str name);

#endif
