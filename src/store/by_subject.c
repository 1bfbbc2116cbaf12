/* The first and the last message of a subject. A table has them; when one of them has gone, the
 * next is only looked for when somebody asks. */
#include "store/inside.h"

#include "base/alloc.h"

static pipit_err forget(pp_store *store, uint32_t id)
{
    pp_subjects_at(&store->subjects, id)->count = 0;
    pp_subjects_release(&store->subjects, id);
    return PIPIT_ENOTFOUND;
}

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
    if (subject->first_stale)
        return forget(store, id);
    *out_seq = subject->first;
    return PIPIT_OK;
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
    if (subject->last_stale)
        return forget(store, id);
    *out_seq = subject->last;
    return PIPIT_OK;
}

/* What a subject has, as far as indexes can be read. */
struct tally {
    uint64_t first;
    uint64_t last;
    uint32_t count;
};

/* *out_vague_seq: the newest sequence of segments whose indexes could not be read; 0: all could. */
static pipit_err count_all(pp_store *store, struct tally *tallies, uint64_t *out_vague_seq)
{
    *out_vague_seq = 0;
    for (uint32_t at = 0; at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        pipit_err err = segment->dead < segment->count ? pp_store_load(store, segment) : PIPIT_OK;

        if (err == PIPIT_ENOMEM)
            return err;
        segment->uncounted = err != PIPIT_OK;
        if (err)
            *out_vague_seq = segment->last_seq;
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
static void take_tally(pp_store *store, uint32_t id, const struct tally *tally)
{
    struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);
    bool vague = pp_store_is_vague(store, subject);

    if (!subject->text)
        return;
    subject->count = tally->count || !vague ? tally->count : 1;
    if (subject->count == 0) {
        pp_subjects_release(&store->subjects, id);
        return;
    }
    if (!vague) {
        subject->first = tally->first;
        subject->last = tally->last;
        subject->first_stale = subject->last_stale = false;
    }
    if (store->limits.per_subject && subject->count > store->limits.per_subject) {
        store->subjects_over = true;
        store->over_id = 0;
    }
}

pipit_err pp_store_count_subjects(pp_store *store)
{
    struct tally *tallies;
    uint64_t vague_seq;
    pipit_err err;

    if (!store->subjects_stale)
        return PIPIT_OK;
    tallies = pp_calloc((size_t)store->subjects.used + 1, sizeof(*tallies));
    if (!tallies)
        return PIPIT_ENOMEM;
    err = count_all(store, tallies, &vague_seq);
    if (!err) {
        store->vague_seq = vague_seq;
        store->subjects_stale = false;
    }
    for (uint32_t id = 0; id < store->subjects.used && !err; id++)
        take_tally(store, id, &tallies[id]);
    pp_free(tallies);
    return err;
}
