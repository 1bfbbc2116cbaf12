/* A store is opened: which files there are, what they say, what is missing.
 *
 * Nothing of what is found is changed, with three exceptions: the end of the last segment, if a
 * write to it never finished, is cut off; files go that records say are no more; and the file that
 * was made ready for a next segment. */
#include "store/found.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_MAX = 1 << 20 };

struct recovery {
    pp_store *store;
    struct pp_found *found; /* by number */
    uint32_t count;
    uint32_t room;
    pipit_err err; /* of listing */
    bool has_manifest;
    struct pp_ranges suspects; /* sequences that may be lost */
    struct pp_ranges deletes;  /* and what explains that they are missing */
    struct pp_ranges drops;    /* the same of segments */
    uint32_t files_missing;
    uint64_t holes;
};

static void complain(const pp_store *store, pp_log_level level, const char *what, uint64_t number)
{
    if (store->options.log)
        pp_log_write(store->options.log, level, "store: %s dir=%s n=%llu", what, store->dir,
                     (unsigned long long)number);
}

static void visit_name(void *ctx, const char *name)
{
    struct recovery *recovery = ctx;
    uint64_t number = pp_store_number_of(name);

    if (!number || recovery->err)
        return;
    if (recovery->count == recovery->room) {
        uint32_t room = 2 * recovery->room + 16;
        struct pp_found *found = pp_realloc(recovery->found, room * sizeof(*found));

        if (!found || room > FILES_MAX) {
            recovery->found = found ? found : recovery->found;
            recovery->err = found ? PIPIT_ELIMIT : PIPIT_ENOMEM;
            return;
        }
        recovery->found = found;
        recovery->room = room;
    }
    recovery->found[recovery->count++] = (struct pp_found){.number = number};
}

