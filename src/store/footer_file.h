/* store/footer_file.h -- the footer of a sealed segment, read from its file.
 *
 * It knows nothing of a store: whoever reads ahead uses it on a thread of its own. What is sealed
 * stays so, and what can only be told with the subjects is left to who opens them. */
#ifndef PP_STORE_FOOTER_FILE_H
#define PP_STORE_FOOTER_FILE_H

#include "store/disk.h"
#include "store/footer.h"

/* The file of one segment. */
struct pp_footer_file {
    pp_disk *disk;
    int fd;
    uint64_t number;
    uint64_t seed;
};

/* An index as its footer has it. Zeroed it holds nothing. */
struct pp_footer_index {
    struct pp_footer footer;
    char *front; /* subjects, which may be sealed, and lists */
    uint32_t *places;
    uint32_t *subjects; /* by their numbers in the footer */
    uint32_t *gaps;     /* NULL: it is dense */
    char *unchecked;    /* the section of a sealed footer, for pp_footer_check_index(); or NULL */
};

/* What is in front of the index; *out_front is the caller's. Their checks are true.
 * Errors: PIPIT_EDAMAGED; PIPIT_EIO; PIPIT_ENOMEM. */
pipit_err pp_footer_read_front(const struct pp_footer_file *file, struct pp_footer *out_footer,
                               char **out_front);

/* With such an answer what a footer says has to be taken from the records: its bytes are not what
 * they were, or the disk does not give them. */
static inline bool pp_footer_is_lost(pipit_err err)
{
    return err == PIPIT_EDAMAGED || err == PIPIT_EIO;
}

/* All of it. Errors: the same. */
pipit_err pp_footer_read_index(const struct pp_footer_file *file,
                               struct pp_footer_index *out_index);
void pp_footer_index_fini(struct pp_footer_index *index);

#endif
