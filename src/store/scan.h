/* store/scan.h -- walk over the bytes of a segment, whatever they are.
 *
 * Every byte from the first record on is part of exactly one item: a record, a record whose body is
 * not what was written, or a hole, in which there is no head of a record. Pure. */
#ifndef PP_STORE_SCAN_H
#define PP_STORE_SCAN_H

#include "store/record.h"

typedef enum pp_scan_kind {
    PP_SCAN_RECORD,
    PP_SCAN_ERASED, /* a message whose body was erased on purpose */
    PP_SCAN_BAD_BODY,
    PP_SCAN_HOLE,
    PP_SCAN_END,
} pp_scan_kind;

struct pp_scan_item {
    pp_scan_kind kind;
    uint64_t at;
    uint64_t end;               /* where the next item begins */
    struct pp_record_head head; /* not of holes */
    const char *body;           /* of records */
};

struct pp_scan {
    const char *bytes; /* of the file, from its first */
    uint64_t len;
    uint64_t data_end; /* only zeros from here on */
    uint64_t seed;
    uint64_t at;
};

/* bytes are borrowed for the scan. */
void pp_scan_init(struct pp_scan *scan, const char *bytes, uint64_t len, uint64_t seed);

/* The next item; PP_SCAN_END when only zeros are left. */
void pp_scan_next(struct pp_scan *scan, struct pp_scan_item *out_item);

/* Where does what was settled end, in a segment that was being written to when it all stopped?
 *
 * Each record tells up to where the file was on disk when it was written. Damage before the highest
 * such place is damage; from there on it is the end of a write that never finished, and nothing of
 * it from the first wrong byte on was ever acknowledged. *out_proven gets that place. */
uint64_t pp_scan_tail_end(const char *bytes, uint64_t len, uint64_t seed, uint64_t *out_proven);

#endif
