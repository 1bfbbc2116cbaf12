#include "store/footer.h"

#include "base/alloc.h"
#include "base/hash.h"

enum { CHECKED_FROM = offsetof(struct pp_footer, number) };

/* Subjects as the segment sees them: numbered by when they first come. */
struct locals {
    uint32_t *of_id;  /* local number + 1, by id */
    uint32_t *of_nth; /* local number of each message */
    struct pp_footer_subject *subjects;
    uint32_t *ids;
    uint32_t count;
    uint32_t room;
};

uint64_t pp_footer_check(const void *bytes, size_t len, uint64_t seed)
{
    return pp_hash(bytes, len, seed);
}

static uint64_t trailer_check(const struct pp_footer *footer, uint64_t seed)
{
    return pp_hash((const char *)footer + CHECKED_FROM, sizeof(*footer) - CHECKED_FROM, seed);
}

static void locals_fini(struct locals *locals)
{
    pp_free(locals->of_id);
    pp_free(locals->of_nth);
    pp_free(locals->subjects);
    pp_free(locals->ids);
}

static pipit_err add_local(struct locals *locals, uint32_t id)
{
    if (locals->count == locals->room) {
        uint32_t room = 2 * locals->room + 16;
        void *subjects = pp_realloc(locals->subjects, room * sizeof(*locals->subjects));
        void *ids;

        if (!subjects)
            return PIPIT_ENOMEM;
        locals->subjects = subjects;
        ids = pp_realloc(locals->ids, room * sizeof(*locals->ids));
        if (!ids)
            return PIPIT_ENOMEM;
        locals->ids = ids;
        locals->room = room;
    }
    locals->subjects[locals->count] = (struct pp_footer_subject){0};
    locals->ids[locals->count] = id;
    locals->of_id[id] = ++locals->count;
    return PIPIT_OK;
}

/* Dead messages may be of subjects that are no more, or whose number is another's by now: they get
 * no local subject, and count for none. */
static pipit_err gather(struct locals *locals, const pp_segment *segment, uint32_t id_count)
{
    locals->of_id = pp_calloc(id_count + 1, sizeof(uint32_t));
    locals->of_nth = pp_alloc((segment->count + 1) * sizeof(uint32_t));
    if (!locals->of_id || !locals->of_nth)
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < segment->count; i++) {
        uint32_t id = pp_segment_subject(segment, i);
        struct pp_footer_subject *subject;

        locals->of_nth[i] = PP_SUBJECT_NONE;
        if (id == PP_SUBJECT_NONE || pp_segment_is_dead(segment, i))
            continue;
        if (!locals->of_id[id] && add_local(locals, id))
            return PIPIT_ENOMEM;
        locals->of_nth[i] = locals->of_id[id] - 1;
        subject = &locals->subjects[locals->of_nth[i]];
        subject->last = pp_segment_seq(segment, i);
        if (subject->count++ == 0)
            subject->first = subject->last;
    }
    return PIPIT_OK;
}

static pipit_err add_subjects(const struct locals *locals, const pp_subjects *subjects, pp_buf *out)
{
    static const char zeros[8];
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < locals->count && !err; i++) {
        const struct pp_stored_subject *stored = pp_subjects_at(subjects, locals->ids[i]);
        struct pp_footer_subject subject = locals->subjects[i];

        subject.len = stored->len;
        err = pp_buf_add(out, &subject, sizeof(subject));
        if (!err)
            err = pp_buf_add(out, stored->text, stored->len);
        if (!err)
            err = pp_buf_add(out, zeros, -stored->len & 7);
    }
    return err;
}

struct pp_seal_place pp_footer_place(uint64_t at, const uint64_t *number)
{
    return (struct pp_seal_place){PP_SEAL_FOOTER, at, {(const char *)number, sizeof(*number)}};
}

