/* server/lodger.h -- clients over memory, as the server sees them (client/host.h). */
#ifndef PP_SERVER_LODGER_H
#define PP_SERVER_LODGER_H

#include "base/list.h"
#include "base/reclaim.h"
#include "client/host.h"
#include "pipit/server.h"

#include <pthread.h>

/* A server's lodgers. */
typedef struct pp_lodging {
    pthread_mutex_t lock; /* of the list, serials and what has been counted */
    pp_link lodgers;      /* pp_lodger.link */
    uint64_t last_serial; /* of all that ever joined; 0: none has */
    uint64_t gone_in_msgs, gone_in_bytes, gone_out_msgs, gone_out_bytes;
    /* Who looks a subject up in the index outside of a loop: one at a time, as a reader of its own.
     */
    pthread_mutex_t reading;
    pp_reclaimer reader;
} pp_lodging;

void pp_lodging_init(pp_lodging *lodging);
void pp_lodging_fini(pp_lodging *lodging);

/* Tell all lodgers that the server stops. */
void pp_lodging_end(pp_lodging *lodging);

/* Add what they have published and heard. */
void pp_lodging_count(pp_lodging *lodging, pipit_server_stats *stats);

#endif