static int compare_numbers(const void *a, const void *b)
{
    const struct pp_found *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static pipit_err list_files(struct recovery *recovery)
{
    pp_store *store = recovery->store;
    int listed = store->disk->ops->list(store->disk, store->dir, visit_name, recovery);

    if (listed < 0)
        return pp_err_from_errno(-listed);
    if (!recovery->err && recovery->count)
        qsort(recovery->found, recovery->count, sizeof(*recovery->found), compare_numbers);
    return recovery->err;
}

static pipit_err refuse_format(const struct pp_identity *id, const char *path, char *why)
{
    (void)snprintf(
        why, PP_STORE_WHY_BYTES,
        "%.120s is of format %u with features 0x%x; this version knows format %d with 0x%x", path,
        id->version, id->features, PP_STORE_VERSION, PP_STORE_FEATURES);
    return PIPIT_EPROTO;
}

/* Errors: PIPIT_ENOTFOUND there is none; PIPIT_EDAMAGED; PIPIT_EPROTO. */
static pipit_err read_identity(pp_store *store, const char *path, uint64_t magic,
                               struct pp_identity *out_id, char *why)
{
    struct pp_identity id = {0};
    size_t got = 0;
    int fd;
    pipit_err err = pp_disk_open(store->disk, path, O_RDONLY, &fd);

    if (err)
        return err;
    err = pp_disk_read(store->disk, fd, &id, sizeof(id), 0, &got);
    store->disk->ops->close(store->disk, fd);
    if (!err)
        err = got < sizeof(id) ? PIPIT_EDAMAGED : pp_identity_check(&id, magic);
    if (err == PIPIT_EPROTO)
        return refuse_format(&id, path, why);
    if (!err)
        *out_id = id;
    return err;
}

/* From the manifest, or from a segment that is whole. */
static pipit_err find_identity(struct recovery *recovery, char *why)
{
    pp_store *store = recovery->store;
    char path[PP_PATH_BYTES];
    pipit_err err;

    pp_store_path_of(store, "manifest", path);
    err = read_identity(store, path, PP_MANIFEST_MAGIC, &store->id, why);
    recovery->has_manifest = err == PIPIT_OK;
    if (err != PIPIT_ENOTFOUND && err != PIPIT_EDAMAGED)
        return err;
    for (uint32_t i = 0; i < recovery->count; i++) {
        pipit_err from_segment;

        pp_store_path(store, recovery->found[i].number, path);
        from_segment = read_identity(store, path, PP_SEGMENT_MAGIC, &store->id, why);
        if (from_segment != PIPIT_EDAMAGED)
            return from_segment;
    }
    if (err == PIPIT_EDAMAGED || recovery->count)
        (void)snprintf(why, PP_STORE_WHY_BYTES,
                       "%.120s: neither the manifest nor a segment tells which store this is",
                       store->dir);
    return err == PIPIT_EDAMAGED || recovery->count ? PIPIT_EDAMAGED : PIPIT_ENOTFOUND;
}

/* Make a file under another name, with room for so many bytes, and give it its own when it is on
 * disk. */
static pipit_err place_file(pp_store *store, const char *from, const char *to, const void *bytes,
                            size_t len, uint64_t room)
{
    int fd;
    pipit_err err = pp_disk_open(store->disk, from, O_RDWR | O_CREAT | O_TRUNC, &fd);

    if (err)
        return err;
    if (room)
        err = pp_disk_reserve(store->disk, fd, room);
    if (!err)
        err = pp_disk_write(store->disk, fd, bytes, len, 0);
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    store->disk->ops->close(store->disk, fd);
    if (!err && (store->disk->ops->rename(store->disk, from, to) < 0 ||
                 store->disk->ops->sync_dir(store->disk, store->dir) < 0))
        err = PIPIT_EIO;
    return err;
}

pipit_err pp_store_write_manifest(pp_store *store)
{
    char from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    struct pp_identity id = pp_store_identity_of(store, 0, store->options.first_seq);

    pp_store_path_of(store, "manifest.new", from);
    pp_store_path_of(store, "manifest", to);
    return place_file(store, from, to, &id, sizeof(id), 0);
}

/* What is written from now on is as the options say; what was may be compressed anyway. */
static void choose_features(pp_store *store)
{
    store->id.features &= PP_FEATURE_COMPRESSED;
    store->id.key_id = 0;
    if (store->options.compress)
        store->id.features |= PP_FEATURE_COMPRESSED;
    if (store->keys) {
        store->id.features |= PP_FEATURE_ENCRYPTED;
        store->id.key_id = pp_seal_key_id(store->keys->keys[0], store->id.store);
    }
}

pipit_err pp_store_make_segment(pp_store *store, uint64_t number, uint64_t first_seq)
{
    char header[PP_SEGMENT_HEADER_BYTES] = {0}, from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    uint64_t room = store->options.segment_bytes < PP_FIRST_SEGMENT_BYTES
                        ? store->options.segment_bytes
                        : PP_FIRST_SEGMENT_BYTES;
    struct pp_identity id = pp_store_identity_of(store, number, first_seq);

    memcpy(header, &id, sizeof(id));
    pp_store_path_of(store, pp_spare_name, from);
    pp_store_path(store, number, to);
    return place_file(store, from, to, header, sizeof(header), pp_segment_file_bytes(room));
}

/* A first segment under its name; then the manifest, with which a store exists. */
static pipit_err create(pp_store *store)
{
    pipit_err err;

    store->id = (struct pp_identity){.version = PP_STORE_VERSION, .created_ns = pp_clock_wall_ns()};
    pp_random_bytes(store->id.store, sizeof(store->id.store));
    store->id.salt = pp_random_seed();
    choose_features(store);
    err = pp_store_make_segment(store, 1, store->options.first_seq);
    return err ? err : pp_store_write_manifest(store);
}

static bool in_ranges(const struct pp_ranges *ranges, uint64_t n)
{
    for (uint32_t i = 0; i < ranges->count; i++)
        if (ranges->items[i].first <= n && n <= ranges->items[i].last)
            return true;
    return false;
}

static pipit_err add_ranges(struct pp_ranges *to, const struct pp_ranges *from)
{
    pipit_err err = pp_ranges_reserve(to, from->count);

    for (uint32_t i = 0; i < from->count && !err; i++)
        pp_ranges_push(to, from->items[i].first, from->items[i].last);
    return err;
}

/* last: it may have been written to. */
static pipit_err read_one(struct recovery *recovery, struct pp_found *found, bool last)
{
    pp_store *store = recovery->store;
    pipit_err err = pp_found_read(store, found, last, &recovery->suspects);

    found->last = last;
    if (err)
        return err;
    if (!found->segment) {
        complain(store, PP_LOG_ERROR, "a file is not the segment that it is called", found->number);
        pp_store_find_out(
            store, (struct pp_finding){.kind = PP_FINDING_FOREIGN_FILE, .segment = found->number});
        return PIPIT_OK;
    }
    recovery->holes += found->holes;
    return add_ranges(&recovery->drops, &found->segment->drops);
}

/* Read all files, from the newest that is a segment on; then it is known which of them are no more.
 */
static pipit_err read_all(struct recovery *recovery)
{
    uint32_t end = recovery->count;
    bool last = true;
    pipit_err err = PIPIT_OK;

    while (end > 0 && last && !err) {
        err = read_one(recovery, &recovery->found[--end], true);
        last = !recovery->found[end].segment;
    }
    for (uint32_t i = 0; i < end && !err; i++)
        err = read_one(recovery, &recovery->found[i], false);
    return err;
}

/* Later messages of a subject. */
static void extend(struct pp_stored_subject *subject, uint64_t first, uint64_t last)
{
    if (subject->count == 0) {
        subject->first = first;
        subject->first_stale = false;
    }
    subject->last = last;
    subject->last_stale = false;
}

/* Subjects of a segment with a footer. */
static pipit_err merge_footer(pp_store *store, const struct pp_found *found)
{
    pp_str rest = {found->front, (size_t)found->footer.subjects_bytes}, text;
    struct pp_footer_subject seen;
    uint32_t id;

    for (uint32_t i = 0; i < found->footer.subject_count; i++) {
        struct pp_stored_subject *subject;
        pipit_err err;

        if (!pp_footer_next_subject(&rest, &seen, &text))
            break;
        err = pp_subjects_add(&store->subjects, text, &id);

        if (err)
            return err;
        subject = pp_subjects_at(&store->subjects, id);
        extend(subject, seen.first, seen.last);
        subject->count += seen.count;
    }
    return PIPIT_OK;
}

static void merge_records(pp_store *store, const pp_segment *segment)
{
    for (uint32_t nth = 0; nth < segment->count; nth++) {
        struct pp_stored_subject *subject =
            pp_subjects_at(&store->subjects, segment->subjects[nth]);

        extend(subject, pp_segment_seq(segment, nth), pp_segment_seq(segment, nth));
        subject->count++;
    }
}

/* Those that were dead when it was sealed have no subject in the index. */
static pipit_err bury_dead(pp_store *store, pp_segment *segment)
{
    pipit_err err = pp_store_load(store, segment);

    if (!err)
        err = pp_segment_reserve_dead(segment);
    for (uint32_t nth = 0; nth < segment->count && !err; nth++)
        if (segment->subjects[nth] == PP_SUBJECT_NONE)
            pp_segment_kill(segment, nth);
    return err;
}

/* It began with a cut: what was there before goes first, since sequences come again. */
static pipit_err apply_truncation(pp_store *store, const pp_segment *segment)
{
    uint64_t seq = segment->truncate;
    pipit_err err;

    if (seq == PP_SEGMENT_NO_TRUNCATION || seq >= store->last_seq)
        return PIPIT_OK;
    err = pp_ranges_reserve(&store->cut, store->segment_count);
    if (!err)
        err = pp_store_prepare_kill(store, seq + 1, UINT64_MAX - 1);
    if (err)
        return err;
    store->last_seq = seq;
    pp_store_cut_all(store, store->segment_count, seq);
    if (store->messages == 0)
        store->first_seq = 1;
    return PIPIT_OK;
}

/* A segment that begins with a cut has a header that begins below what is there. If it has
 * messages, and no record of the cut, that is damaged. */
static void find_cut(const pp_store *store, pp_segment *segment)
{
    if (segment->truncate == PP_SEGMENT_NO_TRUNCATION && segment->count &&
        segment->first_seq <= store->last_seq)
        segment->truncate = segment->first_seq - 1;
}

/* One without messages begins behind what is there, whatever its header says: that may be damaged,
 * or speak of a cut that was never settled. */
static void settle_begin(const pp_store *store, pp_segment *segment)
{
    if (segment->count || segment->first_seq > store->last_seq)
        return;
    segment->first_seq = store->last_seq + 1;
    if (segment->last_seq < store->last_seq)
        segment->last_seq = store->last_seq;
}

/* What its records say about messages before and in it. */
static pipit_err apply_deletes(pp_store *store, const pp_segment *segment)
{
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < segment->deletes.count && !err; i++) {
        struct pp_range range = segment->deletes.items[i];

        err = pp_store_prepare_kill(store, range.first, range.last);
        if (!err)
            (void)pp_store_kill(store, range.first, range.last);
    }
    return err;
}

