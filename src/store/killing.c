/* Messages go: first the records that say so, then from the index. */
#include "store/inside.h"

#include "base/assert.h"

enum {
    NEIGHBOURS = 4096,  /* how far is looked for dead ones beside those that go */
    BLOCK_BYTES = 4096, /* of the file system */
};

pipit_err pp_store_prepare_kill(pp_store *store, uint64_t first, uint64_t last)
{
    uint32_t at = pp_store_segment_of(store, first < store->first_seq ? store->first_seq : first);
    pipit_err err = PIPIT_OK;

    for (; at < store->segment_count && !err; at++) {
        pp_segment *segment = store->segments[at];

        if (segment->first_seq > last)
            break;
        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (!err)
            err = pp_segment_reserve_dead(segment);
    }
    return err;
}

/* What it counts for stands in its head, which has to be read then. */
static bool needs_head(const pp_segment *segment)
{
    return !segment->sized && segment->count - segment->dead > 1;
}

/* Errors: as pp_store_fetch_head(), which brings it to where it is found again. */
static pipit_err have_head(pp_store *store, uint64_t seq)
{
    struct pp_record_head head;
    pp_segment *segment;
    uint32_t nth;
    pipit_err err = pp_store_find(store, seq, &segment, &nth);

    return err || !needs_head(segment) ? err : pp_store_fetch_head(store, segment, nth, &head);
}

pipit_err pp_store_prepare_one(pp_store *store, uint64_t seq, bool hurried)
{
    bool before = store->hurried;
    pipit_err err;

    store->hurried = hurried;
    err = pp_store_prepare_kill(store, seq, seq);
    if (!err && hurried && have_head(store, seq) == PIPIT_EAGAIN)
        err = PIPIT_EAGAIN; /* all else does not keep it from going */
    store->hurried = before;
    return err;
}

/* What it counts for. If that cannot be told any more its share of what is left is as good a guess
 * as any, and with the last message of a segment the sum is right again. */
static uint64_t counted_bytes(pp_store *store, pp_segment *segment, uint32_t nth)
{
    uint64_t bytes = segment->live_bytes / (segment->count - segment->dead);
    struct pp_record_head head;
    uint32_t size;

    if (segment->count - segment->dead == 1)
        return segment->live_bytes;
    if (!needs_head(segment))
        bytes = segment->sizes[nth];
    else if (pp_store_fetch_head(store, segment, nth, &head) == PIPIT_OK)
        bytes = pp_record_head_counts(store->memory, &head);
    else if (pp_store_fetch_size(store, segment, nth, &size) == PIPIT_OK)
        bytes = size;
    return bytes < segment->live_bytes ? bytes : segment->live_bytes;
}

static void leave_subject(pp_store *store, uint32_t id, uint64_t seq)
{
    struct pp_stored_subject *subject;

    if (id == PP_SUBJECT_NONE)
        return;
    subject = pp_subjects_at(&store->subjects, id);
    if (subject->count == 0) /* an index that had to be made again says other than its footer did */
        return;
    if (subject->count == 1 && (store->subjects_stale || pp_store_is_vague(store, subject)))
        subject->count++; /* there may be one more */
    if (--subject->count == 0) {
        if (!store->subjects_held)
            pp_subjects_release(&store->subjects, id);
        return;
    }
    if (seq == subject->first)
        subject->first_stale = true;
    if (seq == subject->last)
        subject->last_stale = true;
    if (store->subjects_stale || pp_store_is_vague(store, subject) || subject->count > 1 ||
        subject->first_stale == subject->last_stale)
        return;
    if (subject->first_stale) /* the only one is the first and the last */
        subject->first = subject->last;
    else
        subject->last = subject->first;
    subject->first_stale = subject->last_stale = false;
}

/* Is there something to reclaim by now? */
static void note_dead(pp_store *store, const pp_segment *segment)
{
    if (segment->sealed &&
        (segment->dead == segment->count || (store->memory && segment->dead > segment->count / 2)))
        store->reclaim_wanted = true;
    if (segment->sealed && segment->dead % (segment->count / 16 + 1) == 0)
        store->rewrite.wanted = true; /* now and then */
}

static void kill_one(pp_store *store, pp_segment *segment, uint32_t nth)
{
    uint64_t bytes = counted_bytes(store, segment, nth);

    pp_segment_kill(segment, nth);
    segment->live_bytes -= bytes;
    store->bytes -= bytes;
    store->messages--;
    leave_subject(store, pp_segment_subject(segment, nth), pp_segment_seq(segment, nth));
    note_dead(store, segment);
}

