/* auth/hasher.h -- threads that compare passwords with bcrypt hashes, so that no loop does.
 *
 *   [pp_hasher_submit]        [a thread is free]             [done, on that thread]
 *  ------------------> queued ------------------> comparing ------------------------> the owner's
 *
 * Few threads, made when the first job comes, and at lower priority than loops: hashing may be
 * slow, everything else must not be. Jobs are done in the order in which they came. */
#ifndef PP_AUTH_HASHER_H
#define PP_AUTH_HASHER_H

#include "base/err.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct pp_hash_job {
    const char *hash; /* bcrypt; a setting alone fits nothing. Borrowed */
    pp_str shown;     /* borrowed */
    bool fits;        /* the answer */
    /* Nobody waits for the answer any more: it is no then. NULL: somebody always does. */
    const atomic_bool *abandoned;
    void (*done)(struct pp_hash_job *job); /* the job is its owner's again. Thread: a hasher's */
    struct pp_hash_job *next;              /* private */
} pp_hash_job;

typedef struct pp_hasher pp_hasher;

/* thread_max threads at most, and queue_max jobs that wait. Errors: PIPIT_ENOMEM. */
pipit_err pp_hasher_new(pp_hasher **out_hasher, unsigned thread_max, unsigned queue_max);

/* Errors: PIPIT_ELIMIT too many wait, or there is no thread and none can be made; PIPIT_ECLOSED
 * after stop. Thread: any. */
pipit_err pp_hasher_submit(pp_hasher *hasher, pp_hash_job *job);

/* Take nothing more, answer no to all that waits, and end the threads. */
void pp_hasher_stop(pp_hasher *hasher);

/* Stop, and free. NULL is fine. */
void pp_hasher_free(pp_hasher *hasher);

#endif
