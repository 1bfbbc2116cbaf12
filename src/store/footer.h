/* store/footer.h -- what stands behind the records of a sealed segment, so that to open a store
 * does not take a look at every record.
 *
 * Sections: subjects, deletes, drops, expiries, index; then the trailer at the very end of the
 * file. Each has its own check. A footer is a copy of what the records say: without it they are
 * read. */
#ifndef PP_STORE_FOOTER_H
#define PP_STORE_FOOTER_H

#include "base/buf.h"
#include "store/segment.h"

#define PP_FOOTER_MAGIC 0x0a46746970697000u /* "\0pipitF\n" */

enum {
    PP_FOOTER_DENSE = 1,  /* no sequence is missing between its messages */
    PP_FOOTER_OPS = 2,    /* not all of its records are messages */
    PP_FOOTER_SEALED = 4, /* its subjects are encrypted */
};

/* Little-endian. */
struct pp_footer {
    uint64_t magic;
    uint64_t check; /* of what follows */
    uint64_t number;
    uint64_t at; /* of the first section: where the records end, too */
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t first_time_ns;
    int64_t last_time_ns;
    uint64_t live_bytes; /* counted, when it was sealed */
    uint64_t truncate;
    uint64_t lowest_delete;
    uint32_t count;
    uint32_t dead; /* when it was sealed: they have no subject in the index */
    uint32_t subject_count;
    uint32_t delete_count;
    uint32_t drop_count;
    uint32_t expiry_count;
    uint32_t flags; /* PP_FOOTER_DENSE, PP_FOOTER_OPS */
    uint32_t unused;
    uint64_t subjects_bytes;
    uint64_t subjects_check;
    uint64_t lists_check; /* of deletes, drops and expiries */
    uint64_t index_check;
};
static_assert(sizeof(struct pp_footer) == 152, "a trailer is 152 bytes on disk");

/* A subject in a footer; its text follows, padded with zeros to 8 bytes. */
struct pp_footer_subject {
    uint64_t first;
    uint64_t last;
    uint32_t count;
    uint16_t len;
    uint16_t unused;
};
static_assert(sizeof(struct pp_footer_subject) == 24, "a subject is 24 bytes and its text");

static inline uint64_t pp_footer_lists_bytes(const struct pp_footer *footer)
{
    return ((uint64_t)footer->delete_count + footer->drop_count + footer->expiry_count) * 16;
}

static inline uint64_t pp_footer_index_bytes(const struct pp_footer *footer)
{
    return (uint64_t)footer->count * (footer->flags & PP_FOOTER_DENSE ? 12 : 16);
}

/* Where the sizes of messages are in the file: behind places and subjects. */
static inline uint64_t pp_footer_sizes_at(const struct pp_footer *footer)
{
    return footer->at + footer->subjects_bytes + pp_footer_lists_bytes(footer) +
           (uint64_t)footer->count * 8;
}

/* Describe a segment whose index is loaded. Errors: PIPIT_ENOMEM. */
pipit_err pp_footer_encode(const pp_segment *segment, const pp_subjects *subjects, uint64_t seed,
                           pp_buf *out, uint64_t *out_sizes_at);

/* How subjects are sealed. */
struct pp_seal_place pp_footer_place(uint64_t at, const uint64_t *number);

/* Is this the trailer of a file of so many bytes? */
bool pp_footer_true(const struct pp_footer *footer, uint64_t file_bytes, uint64_t number,
                    uint64_t seed);

/* What the checks do not tell: can the sections be of one segment? front is subjects and lists; the
 * index is looked at with the subjects. Errors: PIPIT_EDAMAGED it cannot; PIPIT_ENOMEM. */
bool pp_footer_front_possible(const struct pp_footer *footer, const char *front);
pipit_err pp_footer_check_index(const struct pp_footer *footer, const char *front,
                                const char *index);

/* The next subject of a true section. False when there is no more, or nonsense. */
bool pp_footer_next_subject(pp_str *rest, struct pp_footer_subject *out_subject, pp_str *out_text);

/* The check of a section. */
uint64_t pp_footer_check(const void *bytes, size_t len, uint64_t seed);

#endif
