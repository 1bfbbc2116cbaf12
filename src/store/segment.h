/* store/segment.h -- what is known in memory of one segment: where its messages lie, whose subjects
 * they have, which of them are dead.
 *
 * Messages stand in the order of their sequences, which is that of the log. A message is 8 bytes
 * here: its place and its subject; 6 in a sealed segment of subjects with small numbers. Its
 * sequence is the first one plus its index, as long as no sequence is missing between; else `gaps`
 * has the distances to the first, 4 bytes each. Of a sealed segment the index may be absent, it is
 * read from the footer when it is asked for. */
#ifndef PP_STORE_SEGMENT_H
#define PP_STORE_SEGMENT_H

#include "store/record.h"
#include "store/seal.h"
#include "store/subjects.h"

#include <stdatomic.h>

struct pp_expiry {
    int64_t at_ns;
    uint64_t seq;
};

/* Growing lists of what a segment's footer will tell. */
struct pp_ranges {
    struct pp_range *items;
    uint32_t count;
    uint32_t room;
};

struct pp_expiries {
    struct pp_expiry *items;
    uint32_t count;
    uint32_t room;
};

#define PP_SEGMENT_NO_TRUNCATION UINT64_MAX

typedef struct pp_segment {
    uint64_t number;
    uint64_t first_seq; /* of its first message; the next one while it has none */
    uint64_t last_seq;  /* the newest that it accounts for; first_seq - 1 while it has none */
    int64_t first_time_ns;
    int64_t last_time_ns;
    uint32_t count; /* messages, dead or not */
    uint32_t dead;
    uint64_t live_bytes; /* counted, of those that are not dead */
    uint64_t end;        /* where its records end; of the last segment under the store's lock */
    uint64_t room;       /* how far they may go */
    uint64_t reserved;   /* bytes of the disk it had reserved; 0 when sealed */
    uint32_t *places;    /* eighths of bytes; NULL: not loaded */
    uint32_t *subjects;  /* ids; PP_SUBJECT_NONE: of a subject that is no more */
    uint16_t *narrow; /* the same of a sealed one in half the memory; then there are no subjects */
    uint32_t *sizes;  /* what each counts for; while it is written to, then in the footer */
    uint32_t *gaps;   /* NULL: no sequence is missing */
    uint32_t index_room;
    bool sized; /* it has sizes */
    bool sealed;
    bool dense;               /* no gaps, loaded or not */
    uint64_t *dead_bits;      /* NULL: none is dead */
    uint32_t dead_room;       /* bits */
    char *memory;             /* of the memory kind: the records */
    uint64_t truncate;        /* what lay before it with a higher sequence was cut off */
    uint64_t sizes_at;        /* in the file, with footer_at */
    uint64_t footer_at;       /* 0: it has none that is whole */
    struct pp_ranges deletes; /* for its footer; of a sealed one under the store's lock */
    struct pp_ranges drops;   /* for its footer; of one that is not sealed, as expiries */
    struct pp_expiries expiries;
    uint64_t lowest_delete;       /* the lowest sequence that a record of it deletes; UINT64_MAX */
    uint64_t used_tick;           /* when it was last read, for what is let go first */
    int fd;                       /* for reading; -1 */
    atomic_uint_fast64_t written; /* bytes of records that are in the file */
    struct pp_segment *next_limbo;
    uint32_t pending;    /* batches under way that concern it; under the store's lock */
    bool footer_missing; /* it could not be written; under the store's lock */
    bool vague_end;      /* it was found without a footer: records that were not may be behind */
    bool has_ops;        /* not all of its records are messages */
    bool index_lost;     /* it could not be made again of the records either */
    int64_t unread_ns;   /* the disk did not give it: not before this it was tried again; 0 */
    bool uncounted;      /* it could not be had when messages of subjects were counted */
    bool rewriting;      /* it is one of those that rewrite.c copies */
    bool unfit;          /* something of it cannot be read */
    uint32_t features;   /* of its header */
    uint32_t sealed_by;  /* 1 and the number of the key; 0: none, or not known */
    struct pp_seal seal;
} pp_segment;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_segment_new(uint64_t number, uint64_t first_seq, pp_segment **out_segment);
/* fd must have been closed. */
void pp_segment_free(pp_segment *segment);

