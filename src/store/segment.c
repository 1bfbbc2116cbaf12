#include "store/segment.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <sodium.h>

enum { INDEX_ROOM_MIN = 64 };

pipit_err pp_segment_new(uint64_t number, uint64_t first_seq, pp_segment **out_segment)
{
    pp_segment *segment = pp_calloc(1, sizeof(*segment));

    if (!segment)
        return PIPIT_ENOMEM;
    segment->number = number;
    segment->first_seq = first_seq;
    segment->last_seq = first_seq - 1;
    segment->dense = true;
    segment->truncate = PP_SEGMENT_NO_TRUNCATION;
    segment->lowest_delete = UINT64_MAX;
    segment->fd = -1;
    *out_segment = segment;
    return PIPIT_OK;
}

void pp_segment_free(pp_segment *segment)
{
    if (!segment)
        return;
    PP_ASSERT(segment->fd < 0);
    pp_free(segment->places);
    pp_free(segment->subjects);
    pp_free(segment->narrow);
    pp_free(segment->sizes);
    pp_free(segment->gaps);
    pp_free(segment->dead_bits);
    pp_free(segment->memory);
    pp_ranges_fini(&segment->deletes);
    pp_ranges_fini(&segment->drops);
    pp_expiries_fini(&segment->expiries);
    sodium_memzero(&segment->seal, sizeof(segment->seal));
    pp_free(segment);
}

static pipit_err resize(uint32_t **array, uint32_t room)
{
    uint32_t *grown = pp_realloc(*array, (size_t)room * sizeof(*grown));

    if (!grown)
        return PIPIT_ENOMEM;
    *array = grown;
    return PIPIT_OK;
}

/* From now on each message has its distance. */
static pipit_err make_gaps(pp_segment *segment)
{
    if (segment->gaps)
        return PIPIT_OK;
    if (resize(&segment->gaps, segment->index_room))
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < segment->count; i++)
        segment->gaps[i] = i;
    segment->dense = false;
    return PIPIT_OK;
}

pipit_err pp_segment_reserve(pp_segment *segment, uint32_t more, uint64_t seq)
{
    uint32_t room = segment->index_room;
    uint64_t first = segment->count ? segment->first_seq : seq;

    if (segment->count > UINT32_MAX / 2 - more || seq - first > UINT32_MAX)
        return PIPIT_ETOOBIG;
    if (segment->count + more > room) {
        room += room / 4 + more;
        if (room < INDEX_ROOM_MIN)
            room = INDEX_ROOM_MIN;
        if (resize(&segment->places, room) || resize(&segment->subjects, room) ||
            (segment->sized && resize(&segment->sizes, room)) ||
            (segment->gaps && resize(&segment->gaps, room)))
            return PIPIT_ENOMEM;
        segment->index_room = room;
    }
    if (segment->count && seq != segment->first_seq + segment->count + more - 1)
        return make_gaps(segment);
    return PIPIT_OK;
}

void pp_segment_push(pp_segment *segment, uint64_t seq, uint64_t at, uint32_t subject,
                     uint32_t size)
{
    uint32_t nth = segment->count;

    PP_ASSERT(nth < segment->index_room && at % PP_RECORD_ALIGN == 0);
    if (nth == 0)
        segment->first_seq = seq;
    segment->places[nth] = (uint32_t)(at / PP_RECORD_ALIGN);
    segment->subjects[nth] = subject;
    if (segment->sized)
        segment->sizes[nth] = size;
    if (segment->gaps)
        segment->gaps[nth] = (uint32_t)(seq - segment->first_seq);
    segment->last_seq = seq;
    segment->count++;
}

void pp_segment_trim(pp_segment *segment)
{
    uint32_t room = segment->count ? segment->count : 1;

    pp_free(segment->sizes);
    segment->sizes = NULL;
    segment->sized = false;
    pp_segment_narrow(segment);
    if (!segment->places || segment->index_room == room)
        return;
    /* Refused: they stay as they are. Shrunk in order, so that index_room is never too much. */
    segment->index_room = room;
    (void)resize(&segment->places, room);
    if (segment->subjects)
        (void)resize(&segment->subjects, room);
    if (segment->gaps)
        (void)resize(&segment->gaps, room);
}

