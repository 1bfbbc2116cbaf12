/* What segments say, one after another, becomes one store. */
#include "store/found.h"

/* Later messages of a subject. */
static void extend(struct pp_stored_subject *subject, uint64_t first, uint64_t last)
{
    if (subject->count == 0) {
        subject->first = first;
        subject->first_stale = false;
    }
    subject->last = last;
    subject->last_stale = false;
}

/* Subjects of a segment with a footer. */
static pipit_err merge_footer(pp_store *store, const struct pp_found *found)
{
    pp_str rest = {found->front, (size_t)found->footer.subjects_bytes}, text;
    struct pp_footer_subject seen;
    uint32_t id;

    for (uint32_t i = 0; i < found->footer.subject_count; i++) {
        struct pp_stored_subject *subject;
        pipit_err err;

        if (!pp_footer_next_subject(&rest, &seen, &text))
            break;
        err = pp_subjects_add(&store->subjects, text, &id);

        if (err)
            return err;
        subject = pp_subjects_at(&store->subjects, id);
        extend(subject, seen.first, seen.last);
        subject->count += seen.count;
    }
    return PIPIT_OK;
}

static void merge_records(pp_store *store, const pp_segment *segment)
{
    for (uint32_t nth = 0; nth < segment->count; nth++) {
        struct pp_stored_subject *subject =
            pp_subjects_at(&store->subjects, pp_segment_subject(segment, nth));

        extend(subject, pp_segment_seq(segment, nth), pp_segment_seq(segment, nth));
        subject->count++;
    }
}

static void bury_range(pp_segment *segment, const struct pp_range *range)
{
    uint32_t nth = pp_segment_next_live(segment, pp_segment_lower(segment, range->first));

    while (nth < segment->count && pp_segment_seq(segment, nth) <= range->last) {
        pp_segment_kill(segment, nth);
        nth = pp_segment_next_live(segment, nth + 1);
    }
}

/* Those that were dead when it was sealed have no subject in its index, and the footer does not
 * count them. In an index that was made again of its records they have one, and what has none is
 * missing: there its own deletes tell. */
static pipit_err bury_dead(pp_store *store, pp_segment *segment)
{
    pipit_err err = pp_store_load(store, segment);
    bool made_again = segment->footer_at == 0;

    if (!err)
        err = pp_segment_reserve_dead(segment);
    for (uint32_t i = 0; !err && made_again && i < segment->deletes.count; i++)
        bury_range(segment, &segment->deletes.items[i]);
    for (uint32_t nth = 0; nth < segment->count && !err && !made_again; nth++)
        if (pp_segment_subject(segment, nth) == PP_SUBJECT_NONE)
            pp_segment_kill(segment, nth);
    return err;
}

/* It began with a cut: what was there before goes first, since sequences come again. */
static pipit_err apply_truncation(pp_store *store, const pp_segment *segment)
{
    uint64_t seq = segment->truncate;
    pipit_err err;

    if (seq == PP_SEGMENT_NO_TRUNCATION || seq >= store->last_seq)
        return PIPIT_OK;
    err = pp_ranges_reserve(&store->cut, store->segment_count);
    if (!err)
        err = pp_store_prepare_kill(store, seq + 1, UINT64_MAX - 1);
    if (err)
        return err;
    store->last_seq = seq;
    pp_store_cut_all(store, store->segment_count, seq);
    if (store->messages == 0)
        store->first_seq = 1;
    return PIPIT_OK;
}

/* A segment that begins with a cut has a header that begins below what is there. If it has
 * messages, and no record of the cut, that is damaged. */
static void find_cut(const pp_store *store, pp_segment *segment)
{
    if (segment->truncate == PP_SEGMENT_NO_TRUNCATION && segment->count &&
        segment->first_seq <= store->last_seq)
        segment->truncate = segment->first_seq - 1;
}

/* One without messages begins behind what is there, whatever its header says: that may be damaged,
 * or speak of a cut that was never settled. */
static void settle_begin(const pp_store *store, pp_segment *segment)
{
    if (segment->count || segment->first_seq > store->last_seq)
        return;
    segment->first_seq = store->last_seq + 1;
    if (segment->last_seq < store->last_seq)
        segment->last_seq = store->last_seq;
}

/* What its records say about messages before and in it. */
static pipit_err apply_deletes(pp_store *store, const pp_segment *segment)
{
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < segment->deletes.count && !err; i++) {
        struct pp_range range = segment->deletes.items[i];

        err = pp_store_prepare_kill(store, range.first, range.last);
        if (!err)
            (void)pp_store_kill(store, range.first, range.last);
    }
    return err;
}

static pipit_err take_expiries(pp_store *store, const struct pp_found *found,
                               const pp_segment *segment)
{
    const struct pp_footer *footer = &found->footer;
    pipit_err err = PIPIT_OK;

    if (found->front) {
        const char *at = found->front + footer->subjects_bytes +
                         ((size_t)footer->delete_count + footer->drop_count) * 16;

        for (uint32_t i = 0; i < footer->expiry_count && !err; i++) {
            struct pp_expiry expiry;

            memcpy(&expiry, at + i * sizeof(expiry), sizeof(expiry));
            err = pp_store_reserve_due(store);
            if (!err)
                pp_store_add_due(store, expiry.at_ns, expiry.seq);
        }
        return err;
    }
    for (uint32_t i = 0; i < segment->expiries.count && !err; i++) {
        err = pp_store_reserve_due(store);
        if (!err)
            pp_store_add_due(store, segment->expiries.items[i].at_ns,
                             segment->expiries.items[i].seq);
    }
    return err;
}

static pipit_err merge_messages(pp_store *store, const struct pp_found *found, pp_segment *segment)
{
    pipit_err err = PIPIT_OK;

    atomic_store(&segment->written, segment->end);
    if (found->front)
        err = merge_footer(store, found);
    else
        merge_records(store, segment);
    if (!err && found->front && found->footer.dead)
        err = bury_dead(store, segment);
    if (!found->front && segment->sealed)
        store->index_loaded += pp_segment_index_bytes(segment);
    store->messages += segment->count - segment->dead;
    store->bytes += segment->live_bytes;
    if (segment->last_seq > store->last_seq)
        store->last_seq = segment->last_seq;
    if (segment->last_time_ns)
        store->last_time_ns = segment->last_time_ns;
    return err;
}

pipit_err pp_found_merge(pp_store *store, struct pp_found *found)
{
    pp_segment *segment = found->segment;
    pipit_err err;

    store->index_held = true;
    find_cut(store, segment);
    err = apply_truncation(store, segment);
    settle_begin(store, segment);
    if (!err)
        err = pp_store_add_segment(store, segment);
    if (!err) {
        found->segment = NULL; /* the store's from here on */
        err = merge_messages(store, found, segment);
    }
    if (!err)
        err = apply_deletes(store, segment);
    store->index_held = false;
    return err ? err : take_expiries(store, found, segment);
}
