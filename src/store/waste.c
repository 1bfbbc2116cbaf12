/* Which segments take much more of the disk than the messages that are left in them. */
#include "store/inside.h"

enum {
    WASTE_PART = 4,    /* of a segment may be left when it is written anew */
    HOLES_PART = 32,   /* where what is dead are holes, so that little is gained */
    SMALL_PART = 4,    /* of a full segment: with such neighbours it becomes one */
    LEAST_PART = 16,   /* smaller ones are not worth it, but as neighbours */
    RECORD_EXTRA = 64, /* what a record has beside what a message counts for, at most */
};

static uint64_t record_bytes(const pp_segment *segment)
{
    return segment->end > PP_SEGMENT_HEADER_BYTES ? segment->end - PP_SEGMENT_HEADER_BYTES : 0;
}

static uint64_t left_bytes(const pp_segment *segment)
{
    return segment->live_bytes + (uint64_t)(segment->count - segment->dead) * RECORD_EXTRA;
}

static bool has_lost(const pp_store *store, const pp_segment *segment)
{
    for (uint32_t i = 0; i < store->lost.count; i++)
        if (store->lost.items[i].first <= segment->last_seq &&
            store->lost.items[i].last >= segment->first_seq)
            return true;
    return false;
}

/* All that it holds is known and whole; what is damaged is an operator's business. With what a
 * truncation said of older ones it could not be merged. */
static bool may_rewrite(pp_store *store, uint32_t at)
{
    const pp_segment *segment = store->segments[at];
    bool may;

    if (!segment->sealed || !segment->footer_at || segment->unfit || has_lost(store, segment) ||
        (at > 0 && segment->truncate != PP_SEGMENT_NO_TRUNCATION))
        return false;
    (void)pthread_mutex_lock(&store->lock);
    may = segment->pending == 0 && !segment->footer_missing;
    (void)pthread_mutex_unlock(&store->lock);
    return may;
}

static bool is_wasteful(const pp_store *store, const pp_segment *segment)
{
    uint64_t part = segment->has_ops ? WASTE_PART : HOLES_PART,
             left = segment->count - segment->dead;

    /* The end of the one that is written to is not only the owner's. */
    return segment->sealed && left > 0 &&
           record_bytes(segment) >= store->options.segment_bytes / LEAST_PART &&
           (left_bytes(segment) * part <= record_bytes(segment) || left * part <= segment->count);
}

/* A neighbour that is small, or wasteful as well. */
static bool may_join(pp_store *store, uint32_t at, uint64_t left)
{
    const pp_segment *segment = store->segments[at];

    return may_rewrite(store, at) &&
           left + left_bytes(segment) <= store->options.segment_bytes / 2 &&
           (is_wasteful(store, segment) ||
            record_bytes(segment) <= store->options.segment_bytes / SMALL_PART);
}

bool pp_store_find_waste(pp_store *store, uint32_t *out_first, uint32_t *out_last)
{
    uint32_t first = 0, last;
    uint64_t left;

    while (first < store->segment_count &&
           !(is_wasteful(store, store->segments[first]) && may_rewrite(store, first)))
        first++;
    if (first == store->segment_count)
        return false;
    last = first;
    left = left_bytes(store->segments[first]);
    for (; first > 0 && store->segments[first]->truncate == PP_SEGMENT_NO_TRUNCATION &&
           store->segments[last]->last_seq - store->segments[first - 1]->first_seq < UINT32_MAX &&
           may_join(store, first - 1, left);
         first--)
        left += left_bytes(store->segments[first - 1]);
    for (; last + 1 < store->segment_count &&
           store->segments[last + 1]->truncate == PP_SEGMENT_NO_TRUNCATION &&
           store->segments[last + 1]->last_seq - store->segments[first]->first_seq < UINT32_MAX &&
           may_join(store, last + 1, left);
         last++)
        left += left_bytes(store->segments[last + 1]);
    *out_first = first;
    *out_last = last;
    return true;
}
