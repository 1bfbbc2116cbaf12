/* The first and the last message of a subject. A table has them; when one of them has gone, the
 * next is only looked for when somebody asks. */
#include "store/inside.h"

pipit_err pp_store_first_of(pp_store *store, uint32_t id, uint64_t *out_seq)
{
    struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);
    uint32_t at = pp_store_segment_of(store, subject->first);

    for (; subject->first_stale && at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        pipit_err err = segment->dead < segment->count ? pp_store_load(store, segment) : PIPIT_OK;
        uint32_t nth;

        if (err)
            return err;
        if (segment->dead == segment->count)
            continue;
        nth = pp_segment_next_of(segment, pp_segment_lower(segment, subject->first), id);
        if (nth < segment->count) {
            subject->first = pp_segment_seq(segment, nth);
            subject->first_stale = false;
        }
    }
    *out_seq = subject->first;
    return subject->first_stale ? PIPIT_EDAMAGED : PIPIT_OK;
}

pipit_err pp_store_last_of(pp_store *store, uint32_t id, uint64_t *out_seq)
{
    struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);
    uint32_t at = pp_store_segment_of(store, subject->last);

    if (at == store->segment_count)
        at--;
    for (at++; subject->last_stale && at-- > 0;) {
        pp_segment *segment = store->segments[at];
        pipit_err err = segment->dead < segment->count ? pp_store_load(store, segment) : PIPIT_OK;
        uint32_t nth;

        if (err)
            return err;
        if (segment->dead == segment->count)
            continue;
        nth = pp_segment_prev_of(segment, pp_segment_lower(segment, subject->last + 1), id);
        if (nth < segment->count) {
            subject->last = pp_segment_seq(segment, nth);
            subject->last_stale = false;
        }
    }
    *out_seq = subject->last;
    return subject->last_stale ? PIPIT_EDAMAGED : PIPIT_OK;
}
