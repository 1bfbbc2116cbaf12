/* Dead segments go, with their files. */
#include "store/inside.h"

#include "base/alloc.h"

enum { DROPS_AT_ONCE = 64 };

/* Batches that concern it may be under way: then it is freed later. */
void pp_store_remove_segment(pp_store *store, uint32_t at)
{
    pp_segment *segment = store->segments[at];

    if (segment->sealed)
        store->index_loaded -= pp_segment_index_bytes(segment);
    pp_store_close_file(store, segment);
    if (!store->memory)
        pp_cache_forget(&store->cache, segment->number);
    store->segment_count--;
    memmove(store->segments + at, store->segments + at + 1,
            (store->segment_count - at) * sizeof(*store->segments));
    pp_segment_unload(segment);
    segment->next_limbo = store->limbo;
    store->limbo = segment;
    pp_store_free_limbo(store);
}

void pp_store_free_limbo(pp_store *store)
{
    pp_segment **at = &store->limbo;

    (void)pthread_mutex_lock(&store->lock);
    while (*at) {
        pp_segment *segment = *at;

        if (segment->pending) {
            at = &segment->next_limbo;
            continue;
        }
        *at = segment->next_limbo;
        pp_segment_free(segment);
    }
    (void)pthread_mutex_unlock(&store->lock);
}

/* Dead, and nobody needs what its records say but what will be said again. */
static bool may_drop(const pp_store *store, uint32_t at)
{
    const pp_segment *segment = store->segments[at];

    return segment->dead == segment->count && !segment->rewriting &&
           (at == 0 || segment->truncate == PP_SEGMENT_NO_TRUNCATION);
}

/* All of it is dead: which sequences were messages does not matter, and need not be readable. */
static pipit_err add_whole(const pp_segment *segment, uint64_t lowest, struct pp_ranges *ranges)
{
    uint64_t first = segment->first_seq > lowest ? segment->first_seq : lowest;
    pipit_err err = pp_ranges_reserve(ranges, 1);

    if (!err && first <= segment->last_seq)
        pp_ranges_push(ranges, first, segment->last_seq);
    return err;
}

/* Runs of dead messages of a segment, from the sequence lowest on. */
static pipit_err add_dead(pp_store *store, pp_segment *segment, uint64_t lowest,
                          struct pp_ranges *ranges)
{
    pipit_err err;

    if (segment->count && segment->dead == segment->count && !segment->places)
        return add_whole(segment, lowest, ranges);
    err = segment->dead ? pp_store_load(store, segment) : PIPIT_OK;
    for (uint32_t nth = pp_segment_lower(segment, lowest); nth < segment->count && !err; nth++) {
        uint64_t seq;

        if (!segment->dead || !pp_segment_is_dead(segment, nth))
            continue;
        seq = pp_segment_seq(segment, nth);
        if (seq > segment->last_seq)
            break; /* cut off while its index was not there: such sequences may have come again */
        err = pp_ranges_reserve(ranges, 1);
        if (!err)
            pp_ranges_push(ranges, seq, seq);
    }
    return err;
}

pipit_err pp_store_say_again(pp_store *store, uint32_t end, uint64_t lowest)
{
    struct pp_ranges ranges = {0};
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < end && !err && lowest != UINT64_MAX; i++)
        if (store->segments[i]->last_seq >= lowest)
            err = add_dead(store, store->segments[i], lowest, &ranges);
    for (uint32_t i = 0; i < ranges.count && !err; i += PP_RANGES_PIECE) {
        uint32_t piece = ranges.count - i < PP_RANGES_PIECE ? ranges.count - i : PP_RANGES_PIECE;
        struct pp_journal_needs needs = {.bytes = pp_record_bytes(piece * sizeof(struct pp_range)),
                                         .ranges = piece};

        err = pp_journal_begin(store, &needs);
        if (err)
            break;
        pp_journal_deletes(store, PP_RECORD_DELETE, store->last_seq, ranges.items + i, piece);
        pp_journal_end(store, store->last_seq);
    }
    pp_ranges_fini(&ranges);
    return err;
}

