/* store/scrub.h -- a store is read from end to end in the background, at a bounded rate, so that
 * damage is found while there is still a copy elsewhere.
 *
 * The owner of the store calls pp_scrub_turn() from a timer. A turn looks at a little, and with
 * readers at what they have read for it, so that the owner's loop is not held up. */
#ifndef PP_STORE_SCRUB_H
#define PP_STORE_SCRUB_H

#include "store/store.h"

struct pp_scrub {
    uint64_t bytes_per_s; /* 0: never */
    int64_t pause_ns;     /* between the end of a pass and the next one */
    uint64_t seq;         /* the next one to look at; 0: a pass begins */
    uint64_t last;        /* the newest when the pass began */
    uint64_t piece;       /* bytes to read there, of a large one; 0: as usual */
    uint64_t passes;
    uint64_t bad; /* damaged messages found, in all passes */
    int64_t due_ns;
};

void pp_scrub_init(struct pp_scrub *scrub, uint64_t bytes_per_s, int64_t pause_ns);

/* Read on if it is time. *out_due_ns tells when it is time again (monotonic clock); INT64_MAX:
 * never. What is damaged is lost from then on, and is told as a finding. Errors: PIPIT_EAGAIN what
 * comes next is being read, PIPIT_EIO, PIPIT_ENOMEM; the next turn goes on. */
pipit_err pp_scrub_turn(struct pp_scrub *scrub, pp_store *store, int64_t now_ns,
                        int64_t *out_due_ns);

#endif