/* Make room for so many more messages, the last of them with this sequence, so that
 * pp_segment_push() cannot fail. Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG the sequence is too far from
 * the first for this segment. */
pipit_err pp_segment_reserve(pp_segment *segment, uint32_t more, uint64_t seq);
void pp_segment_push(pp_segment *segment, uint64_t seq, uint64_t at, uint32_t subject,
                     uint32_t size);

/* It is not written to any more: give back what its arrays have too much, the sizes, and half of
 * the subjects if pp_segment_narrow() can. */
void pp_segment_trim(pp_segment *segment);
/* Keep the subjects of a sealed segment in half the memory, if all of their numbers allow that and
 * there is memory for it now. */
void pp_segment_narrow(pp_segment *segment);
/* Let the index of a sealed segment go. */
void pp_segment_unload(pp_segment *segment);
size_t pp_segment_index_bytes(const pp_segment *segment);

/* The sequence of the nth message. The index is loaded, or the segment dense. */
static inline uint64_t pp_segment_seq(const pp_segment *segment, uint32_t nth)
{
    return segment->first_seq + (segment->gaps ? segment->gaps[nth] : nth);
}

static inline uint64_t pp_segment_place(const pp_segment *segment, uint32_t nth)
{
    return (uint64_t)segment->places[nth] * PP_RECORD_ALIGN;
}

/* The id of the subject of the nth message. The index is loaded. */
static inline uint32_t pp_segment_subject(const pp_segment *segment, uint32_t nth)
{
    if (!segment->narrow)
        return segment->subjects[nth];
    return segment->narrow[nth] == UINT16_MAX ? PP_SUBJECT_NONE : segment->narrow[nth];
}

/* The first message whose sequence is not below seq; count when there is none. */
uint32_t pp_segment_lower(const pp_segment *segment, uint64_t seq);

static inline bool pp_segment_is_dead(const pp_segment *segment, uint32_t nth)
{
    return segment->dead_bits && nth < segment->dead_room &&
           (segment->dead_bits[nth / 64] >> (nth % 64) & 1);
}

/* Make room for bits, so that pp_segment_kill() cannot fail. Errors: PIPIT_ENOMEM. */
pipit_err pp_segment_reserve_dead(pp_segment *segment);
/* Mark a live message dead. */
void pp_segment_kill(pp_segment *segment, uint32_t nth);

/* The first live message from nth on; count when there is none. */
uint32_t pp_segment_next_live(const pp_segment *segment, uint32_t nth);

/* The first live message from nth on, or the last before nth, of one subject; count: none. Loaded.
 */
uint32_t pp_segment_next_of(const pp_segment *segment, uint32_t nth, uint32_t subject);
uint32_t pp_segment_prev_of(const pp_segment *segment, uint32_t nth, uint32_t subject);

/* A record of it says that all up to floor is gone. Room in deletes was reserved. */
void pp_segment_note_floor(pp_segment *segment, uint64_t floor);

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_ranges_reserve(struct pp_ranges *ranges, uint32_t more);
/* Add behind, joined with the last if it follows it. Room was reserved. */
void pp_ranges_push(struct pp_ranges *ranges, uint64_t first, uint64_t last);
void pp_ranges_fini(struct pp_ranges *ranges);
/* Have room for one more. Errors: PIPIT_ENOMEM, PIPIT_ELIMIT. */
pipit_err pp_expiries_reserve(struct pp_expiries *expiries);
void pp_expiries_push(struct pp_expiries *expiries, int64_t at_ns, uint64_t seq);
void pp_expiries_fini(struct pp_expiries *expiries);

#endif
