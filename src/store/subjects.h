/* store/subjects.h -- the subjects of a store's messages, each with a small number.
 *
 * Messages refer to their subject by its number (id), in 4 bytes. A subject without messages goes,
 * and its number is given to another. */
#ifndef PP_STORE_SUBJECTS_H
#define PP_STORE_SUBJECTS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define PP_SUBJECT_NONE UINT32_MAX

struct pp_stored_subject {
    uint64_t first; /* the first message, or if first_stale none before it */
    uint64_t last;  /* the last, or if last_stale none behind it */
    char *text;     /* NULL: this number is free, and first is the next such */
    uint32_t count; /* messages */
    uint32_t hash;
    uint16_t len;
    bool first_stale;
    bool last_stale;
};

enum { PP_SUBJECTS_PAGE = 256 };

typedef struct pp_subjects {
    struct pp_stored_subject **pages; /* so that growing moves none of them */
    uint32_t *slots;                  /* ids + 1; open addressing */
    uint64_t seed;
    uint32_t page_count;
    uint32_t page_room;
    uint32_t slot_count; /* a power of two, or 0 */
    uint32_t used;       /* ids given out at any time */
    uint32_t live;
    uint32_t free; /* the first free id, or PP_SUBJECT_NONE */
} pp_subjects;

void pp_subjects_init(pp_subjects *subjects);
void pp_subjects_fini(pp_subjects *subjects);

static inline struct pp_stored_subject *pp_subjects_at(const pp_subjects *subjects, uint32_t id)
{
    return &subjects->pages[id / PP_SUBJECTS_PAGE][id % PP_SUBJECTS_PAGE];
}

/* PP_SUBJECT_NONE when absent. */
uint32_t pp_subjects_find(const pp_subjects *subjects, pp_str text);

/* Find it, or make it, with no messages. Errors: PIPIT_ENOMEM, PIPIT_ELIMIT. */
pipit_err pp_subjects_add(pp_subjects *subjects, pp_str text, uint32_t *out_id);

/* Forget it if it has no messages. */
void pp_subjects_release(pp_subjects *subjects, uint32_t id);
/* All that have none. */
void pp_subjects_release_unused(pp_subjects *subjects);

#endif
