/* What is over the limits goes. */
#include "store/inside.h"

enum {
    EVICTED_AT_ONCE = 256, /* messages, if the owner does not wait for the disk */
    FAR_MESSAGES = 1024,   /* so much beyond a limit is let be while what is to go is read, */
    FAR_BYTES = 1024 * 1024,
    FAR_PART = 16, /* and this part of the limit */
};

static bool is_over(const pp_store *store)
{
    const struct pp_store_limits *limits = &store->limits;

    return store->messages && ((limits->messages && store->messages > limits->messages) ||
                               (limits->bytes && store->bytes > limits->bytes));
}

static bool is_far(uint64_t there, uint64_t limit, uint64_t far)
{
    return limit && there > limit && there - limit > limit / FAR_PART + far;
}

static bool is_far_over(const pp_store *store)
{
    return is_far(store->messages, store->limits.messages, FAR_MESSAGES) ||
           is_far(store->bytes, store->limits.bytes, FAR_BYTES);
}

/* The oldest go. The next message says so with it, or a record at the end of the segment; after a
 * crash before that the limits say so again. */
static pipit_err evict_oldest(pp_store *store, uint32_t max, bool hurried)
{
    for (uint32_t count = 0; count < max && is_over(store); count++) {
        uint64_t seq = store->first_seq;
        pipit_err err = pp_store_prepare_one(store, seq, hurried);

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
    store->subjects_over = err == PIPIT_EAGAIN || err == PIPIT_ENOMEM; /* else it stays so */
    return err;
}

pipit_err pp_store_enforce(pp_store *store)
{
    bool hurried = store->options.readers != NULL;

    return evict_oldest(store, hurried ? EVICTED_AT_ONCE : UINT32_MAX, hurried);
}

pipit_err pp_store_make_way(pp_store *store)
{
    if (!store->options.readers || !is_far_over(store))
        return PIPIT_OK;
    /* What cannot be read at all stays, as it would if it were waited for. */
    return pp_store_enforce(store) == PIPIT_EAGAIN && is_far_over(store) ? PIPIT_EAGAIN : PIPIT_OK;
}

pipit_err pp_store_evict(pp_store *store, bool *out_more)
{
    pipit_err err = PIPIT_OK, all_err;

    *out_more = false;
    if (!store->subjects_over && !is_over(store))
        return PIPIT_OK;
    if (store->subjects_over)
        err = enforce_per_subject(store);
    all_err = pp_store_enforce(store); /* whatever keeps a subject from that */
    pp_store_reclaim(store);
    *out_more = !all_err && is_over(store);
    return err ? err : all_err;
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

pipit_err pp_store_take_limits(pp_store *store, const struct pp_store_limits *limits, bool hurried)
{
    pipit_err err = pp_store_say_evicted(store);

    if (err)
        return err;
    store->limits = *limits;
    store->age_seq = 0;
    store->subjects_over = false;
    if (limits->per_subject)
        err = enforce_per_subject(store);
    if (!err)
        err = hurried ? pp_store_enforce(store) : evict_oldest(store, UINT32_MAX, false);
    pp_store_reclaim(store);
    return err == PIPIT_EAGAIN && hurried ? PIPIT_OK : err;
}

pipit_err pp_store_limit(pp_store *store, const struct pp_store_limits *limits)
{
    return pp_store_take_limits(store, limits, store->options.readers != NULL);
}
