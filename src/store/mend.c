/* A store is put right: what its records tell is written where it should stand. */
#include "store/check.h"

#include "store/found.h"

#include <fcntl.h>
#include <stdio.h>

struct mending {
    const struct pp_store_options *options;
    const struct pp_store_findings *findings;
    const struct pp_store_repair *repair;
    pp_store *store; /* open; with a dry run on a disk that stays as it is */
};

static bool is_found(const struct pp_store_findings *findings, pp_finding_kind kind)
{
    for (uint32_t i = 0; i < findings->count; i++)
        if (findings->items[i].kind == kind)
            return true;
    return false;
}

/* Is this number only taken by a file that will get another name? */
static bool is_foreign(const struct pp_store_findings *findings, uint64_t number)
{
    for (uint32_t i = 0; i < findings->count; i++)
        if (findings->items[i].kind == PP_FINDING_FOREIGN_FILE &&
            findings->items[i].segment == number)
            return true;
    return false;
}

/* Tell, and answer whether to do it. */
static bool step(const struct mending *mending, const struct pp_finding *finding, const char *what)
{
    if (mending->repair->on_step)
        mending->repair->on_step(mending->repair->ctx, finding, what);
    return !mending->repair->dry_run;
}

static pp_segment *find_segment(const pp_store *store, uint64_t number)
{
    for (uint32_t i = 0; i < store->segment_count; i++)
        if (store->segments[i]->number == number)
            return store->segments[i];
    return NULL;
}

static pipit_err write_at(pp_store *store, uint64_t number, const void *bytes, size_t len,
                          uint64_t at, bool ends)
{
    char path[PP_PATH_BYTES];
    int fd;
    pipit_err err;

    pp_store_path(store, number, path);
    err = pp_disk_open(store->disk, path, O_RDWR, &fd);
    if (err)
        return err;
    err = pp_disk_write(store->disk, fd, bytes, len, at);
    if (!err && ends && store->disk->ops->resize(store->disk, fd, at + len) < 0)
        err = PIPIT_EIO;
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    store->disk->ops->close(store->disk, fd);
    return err;
}

static pipit_err mend_header(pp_store *store, uint64_t number)
{
    const pp_segment *segment = find_segment(store, number);
    char header[PP_SEGMENT_HEADER_BYTES] = {0};
    struct pp_identity id;

    if (!segment)
        return PIPIT_OK; /* it held nothing that is still there */
    id = pp_store_identity_of(store, number, segment->first_seq);
    id.features &= PP_FEATURE_COMPRESSED;
    id.key_id = 0;
    if (segment->sealed_by) {
        id.features |= PP_FEATURE_ENCRYPTED;
        id.key_id = pp_seal_key_id(store->keys->keys[segment->sealed_by - 1], store->id.store);
    }
    pp_identity_seal(&id);
    memcpy(header, &id, sizeof(id));
    return write_at(store, number, header, sizeof(header), 0, false);
}

/* Would a footer say that what is lost was never there? */
static bool hides_loss(const pp_store *store, const struct pp_found *found,
                       const struct pp_ranges *suspects)
{
    if (found->holes != found->tail_hole)
        return true;
    for (uint32_t i = 0; i < suspects->count; i++)
        for (uint32_t j = 0; j < store->lost.count; j++)
            if (suspects->items[i].first <= store->lost.items[j].last &&
                store->lost.items[j].first <= suspects->items[i].last)
                return true;
    return false;
}

/* From its records. With damage among them it would hide what is lost: then it stays away, unless
 * that is to be forgotten anyway. */
static pipit_err mend_footer(struct mending *mending, const struct pp_finding *finding)
{
    pp_store *store = mending->store;
    struct pp_found found = {.number = finding->segment};
    struct pp_ranges suspects = {0};
    uint64_t sizes_at;
    pp_buf footer;
    pipit_err err;

    pp_buf_init(&footer, PP_SEGMENT_BYTES_MAX);
    store->subjects_held = true;
    err = pp_found_read_records(store, &found, true, &suspects);
    if (!err && found.segment &&
        (mending->repair->forget_lost || !hides_loss(store, &found, &suspects)) &&
        step(mending, finding, "make the footer again from the records")) {
        err = pp_footer_encode(found.segment, &store->subjects,
                               pp_record_seed(store->id.salt, found.number), &footer, &sizes_at);
        if (!err)
            err = write_at(store, found.number, footer.ptr, footer.len, found.segment->end, true);
    }
    store->subjects_held = false;
    if (found.segment) {
        pp_store_close_file(store, found.segment);
        pp_segment_free(found.segment);
    }
    pp_ranges_fini(&suspects);
    pp_buf_fini(&footer);
    return err;
}

/* Nothing is removed: it gets a name that is not a segment's. */
static pipit_err move_aside(pp_store *store, uint64_t number)
{
    char from[PP_PATH_BYTES], to[PP_PATH_BYTES + 32];
    int fd;

    pp_store_path(store, number, from);
    for (unsigned n = 1; n < 1000; n++) {
        pipit_err err;

        (void)snprintf(to, sizeof(to), "%s.foreign.%u", from, n);
        err = pp_disk_open(store->disk, to, O_RDONLY, &fd);
        if (err == PIPIT_OK) {
            store->disk->ops->close(store->disk, fd);
            continue;
        }
        if (err != PIPIT_ENOTFOUND)
            return err;
        if (store->disk->ops->rename(store->disk, from, to) < 0 ||
            store->disk->ops->sync_dir(store->disk, store->dir) < 0)
            return PIPIT_EIO;
        return PIPIT_OK;
    }
    return PIPIT_ELIMIT;
}