void pp_segment_narrow(pp_segment *segment)
{
    uint16_t *narrow;

    if (!segment->subjects)
        return;
    for (uint32_t i = 0; i < segment->count; i++)
        if (segment->subjects[i] >= UINT16_MAX && segment->subjects[i] != PP_SUBJECT_NONE)
            return;
    narrow = pp_alloc((segment->count + 1) * sizeof(*narrow));
    if (!narrow)
        return;
    for (uint32_t i = 0; i < segment->count; i++)
        narrow[i] = (uint16_t)segment->subjects[i]; /* none is UINT16_MAX then */
    pp_free(segment->subjects);
    segment->subjects = NULL;
    segment->narrow = narrow;
}

void pp_segment_unload(pp_segment *segment)
{
    pp_free(segment->places);
    pp_free(segment->subjects);
    pp_free(segment->narrow);
    pp_free(segment->gaps);
    pp_free(segment->sizes);
    segment->places = segment->subjects = segment->gaps = segment->sizes = NULL;
    segment->narrow = NULL;
    segment->index_room = 0;
}

size_t pp_segment_index_bytes(const pp_segment *segment)
{
    size_t each = sizeof(*segment->places);

    if (!segment->places)
        return 0;
    each += segment->narrow ? sizeof(*segment->narrow) : sizeof(*segment->subjects);
    if (segment->gaps)
        each += sizeof(*segment->gaps);
    if (segment->sizes)
        each += sizeof(*segment->sizes);
    return segment->index_room * each;
}

