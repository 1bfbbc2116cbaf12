/* server/log_ring.h -- log entries on their way to the writer: a ring of bytes, bounded.
 *
 * Whoever holds it supplies the lock. Entries between tail and head do not change while they are
 * there, so the one reader may look at them without the lock, up to a head that it saw under it.
 * A ring that is emptied starts over at its beginning: one that never fills up uses little of its
 * memory. */
#ifndef PP_SERVER_LOG_RING_H
#define PP_SERVER_LOG_RING_H

#include "base/err.h"
#include "server/log_line.h"

typedef struct pp_log_ring {
    char *bytes;
    size_t cap;        /* a power of two */
    size_t head, tail; /* counted on beyond cap; head - tail bytes are in use */
} pp_log_ring;

/* cap: a power of two. Errors: PIPIT_ENOMEM. */
pipit_err pp_log_ring_init(pp_log_ring *ring, size_t cap);
void pp_log_ring_fini(pp_log_ring *ring);

/* Put a copy of entry in, its text cut at PP_LOG_TEXT_MAX. False: it would leave less than
 * spare bytes free. */
bool pp_log_ring_put(pp_log_ring *ring, const pp_log_entry *entry, size_t spare);

/* Read the entry at a position from tail to below head into out, its text into text; returns the
 * position of the next. */
size_t pp_log_ring_read(const pp_log_ring *ring, size_t at, pp_log_entry *out,
                        char text[PP_LOG_TEXT_MAX]);

/* Give back what lies before at. */
void pp_log_ring_release(pp_log_ring *ring, size_t at);

#endif
