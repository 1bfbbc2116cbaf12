/* Messages go because somebody says so. */
#include "store/inside.h"

#include "base/assert.h"

pipit_err pp_store_delete(pp_store *store, uint64_t seq, bool erase)
{
    struct pp_range range = {seq, seq};
    struct pp_ranges ranges = {&range, 1, 1};
    pp_segment *segment;
    uint64_t count;
    uint32_t nth;
    pipit_err err = pp_store_find(store, seq, &segment, &nth);

    return err ? err : pp_store_delete_ranges(store, &ranges, erase, &count);
}

/* Sequences of what falls under filter, below before. */
static pipit_err gather(pp_store *store, pp_str filter, uint64_t before, struct pp_ranges *ranges)
{
    uint64_t seq = store->first_seq;
    pipit_err err = PIPIT_OK;

    while (!err) {
        err = pp_store_next_seq(store, filter, seq, &seq);
        if (err || seq >= before)
            break;
        err = pp_ranges_reserve(ranges, 1);
        if (!err)
            pp_ranges_push(ranges, seq, seq);
        seq++;
    }
    return err == PIPIT_ENOTFOUND ? PIPIT_OK : err;
}

/* The newest of them stay. */
static void keep_newest(struct pp_ranges *ranges, uint64_t keep)
{
    while (keep && ranges->count) {
        struct pp_range *last = &ranges->items[ranges->count - 1];
        uint64_t count = last->last - last->first + 1;

        if (count > keep) {
            last->last -= keep;
            return;
        }
        keep -= count;
        ranges->count--;
    }
}

pipit_err pp_store_purge(pp_store *store, pp_str filter, uint64_t before, uint64_t keep,
                         uint64_t *out_count)
{
    struct pp_ranges ranges = {0};
    bool all = filter.len == 0 || pp_str_eq(filter, PP_STR(">"));
    pipit_err err;

    *out_count = 0;
    if (before && keep)
        return PIPIT_EINVAL;
    if (!before || before > store->last_seq + 1)
        before = store->last_seq + 1;
    if (all && !keep) { /* one range, however many are missing in it */
        if (store->messages == 0 || before <= store->first_seq)
            return PIPIT_OK;
        err = pp_ranges_reserve(&ranges, 1);
        if (!err)
            pp_ranges_push(&ranges, store->first_seq, before - 1);
    } else {
        err = gather(store, filter, before, &ranges);
        keep_newest(&ranges, keep);
    }
    if (!err && ranges.count)
        err = pp_store_delete_ranges(store, &ranges, false, out_count);
    pp_ranges_fini(&ranges);
    return err;
}

void pp_store_cut(pp_segment *segment, uint64_t seq)
{
    uint32_t nth = pp_segment_lower(segment, seq + 1);

    PP_ASSERT(pp_segment_next_live(segment, nth) == segment->count);
    segment->dead -= segment->count - nth;
    segment->count = nth;
    segment->last_seq = seq;
}

static void cut_lost(struct pp_ranges *lost, uint64_t seq)
{
    while (lost->count && lost->items[lost->count - 1].first > seq)
        lost->count--;
    if (lost->count && lost->items[lost->count - 1].last > seq)
        lost->items[lost->count - 1].last = seq;
}

/* Its file goes when what its records say of older segments has been said again. */
static void take_out(pp_store *store, uint32_t at)
{
    const pp_segment *segment = store->segments[at];

    pp_ranges_push(&store->cut, segment->number, segment->number);
    if (segment->lowest_delete < store->cut_lowest)
        store->cut_lowest = segment->lowest_delete;
    store->reclaim_wanted = true;
    pp_store_remove_segment(store, at);
}

void pp_store_cut_all(pp_store *store, uint32_t end, uint64_t seq)
{
    uint32_t count = store->segment_count;

    store->segment_count = end; /* what is behind begins with the same sequences */
    (void)pp_store_kill(store, seq + 1, UINT64_MAX - 1);
    store->segment_count = count;
    for (uint32_t at = end; at-- > 0;) {
        pp_segment *segment = store->segments[at];

        if (segment->last_seq <= seq)
            break;
        if (segment->first_seq > seq)
            take_out(store, at);
        else
            pp_store_cut(segment, seq);
    }
    cut_lost(&store->lost, seq);
    pp_store_cut_due(store, seq);
}

/* Segments that go may have begun with cuts of their own, which still hold for what is before. */
static uint64_t lowest_cut(const pp_store *store, uint32_t end, uint64_t seq)
{
    uint64_t lowest = seq;

    for (uint32_t at = 0; at < end; at++)
        if (store->segments[at]->first_seq > seq && store->segments[at]->truncate < lowest)
            lowest = store->segments[at]->truncate;
    return lowest;
}

/* What is above goes with the files that hold nothing else; a new segment begins, so that a
 * sequence that comes again is in another segment than the one before. */
pipit_err pp_store_truncate(pp_store *store, uint64_t seq)
{
    struct pp_journal_needs needs = {
        .bytes = pp_record_bytes(0), .new_segment = true, .new_seq = seq + 1};
    uint32_t end;
    pipit_err err;

    if (seq > store->last_seq)
        return PIPIT_EINVAL;
    if (seq == store->last_seq)
        return PIPIT_OK;
    err = pp_rewrite_before_cut(store, seq);
    if (err)
        return err;
    end = store->segment_count;
    store->index_held = true;
    err = pp_ranges_reserve(&store->cut, end);
    if (!err)
        err = pp_store_prepare_kill(store, seq + 1, UINT64_MAX - 1);
    if (!err)
        err = pp_journal_begin(store, &needs);
    if (err) {
        store->index_held = false;
        return err;
    }
    pp_store_active(store)->truncate = lowest_cut(store, end, seq);
    pp_journal_ranges(store, PP_RECORD_TRUNCATE, pp_store_active(store)->truncate, NULL, 0);
    pp_journal_end(store, seq);
    store->last_seq = seq;
    store->truncations++;
    if (store->evicted_seq > seq)
        store->evicted_seq = seq;
    pp_store_cut_all(store, end, seq);
    if (store->messages == 0)
        store->first_seq = seq + 1;
    store->index_held = false;
    pp_store_reclaim(store);
    return PIPIT_OK;
}
