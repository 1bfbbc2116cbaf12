/* server/system/statsz.h -- the server's statistics, asked for and unasked. Thread: the home
 * loop's.
 *
 * Unasked they come 250 ms after the system account got its first client, then at twice the
 * distance each time up to 10 s, if anybody listens, until it has none. */
#ifndef PP_SERVER_SYSTEM_STATSZ_H
#define PP_SERVER_SYSTEM_STATSZ_H

#include "base/buf.h"

struct pp_system;

/* Set the timer. */
void pp_stats_start(struct pp_system *system);

/* {"server":...,"statsz":...}. Errors: PIPIT_ENOMEM. */
pipit_err pp_stats_write(struct pp_system *system, pp_buf *out, void *unused);

/* Tell everybody who listens, unless that was done within the last second. */
void pp_stats_broadcast(struct pp_system *system);

#endif
