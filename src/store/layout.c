/* Which segment a sequence is in, and its index. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "store/footer_file.h"

enum {
    UNREAD_NS = 1000 * 1000 * 1000, /* what could not be read is let be so long, */
    UNREAD_TIMES = 8,               /* and so many times as long as it took to learn that; */
    READER_MAX_S = 4,               /* of a reader's time, which nobody waits for, so much counts */
};

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
    store->tail = segment;
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
    may = segment->sealed && segment->places && !segment->rewriting && !segment->pending &&
          segment->footer_at && !segment->footer_missing;
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
static void take_index(pp_segment *segment, struct pp_footer_index *index, const uint32_t *ids)
{
    segment->places = index->places;
    segment->subjects = index->subjects;
    segment->gaps = index->gaps;
    index->places = index->subjects = index->gaps = NULL;
    segment->index_room = segment->count;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint32_t local = segment->subjects[i];

        segment->subjects[i] = local < index->footer.subject_count ? ids[local] : PP_SUBJECT_NONE;
    }
    pp_segment_narrow(segment);
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
    struct pp_footer_file file = {store->disk, segment->fd, segment->number,
                                  pp_record_seed(store->id.salt, segment->number)};
    pipit_err err = pp_store_file(store, segment);
    char *front = NULL;

    file.fd = segment->fd;
    if (!err)
        err = pp_footer_read_front(&file, out_footer, &front);
    if (err)
        return err;
    if (!open_subjects(store, segment, out_footer, front) ||
        !pp_footer_front_possible(out_footer, front)) {
        pp_free(front);
        return PIPIT_EDAMAGED;
    }
    *out_front = front;
    return PIPIT_OK;
}

/* An index on its way from the disk. */
struct loading {
    struct pp_footer_index index;
    struct pp_rebuilt *rebuilt; /* instead, made of the records */
    bool unread;                /* a reader has tried both, and the disk gave neither, */
    int64_t took_ns;            /* which took it so long */
};

/* The same without waiting for the disk. False: it has to be read here and now. */
static bool hurry_index(pp_store *store, const pp_segment *segment, struct loading *loading,
                        pipit_err *out_err)
{
    *out_err = PIPIT_OK;
    switch (pp_ahead_take_index(store, segment, &loading->index, &loading->rebuilt, out_err,
                                &loading->took_ns)) {
    case PP_AHEAD_HERE:
        return true;
    case PP_AHEAD_FAILED: /* what a bad disk takes its time for is not tried again by the owner */
        loading->unread = *out_err == PIPIT_EIO || *out_err == PIPIT_ETIMEOUT;
        return loading->unread;
    case PP_AHEAD_COMING:
        break;
    case PP_AHEAD_UNKNOWN:
        if (!pp_ahead_ask_index(store, segment))
            return false;
        break;
    }
    *out_err = PIPIT_EAGAIN;
    return true;
}

/* The index as the file has it, or what a reader made instead. Errors: also PIPIT_EAGAIN, if the
 * disk is not waited for. */
static pipit_err read_index(pp_store *store, pp_segment *segment, struct loading *loading)
{
    struct pp_footer_file file = {store->disk, -1, segment->number,
                                  pp_record_seed(store->id.salt, segment->number)};
    pipit_err err = PIPIT_OK;

    if (pp_store_may_hurry(store, segment) && hurry_index(store, segment, loading, &err))
        return err;
    err = pp_store_file(store, segment);
    file.fd = segment->fd;
    return err ? err : pp_footer_read_index(&file, &loading->index);
}

/* Take what a footer says. */
static pipit_err take_footer(pp_store *store, pp_segment *segment, struct pp_footer_index *index)
{
    uint32_t *ids = NULL;
    pipit_err err = PIPIT_OK;

    if (index->footer.count < segment->count || /* more, if it was truncated */
        !open_subjects(store, segment, &index->footer, index->front) ||
        !pp_footer_front_possible(&index->footer, index->front))
        err = PIPIT_EDAMAGED;
    if (!err && index->unchecked)
        err = pp_footer_check_index(&index->footer, index->front, index->unchecked);
    if (!err)
        err = map_subjects(store, &index->footer, index->front, &ids);
    if (!err)
        take_index(segment, index, ids);
    pp_free(ids);
    return err;
}