/* What does not ask for a store that can be written to. */
static pipit_err mend_files(struct mending *mending)
{
    pp_store *store = mending->store;
    pipit_err err = PIPIT_OK;

    for (uint32_t i = 0; i < mending->findings->count && !err; i++) {
        const struct pp_finding *finding = &mending->findings->items[i];

        switch (finding->kind) {
        case PP_FINDING_NO_MANIFEST:
            if (step(mending, finding, "write the manifest again"))
                err = pp_store_write_manifest(store);
            break;
        case PP_FINDING_NO_HEADER:
            if (step(mending, finding, "write the header again"))
                err = mend_header(store, finding->segment);
            break;
        case PP_FINDING_NO_FOOTER:
        case PP_FINDING_NO_INDEX:
        case PP_FINDING_UNSEALED:
            err = mend_footer(mending, finding);
            break;
        case PP_FINDING_FOREIGN_FILE:
            if (step(mending, finding, "give the file another name"))
                err = move_aside(store, finding->segment);
            break;
        case PP_FINDING_TORN_WRITE: /* opening it has done so */
            (void)step(mending, finding, "cut off what was never acknowledged");
            break;
        case PP_FINDING_BYTES:
        case PP_FINDING_MESSAGES:
        case PP_FINDING_FILES:
        case PP_FINDING_NO_NEWEST:
            break;
        }
    }
    return err;
}

/* Only then it is known which is the newest: files that are none have other names by now. */
static pipit_err mend_newest(struct mending *mending)
{
    struct pp_finding newest = {.kind = PP_FINDING_NO_NEWEST};
    pp_store *store = mending->store;

    if (store->failure != PIPIT_EDAMAGED ||
        (mending->repair->dry_run && is_foreign(mending->findings, store->next_number - 1)))
        return PIPIT_OK;
    newest.segment = store->next_number;
    if (!step(mending, &newest, "begin a new segment in place of the one that is missing"))
        return PIPIT_OK;
    return pp_store_make_segment(store, store->next_number, store->last_seq + 1);
}

/* The damaged segment ends here, so that its footer tells of what is whole, and a record says that
 * the rest is no more. */
static pipit_err forget(struct mending *mending)
{
    pp_store *store = mending->store;
    struct pp_journal_needs needs = {.new_segment = true, .new_seq = store->last_seq + 1};
    struct pp_finding lost = {.kind = PP_FINDING_MESSAGES};
    uint64_t seq = 1, bad = 0, count;
    pipit_err err = PIPIT_OK;

    while (seq && !err) /* those that an index knows and whose records are damaged */
        err = pp_store_scrub(store, &seq, UINT64_MAX, &bad);
    for (uint32_t i = 0; i < store->lost.count && !err; i++) {
        lost.first = store->lost.items[i].first;
        lost.last = store->lost.items[i].last;
        (void)step(mending, &lost, "take lost messages for deleted");
    }
    if (err || mending->repair->dry_run)
        return err;
    err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    pp_journal_end(store, store->last_seq);
    if (store->lost.count)
        err = pp_store_delete_ranges(store, &store->lost, false, &count);
    if (!err)
        err = pp_store_forget_files(store);
    return err ? err : pp_store_wait(store, pp_store_issued(store));
}

static pipit_err open_store(struct mending *mending, pp_store_view **out_view, char *why)
{
    struct pp_store_options options = *mending->options;
    pipit_err err;

    options.kind = PP_STORE_FILE;
    options.create = false;
    options.limits = (struct pp_store_limits){0};
    if (!mending->repair->dry_run)
        return pp_store_open(&options, &mending->store, why);
    err = pp_store_view_open(&options, NULL, out_view, why);
    if (!err)
        mending->store = pp_store_view_store(*out_view);
    return err;
}

/* Each pass opens the store anew, since it depends on what the one before has changed. */
static pipit_err run(struct mending *mending, pipit_err (*pass)(struct mending *), char *why)
{
    pp_store_view *view = NULL;
    pipit_err err = open_store(mending, &view, why);

    if (err)
        return err;
    err = pass(mending);
    if (view)
        pp_store_view_close(view);
    else
        pp_store_close(mending->store);
    return err;
}

pipit_err pp_store_mend(const struct pp_store_options *options,
                        const struct pp_store_findings *findings,
                        const struct pp_store_repair *repair, char *out_why)
{
    struct mending mending = {.options = options, .findings = findings, .repair = repair};
    pipit_err err;

    *out_why = '\0';
    err = run(&mending, mend_files, out_why);
    if (!err)
        err = run(&mending, mend_newest, out_why);
    if (!err && repair->forget_lost &&
        (is_found(findings, PP_FINDING_MESSAGES) || is_found(findings, PP_FINDING_FILES) ||
         is_found(findings, PP_FINDING_BYTES)))
        err = run(&mending, forget, out_why);
    if (err && !*out_why)
        (void)snprintf(out_why, PP_STORE_WHY_BYTES, "%s", pipit_strerror(err));
    return err;
}