static pipit_err seal_subjects(const pp_segment *segment, pp_buf *out)
{
    struct pp_seal_place place = pp_footer_place(segment->end, &segment->number);
    pipit_err err = PIPIT_OK;

    if (segment->sealed_by)
        err = pp_buf_reserve(out, PP_SEAL_BYTES);
    if (segment->sealed_by && !err) {
        pp_seal_close(&segment->seal, &place, out->ptr, out->len);
        out->len += PP_SEAL_BYTES;
    }
    return err;
}

static pipit_err add_lists(const pp_segment *segment, pp_buf *out)
{
    pipit_err err = pp_buf_add(out, segment->deletes.items, segment->deletes.count * 16);

    if (!err)
        err = pp_buf_add(out, segment->drops.items, segment->drops.count * 16);
    if (!err)
        err = pp_buf_add(out, segment->expiries.items, segment->expiries.count * 16);
    return err;
}

static pipit_err add_index(const pp_segment *segment, const struct locals *locals, pp_buf *out)
{
    size_t bytes = segment->count * sizeof(uint32_t);
    pipit_err err = pp_buf_add(out, segment->places, bytes);

    if (!err)
        err = pp_buf_add(out, locals->of_nth, bytes);
    if (!err)
        err = pp_buf_add(out, segment->sizes, bytes);
    if (!err && segment->gaps)
        err = pp_buf_add(out, segment->gaps, bytes);
    return err;
}

static struct pp_footer trailer_of(const pp_segment *segment)
{
    return (struct pp_footer){
        .magic = PP_FOOTER_MAGIC,
        .number = segment->number,
        .at = segment->end,
        .first_seq = segment->first_seq,
        .last_seq = segment->last_seq,
        .first_time_ns = segment->first_time_ns,
        .last_time_ns = segment->last_time_ns,
        .live_bytes = segment->live_bytes,
        .truncate = segment->truncate,
        .lowest_delete = segment->lowest_delete,
        .count = segment->count,
        .dead = segment->dead,
        .delete_count = segment->deletes.count,
        .drop_count = segment->drops.count,
        .expiry_count = segment->expiries.count,
        .flags = (segment->gaps ? 0 : PP_FOOTER_DENSE) | (segment->has_ops ? PP_FOOTER_OPS : 0) |
                 (segment->sealed_by ? PP_FOOTER_SEALED : 0),
    };
}

pipit_err pp_footer_encode(const pp_segment *segment, const pp_subjects *subjects, uint64_t seed,
                           pp_buf *out, uint64_t *out_sizes_at)
{
    struct pp_footer footer = trailer_of(segment);
    struct locals locals = {0};
    size_t from;
    pipit_err err = gather(&locals, segment, subjects->used);

    if (!err)
        err = pp_buf_reserve(out, sizeof(footer)); /* it has memory, however little comes */
    if (!err)
        err = add_subjects(&locals, subjects, out);
    if (!err)
        err = seal_subjects(segment, out);
    if (!err) {
        footer.subject_count = locals.count;
        footer.subjects_bytes = out->len;
        footer.subjects_check = pp_footer_check(out->ptr, out->len, seed);
        from = out->len;
        err = add_lists(segment, out);
    }
    if (!err) {
        footer.lists_check = pp_footer_check(out->ptr + from, out->len - from, seed);
        from = out->len;
        err = add_index(segment, &locals, out);
    }
    if (!err) {
        footer.index_check = pp_footer_check(out->ptr + from, out->len - from, seed);
        footer.check = trailer_check(&footer, seed);
        err = pp_buf_add(out, &footer, sizeof(footer));
        *out_sizes_at = pp_footer_sizes_at(&footer);
    }
    locals_fini(&locals);
    return err;
}