/* From its records: the footer is damaged or cannot be read, and is not looked at again. */
static pipit_err take_rebuilt(pp_store *store, pp_segment *segment, struct pp_rebuilt *rebuilt)
{
    pipit_err err = rebuilt ? PIPIT_OK
                            : pp_rebuilt_read(store, segment->number, pp_rebuilt_end_of(segment),
                                              NULL, &rebuilt);

    if (!err)
        err = pp_rebuilt_take(store, segment, rebuilt);
    pp_rebuilt_free(rebuilt);
    if (err && err != PIPIT_EDAMAGED)
        return err;
    segment->index_lost = err == PIPIT_EDAMAGED;
    segment->footer_at = 0; /* so it stays */
    pp_store_find_out(store,
                      (struct pp_finding){.kind = PP_FINDING_NO_INDEX, .segment = segment->number});
    if (segment->index_lost)
        pp_store_complain(store, PP_LOG_ERROR, "which messages a segment has is not known any more",
                          segment->number);
    return segment->index_lost ? PIPIT_EIO : PIPIT_OK;
}

/* Whyever a file cannot be read: for who wants its index the disk does not give it. */
static pipit_err as_unread(pipit_err err)
{
    return err == PIPIT_ENOTFOUND || err == PIPIT_EDENIED || err == PIPIT_ETIMEOUT ? PIPIT_EIO
                                                                                   : err;
}

/* *out_took_ns: how long a reader was at it in vain; else 0. */
static pipit_err load_index(pp_store *store, pp_segment *segment, int64_t *out_took_ns)
{
    struct loading loading = {0};
    pipit_err err = read_index(store, segment, &loading);

    if (!err && !loading.rebuilt)
        err = take_footer(store, segment, &loading.index);
    pp_footer_index_fini(&loading.index);
    *out_took_ns = loading.took_ns;
    if (loading.rebuilt || (pp_footer_is_lost(err) && !loading.unread))
        err = take_rebuilt(store, segment, loading.rebuilt);
    return as_unread(err);
}

int64_t pp_store_pause_until(int64_t took_ns)
{
    return pp_clock_mono_ns() + UNREAD_NS + UNREAD_TIMES * took_ns;
}

/* What the disk does not give it may give another time. Each attempt takes long, and all who want
 * something of this segment make one: so there are few. */
static pipit_err try_index(pp_store *store, pp_segment *segment)
{
    int64_t began_ns, reader_ns;
    pipit_err err;

    if (segment->index_lost)
        return PIPIT_EIO;
    began_ns = pp_clock_mono_ns();
    if (began_ns < segment->unread_ns)
        return PIPIT_EIO;
    err = load_index(store, segment, &reader_ns);
    if (err == PIPIT_EAGAIN) /* that it could not be read the last time is known until it can */
        return err;
    segment->unread_ns = 0;
    if (err == PIPIT_EIO && !segment->index_lost) {
        if (reader_ns > READER_MAX_S * PP_NS_PER_S)
            reader_ns = READER_MAX_S * PP_NS_PER_S;
        segment->unread_ns = pp_store_pause_until(pp_clock_mono_ns() - began_ns + reader_ns);
    }
    return err;
}

pipit_err pp_store_load(pp_store *store, pp_segment *segment)
{
    pipit_err err;

    segment->used_tick = ++store->tick;
    if (segment->places || segment->count == 0)
        return PIPIT_OK;
    err = try_index(store, segment);
    if (err)
        return err;
    store->subjects_stale |= segment->uncounted;
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
    if (segment->dead == segment->count || seq < segment->first_seq)
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

/* The first live message of a segment from seq on, if that can be told without its index, as it
 * mostly can. */
static bool first_in(const pp_segment *segment, uint64_t seq, uint64_t *out_seq)
{
    bool is_known = segment->places || segment->dense;
    uint32_t nth;

    if (!is_known && (segment->dead || seq > segment->first_seq))
        return false;
    nth = pp_segment_next_live(segment, is_known ? pp_segment_lower(segment, seq) : 0);
    if (nth < segment->count)
        *out_seq = pp_segment_seq(segment, nth);
    return nth < segment->count;
}

void pp_store_find_first(pp_store *store)
{
    uint32_t at = pp_store_segment_of(store, store->first_seq);
    pp_segment *segment;
    uint32_t nth;

    while (at < store->segment_count && store->segments[at]->dead == store->segments[at]->count)
        at++;
    if (store->messages == 0)
        store->first_seq = store->last_seq + 1;
    else if (at < store->segment_count &&
             first_in(store->segments[at], store->first_seq, &store->first_seq))
        return;
    /* If the index cannot be read, the first message is not before the one that was. */
    else if (pp_store_find_live(store, store->first_seq, &segment, &nth) == PIPIT_OK)
        store->first_seq = pp_segment_seq(segment, nth);
}