uint32_t pp_segment_lower(const pp_segment *segment, uint64_t seq)
{
    uint32_t low = 0, high = segment->count;

    if (!segment->count || seq <= segment->first_seq)
        return 0;
    if (!segment->gaps)
        return seq - segment->first_seq < segment->count ? (uint32_t)(seq - segment->first_seq)
                                                         : segment->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (pp_segment_seq(segment, middle) < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

pipit_err pp_segment_reserve_dead(pp_segment *segment)
{
    uint32_t words = segment->dead_room / 64;
    uint32_t wanted = (segment->count + 63) / 64;
    uint64_t *bits;

    if (words >= wanted)
        return PIPIT_OK;
    if (!segment->sealed)
        wanted += wanted / 2 + 1; /* more will come */
    bits = pp_realloc(segment->dead_bits, wanted * sizeof(*bits));
    if (!bits)
        return PIPIT_ENOMEM;
    memset(bits + words, 0, (wanted - words) * sizeof(*bits));
    segment->dead_bits = bits;
    segment->dead_room = wanted * 64;
    return PIPIT_OK;
}

void pp_segment_kill(pp_segment *segment, uint32_t nth)
{
    PP_ASSERT(nth < segment->count && nth < segment->dead_room);
    PP_ASSERT(!pp_segment_is_dead(segment, nth));
    segment->dead_bits[nth / 64] |= (uint64_t)1 << (nth % 64);
    segment->dead++;
}

uint32_t pp_segment_next_live(const pp_segment *segment, uint32_t nth)
{
    while (nth < segment->count && segment->dead_bits && nth < segment->dead_room) {
        uint64_t live = ~segment->dead_bits[nth / 64] >> (nth % 64);

        if (live) {
            nth += (uint32_t)__builtin_ctzll(live);
            break;
        }
        nth = (nth / 64 + 1) * 64;
    }
    return nth < segment->count ? nth : segment->count;
}

/* The first from nth on that has the id; sixteen at a time, since a rare subject is far away. */
#define DEFINE_FIND(name, type)                                                                    \
    static uint32_t name(const type *ids, uint32_t nth, uint32_t count, type id)                   \
    {                                                                                              \
        while (count - nth >= 16) {                                                                \
            uint32_t hit = 0;                                                                      \
                                                                                                   \
            for (uint32_t i = 0; i < 16; i++)                                                      \
                hit |= ids[nth + i] == id;                                                         \
            if (hit)                                                                               \
                break;                                                                             \
            nth += 16;                                                                             \
        }                                                                                          \
        while (nth < count && ids[nth] != id)                                                      \
            nth++;                                                                                 \
        return nth;                                                                                \
    }
DEFINE_FIND(find_wide, uint32_t)
DEFINE_FIND(find_narrow, uint16_t)

/* Its number in narrow ones. False: none of them has it. */
static bool narrow_id(uint32_t subject, uint16_t *out_id)
{
    *out_id = (uint16_t)subject;
    return subject < UINT16_MAX || subject == PP_SUBJECT_NONE;
}

uint32_t pp_segment_next_of(const pp_segment *segment, uint32_t nth, uint32_t subject)
{
    uint32_t count = segment->count;
    uint16_t id;

    if (segment->narrow && !narrow_id(subject, &id))
        return count;
    for (;; nth++) {
        nth = segment->narrow ? find_narrow(segment->narrow, nth, count, id)
                              : find_wide(segment->subjects, nth, count, subject);
        if (nth >= count || !pp_segment_is_dead(segment, nth))
            return nth;
    }
}

uint32_t pp_segment_prev_of(const pp_segment *segment, uint32_t nth, uint32_t subject)
{
    while (nth-- > 0)
        if (pp_segment_subject(segment, nth) == subject && !pp_segment_is_dead(segment, nth))
            return nth;
    return segment->count;
}

void pp_segment_note_floor(pp_segment *segment, uint64_t floor)
{
    struct pp_ranges *deletes = &segment->deletes;
    struct pp_range *last = deletes->count ? &deletes->items[deletes->count - 1] : NULL;

    segment->lowest_delete = 1;
    if (last && last->first == 1 && last->last <= floor)
        last->last = floor; /* one for all of them */
    else
        pp_ranges_push(deletes, 1, floor);
}

pipit_err pp_ranges_reserve(struct pp_ranges *ranges, uint32_t more)
{
    struct pp_range *items;
    uint32_t room;

    if (ranges->room - ranges->count >= more)
        return PIPIT_OK;
    if (ranges->count > UINT32_MAX / 4 - more)
        return PIPIT_ELIMIT;
    room = ranges->count + ranges->count / 2 + more;
    items = pp_realloc(ranges->items, room * sizeof(*items));
    if (!items)
        return PIPIT_ENOMEM;
    ranges->items = items;
    ranges->room = room;
    return PIPIT_OK;
}

void pp_ranges_push(struct pp_ranges *ranges, uint64_t first, uint64_t last)
{
    struct pp_range *before = ranges->count ? &ranges->items[ranges->count - 1] : NULL;

    if (before && before->last + 1 == first) {
        before->last = last;
        return;
    }
    PP_ASSERT(ranges->count < ranges->room);
    ranges->items[ranges->count++] = (struct pp_range){first, last};
}

void pp_ranges_fini(struct pp_ranges *ranges)
{
    pp_free(ranges->items);
    *ranges = (struct pp_ranges){0};
}

pipit_err pp_expiries_reserve(struct pp_expiries *expiries)
{
    uint32_t room = expiries->room + expiries->room / 2 + 16;
    struct pp_expiry *items;

    if (expiries->count < expiries->room)
        return PIPIT_OK;
    if (expiries->room > UINT32_MAX / 4)
        return PIPIT_ELIMIT;
    items = pp_realloc(expiries->items, room * sizeof(*items));
    if (!items)
        return PIPIT_ENOMEM;
    expiries->items = items;
    expiries->room = room;
    return PIPIT_OK;
}

void pp_expiries_push(struct pp_expiries *expiries, int64_t at_ns, uint64_t seq)
{
    expiries->items[expiries->count++] = (struct pp_expiry){at_ns, seq};
}

void pp_expiries_fini(struct pp_expiries *expiries)
{
    pp_free(expiries->items);
    *expiries = (struct pp_expiries){0};
}
