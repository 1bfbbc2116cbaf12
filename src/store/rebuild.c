#include "store/rebuild.h"

#include "base/alloc.h"
#include "store/found.h"
#include "store/holes.h"

/* --- reading; thread: any ----------------------------------------------------------------- */

/* What reads records wants a store: this one has the same files and keys, and nothing else. */
static void begin_apart(pp_store *apart, const pp_store *store)
{
    apart->disk = store->disk;
    apart->dir = store->dir;
    apart->id = store->id;
    apart->keys = store->keys;
    apart->epoch = store->epoch;
    pp_subjects_init(&apart->subjects);
    pp_buf_init(&apart->opened, PP_RECORD_BODY_MAX + 4096);
}

static pipit_err read_apart(pp_store *apart, uint64_t number, uint64_t records_end,
                            struct pp_rebuilt *rebuilt)
{
    struct pp_found found = {.number = number, .records_end = records_end, .erased_too = true};
    struct pp_ranges *suspects = &rebuilt->suspects;
    pipit_err err = pp_found_read_records(apart, &found, false, suspects);

    /* A disk that gives nothing does not say what is there: maybe it does another time. */
    if (!err && found.unread && found.segment->count == 0)
        err = PIPIT_EIO;
    if (!err && found.ends_in_hole) {
        err = pp_ranges_reserve(suspects, 1);
        if (!err)
            pp_ranges_push(suspects, found.segment->last_seq + 1, UINT64_MAX / 2);
    }
    if (found.segment)
        pp_store_close_file(apart, found.segment);
    pp_buf_fini(&apart->opened);
    rebuilt->read = found.segment;
    rebuilt->subjects = apart->subjects;
    rebuilt->unread = found.unread;
    rebuilt->footer_unread = found.footer_unread;
    return err;
}

pipit_err pp_rebuilt_read(const pp_store *store, uint64_t number, uint64_t records_end,
                          const struct pp_later *later, struct pp_rebuilt **out_rebuilt)
{
    struct pp_rebuilt *rebuilt = pp_calloc(1, sizeof(*rebuilt));
    pp_store *apart = pp_calloc(1, sizeof(*apart));
    pipit_err err = PIPIT_ENOMEM;

    if (rebuilt && apart) {
        begin_apart(apart, store);
        err = read_apart(apart, number, records_end, rebuilt);
    }
    pp_free(apart);
    if (!err && later)
        err = pp_holes_read_later(store, later, rebuilt);
    if (err)
        pp_rebuilt_free(rebuilt);
    else
        *out_rebuilt = rebuilt;
    return err;
}

void pp_rebuilt_free(struct pp_rebuilt *rebuilt)
{
    if (!rebuilt)
        return;
    pp_segment_free(rebuilt->read);
    pp_subjects_fini(&rebuilt->subjects);
    pp_ranges_fini(&rebuilt->suspects);
    pp_ranges_fini(&rebuilt->deletes);
    pp_free(rebuilt->later.files);
    pp_free(rebuilt);
}

/* --- taking ------------------------------------------------------------------------------- */

/* The store's numbers of its subjects. NULL: no memory. */
static uint32_t *map_subjects(const pp_store *store, const pp_subjects *subjects)
{
    uint32_t *ids = pp_alloc((subjects->used + 1) * sizeof(*ids));

    for (uint32_t i = 0; ids && i < subjects->used; i++) {
        const struct pp_stored_subject *subject = pp_subjects_at(subjects, i);

        ids[i] = pp_subjects_find(&store->subjects, (pp_str){subject->text, subject->len});
    }
    return ids;
}

/* Put what was read where it belongs; what is not there any more has place 0, and is damaged. */
static void fill_index(pp_segment *segment, pp_segment *read, const uint32_t *ids)
{
    for (uint32_t i = 0; i < read->count; i++) {
        uint64_t nth = segment->dense ? pp_segment_seq(read, i) - segment->first_seq : i;

        if (nth < segment->count) {
            segment->places[nth] = read->places[i];
            segment->subjects[nth] = ids[pp_segment_subject(read, i)];
        }
    }
    if (!segment->dense) {
        segment->gaps = read->gaps;
        read->gaps = NULL;
    }
    pp_segment_narrow(segment);
}

/* Is each message that was read the one in its place? */
static bool is_whole(const pp_segment *segment, const pp_segment *read)
{
    if (segment->dense)
        return true;
    return read->count == segment->count &&
           (read->count == 0 || pp_segment_seq(read, read->count - 1) <= segment->last_seq);
}

static pipit_err take_whole(pp_segment *segment, pp_segment *read, const uint32_t *ids)
{
    size_t bytes = (segment->count + 1) * sizeof(uint32_t);

    segment->places = pp_calloc(1, bytes);
    segment->subjects = pp_alloc(bytes);
    if (!segment->places || !segment->subjects) {
        pp_segment_unload(segment);
        return PIPIT_ENOMEM;
    }
    memset(segment->subjects, 0xff, bytes); /* PP_SUBJECT_NONE */
    segment->index_room = segment->count;
    fill_index(segment, read, ids);
    return PIPIT_OK;
}

pipit_err pp_rebuilt_take(pp_store *store, pp_segment *segment, struct pp_rebuilt *rebuilt)
{
    uint32_t *ids = map_subjects(store, &rebuilt->subjects);
    pipit_err err = PIPIT_ENOMEM;

    if (ids)
        err = is_whole(segment, rebuilt->read) ? take_whole(segment, rebuilt->read, ids)
                                               : pp_holes_take(store, segment, rebuilt, ids);
    pp_free(ids);
    return err;
}