uint32_t pp_store_missing_numbers(const pp_store *store, uint32_t first, uint32_t last,
                                  struct pp_range *out)
{
    uint64_t next = 1;
    uint32_t count = 0;

    for (uint32_t i = 0; i < store->segment_count; i++) {
        uint64_t number = store->segments[i]->number;

        if (i >= first && i < last)
            continue;
        if (number > next) {
            if (count == PP_RANGES_PIECE)
                return UINT32_MAX;
            out[count++] = (struct pp_range){next, number - 1};
        }
        next = number + 1;
    }
    return count;
}

/* Have the files of segments removed, once it is on disk that they are no more. `without` is the
 * place of one that is still there, or UINT32_MAX. */
static pipit_err drop_files(pp_store *store, uint32_t without, const struct pp_ranges *numbers)
{
    struct pp_range *missing = pp_alloc(PP_RANGES_PIECE * sizeof(*missing));
    struct pp_journal_needs needs = {0};
    uint32_t count;
    pipit_err err = PIPIT_ENOMEM;

    if (!missing)
        return err;
    count =
        pp_store_missing_numbers(store, without, without == UINT32_MAX ? 0 : without + 1, missing);
    err = PIPIT_ELIMIT; /* they stay, and take no room but what is not punched */
    if (count == UINT32_MAX)
        goto out;
    for (uint32_t i = 0; i < numbers->count; i++)
        needs.actions += (uint32_t)(numbers->items[i].last - numbers->items[i].first + 1);
    needs.bytes = pp_record_bytes(count * sizeof(*missing));
    needs.drops = count;
    err = pp_journal_begin(store, &needs);
    if (err)
        goto out;
    pp_journal_ranges(store, PP_RECORD_DROP, store->last_seq, missing, count);
    pp_store_active(store)->drops.count = 0;
    for (uint32_t i = 0; i < count; i++)
        pp_ranges_push(&pp_store_active(store)->drops, missing[i].first, missing[i].last);
    for (uint32_t i = 0; i < numbers->count; i++)
        for (uint64_t n = numbers->items[i].first; n <= numbers->items[i].last; n++)
            pp_journal_action(store, (struct pp_action){.kind = PP_ACTION_REMOVE, .number = n});
    pp_journal_end(store, store->last_seq);
out:
    pp_free(missing);
    return err;
}

pipit_err pp_store_forget_files(pp_store *store)
{
    struct pp_ranges none = {0};

    return drop_files(store, UINT32_MAX, &none);
}

static pipit_err drop_segment(pp_store *store, uint32_t at)
{
    struct pp_range number = {store->segments[at]->number, store->segments[at]->number};
    struct pp_ranges numbers = {&number, 1, 1};
    pipit_err err = pp_store_say_again(store, at, store->segments[at]->lowest_delete);

    if (!err)
        err = drop_files(store, at, &numbers);
    if (!err)
        pp_store_remove_segment(store, at);
    return err;
}

/* What a truncation took out goes. */
static pipit_err drop_cut(pp_store *store)
{
    pipit_err err;

    if (store->cut.count == 0 || store->memory) {
        store->cut.count = 0;
        return PIPIT_OK;
    }
    err = pp_store_say_again(store, store->segment_count, store->cut_lowest);
    if (!err)
        err = drop_files(store, UINT32_MAX, &store->cut);
    if (!err) {
        store->cut.count = 0;
        store->cut_lowest = UINT64_MAX;
    }
    return err;
}

void pp_store_reclaim(pp_store *store)
{
    uint32_t dropped = 0;

    pp_rewrite_step(store);
    if (!store->reclaim_wanted || store->failure)
        return;
    store->reclaim_wanted = false;
    pp_store_free_limbo(store);
    if (drop_cut(store)) {
        store->reclaim_wanted = true;
        return;
    }
    for (uint32_t at = 0; at + 1 < store->segment_count && dropped < DROPS_AT_ONCE;) {
        if (!may_drop(store, at)) {
            at++;
            continue;
        }
        if (store->memory) {
            pp_store_remove_segment(store, at);
        } else if (drop_segment(store, at)) {
            store->reclaim_wanted = true;
            return;
        }
        dropped++;
    }
    if (store->memory)
        pp_store_compact_memory(store);
}
