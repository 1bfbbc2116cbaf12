/* An index that is made again where some records are missing.
 *
 * Of the segment it is known how many messages it had (count), and how many of them are dead; of
 * its records only some are left, and between two of them there may be more sequences than messages
 * that are missing. Three lists, each in order and within the sequences of the segment, are laid
 * side by side:
 *
 *   read       messages whose records are there, each with its place;
 *   gone       sequences that are dead: before the first one of the store, and what records of this
 *              segment or of later ones delete;
 *   suspects   sequences that records may be missing of: holes in the file, damaged heads, erased
 *              bodies.
 *
 * So many messages as are missing get sequences among the suspects, as many of them gone as dead
 * ones are missing. The index that comes out has count messages, their sequences grow, its dead are
 * as many as before, and none that is gone is live in it. Which of the suspects were messages is
 * not known: it need not be, for none of them is served. If the lists do not allow that there is no
 * such index (PIPIT_EDAMAGED). The list of what is gone has to be whole for that: where the disk
 * gives not all records that may delete messages of the segment there is none yet (PIPIT_EIO).
 *
 * Deletes of later segments are in memory until their footers are on disk, then in these. Many
 * files may have to be read for them: a reader does it, together with the records. What lies behind
 * when the owner takes over what was read is looked at again, so that nothing is missed that
 * happened meanwhile. */
#include "store/holes.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "store/inside.h"

#include <fcntl.h>
#include <stdlib.h>

/* --- what is gone -------------------------------------------------------------------------- */

/* The last sequence that a message of it can have; gaps tell no more. */
static uint64_t last_of(const pp_segment *segment)
{
    uint64_t most = segment->first_seq + UINT32_MAX;

    return segment->last_seq < most ? segment->last_seq : most;
}

/* What of these sequences is within the bounds. */
static pipit_err add_range(struct pp_ranges *ranges, struct pp_range bounds, uint64_t first,
                           uint64_t last)
{
    pipit_err err;

    first = first < bounds.first ? bounds.first : first;
    last = last > bounds.last ? bounds.last : last;
    if (first > last)
        return PIPIT_OK;
    err = pp_ranges_reserve(ranges, 1);
    if (!err)
        pp_ranges_push(ranges, first, last);
    return err;
}

static pipit_err add_ranges(struct pp_ranges *ranges, struct pp_range bounds,
                            const struct pp_ranges *more)
{
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < more->count && !err; i++)
        err = add_range(ranges, bounds, more->items[i].first, more->items[i].last);
    return err;
}

static struct pp_range bounds_of(const pp_segment *segment)
{
    return (struct pp_range){segment->first_seq, last_of(segment)};
}