bool pp_footer_true(const struct pp_footer *footer, uint64_t file_bytes, uint64_t number,
                    uint64_t seed)
{
    uint64_t bytes;

    if (footer->magic != PP_FOOTER_MAGIC || footer->number != number ||
        footer->check != trailer_check(footer, seed))
        return false;
    /* True to the letter; but what it says must also be possible. */
    if (footer->at > file_bytes || footer->subjects_bytes > file_bytes)
        return false;
    bytes = footer->at + footer->subjects_bytes + pp_footer_lists_bytes(footer) +
            pp_footer_index_bytes(footer) + sizeof(*footer);
    return bytes == file_bytes && footer->at >= PP_SEGMENT_HEADER_BYTES &&
           footer->dead <= footer->count && footer->first_seq > 0 &&
           footer->last_seq <= UINT64_MAX / 2 && footer->last_seq + 1 >= footer->first_seq;
}

bool pp_footer_front_possible(const struct pp_footer *footer, const char *front)
{
    pp_str rest = {front, (size_t)footer->subjects_bytes}, text;
    struct pp_footer_subject subject;
    uint64_t messages = 0;

    for (uint32_t i = 0; i < footer->subject_count; i++) {
        if (!pp_footer_next_subject(&rest, &subject, &text) || text.len == 0 ||
            subject.count == 0 || subject.first < footer->first_seq ||
            subject.first > subject.last || subject.last > footer->last_seq)
            return false;
        messages += subject.count;
    }
    return rest.len == (footer->flags & PP_FOOTER_SEALED ? PP_SEAL_BYTES : 0) &&
           messages == footer->count - footer->dead;
}

static uint32_t word(const char *at, uint64_t nth)
{
    uint32_t value;

    memcpy(&value, at + nth * sizeof(value), sizeof(value));
    return value;
}

/* Places and sequences grow, and lie where they can. */
static bool is_in_order(const struct pp_footer *footer, const char *index)
{
    uint64_t count = footer->count, place = 0;
    const char *gaps = footer->flags & PP_FOOTER_DENSE ? NULL : index + 3 * count * 4;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t next = (uint64_t)word(index, i) * PP_RECORD_ALIGN;

        if (next < PP_SEGMENT_HEADER_BYTES || (i && next < place + PP_RECORD_HEAD_BYTES) ||
            next + PP_RECORD_HEAD_BYTES > footer->at ||
            (gaps && (i ? word(gaps, i) <= word(gaps, i - 1) : word(gaps, i) != 0)))
            return false;
        place = next;
    }
    return count == 0 ||
           footer->first_seq + (gaps ? word(gaps, count - 1) : count - 1) <= footer->last_seq;
}

pipit_err pp_footer_check_index(const struct pp_footer *footer, const char *front,
                                const char *index)
{
    const char *of_nth = index + (uint64_t)footer->count * 4;
    uint32_t *counts = pp_calloc((size_t)footer->subject_count + 1, sizeof(*counts));
    pp_str rest = {front, (size_t)footer->subjects_bytes}, text;
    struct pp_footer_subject subject;
    bool possible = is_in_order(footer, index);

    if (!counts)
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < footer->count && possible; i++) {
        uint32_t local = word(of_nth, i);

        possible = local == PP_SUBJECT_NONE || local < footer->subject_count;
        if (possible && local != PP_SUBJECT_NONE)
            counts[local]++;
    }
    for (uint32_t i = 0; i < footer->subject_count && possible; i++)
        possible = pp_footer_next_subject(&rest, &subject, &text) && subject.count == counts[i];
    pp_free(counts);
    return possible ? PIPIT_OK : PIPIT_EDAMAGED;
}

bool pp_footer_next_subject(pp_str *rest, struct pp_footer_subject *out_subject, pp_str *out_text)
{
    size_t padded;

    if (rest->len < sizeof(*out_subject))
        return false;
    memcpy(out_subject, rest->ptr, sizeof(*out_subject));
    padded = sizeof(*out_subject) + (((size_t)out_subject->len + 7) & ~(size_t)7);
    if (rest->len < padded)
        return false;
    *out_text = (pp_str){rest->ptr + sizeof(*out_subject), out_subject->len};
    *rest = (pp_str){rest->ptr + padded, rest->len - padded};
    return true;
}