static pipit_err take_expiries(pp_store *store, const struct pp_found *found,
                               const pp_segment *segment)
{
    const struct pp_footer *footer = &found->footer;
    pipit_err err = PIPIT_OK;

    if (found->front) {
        const char *at = found->front + footer->subjects_bytes +
                         ((size_t)footer->delete_count + footer->drop_count) * 16;

        for (uint32_t i = 0; i < footer->expiry_count && !err; i++) {
            struct pp_expiry expiry;

            memcpy(&expiry, at + i * sizeof(expiry), sizeof(expiry));
            err = pp_store_reserve_due(store);
            if (!err)
                pp_store_add_due(store, expiry.at_ns, expiry.seq);
        }
        return err;
    }
    for (uint32_t i = 0; i < segment->expiries.count && !err; i++) {
        err = pp_store_reserve_due(store);
        if (!err)
            pp_store_add_due(store, segment->expiries.items[i].at_ns,
                             segment->expiries.items[i].seq);
    }
    return err;
}

static pipit_err merge_messages(pp_store *store, const struct pp_found *found, pp_segment *segment)
{
    pipit_err err = PIPIT_OK;

    atomic_store(&segment->written, segment->end);
    if (found->front)
        err = merge_footer(store, found);
    else
        merge_records(store, segment);
    if (!err && found->front && found->footer.dead)
        err = bury_dead(store, segment);
    if (!found->front && segment->sealed)
        store->index_loaded += pp_segment_index_bytes(segment);
    store->messages += segment->count - segment->dead;
    store->bytes += segment->live_bytes;
    if (segment->last_seq > store->last_seq)
        store->last_seq = segment->last_seq;
    if (segment->last_time_ns)
        store->last_time_ns = segment->last_time_ns;
    return err;
}

