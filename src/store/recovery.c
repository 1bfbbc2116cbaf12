/* A store is opened: which files there are, what they say, what is missing.
 *
 * Nothing of what is found is changed, with three exceptions: the end of the last segment, if a
 * write to it never finished, is cut off; files go that records say are no more; and the file that
 * was made ready for a next segment. */
#include "store/found.h"

#include "base/alloc.h"

#include <errno.h>
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
    struct pp_opening lists;
    struct pp_ranges drops; /* the same of segments */
    uint32_t files_missing;
    uint64_t holes;
};

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

/* From the manifest, or from a segment that is whole. */
static pipit_err find_identity(struct recovery *recovery, char *why)
{
    pp_store *store = recovery->store;
    char path[PP_PATH_BYTES];
    pipit_err err;

    pp_store_path_of(store, "manifest", path);
    err = pp_store_read_identity(store, path, PP_MANIFEST_MAGIC, &store->id, why);
    recovery->has_manifest = err == PIPIT_OK;
    if (err != PIPIT_ENOTFOUND && err != PIPIT_EDAMAGED)
        return err;
    for (uint32_t i = 0; i < recovery->count; i++) {
        pipit_err from_segment;

        pp_store_path(store, recovery->found[i].number, path);
        from_segment = pp_store_read_identity(store, path, PP_SEGMENT_MAGIC, &store->id, why);
        if (from_segment != PIPIT_EDAMAGED)
            return from_segment;
    }
    if (err == PIPIT_EDAMAGED || recovery->count)
        (void)snprintf(why, PP_STORE_WHY_BYTES,
                       "%.120s: neither the manifest nor a segment tells which store this is",
                       store->dir);
    return err == PIPIT_EDAMAGED || recovery->count ? PIPIT_EDAMAGED : PIPIT_ENOTFOUND;
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
    pipit_err err = pp_found_read(store, found, last, &recovery->lists.suspects);

    found->last = last;
    if (err)
        return err;
    if (!found->segment) {
        pp_store_complain(store, PP_LOG_ERROR, "a file is not the segment that it is called",
                          found->number);
        pp_store_find_out(
            store, (struct pp_finding){.kind = PP_FINDING_FOREIGN_FILE, .segment = found->number});
        return PIPIT_OK;
    }
    pp_store_close_file(store, found->segment); /* there may be more than a process may have open */
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

static pipit_err suspect(struct recovery *recovery, uint64_t first, uint64_t last)
{
    pipit_err err;

    if (first > last)
        return PIPIT_OK;
    err = pp_ranges_reserve(&recovery->lists.suspects, 1);
    if (!err)
        pp_ranges_push(&recovery->lists.suspects, first, last);
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
        pp_store_complain(recovery->store, PP_LOG_ERROR, "segments are missing before",
                          found->number);
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

/* Of segments that are there. */
static pipit_err gather_deletes(struct recovery *recovery)
{
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < recovery->count && !err; i++) {
        const struct pp_found *found = &recovery->found[i];

        if (found->segment && !in_ranges(&recovery->drops, found->number))
            err = add_ranges(&recovery->lists.deletes, &found->segment->deletes);
    }
    return err;
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
    err = gather_deletes(recovery);
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
            err = pp_found_merge(store, found);
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
    const struct pp_ranges *deletes = &recovery->lists.deletes;

    if (deletes->count)
        qsort(deletes->items, deletes->count, sizeof(*deletes->items), compare_ranges);
    for (uint32_t i = 0; i < recovery->lists.suspects.count; i++) {
        struct pp_range left = recovery->lists.suspects.items[i];

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
    pp_subjects_release_unused(&store->subjects);
    for (uint32_t i = 0; i + 1 < store->segment_count; i++) {
        pp_ranges_fini(&store->segments[i]->deletes);
        pp_ranges_fini(&store->segments[i]->drops);
        pp_expiries_fini(&store->segments[i]->expiries);
    }
    store->first_seq = 0;
    pp_store_find_first(store);
    store->settled_seq = store->last_seq;
    if (recovery->holes)
        pp_store_complain(store, PP_LOG_ERROR, "bytes are damaged", recovery->holes);
    if (store->segment_count && !pp_store_active(store)->sealed &&
        pp_store_active(store)->number == last->number) {
        pp_found_open_tail(store, last);
        return PIPIT_OK;
    }
    /* The next one comes to be before a segment is sealed: it was there. */
    pp_store_complain(store, PP_LOG_ERROR,
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
    pp_ranges_fini(&recovery->lists.suspects);
    pp_ranges_fini(&recovery->lists.deletes);
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
        err = pp_store_create(store);
        if (!err)
            err = list_files(recovery);
        if (!err)
            err = find_identity(recovery, why);
    }
    if (!err) {
        pp_store_choose_features(store);
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
        pp_store_complain(store, PP_LOG_ERROR,
                          "the manifest is missing or damaged, segments were read",
                          recovery->count);
        pp_store_find_out(store, (struct pp_finding){.kind = PP_FINDING_NO_MANIFEST});
    }
    pp_store_path_of(store, pp_spare_name, path);
    (void)store->disk->ops->remove(store->disk, path); /* nothing was ever in it */
    pp_store_path_of(store, pp_rewrite_name, path);
    (void)store->disk->ops->remove(store->disk, path); /* it was not complete */
    store->opening = &recovery->lists;
    err = merge_all(recovery);
    store->opening = NULL;
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
