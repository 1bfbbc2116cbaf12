/* Messages go out. Everything is checked each time it is read. */
#include "store/inside.h"

#include "base/assert.h"
#include "core/subject.h"

pipit_err pp_store_read(pp_store *store, uint64_t seq, struct pp_store_message *out_message)
{
    pp_segment *segment;
    uint32_t nth;
    pipit_err err = pp_store_find(store, seq, &segment, &nth);

    if (err == PIPIT_ENOTFOUND && pp_store_is_lost(store, seq))
        return PIPIT_EDAMAGED;
    if (err)
        return err;
    err = pp_store_fetch_message(store, segment, nth, out_message);
    if (err == PIPIT_EDAMAGED)
        pp_store_note_lost(store, seq, seq, "read");
    return err;
}

pipit_err pp_store_try_read(pp_store *store, uint64_t seq, struct pp_store_message *out_message)
{
    pipit_err err;

    store->hurried = store->options.readers != NULL;
    err = pp_store_read(store, seq, out_message);
    store->hurried = false;
    return err;
}

/* What a filter lets through: all, one subject, or those that match. */
struct sieve {
    pp_str filter;
    bool all;
    bool wildcard;
    uint32_t id;      /* of the one subject; or the last one that was looked at */
    bool let_through; /* and what came of it */
};

static struct sieve sieve_of(const pp_store *store, pp_str filter)
{
    struct sieve sieve = {.filter = filter, .id = PP_SUBJECT_NONE};

    sieve.all = filter.len == 0 || pp_str_eq(filter, PP_STR(">"));
    sieve.wildcard = !sieve.all && pp_subject_has_wildcard(filter);
    if (!sieve.all && !sieve.wildcard)
        sieve.id = pp_subjects_find(&store->subjects, filter);
    return sieve;
}

static bool passes(const pp_store *store, struct sieve *sieve, uint32_t id)
{
    const struct pp_stored_subject *subject;

    if (!sieve->wildcard)
        return sieve->all || id == sieve->id;
    if (id == PP_SUBJECT_NONE)
        return false; /* its record is not there any more */
    if (id != sieve->id) {
        subject = pp_subjects_at(&store->subjects, id);
        sieve->id = id;
        sieve->let_through =
            pp_subject_matches((pp_str){subject->text, subject->len}, sieve->filter);
    }
    return sieve->let_through;
}

/* The first live message of a segment from nth on that passes; count: none. */
static uint32_t next_in(const pp_store *store, const pp_segment *segment, uint32_t nth,
                        struct sieve *sieve)
{
    if (!sieve->all && !sieve->wildcard)
        return pp_segment_next_of(segment, nth, sieve->id);
    nth = pp_segment_next_live(segment, nth);
    while (nth < segment->count && !passes(store, sieve, pp_segment_subject(segment, nth)))
        nth = pp_segment_next_live(segment, nth + 1);
    return nth;
}

/* The last live message before nth that passes; count: none. */
static uint32_t prev_in(const pp_store *store, const pp_segment *segment, uint32_t nth,
                        struct sieve *sieve)
{
    if (!sieve->all && !sieve->wildcard)
        return pp_segment_prev_of(segment, nth, sieve->id);
    while (nth-- > 0)
        if (!pp_segment_is_dead(segment, nth) &&
            passes(store, sieve, pp_segment_subject(segment, nth)))
            return nth;
    return segment->count;
}

/* Where to start for one subject: not before its first, and not at all behind its last. */
static pipit_err narrow(pp_store *store, const struct sieve *sieve, uint64_t *seq)
{
    const struct pp_stored_subject *subject;

    if (*seq < store->first_seq)
        *seq = store->first_seq;
    if (sieve->all || sieve->wildcard)
        return store->messages ? PIPIT_OK : PIPIT_ENOTFOUND;
    if (sieve->id == PP_SUBJECT_NONE)
        return PIPIT_ENOTFOUND;
    subject = pp_subjects_at(&store->subjects, sieve->id);
    if (*seq > subject->last)
        return PIPIT_ENOTFOUND;
    if (*seq < subject->first)
        *seq = subject->first;
    return PIPIT_OK;
}

/* The first message from seq on that passes and is whole. */
pipit_err pp_store_next(pp_store *store, pp_str filter, uint64_t seq,
                        struct pp_store_message *out_message)
{
    struct sieve sieve = sieve_of(store, filter);
    pipit_err err = narrow(store, &sieve, &seq);

    if (err)
        return err;
    for (uint32_t at = pp_store_segment_of(store, seq); at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        uint32_t nth;

        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (err)
            return err;
        for (nth = next_in(store, segment, pp_segment_lower(segment, seq), &sieve);
             nth < segment->count; nth = next_in(store, segment, nth + 1, &sieve)) {
            err = pp_store_fetch_message(store, segment, nth, out_message);
            if (err != PIPIT_EDAMAGED)
                return err;
            pp_store_note_lost(store, pp_segment_seq(segment, nth), pp_segment_seq(segment, nth),
                               "read");
        }
    }
    return PIPIT_ENOTFOUND;
}

pipit_err pp_store_try_next(pp_store *store, pp_str filter, uint64_t seq,
                            struct pp_store_message *out_message)
{
    pipit_err err;

