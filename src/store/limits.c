/* What is over the limits goes. */
#include "store/inside.h"

static bool is_over(const pp_store *store)
{
    const struct pp_store_limits *limits = &store->limits;

    return store->messages && ((limits->messages && store->messages > limits->messages) ||
                               (limits->bytes && store->bytes > limits->bytes));
}

/* The oldest go. The next message says so with it, or a record at the end of the segment; after a
 * crash before that the limits say so again. */
static pipit_err evict_oldest(pp_store *store)
{
    while (is_over(store)) {
        uint64_t seq = store->first_seq;
        pipit_err err = pp_store_prepare_kill(store, seq, seq);

        if (err)
            return err;
        if (pp_store_kill(store, seq, seq) == 0)
            return PIPIT_EDAMAGED;
        store->evicted_seq = seq;
    }
    return PIPIT_OK;
}

/* All that subjects have too much, as ranges. */
static pipit_err gather_subject(pp_store *store, uint32_t id, struct pp_ranges *ranges)
{
    const struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);
    uint32_t over = subject->count - store->limits.per_subject;
    uint64_t seq;
    pipit_err err = pp_store_first_of(store, id, &seq);
    uint32_t at = err ? 0 : pp_store_segment_of(store, seq);

    for (; over && at < store->segment_count && !err; at++) {
        pp_segment *segment = store->segments[at];
        uint32_t nth;

        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (err)
            break;
        for (nth = pp_segment_next_of(segment, pp_segment_lower(segment, seq), id);
             nth < segment->count && over && !err; nth = pp_segment_next_of(segment, nth + 1, id)) {
            err = pp_ranges_reserve(ranges, 1);
            if (!err)
                pp_ranges_push(ranges, pp_segment_seq(segment, nth), pp_segment_seq(segment, nth));
            over--;
        }
    }
    return err;
}

static pipit_err enforce_per_subject(pp_store *store)
{
    struct pp_ranges ranges = {0};
    uint64_t count;
    pipit_err err = PIPIT_OK;

    for (uint32_t id = 0; id < store->subjects.used && !err; id++)
        if (pp_subjects_at(&store->subjects, id)->text &&
            pp_subjects_at(&store->subjects, id)->count > store->limits.per_subject)
            err = gather_subject(store, id, &ranges);
    if (!err && ranges.count)
        err = pp_store_delete_ranges(store, &ranges, false, &count);
    pp_ranges_fini(&ranges);
    return err;
}

pipit_err pp_store_enforce(pp_store *store)
{
    return evict_oldest(store);
}

pipit_err pp_store_say_evicted(pp_store *store)
{
    struct pp_range range = {1, store->evicted_seq};
    struct pp_journal_needs needs = {.bytes = pp_record_bytes(sizeof(range)), .ranges = 1};
    pipit_err err;

    if (!store->evicted_seq || store->memory)
        return PIPIT_OK;
    err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    if (store->evicted_seq) { /* a new segment may have begun, and the last one says so */
        pp_journal_deletes(store, PP_RECORD_DELETE, store->last_seq, &range, 1);
        store->evicted_seq = 0;
    }
    pp_journal_end(store, store->last_seq);
    return PIPIT_OK;
}

pipit_err pp_store_limit(pp_store *store, const struct pp_store_limits *limits)
{
    pipit_err err = pp_store_say_evicted(store);

    if (err)
        return err;
    store->limits = *limits;
    store->age_seq = 0;
    if (limits->per_subject)
        err = enforce_per_subject(store);
    if (!err)
        err = evict_oldest(store);
    pp_store_reclaim(store);
    return err;
}
