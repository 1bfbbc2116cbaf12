/* store/holes.h -- an index that was made again of records, some of which are not there, where it
 * cannot be told from their sequences how many are missing between two that are.
 *
 * How many messages there were is known, and how many of them are dead; which ones are dead say the
 * deletes of this segment and of those after it, as when a store is opened. What is missing gets
 * places among the sequences that records may be missing of, so that it counts as before, and goes
 * when its turn comes. It is not served. While the store is opened none is dead yet: deletes are
 * applied after that. */
#ifndef PP_STORE_HOLES_H
#define PP_STORE_HOLES_H

#include "store/rebuild.h"

/* The later segments whose footers tell what they delete, for who makes the index again. Owner:
 * the caller frees out_later->files. Errors: PIPIT_ENOMEM. */
pipit_err pp_holes_list_later(struct pp_store *store, const pp_segment *segment,
                              struct pp_later *out_later);

/* Add what they delete to rebuilt->deletes. One whose file has gone is not among rebuilt->later
 * afterwards. Thread: any. Errors: PIPIT_EDENIED, PIPIT_EIO, PIPIT_ENOMEM. */
pipit_err pp_holes_read_later(const struct pp_store *store, const struct pp_later *later,
                              struct pp_rebuilt *rebuilt);

/* Have what was read as the index of a segment with gaps. Errors: PIPIT_EDAMAGED it says other than
 * what is known of the segment; PIPIT_EIO deletes could not be read; PIPIT_ENOMEM. */
pipit_err pp_holes_take(struct pp_store *store, pp_segment *segment, struct pp_rebuilt *rebuilt,
                        const uint32_t *ids);

#endif
