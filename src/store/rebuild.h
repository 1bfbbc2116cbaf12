/* store/rebuild.h -- the index of a segment whose footer is damaged, made again from its records.
 *
 * To read them takes long: a reader does it, with nothing of the store but what never changes while
 * it is open. Subjects have numbers of their own there, and get those of the store when the owner
 * takes it over. */
#ifndef PP_STORE_REBUILD_H
#define PP_STORE_REBUILD_H

#include "store/segment.h"

struct pp_store;

struct pp_later_file {
    uint64_t number;
    uint64_t records_end; /* 0: not known */
};

/* Segments behind it whose records delete messages of it, by their numbers, which grow. */
struct pp_later {
    struct pp_later_file *files;
    uint32_t count;
    struct pp_range bounds; /* the sequences that matter */
};

struct pp_rebuilt {
    pp_segment *read;
    pp_subjects subjects;
    uint64_t unread;           /* bytes of its records that the disk did not give */
    bool footer_unread;        /* bytes behind them, of it or of a later one, were not asked for
                                  again: where records end was known */
    struct pp_ranges suspects; /* sequences whose messages may be missing, in order */
    struct pp_later later;     /* those that have been looked at, */
    struct pp_ranges deletes;  /* and what they delete of it */
};

/* records_end: 0 is not known. later: those to be looked at, too; NULL: none. Owner: the caller
 * frees it. Thread: any. Errors: PIPIT_EDENIED, PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_rebuilt_read(const struct pp_store *store, uint64_t number, uint64_t records_end,
                          const struct pp_later *later, struct pp_rebuilt **out_rebuilt);
/* Where its records end, as far as that is known. Thread: the owner, and for one that is not sealed
 * under the store's lock. */
static inline uint64_t pp_rebuilt_end_of(const pp_segment *segment)
{
    return segment->vague_end ? 0 : segment->end;
}
/* NULL is fine. */
void pp_rebuilt_free(struct pp_rebuilt *rebuilt);

/* Have it as the segment's index. Errors: PIPIT_EDAMAGED it cannot be, now or later; PIPIT_EIO,
 * PIPIT_ENOMEM. */
pipit_err pp_rebuilt_take(struct pp_store *store, pp_segment *segment, struct pp_rebuilt *rebuilt);

#endif