    store->hurried = store->options.readers != NULL;
    err = pp_store_next(store, filter, seq, out_message);
    store->hurried = false;
    return err;
}

pipit_err pp_store_next_seq(pp_store *store, pp_str filter, uint64_t seq, uint64_t *out_seq)
{
    struct sieve sieve = sieve_of(store, filter);
    pipit_err err = narrow(store, &sieve, &seq);

    for (uint32_t at = pp_store_segment_of(store, seq); at < store->segment_count && !err; at++) {
        pp_segment *segment = store->segments[at];
        uint32_t nth;

        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (err)
            break;
        nth = next_in(store, segment, pp_segment_lower(segment, seq), &sieve);
        if (nth < segment->count) {
            *out_seq = pp_segment_seq(segment, nth);
            return PIPIT_OK;
        }
    }
    return err ? err : PIPIT_ENOTFOUND;
}

pipit_err pp_store_prev(pp_store *store, pp_str filter, uint64_t seq,
                        struct pp_store_message *out_message)
{
    struct sieve sieve = sieve_of(store, filter);
    uint64_t last = seq < store->last_seq ? seq : store->last_seq;
    uint32_t at;

    if (!sieve.all && !sieve.wildcard) {
        if (sieve.id == PP_SUBJECT_NONE)
            return PIPIT_ENOTFOUND;
        if (pp_subjects_at(&store->subjects, sieve.id)->last < last)
            last = pp_subjects_at(&store->subjects, sieve.id)->last;
    }
    at = pp_store_segment_of(store, last);
    for (at = at < store->segment_count ? at + 1 : at; at-- > 0;) {
        pp_segment *segment = store->segments[at];
        pipit_err err;
        uint32_t nth;

        if (segment->dead == segment->count)
            continue;
        err = pp_store_load(store, segment);
        if (err)
            return err;
        for (nth = prev_in(store, segment, pp_segment_lower(segment, last + 1), &sieve);
             nth < segment->count; nth = prev_in(store, segment, nth, &sieve)) {
            err = pp_store_fetch_message(store, segment, nth, out_message);
            if (err != PIPIT_EDAMAGED)
                return err;
            pp_store_note_lost(store, pp_segment_seq(segment, nth), pp_segment_seq(segment, nth),
                               "read");
        }
    }
    return PIPIT_ENOTFOUND;
}

/* Within a segment: the first live message that is not older, by halves. Damaged ones are taken to
 * be as old as those before them. */
static pipit_err time_in(pp_store *store, pp_segment *segment, int64_t time_ns, uint32_t *out_nth)
{
    uint32_t low = 0, high = segment->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2, nth = pp_segment_next_live(segment, middle);
        struct pp_record_head head;
        pipit_err err = PIPIT_EDAMAGED;

        for (; nth < high && err == PIPIT_EDAMAGED; nth = pp_segment_next_live(segment, nth + 1)) {
            err = pp_store_fetch_head(store, segment, nth, &head);
            if (err == PIPIT_OK)
                break;
        }
        if (err && err != PIPIT_EDAMAGED)
            return err;
        if (err == PIPIT_OK && nth < high && head.time_ns < time_ns)
            low = nth + 1;
        else
            high = middle;
    }
    *out_nth = pp_segment_next_live(segment, low);
    return PIPIT_OK;
}

pipit_err pp_store_at_time(pp_store *store, int64_t time_ns, uint64_t *out_seq)
{
    for (uint32_t at = 0; at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        uint32_t nth;
        pipit_err err;

        if (segment->dead == segment->count || segment->last_time_ns < time_ns)
            continue;
        err = pp_store_load(store, segment);
        if (!err)
            err = time_in(store, segment, time_ns, &nth);
        if (err)
            return err;
        if (nth < segment->count) {
            *out_seq = pp_segment_seq(segment, nth);
            return PIPIT_OK;
        }
    }
    *out_seq = store->last_seq + 1;
    return PIPIT_OK;
}

pipit_err pp_store_subject(pp_store *store, pp_str subject, struct pp_store_subject *out_subject)
{
    uint32_t id = pp_subjects_find(&store->subjects, subject);
    struct pp_store_subject found;
    pipit_err err;

    if (store->subjects_stale) {
        err = pp_store_count_subjects(store);
        if (err)
            return err;
        id = pp_subjects_find(&store->subjects, subject);
    }
    if (id == PP_SUBJECT_NONE)
        return PIPIT_ENOTFOUND;
    found.messages = pp_subjects_at(&store->subjects, id)->count;
    err = pp_store_first_of(store, id, &found.first_seq);
    if (!err)
        err = pp_store_last_of(store, id, &found.last_seq);
    if (!err)
        *out_subject = found;
    return err;
}

void pp_store_subjects(pp_store *store, pp_str filter,
                       void (*visit)(void *ctx, pp_str subject, uint64_t messages), void *ctx)
{
    struct sieve sieve;

    (void)pp_store_count_subjects(store); /* without memory they are as they were */
    sieve = sieve_of(store, filter);
    for (uint32_t id = 0; id < store->subjects.used; id++) {
        const struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);

        if (subject->text && passes(store, &sieve, id))
            visit(ctx, (pp_str){subject->text, subject->len}, subject->count);
    }
}
