/* Which segment a sequence is in, and its index. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/assert.h"

pipit_err pp_store_add_segment(pp_store *store, pp_segment *segment)
{
    if (store->segment_count == store->segment_room) {
        uint32_t room = 2 * store->segment_room + 8;
        pp_segment **segments = pp_realloc(store->segments, room * sizeof(pp_segment *));

        if (!segments)
            return PIPIT_ENOMEM;
        store->segments = segments;
        store->segment_room = room;
    }
    store->segments[store->segment_count++] = segment;
    return PIPIT_OK;
}

uint32_t pp_store_segment_of(const pp_store *store, uint64_t seq)
{
    uint32_t low = 0, high = store->segment_count;

    if (high && seq >= pp_store_active(store)->first_seq) /* most are asked for the newest */
        low = high - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (store->segments[middle]->last_seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* May its index be let go? What is needed to load it again must be in the file. */
static bool may_unload(pp_store *store, const pp_segment *segment)
{
    bool may;

    (void)pthread_mutex_lock(&store->lock);
    may = segment->sealed && segment->places && !segment->pending && segment->footer_at &&
          !segment->footer_missing;
    (void)pthread_mutex_unlock(&store->lock);
    return may;
}

static void unload_some(pp_store *store, const pp_segment *but)
{
    while (store->index_loaded > store->options.index_bytes) {
        pp_segment *oldest = NULL;

        for (uint32_t i = 0; i < store->segment_count; i++) {
            pp_segment *segment = store->segments[i];

            if (segment != but && segment->places &&
                (!oldest || segment->used_tick < oldest->used_tick) && may_unload(store, segment))
                oldest = segment;
        }
        if (!oldest)
            return;
        store->index_loaded -= pp_segment_index_bytes(oldest);
        pp_segment_unload(oldest);
    }
}

static pipit_err read_section(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes,
                              char **out_section)
{
    char *section = pp_alloc(bytes + 1);
    size_t got;
    pipit_err err = section ? pp_store_file(store, segment) : PIPIT_ENOMEM;

    if (!err)
        err = pp_disk_read(store->disk, segment->fd, section, bytes, at, &got);
    if (!err && got < bytes)
        err = PIPIT_EDAMAGED;
    if (err) {
        pp_free(section);
        return err;
    }
    *out_section = section;
    return PIPIT_OK;
}

/* The ids of the subjects of a segment, by their numbers in its footer. */
static pipit_err map_subjects(pp_store *store, const struct pp_footer *footer, const char *section,
                              uint32_t **out_ids)
{
    pp_str rest = {section, (size_t)footer->subjects_bytes}, text;
    struct pp_footer_subject subject;
    uint32_t *ids;

    if (footer->subject_count > footer->subjects_bytes / sizeof(subject))
        return PIPIT_EDAMAGED;
    ids = pp_alloc((footer->subject_count + 1) * sizeof(*ids));
    if (!ids)
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < footer->subject_count; i++) {
        if (!pp_footer_next_subject(&rest, &subject, &text)) {
            pp_free(ids);
            return PIPIT_EDAMAGED;
        }
        ids[i] = pp_subjects_find(&store->subjects, text);
    }
    *out_ids = ids;
    return PIPIT_OK;
}

/* Messages that were dead when the segment was sealed have no subject. */
static pipit_err take_index(pp_segment *segment, const struct pp_footer *footer,
                            const uint32_t *ids, const char *section)
{
    uint32_t count = segment->count;
    size_t bytes = count * sizeof(uint32_t), stride = footer->count * sizeof(uint32_t);

    segment->places = pp_alloc(bytes + 1);
    segment->subjects = pp_alloc(bytes + 1);
    if (!(footer->flags & PP_FOOTER_DENSE))
        segment->gaps = pp_alloc(bytes + 1);
    if (!segment->places || !segment->subjects ||
        (!(footer->flags & PP_FOOTER_DENSE) && !segment->gaps)) {
        pp_segment_unload(segment);
        return PIPIT_ENOMEM;
    }
    segment->index_room = count;
    memcpy(segment->places, section, bytes);
    memcpy(segment->subjects, section + stride, bytes);
    if (segment->gaps)
        memcpy(segment->gaps, section + 3 * stride, bytes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t local = segment->subjects[i];

        segment->subjects[i] = local < footer->subject_count ? ids[local] : PP_SUBJECT_NONE;
    }
    return PIPIT_OK;
}

static pipit_err read_trailer(pp_store *store, pp_segment *segment, struct pp_footer *out_footer)
{
    int64_t size;
    size_t got;
    pipit_err err = pp_store_file(store, segment);

    if (err)
        return err;
    size = store->disk->ops->size(store->disk, segment->fd);
    if (size < (int64_t)sizeof(*out_footer))
        return size < 0 ? PIPIT_EIO : PIPIT_EDAMAGED;
    err = pp_disk_read(store->disk, segment->fd, out_footer, sizeof(*out_footer),
                       (uint64_t)size - sizeof(*out_footer), &got);
    if (err)
        return err;
    if (got < sizeof(*out_footer) ||
        !pp_footer_true(out_footer, (uint64_t)size, segment->number,
                        pp_record_seed(store->id.salt, segment->number)))
        return PIPIT_EDAMAGED;
    return PIPIT_OK;
}