/* All of them: what each counts for does not matter. */
static uint64_t kill_segment(pp_store *store, pp_segment *segment)
{
    uint64_t killed = 0;

    for (uint32_t nth = pp_segment_next_live(segment, 0); nth < segment->count;
         nth = pp_segment_next_live(segment, nth + 1)) {
        pp_segment_kill(segment, nth);
        leave_subject(store, pp_segment_subject(segment, nth), pp_segment_seq(segment, nth));
        killed++;
    }
    store->messages -= killed;
    store->bytes -= segment->live_bytes;
    segment->live_bytes = 0;
    note_dead(store, segment);
    return killed;
}

/* All messages up to last_seq are gone. Subjects that have later ones, too, may have had some of
 * them: how many is not known. */
static void leave_subjects(pp_store *store, uint64_t last_seq)
{
    for (uint32_t id = 0; id < store->subjects.used; id++) {
        struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);

        if (!subject->text || subject->first > last_seq)
            continue;
        if (subject->last <= last_seq) {
            subject->count = 0;
            pp_subjects_release(&store->subjects, id);
            continue;
        }
        subject->first = last_seq + 1;
        subject->first_stale = true;
        store->subjects_stale = true;
    }
}

pipit_err pp_store_kill_unread(pp_store *store, pp_segment *segment)
{
    pipit_err err = pp_segment_reserve_dead(segment);

    if (err)
        return err;
    store->messages -= segment->count - segment->dead;
    store->bytes -= segment->live_bytes;
    segment->live_bytes = 0;
    memset(segment->dead_bits, 0xff, segment->dead_room / 8);
    segment->dead = segment->count;
    leave_subjects(store, segment->last_seq);
    store->subjects_stale |= segment->uncounted; /* it need not be reckoned with any more */
    if (store->over_err) /* it keeps no subject from its limit any more: they are looked at again */
        store->over_again_ns = 1;
    note_dead(store, segment);
    pp_store_complain(store, PP_LOG_WARN, "a segment that cannot be read went by limits",
                      segment->number);
    pp_store_find_first(store);
    return PIPIT_OK;
}

static uint64_t kill_in(pp_store *store, pp_segment *segment, uint64_t first, uint64_t last)
{
    uint32_t end = pp_segment_lower(segment, last + 1);
    uint64_t killed = 0;

    if (first <= segment->first_seq && end == segment->count)
        return kill_segment(store, segment);
    for (uint32_t nth = pp_segment_next_live(segment, pp_segment_lower(segment, first)); nth < end;
         nth = pp_segment_next_live(segment, nth + 1)) {
        kill_one(store, segment, nth);
        killed++;
    }
    return killed;
}

uint64_t pp_store_kill(pp_store *store, uint64_t first, uint64_t last)
{
    uint32_t at = pp_store_segment_of(store, first < store->first_seq ? store->first_seq : first);
    uint64_t killed = 0;

    for (; at < store->segment_count && store->segments[at]->first_seq <= last; at++)
        if (store->segments[at]->dead < store->segments[at]->count)
            killed += kill_in(store, store->segments[at], first, last);
    if (first <= store->first_seq)
        pp_store_find_first(store);
    return killed;
}

/* The blocks that are all dead once first to last are, of those that they lie in. */
static struct pp_action plan_punch(const pp_segment *segment, uint64_t first, uint64_t last)
{
    uint32_t from = pp_segment_lower(segment, first), to = pp_segment_lower(segment, last + 1);
    struct pp_action punch = {.kind = PP_ACTION_PUNCH, .number = segment->number};
    uint64_t run_at, run_end, at, end;
    uint32_t left = from, right = to;

