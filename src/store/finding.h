/* store/finding.h -- what is wrong with what is on the disk, as it is found when a store is opened,
 * read or checked. */
#ifndef PP_STORE_FINDING_H
#define PP_STORE_FINDING_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pp_finding_kind {
    PP_FINDING_NO_MANIFEST,  /* it is missing or damaged; segments tell the same */
    PP_FINDING_NO_HEADER,    /* of a segment: its name tells which it is */
    PP_FINDING_NO_INDEX,     /* the same, of the last section of a footer */
    PP_FINDING_BYTES,        /* that should be records and are not */
    PP_FINDING_MESSAGES,     /* from first to last are lost */
    PP_FINDING_FILES,        /* segments with the numbers from first to last are missing */
    PP_FINDING_FOREIGN_FILE, /* it is not the segment that its name says */
    PP_FINDING_NO_NEWEST,    /* the segment to write to is missing: the store is only read */
    PP_FINDING_TORN_WRITE,   /* the end of a write that was never acknowledged: no damage */
    PP_FINDING_NO_FOOTER, /* of a sealed segment: it is read record by record. A copy, that a crash
                           * while it is written may leave so */
    PP_FINDING_UNSEALED,  /* a segment never got its footer: a crash, or a full disk */
} pp_finding_kind;

struct pp_finding {
    pp_finding_kind kind;
    uint64_t segment; /* its number; 0: of none */
    uint64_t at;      /* bytes and torn write: where the first of them are in the file */
    uint64_t bytes;
    uint64_t first; /* sequences, or numbers of segments */
    uint64_t last;
};

/* Is something not as it was written? False: a crash, too, leaves it so. */
static inline bool pp_finding_is_damage(pp_finding_kind kind)
{
    return kind < PP_FINDING_TORN_WRITE;
}

/* A short name for scripts and a text for people. Thread: any. */
const char *pp_finding_name(pp_finding_kind kind);
const char *pp_finding_text(pp_finding_kind kind);

#endif
