/* store/check.h -- a stopped store is looked at, and put right as far as an operator says.
 *
 * Checking changes nothing (still_disk.h). Repairing makes again what the records tell: manifest,
 * headers and footers; moves aside files that are not what they are called; and begins a segment
 * where the newest is missing. Messages that are lost stay known as lost until it is said that they
 * are to be forgotten. No file is removed and no record is overwritten by any of it. */
#ifndef PP_STORE_CHECK_H
#define PP_STORE_CHECK_H

#include "store/store.h"

struct pp_store_findings {
    struct pp_finding *items; /* in the order they were found in */
    uint32_t count;
    uint32_t room;
    bool incomplete; /* there were more than fit, or there was no memory */
};

void pp_store_findings_fini(struct pp_store_findings *findings);
/* How many of them are damage. */
uint32_t pp_store_findings_damage(const struct pp_store_findings *findings);

/* One segment's file. */
struct pp_store_segment_info {
    uint64_t number;
    uint64_t file_bytes;
    uint64_t disk_bytes;
    uint64_t record_bytes; /* up to where its records go */
    uint64_t messages;     /* that are there */
    uint64_t dead;
    uint64_t first_seq;
    uint64_t last_seq;
    bool sealed;
    bool has_footer;
};

/* Open a store to look at it, and nothing else: it is not changed, and must not be written to.
 * options->create is ignored; findings, if not NULL, gets what the opening finds.
 * Owner: the store and what is below it are freed by pp_store_view_close().
 * Errors: as pp_store_open(). */
typedef struct pp_store_view pp_store_view;
pipit_err pp_store_view_open(const struct pp_store_options *options,
                             struct pp_store_findings *findings, pp_store_view **out_view,
                             char *out_why);
void pp_store_view_close(pp_store_view *view);
pp_store *pp_store_view_store(pp_store_view *view);

/* Read all of it; findings gets what is wrong. Errors: PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_store_view_check(pp_store_view *view);

/* Call visit for each segment, in order. */
void pp_store_view_segments(pp_store_view *view,
                            void (*visit)(void *ctx, const struct pp_store_segment_info *info),
                            void *ctx);

struct pp_store_repair {
    bool dry_run;     /* only tell */
    bool forget_lost; /* messages and segments that are lost are taken for deleted */
    /* Called before each thing that is done, or would be. */
    void (*on_step)(void *ctx, const struct pp_finding *finding, const char *what);
    void *ctx;
};

/* Put right what is in findings, those of a check. Afterwards another check tells what is left.
 * Errors: as pp_store_open() and pp_store_append(). */
pipit_err pp_store_mend(const struct pp_store_options *options,
                        const struct pp_store_findings *findings,
                        const struct pp_store_repair *repair, char *out_why);

#endif