    if (from == to)
        return punch;
    while (left > 0 && from - left < NEIGHBOURS && pp_segment_is_dead(segment, left - 1))
        left--;
    while (right < segment->count && right - to < NEIGHBOURS && pp_segment_is_dead(segment, right))
        right++;
    run_at = pp_segment_place(segment, left);
    run_end = right < segment->count ? pp_segment_place(segment, right) : segment->end;
    run_at = (run_at + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    run_end = run_end / BLOCK_BYTES * BLOCK_BYTES;
    at = pp_segment_place(segment, from) / BLOCK_BYTES * BLOCK_BYTES;
    end = to < segment->count ? pp_segment_place(segment, to) : segment->end;
    end = (end + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    punch.at = at > run_at ? at : run_at;
    end = end < run_end ? end : run_end;
    punch.bytes = end > punch.at ? end - punch.at : 0;
    return punch;
}

/* Holes are punched where nothing but messages lies, and a footer tells where they lay. */
static bool may_punch(const pp_store *store, const pp_segment *segment)
{
    return !store->memory && segment->sealed && !segment->rewriting && segment->footer_at &&
           !segment->has_ops && segment->places;
}

/* Call visit for each punch that ranges allow. */
static uint32_t plan_punches(pp_store *store, const struct pp_range *ranges, uint32_t count,
                             bool journal)
{
    uint32_t planned = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = pp_store_segment_of(store, ranges[i].first);

        for (; at < store->segment_count; at++) {
            const pp_segment *segment = store->segments[at];

            if (segment->first_seq > ranges[i].last)
                break;
            /* The last one may be sealed by the time that it is done. */
            if (!may_punch(store, segment) && (journal || segment->sealed))
                continue;
            planned++;
            if (journal) {
                struct pp_action punch = plan_punch(segment, ranges[i].first, ranges[i].last);

                if (punch.bytes && !segment->footer_missing)
                    pp_journal_action(store, punch);
            }
        }
    }
    return planned;
}

static pipit_err plan_erase(pp_store *store, uint64_t seq, struct pp_action *out_action)
{
    struct pp_record_head head;
    pp_segment *segment;
    uint32_t nth;
    pipit_err err = pp_store_find(store, seq, &segment, &nth);

    if (!err)
        err = pp_store_fetch_head(store, segment, nth, &head);
    if (err)
        return err;
    *out_action = (struct pp_action){.kind = PP_ACTION_ERASE,
                                     .number = segment->number,
                                     .at = pp_segment_place(segment, nth),
                                     .bytes = pp_record_bytes(head.body_bytes),
                                     .head = head};
    pp_record_disown_body(&out_action->head, pp_record_seed(store->id.salt, segment->number),
                          out_action->at);
    return PIPIT_OK;
}

/* Its bytes are in memory, too. */
static void forget_erased(pp_store *store, uint64_t seq, const struct pp_action *action)
{
    pp_segment *segment = store->segments[pp_store_segment_of(store, seq)];

    if (store->memory)
        memset(segment->memory + action->at, 0, action->bytes);
    else
        pp_cache_forget(&store->cache, segment->number);
}

static pipit_err delete_piece(pp_store *store, const struct pp_range *ranges, uint32_t count,
                              bool erase, uint64_t *out_count)
{
    /* With an erased body may go what it said of messages before: that they are gone is said again.
     */
    struct pp_range erased[2] = {ranges[0], {1, store->first_seq - 1}};
    struct pp_journal_needs needs = {.ranges = count, .fresh = erase};
    struct pp_range floor = {1, store->evicted_seq};
    struct pp_action action = {0};
    pipit_err err = PIPIT_OK;

    if (erase) {
        ranges = erased;
        count = needs.ranges = store->first_seq > 1 ? 2 : 1;
    }
    needs.bytes = pp_record_bytes(count * sizeof(*ranges));
    if (store->evicted_seq) { /* else with what goes now it might be within the limits again */
        needs.bytes += pp_record_bytes(sizeof(floor));
        needs.ranges++;
    }
    if (erase)
        err = pp_rewrite_before_erase(store, ranges[0].first);
    for (uint32_t i = 0; i < count && !err; i++)
        err = pp_store_prepare_kill(store, ranges[i].first, ranges[i].last);
    if (!err && erase)
        err = plan_erase(store, ranges[0].first, &action);
    needs.actions = 1 + plan_punches(store, ranges, count, false);
    if (!err)
        err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    if (store->evicted_seq && !store->memory)
        pp_journal_deletes(store, PP_RECORD_DELETE, store->last_seq, &floor, 1);
    store->evicted_seq = 0;
    pp_journal_deletes(store, erase ? PP_RECORD_ERASE : PP_RECORD_DELETE, store->last_seq, ranges,
                       count);
    if (erase)
        pp_journal_action(store, action);
    (void)plan_punches(store, ranges, count, true);
    pp_journal_end(store, store->last_seq);
    for (uint32_t i = 0; i < count; i++)
        *out_count += pp_store_kill(store, ranges[i].first, ranges[i].last);
    if (erase)
        forget_erased(store, ranges[0].first, &action);
    return PIPIT_OK;
}

pipit_err pp_store_delete_ranges(pp_store *store, const struct pp_ranges *ranges, bool erase,
                                 uint64_t *out_count)
{
    uint64_t count = 0;
    pipit_err err = PIPIT_OK;

    store->index_held = true;
    for (uint32_t i = 0; i < ranges->count && !err; i += PP_RANGES_PIECE) {
        uint32_t piece = ranges->count - i < PP_RANGES_PIECE ? ranges->count - i : PP_RANGES_PIECE;

        err = delete_piece(store, ranges->items + i, piece, erase, &count);
    }
    store->index_held = false;
    pp_store_reclaim(store);
    *out_count = count;
    return err;
}