static int compare_files(const void *a, const void *b)
{
    const struct pp_later_file *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

/* One that was taken out and is still known, since batches concern it. Under the lock. */
static const pp_segment *find_limbo_locked(const pp_store *store, uint64_t number)
{
    const pp_segment *segment = store->limbo;

    while (segment && segment->number != number)
        segment = segment->next_limbo;
    return segment;
}

/* Does the segment say in memory what it deletes? Under the lock. */
static bool is_in_memory_locked(const pp_segment *segment)
{
    return !segment->sealed || segment->deletes.count;
}

/* What one that a truncation has taken out deletes. Of a store that is frozen what it said last may
 * never have got to its file. Under the lock. */
static pipit_err survey_cut_one_locked(const pp_store *store, uint64_t number,
                                       struct pp_range bounds, struct pp_ranges *gone,
                                       struct pp_later *out_later)
{
    const pp_segment *cut = find_limbo_locked(store, number);

    if (store->failure)
        return gone ? PIPIT_EIO : PIPIT_OK;
    if (cut && is_in_memory_locked(cut))
        return gone ? add_ranges(gone, bounds, &cut->deletes) : PIPIT_OK;
    out_later->files[out_later->count++] = (struct pp_later_file){.number = number};
    return PIPIT_OK;
}

/* The same for all of them: until it is said again what they delete of older ones, nobody else
 * tells. A segment that is newer than one of them has other messages under the sequences that this
 * one deletes. Under the lock. */
static pipit_err survey_cut_locked(const pp_store *store, const pp_segment *segment,
                                   struct pp_ranges *gone, struct pp_later *out_later)
{
    pipit_err err = PIPIT_OK;

    if (store->cut.count == 0 || store->cut_lowest > segment->last_seq)
        return PIPIT_OK;
    for (uint32_t i = 0; i < store->cut.count && !err; i++)
        for (uint64_t n = store->cut.items[i].first; n <= store->cut.items[i].last && !err; n++)
            if (n > segment->number)
                err = survey_cut_one_locked(store, n, bounds_of(segment), gone, out_later);
    return err;
}

/* Those behind a segment whose records delete some of it: what is in memory is added to gone, if
 * that is not NULL, and the numbers of the others to *out_later, which has room for all. Whether
 * one is the former or the latter changes when its footer is settled, so it is asked once. */
static pipit_err survey(pp_store *store, const pp_segment *segment, struct pp_ranges *gone,
                        struct pp_later *out_later)
{
    uint32_t at = 0;
    pipit_err err = PIPIT_OK;

    while (at < store->segment_count && store->segments[at] != segment)
        at++;
    (void)pthread_mutex_lock(&store->lock);
    for (at++; at < store->segment_count && !err; at++) {
        const pp_segment *later = store->segments[at];

        if (later->lowest_delete > segment->last_seq)
            continue;
        if (!is_in_memory_locked(later))
            out_later->files[out_later->count++] =
                (struct pp_later_file){later->number, pp_rebuilt_end_of(later)};
        else if (gone)
            err = add_ranges(gone, bounds_of(segment), &later->deletes);
    }
    if (!err)
        err = survey_cut_locked(store, segment, gone, out_later);
    (void)pthread_mutex_unlock(&store->lock);
    if (out_later->count)
        qsort(out_later->files, out_later->count, sizeof(*out_later->files), compare_files);
    return err;
}

static uint32_t count_cut(const pp_store *store)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < store->cut.count; i++)
        count += store->cut.items[i].last - store->cut.items[i].first + 1;
    return (uint32_t)count;
}

static pipit_err begin_later(const pp_store *store, const pp_segment *segment,
                             struct pp_later *later)
{
    *later = (struct pp_later){.bounds = bounds_of(segment)};
    later->files =
        pp_alloc(((size_t)store->segment_count + count_cut(store) + 1) * sizeof(*later->files));
    return later->files ? PIPIT_OK : PIPIT_ENOMEM;
}

pipit_err pp_holes_list_later(pp_store *store, const pp_segment *segment,
                              struct pp_later *out_later)
{
    pipit_err err;

    *out_later = (struct pp_later){0};
    if (segment->dense) /* each message has its place, whatever is missing */
        return PIPIT_OK;
    err = begin_later(store, segment, out_later);
    return err ? err : survey(store, segment, NULL, out_later);
}

/* --- what others delete; thread: any ------------------------------------------------------- */

/* As its footer has it. */
static pipit_err read_footer_deletes(const struct pp_footer_file *file, struct pp_range bounds,
                                     struct pp_ranges *deletes)
{
    struct pp_footer footer;
    char *front;
    pipit_err err = pp_footer_read_front(file, &footer, &front);

    if (err)
        return err;
    for (uint32_t i = 0; !err && i < footer.delete_count; i++) {
        struct pp_range range = pp_record_range(front + footer.subjects_bytes, i);

        err = add_range(deletes, bounds, range.first, range.last);
    }
    pp_free(front);
    return err;
}

/* *footer_unread is set if its footer cannot be read, and is known not to matter. */
static pipit_err read_deletes(const pp_store *store, const struct pp_later_file *later,
                              struct pp_range bounds, struct pp_ranges *deletes,
                              bool *footer_unread)
{
    uint64_t number = later->number;
    struct pp_footer_file file = {
        .disk = store->disk, .number = number, .seed = pp_record_seed(store->id.salt, number)};
    struct pp_rebuilt *rebuilt;
    char path[PP_PATH_BYTES];
    pipit_err err;

    pp_store_path(store, number, path);
    err = pp_disk_open(store->disk, path, O_RDONLY, &file.fd);
    if (err)
        return err;
    err = read_footer_deletes(&file, bounds, deletes);
    store->disk->ops->close(store->disk, file.fd);
    if (!pp_footer_is_lost(err))
        return err;
    err = pp_rebuilt_read(store, number, later->records_end, NULL, &rebuilt);
    if (err)
        return err;
    *footer_unread |= rebuilt->footer_unread;
    /* What it deletes may lie where the disk gives nothing: all of it is to be known. */
    err = rebuilt->unread ? PIPIT_EIO : add_ranges(deletes, bounds, &rebuilt->read->deletes);
    pp_rebuilt_free(rebuilt);
    return err;
}

