/* What is over the limits goes. */
#include "store/inside.h"

#include "base/clock.h"

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

/* Is so much over the limits that the whole segment has to go? */
static bool is_all_over(const pp_store *store, const pp_segment *segment)
{
    const struct pp_store_limits *limits = &store->limits;
    uint64_t live = segment->count - segment->dead;

    return (limits->messages && store->messages - live >= limits->messages) ||
           (limits->bytes && store->bytes - segment->live_bytes >= limits->bytes);
}

/* The index of the first segment cannot be had: what it has goes all at once, when all of it is to
 * go. How much that is is known without an index. */
static pipit_err evict_unread(pp_store *store, pipit_err why)
{
    uint32_t at = pp_store_segment_of(store, store->first_seq);
    pp_segment *segment;
    pipit_err err;

    while (at < store->segment_count && store->segments[at]->dead == store->segments[at]->count)
        at++;
    if (at == store->segment_count)
        return why;
    segment = store->segments[at];
    if (!segment->sealed || segment->places || segment->rewriting || !is_all_over(store, segment))
        return why;
    err = pp_store_kill_unread(store, segment);
    if (!err)
        store->evicted_seq = segment->last_seq;
    return err;
}

static pipit_err evict_one(pp_store *store, bool hurried)
{
    uint64_t seq = store->first_seq;
    pipit_err err = pp_store_prepare_one(store, seq, hurried);

    if (!err && pp_store_kill(store, seq, seq) == 0) {
        if (store->first_seq > seq)
            return PIPIT_OK; /* by now it is known which is the first */
        err = PIPIT_EDAMAGED;
    }
    if (err)
        return err == PIPIT_EIO || err == PIPIT_EDAMAGED ? evict_unread(store, err) : err;
    store->evicted_seq = seq;
    return PIPIT_OK;
}

/* The oldest go. The next message says so with it, or a record at the end of the segment; after a
 * crash before that the limits say so again. */
static pipit_err evict_oldest(pp_store *store, uint32_t max, bool hurried)
{
    pipit_err err = PIPIT_OK;

    for (uint32_t count = 0; count < max && !err && is_over(store); count++)
        err = evict_one(store, hurried);
    return err;
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
    return err == PIPIT_ENOTFOUND ? PIPIT_OK : err; /* then it has none */
}

/* The oldest of a subject go one by one, each when what is needed for it has been read. */
static pipit_err shrink_subject(pp_store *store, uint32_t id, uint32_t *left)
{
    uint64_t seq;
    pipit_err err = PIPIT_OK;

    for (; !err && *left && pp_subjects_at(&store->subjects, id)->count > store->limits.per_subject;
         --*left) {
        store->hurried = true;
        err = pp_store_first_of(store, id, &seq);
        store->hurried = false;
        if (err == PIPIT_ENOTFOUND)
            return PIPIT_OK; /* it has none */
        if (!err)
            err = pp_store_prepare_one(store, seq, true);
        if (!err)
            err = pp_store_delete(store, seq, false);
    }
    return err;
}

/* Is there a point in trying that again, when something else has been done, or there is room? */
static bool is_for_now(pipit_err err)
{
    return err == PIPIT_EAGAIN || err == PIPIT_ENOMEM || err == PIPIT_ENOSPC || err == PIPIT_ELIMIT;
}

/* When it is worth while to look again at subjects that were passed over: as soon as an index that
 * the disk did not give is asked for again. INT64_MAX: none will be. */
static int64_t find_again_ns(const pp_store *store)
{
    int64_t again_ns = INT64_MAX, least_ns = pp_store_pause_until(0);

    for (uint32_t at = 0; at < store->segment_count; at++) {
        const pp_segment *segment = store->segments[at];

        if (segment->unread_ns && segment->dead < segment->count && segment->unread_ns < again_ns)
            again_ns = segment->unread_ns;
    }
    return again_ns < least_ns ? least_ns : again_ns;
}

/* All subjects have been looked at. */
static void end_pass(pp_store *store)
{
    store->subjects_over = false;
    store->over_err = store->over_now_err;
    store->over_again_ns = store->over_err ? find_again_ns(store) : 0;
}

/* This pass has not got over one of them. */
static void note_over(pp_store *store, pipit_err err)
{
    store->over_err = store->over_now_err = err;
}

/* Some of what subjects have too much goes; the next call goes on where this one stops. What the
 * pass before was kept from holds until this one has ended without that. */
static pipit_err shrink_subjects(pp_store *store)
{
    uint32_t left = EVICTED_AT_ONCE;
    pipit_err err = PIPIT_OK;

    if (store->over_id == 0)
        store->over_now_err = PIPIT_OK;
    while (store->over_id < store->subjects.used && left) {
        err = shrink_subject(store, store->over_id, &left);
        if (is_for_now(err))
            break;
        if (err)
            note_over(store, err);
        if (left)
            store->over_id++; /* done, or it cannot be */
    }
    store->subjects_over = true;
    if (store->over_id == store->subjects.used)
        end_pass(store);
    return is_for_now(err) ? err : store->over_err;
}

/* What all subjects have too much, as far as it can be told. */
static pipit_err gather_subjects(pp_store *store, struct pp_ranges *ranges)
{
    pipit_err err = PIPIT_OK;

    store->over_now_err = PIPIT_OK;
    for (uint32_t id = 0; id < store->subjects.used && !is_for_now(err); id++) {
        const struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);

        if (!subject->text || subject->count <= store->limits.per_subject)
            continue;
        err = gather_subject(store, id, ranges);
        if (err)
            note_over(store, err);
    }
    return is_for_now(err) ? err : PIPIT_OK;
}

static pipit_err shrink_all_subjects(pp_store *store)
{
    struct pp_ranges ranges = {0};
    uint64_t count;
    pipit_err err = gather_subjects(store, &ranges);

    if (!err && ranges.count)
        err = pp_store_delete_ranges(store, &ranges, false, &count);
    pp_ranges_fini(&ranges);
    if (err)
        note_over(store, err);
    end_pass(store);
    store->subjects_over = is_for_now(err);
    return store->over_err;
}

static pipit_err enforce_per_subject(pp_store *store, bool hurried)
{
    pipit_err err = pp_store_count_subjects(store);

    if (!err)
        return hurried ? shrink_subjects(store) : shrink_all_subjects(store);
    store->subjects_over = true;
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
    if (store->over_again_ns && pp_clock_mono_ns() >= store->over_again_ns) {
        store->over_again_ns = 0;
        store->over_id = 0;
        store->subjects_over = true;
    }
    if (!store->subjects_over && !is_over(store))
        return store->over_err;
    err = store->over_err;
    if (store->subjects_over)
        err = enforce_per_subject(store, store->options.readers != NULL);
    all_err = pp_store_enforce(store); /* whatever keeps a subject from that */
    pp_store_reclaim(store);
    *out_more = (!all_err && is_over(store)) || (store->subjects_over && !is_for_now(err));
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
    store->age_seq = store->age_passed_seq = 0;
    store->subjects_over = false;
    store->over_id = 0;
    note_over(store, PIPIT_OK);
    store->over_again_ns = 0;
    if (limits->per_subject)
        err = enforce_per_subject(store, hurried);
    if (!err)
        err = hurried ? pp_store_enforce(store) : evict_oldest(store, UINT32_MAX, false);
    pp_store_reclaim(store);
    return err == PIPIT_EAGAIN && hurried ? PIPIT_OK : err;
}

pipit_err pp_store_limit(pp_store *store, const struct pp_store_limits *limits)
{
    return pp_store_take_limits(store, limits, store->options.readers != NULL);
}
