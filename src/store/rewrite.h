/* store/rewrite.h -- segments that are mostly dead are written anew.
 *
 * Messages that are there, of one sealed segment or of several that follow one another, are copied
 * to a file beside them, a little with each mutation. When it is complete and on disk it takes the
 * name of the last of them, and the log is as before: the same messages in the same order. The
 * others are no more, which the new file itself says in a record, so that one rename does all of
 * it. What their records said of older segments is said again before, at the end of the log.
 *
 * The owner copies; who serves the store writes, and renames. Between the order to rename and its
 * end nothing may be done to these files: punches are left out, and erasures and truncations wait.
 */
#ifndef PP_STORE_REWRITE_H
#define PP_STORE_REWRITE_H

#include "base/buf.h"
#include "store/segment.h"

typedef struct pp_store pp_store;

typedef enum pp_rewrite_state {
    PP_REWRITE_NONE,
    PP_REWRITE_COPY,   /* messages are copied */
    PP_REWRITE_REPLACE /* the file is complete, and is to take its place */
} pp_rewrite_state;

struct pp_rewrite {
    pp_rewrite_state state;
    bool wanted;    /* some segment may have become worth it */
    pp_segment *to; /* the new one */
    uint64_t first; /* numbers of those it is made of: the first of them, */
    uint64_t last;  /* and the last, which is its own */
    uint64_t from;  /* the one that is being copied */
    uint32_t nth;   /* and its message that is next */
    pp_buf bytes;   /* of the new file, not handed to the writer yet */
    uint64_t bytes_at;
    uint64_t ticket; /* of what was handed over last */
};

/* The name of the file that is being made. */
extern const char pp_rewrite_name[];

void pp_rewrite_init(struct pp_rewrite *rewrite);
void pp_rewrite_fini(struct pp_rewrite *rewrite);

/* Go on with it, or look for something that is worth it. What fails is left for another time. */
void pp_rewrite_step(pp_store *store);

/* Messages above seq are to be cut off. Errors: PIPIT_EAGAIN after progress; as
 * pp_store_append(). */
pipit_err pp_rewrite_before_cut(pp_store *store, uint64_t seq);
/* A message is to be erased: no copy of it stays. Errors: the same. */
pipit_err pp_rewrite_before_erase(pp_store *store, uint64_t seq);

#endif