static pipit_err merge(pp_store *store, struct pp_found *found)
{
    pp_segment *segment = found->segment;
    pipit_err err;

    store->index_held = true;
    find_cut(store, segment);
    err = apply_truncation(store, segment);
    settle_begin(store, segment);
    if (!err)
        err = pp_store_add_segment(store, segment);
    if (!err) {
        found->segment = NULL; /* the store's from here on */
        err = merge_messages(store, found, segment);
    }
    if (!err)
        err = apply_deletes(store, segment);
    store->index_held = false;
    return err ? err : take_expiries(store, found, segment);
}

static pipit_err suspect(struct recovery *recovery, uint64_t first, uint64_t last)
{
    pipit_err err;

    if (first > last)
        return PIPIT_OK;
    err = pp_ranges_reserve(&recovery->suspects, 1);
    if (!err)
        pp_ranges_push(&recovery->suspects, first, last);
    return err;
}

/* What lies between a segment and the one before. */
static pipit_err look_between(struct recovery *recovery, const struct pp_found *found,
                              uint64_t *number, bool *hole)
{
    uint64_t begins = found->begins ? found->begins : found->segment->first_seq;
    uint64_t before = *number, missing = 0;
    pipit_err err = PIPIT_OK;

    for (uint64_t n = before + 1; n < found->number && missing < FILES_MAX; n++)
        missing += !in_ranges(&recovery->drops, n);
    if (missing) {
        recovery->files_missing += (uint32_t)missing;
        pp_store_find_out(recovery->store, (struct pp_finding){.kind = PP_FINDING_FILES,
                                                               .first = before + 1,
                                                               .last = found->number - 1});
        complain(recovery->store, PP_LOG_ERROR, "segments are missing before", found->number);
    }
    if ((missing || *hole) && (before || recovery->has_manifest))
        err = suspect(recovery, recovery->store->last_seq + 1, begins - 1);
    *number = found->number;
    *hole = found->ends_in_hole;
    return err;
}

