/* server/stop_guard.h -- something that must be over in time, or else. */
#ifndef PP_SERVER_STOP_GUARD_H
#define PP_SERVER_STOP_GUARD_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct pp_stop_guard {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over; /* under the lock */
    int64_t deadline_ns;
    void (*on_late)(void *context);
    void *context;
} pp_stop_guard;

/* Have on_late called, on a thread of its own, when pp_stop_guard_stop is not called within ms.
 * Errors: PIPIT_ELIMIT no thread; there is then nothing to stop. */
pipit_err pp_stop_guard_start(pp_stop_guard *guard, unsigned ms, void (*on_late)(void *context),
                              void *context);
void pp_stop_guard_stop(pp_stop_guard *guard);

#endif
