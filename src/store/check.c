/* A store is looked at as it is. */
#include "store/check.h"

#include "base/alloc.h"
#include "store/inside.h"
#include "store/still_disk.h"

enum {
    FINDINGS_MAX = 1 << 16,
    SCRUB_BYTES = 16 * 1024 * 1024, /* between two looks at the end */
};

struct pp_store_view {
    struct pp_still_disk disk;
    pp_store *store;
};

void pp_store_findings_fini(struct pp_store_findings *findings)
{
    pp_free(findings->items);
    *findings = (struct pp_store_findings){0};
}

uint32_t pp_store_findings_damage(const struct pp_store_findings *findings)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < findings->count; i++)
        count += pp_finding_is_damage(findings->items[i].kind);
    return count;
}

static void note_finding(void *ctx, const struct pp_finding *finding)
{
    struct pp_store_findings *findings = ctx;

    if (findings->count == findings->room) {
        uint32_t room = 2 * findings->room + 16;
        struct pp_finding *items =
            room > FINDINGS_MAX ? NULL : pp_realloc(findings->items, room * sizeof(*items));

        if (!items) {
            findings->incomplete = true;
            return;
        }
        findings->items = items;
        findings->room = room;
    }
    findings->items[findings->count++] = *finding;
}

pipit_err pp_store_view_open(const struct pp_store_options *options,
                             struct pp_store_findings *findings, pp_store_view **out_view,
                             char *out_why)
{
    struct pp_store_options still = *options;
    pp_store_view *view = pp_calloc(1, sizeof(*view));
    pipit_err err;

    if (!view)
        return PIPIT_ENOMEM;
    pp_still_disk_init(&view->disk, options->disk ? options->disk : pp_disk_real());
    still.kind = PP_STORE_FILE;
    still.create = false;
    still.disk = &view->disk.disk;
    still.pool = NULL;
    still.limits = (struct pp_store_limits){0};
    still.on_finding = findings ? note_finding : NULL;
    still.finding_ctx = findings;
    err = pp_store_open(&still, &view->store, out_why);
    if (err) {
        pp_free(view);
        return err;
    }
    *out_view = view;
    return PIPIT_OK;
}

void pp_store_view_close(pp_store_view *view)
{
    if (!view)
        return;
    pp_store_close(view->store);
    pp_free(view);
}

pp_store *pp_store_view_store(pp_store_view *view)
{
    return view->store;
}

pipit_err pp_store_view_check(pp_store_view *view)
{
    uint64_t seq = 1, bad = 0;
    pipit_err err = PIPIT_OK;

    while (seq && !err)
        err = pp_store_scrub(view->store, &seq, SCRUB_BYTES, &bad);
    return err;
}

static int64_t ask(pp_store *store, int64_t (*what)(pp_disk *disk, int fd), int fd)
{
    int64_t bytes = what(store->disk, fd);

    return bytes < 0 ? 0 : bytes;
}

void pp_store_view_segments(pp_store_view *view,
                            void (*visit)(void *ctx, const struct pp_store_segment_info *info),
                            void *ctx)
{
    pp_store *store = view->store;

    for (uint32_t at = 0; at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];
        struct pp_store_segment_info info = {
            .number = segment->number,
            .record_bytes = segment->end,
            .messages = segment->count - segment->dead,
            .dead = segment->dead,
            .first_seq = segment->first_seq,
            .last_seq = segment->last_seq,
            .sealed = segment->sealed,
            .has_footer = segment->footer_at != 0,
        };

        if (pp_store_file(store, segment) == PIPIT_OK) {
            info.file_bytes = (uint64_t)ask(store, store->disk->ops->size, segment->fd);
            info.disk_bytes = (uint64_t)ask(store, store->disk->ops->used, segment->fd);
        }
        visit(ctx, &info);
    }
}