/* What is wrong with the file itself. */
static void find_out(const struct recovery *recovery, const struct pp_found *found)
{
    const pp_store *store = recovery->store;
    if (!found->begins)
        pp_store_find_out(
            store, (struct pp_finding){.kind = PP_FINDING_NO_HEADER, .segment = found->number});
    if (!found->front && !found->last)
        pp_store_find_out(store, (struct pp_finding){.kind = found->tail_hole ? PP_FINDING_NO_FOOTER
                                                                              : PP_FINDING_UNSEALED,
                                                     .segment = found->number});
    if (found->holes > (found->last ? 0 : found->tail_hole))
        pp_store_find_out(store, (struct pp_finding){.kind = PP_FINDING_BYTES,
                                                     .segment = found->number,
                                                     .at = found->hole_at,
                                                     .bytes = found->holes});
}

static pipit_err merge_all(struct recovery *recovery)
{
    pp_store *store = recovery->store;
    uint64_t number = 0;
    bool hole = false;
    pipit_err err = PIPIT_OK;

    if (recovery->has_manifest) {
        store->first_seq = store->id.first_seq;
        store->last_seq = store->first_seq - 1;
    } else {
        store->first_seq = 1;
        store->last_seq = 0;
    }
    for (uint32_t i = 0; i < recovery->count && !err; i++) {
        struct pp_found *found = &recovery->found[i];

        if (!found->segment)
            continue;
        if (in_ranges(&recovery->drops, found->number)) {
            char path[PP_PATH_BYTES];

            pp_store_close_file(store, found->segment);
            pp_store_path(store, found->number, path);
            (void)store->disk->ops->remove(store->disk, path);
            continue;
        }
        find_out(recovery, found);
        err = look_between(recovery, found, &number, &hole);
        if (!err)
            err = add_ranges(&recovery->deletes, &found->segment->deletes);
        if (!err)
            err = merge(store, found);
    }
    return err;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct pp_range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* What is suspect and not deleted is lost. */
static void note_lost(struct recovery *recovery)
{
    const struct pp_ranges *deletes = &recovery->deletes;

    if (deletes->count)
        qsort(deletes->items, deletes->count, sizeof(*deletes->items), compare_ranges);
    for (uint32_t i = 0; i < recovery->suspects.count; i++) {
        struct pp_range left = recovery->suspects.items[i];

        for (uint32_t j = 0; j < deletes->count && left.first <= left.last; j++) {
            const struct pp_range *gone = &deletes->items[j];

            if (gone->last < left.first || gone->first > left.last)
                continue;
            if (gone->first > left.first)
                pp_store_note_lost(recovery->store, left.first, gone->first - 1, "open");
            left.first = gone->last + 1;
        }
        if (left.first <= left.last)
            pp_store_note_lost(recovery->store, left.first, left.last, "open");
    }
}

/* Subjects that only dead messages had. */
static void release_unused(pp_store *store)
{
    for (uint32_t id = 0; id < store->subjects.used; id++)
        pp_subjects_release(&store->subjects, id);
}

/* What proved that damage is damage, and not the end of a write, may stand in what is cut off: it
 * is said again first. */
static pipit_err mark_tail(pp_store *store, pp_segment *tail)
{
    struct pp_record_head head = {.seq = store->last_seq,
                                  .time_ns = store->last_time_ns,
                                  .durable_at = (uint32_t)(tail->end / PP_RECORD_ALIGN),
                                  .kind = PP_RECORD_MARK};
    char record[PP_RECORD_HEAD_BYTES];
    pipit_err err;

    pp_record_encode_ranges(record, &head, NULL, 0, pp_record_seed(store->id.salt, tail->number),
                            tail->end);
    err = pp_disk_write(store->disk, store->writer.fd, record, sizeof(record), tail->end);
    if (!err)
        tail->end += sizeof(record);
    return err;
}

/* Write again what nothing proves to be on disk: the system may have it only in memory, and may
 * have failed to write it once already. */
static pipit_err rewrite_tail(pp_store *store, uint64_t from, uint64_t bytes)
{
    char *copy = pp_alloc((size_t)bytes);
    size_t got;
    pipit_err err;

    if (!copy)
        return PIPIT_ENOMEM;
    err = pp_disk_read(store->disk, store->writer.fd, copy, (size_t)bytes, from, &got);
    if (!err)
        err = pp_disk_write(store->disk, store->writer.fd, copy, got, from);
    if (!err)
        err = pp_disk_sync(store->disk, store->writer.fd);
    pp_free(copy);
    return err;
}

static pipit_err settle_tail(pp_store *store, const struct pp_found *found, pp_segment *tail)
{
    uint64_t unproven = tail->end - found->proven;
    pipit_err err = PIPIT_OK;

    if (unproven)
        err = rewrite_tail(store, found->proven, unproven);
    if (!err && (unproven || found->torn))
        err = mark_tail(store, tail);
    if (!err && found->torn) {
        /* Zeros, or a shorter write might later be followed by what is left of this one. */
        complain(store, PP_LOG_WARN, "a write that never finished is cut off, bytes", found->torn);
        pp_store_find_out(store, (struct pp_finding){.kind = PP_FINDING_TORN_WRITE,
                                                     .segment = tail->number,
                                                     .at = found->torn_at,
                                                     .bytes = found->torn});
        if (store->disk->ops->resize(store->disk, store->writer.fd, tail->end) < 0)
            err = PIPIT_EIO;
    }
    if (!err)
        err = pp_disk_reserve(store->disk, store->writer.fd, tail->reserved);
    return err ? err : pp_disk_sync(store->disk, store->writer.fd);
}

/* The last segment is written to from here on. */
static void open_tail(pp_store *store, const struct pp_found *found)
{
    pp_segment *tail = pp_store_active(store);
    char path[PP_PATH_BYTES];
    int64_t size;
    pipit_err err;

    pp_store_path(store, tail->number, path);
    err = pp_disk_open(store->disk, path, O_RDWR, &store->writer.fd);
    if (err)
        store->writer.fd = -1;
    size = err ? -EIO : store->disk->ops->size(store->disk, store->writer.fd);
    if (!err && size < 0)
        err = PIPIT_EIO;
    if (!err) {
        tail->room = (uint64_t)size / 9 * 8;
        if (tail->room < tail->end + PP_SEGMENT_HEADER_BYTES) /* a mark must fit, too */
            tail->room = tail->end + PP_SEGMENT_HEADER_BYTES;
        tail->reserved = pp_segment_file_bytes(tail->room);
        err = settle_tail(store, found, tail);
    }
    store->synced_end = tail->end;
    store->writer.number = tail->number;
    if (err) {
        complain(store, PP_LOG_ERROR, "the last segment cannot be written to", tail->number);
        store->failure = err == PIPIT_ENOSPC ? err : PIPIT_EIO;
    }
}

/* Which file is written to, if none is missing. */
static pipit_err finish(struct recovery *recovery)
{
    pp_store *store = recovery->store;
    const struct pp_found *last = recovery->count ? &recovery->found[recovery->count - 1] : NULL;
    pp_segment *placeholder;
    pipit_err err;

    store->next_number = last ? last->number + 1 : 1;
    note_lost(recovery);
    store->subjects_held = false;
    release_unused(store);
    for (uint32_t i = 0; i + 1 < store->segment_count; i++) {
        pp_ranges_fini(&store->segments[i]->deletes);
        pp_ranges_fini(&store->segments[i]->drops);
        pp_expiries_fini(&store->segments[i]->expiries);
    }
    store->first_seq = 0;
    pp_store_find_first(store);
    store->settled_seq = store->last_seq;
    if (recovery->holes)
        complain(store, PP_LOG_ERROR, "bytes are damaged", recovery->holes);
    if (store->segment_count && !pp_store_active(store)->sealed &&
        pp_store_active(store)->number == last->number) {
        open_tail(store, last);
        return PIPIT_OK;
    }
    /* The next one comes to be before a segment is sealed: it was there. */
    complain(store, PP_LOG_ERROR,
             "the newest segment is missing: nothing is written, n is the next",
             store->next_number);
    pp_store_find_out(
        store, (struct pp_finding){.kind = PP_FINDING_NO_NEWEST, .segment = store->next_number});
    store->failure = PIPIT_EDAMAGED;
    if (store->segment_count)
        return PIPIT_OK;
    err = pp_segment_new(store->next_number, store->last_seq + 1, &placeholder);
    if (err)
        return err;
    err = pp_store_add_segment(store, placeholder);
    if (err)
        pp_segment_free(placeholder);
    return err;
}

static void recovery_fini(struct recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->count; i++) {
        if (recovery->found[i].segment) {
            pp_store_close_file(recovery->store, recovery->found[i].segment);
            pp_segment_free(recovery->found[i].segment);
        }
        pp_free(recovery->found[i].front);
    }
    pp_free(recovery->found);
    pp_ranges_fini(&recovery->suspects);
    pp_ranges_fini(&recovery->deletes);
    pp_ranges_fini(&recovery->drops);
}

