/* The first and the last message of a subject. A table has them; when one of them has gone, the
 * next is only looked for when somebody asks. */
#include "store/inside.h"

#include "base/alloc.h"

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
        } else {
            subject->first = segment->last_seq + 1; /* whoever has to come again goes on here */
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

/* What a subject has, as far as indexes can be read. */
struct tally {
    uint64_t first;
    uint64_t last;
    uint32_t count;
};

/* *out_all: the index of each segment could be read. */
static pipit_err count_all(pp_store *store, struct tally *tallies, bool *out_all)
{
    *out_all = true;
    for (uint32_t at = 0; at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        pipit_err err = segment->dead < segment->count ? pp_store_load(store, segment) : PIPIT_OK;

        if (err == PIPIT_ENOMEM)
            return err;
        *out_all &= !err;
        if (err || segment->dead == segment->count)
            continue;
        for (uint32_t nth = pp_segment_next_live(segment, 0); nth < segment->count;
             nth = pp_segment_next_live(segment, nth + 1)) {
            uint32_t id = pp_segment_subject(segment, nth);

            if (id == PP_SUBJECT_NONE)
                continue;
            tallies[id].last = pp_segment_seq(segment, nth);
            if (tallies[id].count++ == 0)
                tallies[id].first = tallies[id].last;
        }
    }
    return PIPIT_OK;
}

/* One that may have messages where none could be read stays. */
static void take_tally(pp_store *store, uint32_t id, const struct tally *tally, bool all)
{
    struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);

    if (!subject->text)
        return;
    subject->count = tally->count || all ? tally->count : 1;
    if (tally->count == 0) {
        pp_subjects_release(&store->subjects, id);
        return;
    }
    if (all) {
        subject->first = tally->first;
        subject->last = tally->last;
        subject->first_stale = subject->last_stale = false;
    }
}

pipit_err pp_store_count_subjects(pp_store *store)
{
    struct tally *tallies;
    bool all;
    pipit_err err;

    if (!store->subjects_stale)
        return PIPIT_OK;
    tallies = pp_calloc((size_t)store->subjects.used + 1, sizeof(*tallies));
    if (!tallies)
        return PIPIT_ENOMEM;
    err = count_all(store, tallies, &all);
    for (uint32_t id = 0; id < store->subjects.used && !err; id++)
        take_tally(store, id, &tallies[id], all);
    if (!err) {
        store->subjects_stale = false;
        store->subjects_vague = !all;
    }
    pp_free(tallies);
    return err;
}
