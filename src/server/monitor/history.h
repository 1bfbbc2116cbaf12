/* server/monitor/history.h -- connections that have closed: the last so many, with their reasons.
 *
 * A ring of records. Both their number and their bytes are limited; the oldest go first. */
#ifndef PP_SERVER_MONITOR_HISTORY_H
#define PP_SERVER_MONITOR_HISTORY_H

#include "server/monitor/records.h"

#include <stdbool.h>

typedef struct pp_history pp_history;

enum {
    PP_HISTORY_BYTES_MAX = 32 * 1024 * 1024,
    PP_HISTORY_SUBS_MAX = 32, /* subscriptions kept with a connection; of more none is */
};

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_history_new(pp_history **out_history, size_t count_max);
void pp_history_free(pp_history *history);

/* Change how many are kept; those beyond go. Thread: any. */
void pp_history_resize(pp_history *history, size_t count_max);

/* Note a client's connection that is closing, with the subscriptions that it still has. Without
 * memory it is counted and no more. Thread: its loop. */
void pp_history_note(pp_history *history, pp_conn *conn);

/* Copy all that is kept, oldest first. Thread: any. */
void pp_history_copy(pp_history *history, pp_records *out);

/* How many are kept, and their bytes. Thread: any. */
void pp_history_size(pp_history *history, size_t *out_count, size_t *out_bytes);

/* Connections ever closed, by reason (PP_CLOSE_REASON_COUNT of them). Thread: any. */
void pp_history_count(pp_history *history, uint64_t *out_by_reason);

#endif
