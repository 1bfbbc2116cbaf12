/* store/found.h -- a segment's file as it was found when the store is opened. */
#ifndef PP_STORE_FOUND_H
#define PP_STORE_FOUND_H

#include "store/inside.h"

struct pp_found {
    uint64_t number;
    uint64_t begins;     /* the next sequence when it was made, from its header; 0: not known */
    pp_segment *segment; /* NULL: it is not of this store, and is left alone */
    struct pp_footer footer;
    char *front;          /* of the footer, if that is whole; else all was read from the records */
    bool last;            /* it was read as the one that may have been written to */
    bool erased_too;      /* messages that were erased are suspects as well */
    bool ends_in_hole;    /* what the last of its records were is not known */
    uint64_t holes;       /* bytes that are no records and should be */
    uint64_t hole_at;     /* where the first of them are */
    uint64_t records_end; /* bytes from here on are no records; 0: that is not known */
    uint64_t unread;      /* bytes of records, maybe, that the disk did not give, read as holes */
    bool footer_unread;   /* and some behind them */
    uint64_t tail_hole;   /* of the holes, bytes behind all records: a footer, maybe */
    uint64_t torn;        /* of the last segment: bytes of a write that never finished */
    uint64_t torn_at;
    uint64_t proven; /* of the last segment: what is before was on disk */
};

/* Read what the file is. last: it is the one with the highest number, which may have been written
 * to. Ranges of sequences that may be lost are added to suspects. Errors: PIPIT_EPROTO of another
 * format: nothing is to be touched; PIPIT_EIO; PIPIT_ENOMEM. */
pipit_err pp_found_read(pp_store *store, struct pp_found *found, bool last,
                        struct pp_ranges *suspects);

/* The same of one that is sealed, from its records alone; sized: with what a new footer needs.
 * found->records_end is looked at. */
pipit_err pp_found_read_records(pp_store *store, struct pp_found *found, bool sized,
                                struct pp_ranges *suspects);

/* merge.c: it is the next in the order of the log. Its segment becomes the store's. Errors:
 * PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_found_merge(pp_store *store, struct pp_found *found);

/* tail.c: it was the last one, and is written to from here on; if it cannot be, the store is
 * frozen. */
void pp_found_open_tail(pp_store *store, const struct pp_found *found);

#endif