pipit_err pp_holes_read_later(const pp_store *store, const struct pp_later *later,
                              struct pp_rebuilt *rebuilt)
{
    struct pp_later *seen = &rebuilt->later;
    struct pp_later_file *files =
        pp_realloc(seen->files, (seen->count + later->count + 1) * sizeof(*files));
    pipit_err err = PIPIT_OK;

    if (!files)
        return PIPIT_ENOMEM;
    seen->files = files;
    for (uint32_t i = 0; i < later->count && !err; i++) {
        err = read_deletes(store, &later->files[i], later->bounds, &rebuilt->deletes,
                           &rebuilt->footer_unread);
        if (!err)
            files[seen->count++] = later->files[i];
        else if (err == PIPIT_ENOTFOUND) /* it has gone, and another one says the same */
            err = PIPIT_OK;
    }
    return err;
}

/* --- all together -------------------------------------------------------------------------- */

static int compare_ranges(const void *a, const void *b)
{
    const struct pp_range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* In order, and none touches another. */
static void join(struct pp_ranges *ranges)
{
    uint32_t kept = 0;

    if (ranges->count)
        qsort(ranges->items, ranges->count, sizeof(*ranges->items), compare_ranges);
    for (uint32_t i = 1; i < ranges->count; i++) {
        struct pp_range range = ranges->items[i];

        if (range.first > ranges->items[kept].last + 1)
            ranges->items[++kept] = range;
        else if (range.last > ranges->items[kept].last)
            ranges->items[kept].last = range.last;
    }
    ranges->count = ranges->count ? kept + 1 : 0;
}

/* Without those that have been looked at, which are in the same order. */
static void leave_out(struct pp_later *later, const struct pp_later *seen)
{
    uint32_t kept = 0, at = 0;

    for (uint32_t i = 0; i < later->count; i++) {
        while (at < seen->count && seen->files[at].number < later->files[i].number)
            at++;
        if (at == seen->count || seen->files[at].number != later->files[i].number)
            later->files[kept++] = later->files[i];
    }
    later->count = kept;
}

/* What segments behind this one delete. Those whose footers came to be since a reader looked are
 * few, and the system has just written them: they are read here. */
static pipit_err find_deletes(pp_store *store, const pp_segment *segment,
                              struct pp_rebuilt *rebuilt, struct pp_ranges *gone)
{
    struct pp_later later;
    uint32_t seen;
    pipit_err err = begin_later(store, segment, &later);

    if (!err)
        err = survey(store, segment, gone, &later);
    if (!err) {
        leave_out(&later, &rebuilt->later);
        seen = rebuilt->later.count;
        err = pp_holes_read_later(store, &later, rebuilt);
    }
    if (!err && rebuilt->later.count - seen < later.count)
        err = PIPIT_EIO; /* nobody takes away what the store has */
    /* While a file is being replaced it is not known where the records of the one that was read
     * end. Once it is, what was read before is not taken any more. */
    if (!err && rebuilt->footer_unread && store->rewrite.state == PP_REWRITE_REPLACE)
        err = PIPIT_EIO;
    if (!err)
        err = add_ranges(gone, bounds_of(segment), &rebuilt->deletes);
    pp_free(later.files);
    return err;
}

/* All sequences of the segment whose messages are dead, or will be when the store is open. */
static pipit_err find_gone(pp_store *store, const pp_segment *segment, struct pp_rebuilt *rebuilt,
                           struct pp_ranges *gone)
{
    struct pp_range bounds = bounds_of(segment);
    pipit_err err = PIPIT_OK;

    if (store->opening) {
        err = add_ranges(gone, bounds, &store->opening->deletes);
        join(gone);
        return err;
    }
    if (store->first_seq)
        err = add_range(gone, bounds, 1, store->first_seq - 1);
    if (!err && store->evicted_seq)
        err = add_range(gone, bounds, 1, store->evicted_seq);
    if (!err)
        err = add_ranges(gone, bounds, &rebuilt->read->deletes);
    if (!err)
        err = find_deletes(store, segment, rebuilt, gone);
    join(gone);
    return err;
}

/* --- what is missing ----------------------------------------------------------------------- */

/* Ranges that are looked at in the order of their sequences: is one in them? */
struct walk {
    const struct pp_ranges *ranges;
    uint32_t at;
};

/* True: up to *out_last all are in; false: none of them is. */
static bool walk_to(struct walk *walk, uint64_t seq, uint64_t *out_last)
{
    const struct pp_range *range;

    while (walk->at < walk->ranges->count && walk->ranges->items[walk->at].last < seq)
        walk->at++;
    range = walk->at < walk->ranges->count ? &walk->ranges->items[walk->at] : NULL;
    if (range && range->first <= seq)
        *out_last = range->last;
    else
        *out_last = range ? range->first - 1 : UINT64_MAX - 1;
    return range && range->first <= seq;
}

/* An index as it is being made. */
struct fit {
    pp_segment *segment;
    pp_segment *read;
    const uint32_t *ids;
    uint32_t next;         /* of those that were read */
    uint32_t count;        /* in the index so far */
    uint32_t dead_missing; /* still to be placed */
    uint32_t live_missing;
    bool opening; /* none is dead yet */
    bool vague;   /* its own deletes may lie where the disk gave nothing */
    struct walk gone;
};

static void push(struct fit *fit, uint64_t seq, uint32_t place, uint32_t id, bool dead)
{
    pp_segment *segment = fit->segment;
    uint32_t nth = fit->count++;

    segment->places[nth] = place;
    segment->subjects[nth] = id;
    segment->gaps[nth] = (uint32_t)(seq - segment->first_seq);
    if (dead && !fit->opening)
        segment->dead_bits[nth / 64] |= (uint64_t)1 << (nth % 64);
}

/* Those that were read, before seq. */
static void push_read(struct fit *fit, uint64_t seq)
{
    pp_segment *read = fit->read;
    uint64_t last;

    for (; fit->next < read->count && pp_segment_seq(read, fit->next) < seq; fit->next++) {
        uint64_t own = pp_segment_seq(read, fit->next);

        push(fit, own, read->places[fit->next], fit->ids[pp_segment_subject(read, fit->next)],
             walk_to(&fit->gone, own, &last));
    }
}

/* As many as are missing of the sequences from first to last. */
static void push_missing(struct fit *fit, uint64_t first, uint64_t last)
{
    uint64_t end;

    push_read(fit, first);
    for (uint64_t seq = first; seq <= last; seq = end + 1) {
        bool gone = walk_to(&fit->gone, seq, &end);
        uint32_t *missing = gone ? &fit->dead_missing : &fit->live_missing;

        for (uint64_t at = seq; at <= end && at <= last && *missing; at++, --*missing)
            push(fit, at, 0, PP_SUBJECT_NONE, gone);
        if (fit->dead_missing + fit->live_missing == 0)
            return;
    }
}

/* What was read is not missing; what records say of sequences may be wrong, though. */
static bool is_clear(const struct fit *fit, const struct pp_ranges *suspects)
{
    struct walk missing = {.ranges = suspects};
    uint64_t last;

    for (uint32_t i = 0; i < fit->read->count; i++)
        if (walk_to(&missing, pp_segment_seq(fit->read, i), &last))
            return false;
    return true;
}

/* Those of the segment that were read: others may have been cut off. Answers how many of them are
 * dead. */
static uint32_t count_read(struct fit *fit, uint32_t *out_count)
{
    struct walk gone = fit->gone;
    uint32_t dead = 0;
    uint64_t last;

    while (fit->next < fit->read->count &&
           pp_segment_seq(fit->read, fit->next) < fit->segment->first_seq)
        fit->next++;
    *out_count = 0;
    for (uint32_t i = fit->next; i < fit->read->count; i++) {
        if (pp_segment_seq(fit->read, i) > last_of(fit->segment))
            break;
        dead += walk_to(&gone, pp_segment_seq(fit->read, i), &last);
        ++*out_count;
    }
    return dead;
}

/* Errors: PIPIT_EDAMAGED it does not fit; PIPIT_EIO some of those that were read may be dead, and
 * which ones the disk does not say. */
static pipit_err begin_fit(struct fit *fit)
{
    pp_segment *segment = fit->segment;
    uint32_t count, dead = count_read(fit, &count);
    uint32_t all_dead = fit->opening ? dead : segment->dead;
    size_t bytes = ((size_t)segment->count + 1) * sizeof(uint32_t);

    if (count > segment->count || dead > all_dead || all_dead - dead > segment->count - count ||
        (fit->opening && segment->dead))
        return PIPIT_EDAMAGED;
    if (fit->vague && dead < all_dead)
        return PIPIT_EIO;
    fit->dead_missing = all_dead - dead;
    fit->live_missing = segment->count - count - fit->dead_missing;
    segment->places = pp_alloc(bytes);
    segment->subjects = pp_alloc(bytes);
    segment->gaps = pp_alloc(bytes);
    if (!segment->places || !segment->subjects || !segment->gaps ||
        pp_segment_reserve_dead(segment)) {
        pp_segment_unload(segment);
        return PIPIT_ENOMEM;
    }
    segment->index_room = segment->count;
    return PIPIT_OK;
}

/* Call visit for each part of the suspects, all of it gone or none. */
static void visit_suspects(struct fit *fit, const struct pp_ranges *suspects, void *ctx,
                           void (*visit)(void *ctx, uint64_t first, uint64_t last, bool gone))
{
    struct walk gone = {.ranges = fit->gone.ranges};
    uint64_t end;

    for (uint32_t i = 0; i < suspects->count; i++)
        for (uint64_t seq = suspects->items[i].first; seq <= suspects->items[i].last;
             seq = end + 1) {
            bool is_gone = walk_to(&gone, seq, &end);

            end = end > suspects->items[i].last ? suspects->items[i].last : end;
            visit(ctx, seq, end, is_gone);
        }
}

struct room {
    uint64_t dead, live;
};

static void add_room(void *ctx, uint64_t first, uint64_t last, bool gone)
{
    struct room *room = ctx;

    *(gone ? &room->dead : &room->live) += last - first + 1;
}

/* Is there a sequence for each that is missing? How many of them will be dead is not known while
 * the store is opened: as many as can be, for that is why most are missing. */
static bool can_place(struct fit *fit, const struct pp_ranges *suspects)
{
    struct room room = {0};

    visit_suspects(fit, suspects, &room, add_room);
    if (fit->opening) {
        fit->dead_missing = room.dead < fit->live_missing ? (uint32_t)room.dead : fit->live_missing;
        fit->live_missing -= fit->dead_missing;
    }
    return room.dead >= fit->dead_missing && room.live >= fit->live_missing;
}

static void note_lost(void *ctx, uint64_t first, uint64_t last, bool gone)
{
    if (!gone)
        pp_store_note_lost(ctx, first, last, "index");
}

static pipit_err take(pp_store *store, struct fit *fit, const struct pp_ranges *suspects)
{
    pp_segment *segment = fit->segment;
    bool is_lost;
    pipit_err err = is_clear(fit, suspects) ? begin_fit(fit) : PIPIT_EDAMAGED;

    if (err)
        return err;
    if (!can_place(fit, suspects)) {
        pp_segment_unload(segment);
        return PIPIT_EDAMAGED;
    }
    memset(segment->dead_bits, 0, segment->dead_room / 8);
    is_lost = fit->live_missing > 0;
    for (uint32_t i = 0; i < suspects->count; i++)
        push_missing(fit, suspects->items[i].first, suspects->items[i].last);
    push_read(fit, last_of(segment) + 1);
    PP_ASSERT(fit->count == segment->count);
    pp_segment_narrow(segment);
    if (is_lost && !fit->opening)
        visit_suspects(fit, suspects, store, note_lost);
    return PIPIT_OK;
}

pipit_err pp_holes_take(pp_store *store, pp_segment *segment, struct pp_rebuilt *rebuilt,
                        const uint32_t *ids)
{
    struct pp_ranges gone = {0}, suspects = {0};
    struct fit fit = {.segment = segment,
                      .read = rebuilt->read,
                      .ids = ids,
                      .opening = store->opening != NULL,
                      .vague = rebuilt->unread && segment->lowest_delete <= segment->last_seq,
                      .gone = {&gone, 0}};
    pipit_err err = find_gone(store, segment, rebuilt, &gone);

    if (!err)
        err = add_ranges(&suspects, bounds_of(segment), &rebuilt->suspects);
    join(&suspects);
    if (!err && store->opening) /* with the others that are looked at when all is known */
        err = add_ranges(&store->opening->suspects, bounds_of(segment), &suspects);
    if (!err)
        err = take(store, &fit, &suspects);
    if (err == PIPIT_EDAMAGED && rebuilt->unread)
        err = PIPIT_EIO; /* what the disk did not give may tell why */
    pp_ranges_fini(&gone);
    pp_ranges_fini(&suspects);
    return err;
}