/* A store that was not completely created: it has an empty first segment, and no manifest. */
static bool is_half_created(const struct recovery *recovery)
{
    const struct pp_found *first = recovery->found;

    return !recovery->has_manifest && recovery->count == 1 && first->segment &&
           first->number == 1 && first->segment->count == 0 && !first->holes && !first->torn;
}

static pipit_err recover(struct recovery *recovery, char *why)
{
    pp_store *store = recovery->store;
    char path[PP_PATH_BYTES];
    pipit_err err = list_files(recovery);

    if (!err)
        err = find_identity(recovery, why);
    if (err == PIPIT_ENOTFOUND && store->options.create) {
        err = create(store);
        if (!err)
            err = list_files(recovery);
        if (!err)
            err = find_identity(recovery, why);
    }
    if (!err) {
        choose_features(store);
        err = read_all(recovery);
    }
    if (store->key_missing)
        (void)snprintf(
            why, PP_STORE_WHY_BYTES,
            "%.120s is encrypted, and none of the keys given is the one: it was not touched",
            store->dir);
    if (!err && is_half_created(recovery)) {
        err = pp_store_write_manifest(store);
        recovery->has_manifest = true;
        store->id.first_seq = recovery->found[0].begins;
    }
    if (err)
        return err;
    if (!recovery->has_manifest) {
        complain(store, PP_LOG_ERROR, "the manifest is missing or damaged, segments were read",
                 recovery->count);
        pp_store_find_out(store, (struct pp_finding){.kind = PP_FINDING_NO_MANIFEST});
    }
    pp_store_path_of(store, pp_spare_name, path);
    (void)store->disk->ops->remove(store->disk, path); /* nothing was ever in it */
    err = merge_all(recovery);
    return err ? err : finish(recovery);
}