static bool open_subjects(pp_store *store, pp_segment *segment, const struct pp_footer *footer,
                          char *front)
{
    struct pp_seal_place place = pp_footer_place(footer->at, &segment->number);

    return !(footer->flags & PP_FOOTER_SEALED) ||
           pp_store_open_sealed(store, segment, &place, front, (size_t)footer->subjects_bytes,
                                front) == PIPIT_OK;
}

pipit_err pp_store_read_footer(pp_store *store, pp_segment *segment, struct pp_footer *out_footer,
                               char **out_front)
{
    uint64_t seed = pp_record_seed(store->id.salt, segment->number);
    size_t lists;
    pipit_err err = read_trailer(store, segment, out_footer);
    char *front = NULL;

    if (err)
        return err;
    lists = (size_t)pp_footer_lists_bytes(out_footer);
    err = read_section(store, segment, out_footer->at, (size_t)out_footer->subjects_bytes + lists,
                       &front);
    if (err)
        return err;
    if (pp_footer_check(front, (size_t)out_footer->subjects_bytes, seed) !=
            out_footer->subjects_check ||
        pp_footer_check(front + out_footer->subjects_bytes, lists, seed) !=
            out_footer->lists_check ||
        !open_subjects(store, segment, out_footer, front) ||
        !pp_footer_front_possible(out_footer, front)) {
        pp_free(front);
        return PIPIT_EDAMAGED;
    }
    *out_front = front;
    return PIPIT_OK;
}

/* Read the index from the footer. */
static pipit_err load_footer(pp_store *store, pp_segment *segment)
{
    struct pp_footer footer;
    char *front = NULL, *section = NULL;
    uint32_t *ids = NULL;
    size_t bytes;
    pipit_err err = pp_store_read_footer(store, segment, &footer, &front);

    if (err)
        return err;
    bytes = (size_t)pp_footer_index_bytes(&footer);
    err = read_section(store, segment,
                       footer.at + footer.subjects_bytes + pp_footer_lists_bytes(&footer), bytes,
                       &section);
    if (!err && (pp_footer_check(section, bytes, pp_record_seed(store->id.salt, segment->number)) !=
                     footer.index_check ||
                 footer.count < segment->count)) /* more, if it was truncated */
        err = PIPIT_EDAMAGED;
    if (!err)
        err = pp_footer_check_index(&footer, front, section);
    if (!err)
        err = map_subjects(store, &footer, front, &ids);
    if (!err)
        err = take_index(segment, &footer, ids, section);
    pp_free(ids);
    pp_free(section);
    pp_free(front);
    return err;
}

pipit_err pp_store_load(pp_store *store, pp_segment *segment)
{
    pipit_err err;

    segment->used_tick = ++store->tick;
    if (segment->places || segment->count == 0)
        return PIPIT_OK;
    err = load_footer(store, segment);
    if (err == PIPIT_EDAMAGED) {
        pp_store_find_out(
            store, (struct pp_finding){.kind = PP_FINDING_NO_INDEX, .segment = segment->number});
        err = pp_store_rebuild_index(store, segment);
        segment->footer_at = 0; /* so it stays */
    }
    if (err)
        return err;
    store->index_loaded += pp_segment_index_bytes(segment);
    if (!store->index_held)
        unload_some(store, segment);
    return PIPIT_OK;
}

pipit_err pp_store_find(pp_store *store, uint64_t seq, pp_segment **out_segment, uint32_t *out_nth)
{
    uint32_t at = pp_store_segment_of(store, seq);
    pp_segment *segment;
    uint32_t nth;
    pipit_err err;

    if (at == store->segment_count || seq < store->first_seq)
        return PIPIT_ENOTFOUND;
    segment = store->segments[at];
    if (segment->count == 0 || seq < segment->first_seq)
        return PIPIT_ENOTFOUND;
    err = pp_store_load(store, segment);
    if (err)
        return err;
    nth = pp_segment_lower(segment, seq);
    if (nth == segment->count || pp_segment_seq(segment, nth) != seq ||
        pp_segment_is_dead(segment, nth))
        return PIPIT_ENOTFOUND;
    *out_segment = segment;
    *out_nth = nth;
    return PIPIT_OK;
}

pipit_err pp_store_find_live(pp_store *store, uint64_t seq, pp_segment **out_segment,
                             uint32_t *out_nth)
{
    if (seq < store->first_seq)
        seq = store->first_seq;
    for (uint32_t at = pp_store_segment_of(store, seq); at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        uint32_t nth;
        pipit_err err;

        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (err)
            return err;
        nth = pp_segment_next_live(segment, pp_segment_lower(segment, seq));
        if (nth < segment->count) {
            *out_segment = segment;
            *out_nth = nth;
            return PIPIT_OK;
        }
    }
    return PIPIT_ENOTFOUND;
}

void pp_store_find_first(pp_store *store)
{
    pp_segment *segment;
    uint32_t nth;

    if (store->messages == 0)
        store->first_seq = store->last_seq + 1;
    /* If the index cannot be read, the first message is not before the one that was. */
    else if (pp_store_find_live(store, store->first_seq, &segment, &nth) == PIPIT_OK)
        store->first_seq = pp_segment_seq(segment, nth);
}
