#include "store/subjects.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

enum { SLOTS_MIN = 16, IDS_MAX = 1 << 30 };

void pp_subjects_init(pp_subjects *subjects)
{
    *subjects = (pp_subjects){.seed = pp_random_seed(), .free = PP_SUBJECT_NONE};
}

void pp_subjects_fini(pp_subjects *subjects)
{
    for (uint32_t id = 0; id < subjects->used; id++)
        pp_free(pp_subjects_at(subjects, id)->text);
    for (uint32_t i = 0; i < subjects->page_count; i++)
        pp_free(subjects->pages[i]);
    pp_free(subjects->pages);
    pp_free(subjects->slots);
    *subjects = (pp_subjects){.free = PP_SUBJECT_NONE};
}

static uint32_t hash_of(const pp_subjects *subjects, pp_str text)
{
    return (uint32_t)pp_hash(text.ptr, text.len, subjects->seed);
}

/* The slot of a subject, or the empty one where it would go. */
static uint32_t slot_of(const pp_subjects *subjects, pp_str text, uint32_t hash)
{
    uint32_t mask = subjects->slot_count - 1;
    uint32_t slot = hash & mask;

    for (; subjects->slots[slot]; slot = (slot + 1) & mask) {
        const struct pp_stored_subject *at = pp_subjects_at(subjects, subjects->slots[slot] - 1);

        if (at->hash == hash && pp_str_eq((pp_str){at->text, at->len}, text))
            break;
    }
    return slot;
}

uint32_t pp_subjects_find(const pp_subjects *subjects, pp_str text)
{
    uint32_t found;

    if (!subjects->slot_count)
        return PP_SUBJECT_NONE;
    found = subjects->slots[slot_of(subjects, text, hash_of(subjects, text))];
    return found ? found - 1 : PP_SUBJECT_NONE;
}

/* Make the table ready for one more: it is at most three quarters full. */
static pipit_err grow_slots(pp_subjects *subjects)
{
    uint32_t count = subjects->slot_count ? 2 * subjects->slot_count : SLOTS_MIN;
    uint32_t *slots;

    if (subjects->live < subjects->slot_count / 4 * 3)
        return PIPIT_OK;
    slots = pp_calloc(count, sizeof(*slots));
    if (!slots)
        return PIPIT_ENOMEM;
    for (uint32_t i = 0; i < subjects->slot_count; i++) {
        uint32_t slot;

        if (!subjects->slots[i])
            continue;
        slot = pp_subjects_at(subjects, subjects->slots[i] - 1)->hash & (count - 1);
        while (slots[slot])
            slot = (slot + 1) & (count - 1);
        slots[slot] = subjects->slots[i];
    }
    pp_free(subjects->slots);
    subjects->slots = slots;
    subjects->slot_count = count;
    return PIPIT_OK;
}

static pipit_err grow_pages(pp_subjects *subjects)
{
    struct pp_stored_subject **pages;

    if (subjects->free != PP_SUBJECT_NONE ||
        subjects->used < subjects->page_count * PP_SUBJECTS_PAGE)
        return PIPIT_OK;
    if (subjects->used >= IDS_MAX)
        return PIPIT_ELIMIT;
    if (subjects->page_count == subjects->page_room) {
        uint32_t room = subjects->page_room ? 2 * subjects->page_room : 8;

        pages = pp_realloc(subjects->pages, room * sizeof(struct pp_stored_subject *));
        if (!pages)
            return PIPIT_ENOMEM;
        subjects->pages = pages;
        subjects->page_room = room;
    }
    subjects->pages[subjects->page_count] =
        pp_calloc(PP_SUBJECTS_PAGE, sizeof(struct pp_stored_subject));
    if (!subjects->pages[subjects->page_count])
        return PIPIT_ENOMEM;
    subjects->page_count++;
    return PIPIT_OK;
}

static uint32_t take_id(pp_subjects *subjects)
{
    uint32_t id = subjects->free;

    if (id == PP_SUBJECT_NONE)
        return subjects->used++;
    subjects->free = (uint32_t)pp_subjects_at(subjects, id)->first;
    return id;
}

pipit_err pp_subjects_add(pp_subjects *subjects, pp_str text, uint32_t *out_id)
{
    uint32_t hash = hash_of(subjects, text), slot, id;
    pipit_err err = grow_slots(subjects);
    char *copy;

    if (err)
        return err;
    slot = slot_of(subjects, text, hash);
    if (subjects->slots[slot]) {
        *out_id = subjects->slots[slot] - 1;
        return PIPIT_OK;
    }
    if (text.len > UINT16_MAX)
        return PIPIT_ELIMIT;
    err = grow_pages(subjects);
    if (err)
        return err;
    copy = pp_memdupz(text.ptr, text.len);
    if (!copy)
        return PIPIT_ENOMEM;
    id = take_id(subjects);
    *pp_subjects_at(subjects, id) =
        (struct pp_stored_subject){.text = copy, .hash = hash, .len = (uint16_t)text.len};
    subjects->slots[slot] = id + 1;
    subjects->live++;
    *out_id = id;
    return PIPIT_OK;
}

/* Empty a slot, and move up those behind it that were pushed on by it. */
static void empty_slot(pp_subjects *subjects, uint32_t slot)
{
    uint32_t mask = subjects->slot_count - 1;

    for (uint32_t next = (slot + 1) & mask; subjects->slots[next]; next = (next + 1) & mask) {
        uint32_t home = pp_subjects_at(subjects, subjects->slots[next] - 1)->hash & mask;

        if (((next - home) & mask) >= ((next - slot) & mask)) {
            subjects->slots[slot] = subjects->slots[next];
            slot = next;
        }
    }
    subjects->slots[slot] = 0;
}

void pp_subjects_release(pp_subjects *subjects, uint32_t id)
{
    struct pp_stored_subject *subject = pp_subjects_at(subjects, id);

    if (subject->count || !subject->text)
        return;
    empty_slot(subjects, slot_of(subjects, (pp_str){subject->text, subject->len}, subject->hash));
    pp_free(subject->text);
    *subject = (struct pp_stored_subject){.first = subjects->free};
    subjects->free = id;
    subjects->live--;
}

void pp_subjects_release_unused(pp_subjects *subjects)
{
    for (uint32_t id = 0; id < subjects->used; id++)
        pp_subjects_release(subjects, id);
}