pipit_err pp_store_recover(pp_store *store, char *out_why)
{
    struct recovery recovery = {.store = store};
    pipit_err err;

    store->subjects_held = true;
    err = recover(&recovery, out_why);
    store->subjects_held = false;
    recovery_fini(&recovery);
    return err;
}

/* Put what was read where it belongs; what is not there any more has place 0, and is damaged. */
static pipit_err fill_index(pp_segment *segment, pp_segment *read)
{
    size_t bytes = (segment->count + 1) * sizeof(uint32_t);

    if (!segment->dense && read->count != segment->count)
        return PIPIT_EIO; /* which sequences its messages have is not known any more */
    segment->places = pp_calloc(1, bytes);
    segment->subjects = pp_alloc(bytes);
    if (!segment->places || !segment->subjects) {
        pp_segment_unload(segment);
        return PIPIT_ENOMEM;
    }
    memset(segment->subjects, 0xff, bytes); /* PP_SUBJECT_NONE */
    segment->index_room = segment->count;
    for (uint32_t i = 0; i < read->count; i++) {
        uint64_t nth = segment->dense ? pp_segment_seq(read, i) - segment->first_seq : i;

        if (nth < segment->count) {
            segment->places[nth] = read->places[i];
            segment->subjects[nth] = read->subjects[i];
        }
    }
    if (!segment->dense) {
        segment->gaps = read->gaps;
        read->gaps = NULL;
    }
    return PIPIT_OK;
}

pipit_err pp_store_rebuild_index(pp_store *store, pp_segment *segment)
{
    struct pp_ranges suspects = {0};
    struct pp_found found = {.number = segment->number};
    pipit_err err = pp_found_read_records(store, &found, false, &suspects);

    if (!err)
        err = fill_index(segment, found.segment);
    if (found.segment) {
        pp_store_close_file(store, found.segment);
        pp_segment_free(found.segment);
    }
    pp_ranges_fini(&suspects);
    release_unused(store);
    return err;
}
