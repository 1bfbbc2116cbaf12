/* A stopped store, as programs see it: pipit/store.h. */
#include "pipit/store.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "core/subject.h"
#include "store/check.h"
#include "store/snapshot.h"

#include <stdio.h>
#include <string.h>

static_assert((int)PIPIT_STORE_WHY_BYTES >= (int)PP_STORE_WHY_BYTES, "reasons are written into it");

enum { PIECE_BYTES = 1024 * 1024, PIECE_MAX = 256 * 1024 * 1024 };

struct pipit_store {
    pp_store_view *view;
    struct pp_store_findings findings;
    /* what was answered last */
    pipit_store_finding finding;
    pipit_store_facts facts;
    pipit_store_message message;
};

/* --- how to open it ------------------------------------------------------------------------- */

/* Options with what they need; close_way() wipes the keys. */
struct way {
    struct pp_store_options options;
    struct pp_store_keys keys;
};

static pipit_err read_keys(const pipit_store_options *o, struct pp_store_keys *keys, char *why)
{
    char wrong[PP_STORE_KEYS_WHY_BYTES] = "";
    pipit_err err;

    if (o->key_file)
        err = pp_store_keys_read(o->key_file, keys, wrong);
    else
        err = pp_store_keys_parse(pp_str_of(o->keys), keys, wrong);
    if (err)
        (void)snprintf(why, PIPIT_STORE_WHY_BYTES, "its keys: %s", wrong);
    return err;
}

static pipit_err open_way(const pipit_store_options *options, struct way *way, char *why)
{
    pipit_store_options o = {0};

    *why = '\0';
    memset(way, 0, sizeof(*way));
    memcpy(&o, options,
           options->struct_bytes && options->struct_bytes < sizeof(o) ? options->struct_bytes
                                                                      : sizeof(o));
    if (!o.dir || !*o.dir) {
        (void)snprintf(why, PIPIT_STORE_WHY_BYTES, "no directory is named");
        return PIPIT_EINVAL;
    }
    way->options.dir = o.dir;
    way->options.compress = o.compress;
    if (!o.key_file && !o.keys)
        return PIPIT_OK;
    way->options.keys = &way->keys;
    return read_keys(&o, &way->keys, why);
}

/* Answers err, and sees to it that why tells of it. */
static pipit_err close_way(struct way *way, pipit_err err, char *why)
{
    pp_store_keys_wipe(&way->keys);
    if (err == PIPIT_EINUSE)
        (void)snprintf(why, PIPIT_STORE_WHY_BYTES, "another process has it open: stop that first");
    else if (err == PIPIT_ENOTFOUND)
        (void)snprintf(why, PIPIT_STORE_WHY_BYTES, "there is no store");
    else if (err && !*why)
        (void)snprintf(why, PIPIT_STORE_WHY_BYTES, "%s", pipit_strerror(err));
    return err;
}

/* --- looking -------------------------------------------------------------------------------- */

static pipit_err look(const struct way *way, pipit_store **out_store, char *why)
{
    pipit_store *store = pp_calloc(1, sizeof(*store));
    pipit_err err = store ? PIPIT_OK : PIPIT_ENOMEM;

    if (!err)
        err = pp_store_view_open(&way->options, &store->findings, &store->view, why);
    if (!err)
        *out_store = store;
    else
        pipit_store_close(store);
    return err;
}

pipit_err pipit_store_open(const pipit_store_options *options, pipit_store **out_store,
                           char out_why[PIPIT_STORE_WHY_BYTES])
{
    struct way way;
    pipit_err err = open_way(options, &way, out_why);

    if (!err)
        err = look(&way, out_store, out_why);
    return close_way(&way, err, out_why);
}

void pipit_store_close(pipit_store *store)
{
    if (!store)
        return;
    pp_store_view_close(store->view);
    pp_store_findings_fini(&store->findings);
    pp_free(store);
}

pipit_err pipit_store_check(pipit_store *store)
{
    return pp_store_view_check(store->view);
}

static pipit_store_finding show_finding(const struct pp_finding *finding)
{
    return (pipit_store_finding){
        .name = pp_finding_name(finding->kind),
        .text = pp_finding_text(finding->kind),
        .damage = pp_finding_is_damage(finding->kind),
        .segment = finding->segment,
        .at = finding->at,
        .bytes = finding->bytes,
        .first = finding->first,
        .last = finding->last,
    };
}

const pipit_store_finding *pipit_store_finding_at(pipit_store *store, size_t index)
{
    if (index >= store->findings.count)
        return NULL;
    store->finding = show_finding(&store->findings.items[index]);
    return &store->finding;
}

const pipit_store_facts *pipit_store_measure(pipit_store *store)
{
    struct pp_store_state state;

    pp_store_state(pp_store_view_store(store->view), &state);
    store->facts = (pipit_store_facts){
        .messages = state.messages,
        .bytes = state.bytes,
        .first_seq = state.first_seq,
        .last_seq = state.last_seq,
        .first_time_ns = state.first_time_ns,
        .last_time_ns = state.last_time_ns,
        .deleted = state.deleted,
        .lost = state.lost,
        .subjects = state.subjects,
        .segments = state.segments,
        .disk_bytes = state.disk_bytes,
        .findings = store->findings.count,
        .damage = pp_store_findings_damage(&store->findings),
        .incomplete = store->findings.incomplete,
    };
    return &store->facts;
}

struct visit {
    void (*call)(void *context, const pipit_store_segment *segment);
    void *context;
};

static void visit_segment(void *ctx, const struct pp_store_segment_info *info)
{
    const struct visit *visit = ctx;
    const pipit_store_segment segment = {
        .number = info->number,
        .messages = info->messages,
        .dead = info->dead,
        .first_seq = info->first_seq,
        .last_seq = info->last_seq,
        .record_bytes = info->record_bytes,
        .file_bytes = info->file_bytes,
        .disk_bytes = info->disk_bytes,
        .sealed = info->sealed,
        .footer = info->has_footer,
    };

    visit->call(visit->context, &segment);
}

void pipit_store_segments(pipit_store *store,
                          void (*visit)(void *context, const pipit_store_segment *segment),
                          void *context)
{
    struct visit all = {visit, context};

    pp_store_view_segments(store->view, visit_segment, &all);
}

pipit_err pipit_store_next(pipit_store *store, const char *filter, uint64_t seq,
                           const pipit_store_message **out_message)
{
    pp_str subjects = filter ? pp_str_of(filter) : PP_STR(">");
    struct pp_store_message found;
    pipit_err err;

    if (!pp_subject_valid(subjects))
        return PIPIT_EINVAL;
    err = pp_store_next(pp_store_view_store(store->view), subjects, seq, &found);
    if (err)
        return err;
    store->message = (pipit_store_message){
        .seq = found.seq,
        .time_ns = found.time_ns,
        .expires_ns = found.expires_ns,
        .subject = found.subject.ptr,
        .subject_bytes = found.subject.len,
        .headers = found.headers.ptr,
        .headers_bytes = found.headers.len,
        .payload = found.payload.ptr,
        .payload_bytes = found.payload.len,
    };
    *out_message = &store->message;
    return PIPIT_OK;
}

/* --- repairing ------------------------------------------------------------------------------ */

static void tell_step(void *ctx, const struct pp_finding *finding, const char *what)
{
    const pipit_store_repair_options *repair = ctx;
    pipit_store_finding shown = show_finding(finding);

    repair->on_step(repair->context, &shown, what);
}

/* The store must not be open any more when it is mended. */
static pipit_err find_all(const struct way *way, struct pp_store_findings *findings, char *why)
{
    pipit_store *store;
    pipit_err err = look(way, &store, why);

    if (err)
        return err;
    err = pipit_store_check(store);
    *findings = store->findings;
    store->findings = (struct pp_store_findings){0};
    pipit_store_close(store);
    return err;
}

pipit_err pipit_store_repair(const pipit_store_options *options,
                             const pipit_store_repair_options *repair,
                             char out_why[PIPIT_STORE_WHY_BYTES])
{
    pipit_store_repair_options o = {0};
    struct pp_store_findings findings = {0};
    struct pp_store_repair how;
    struct way way;
    pipit_err err = open_way(options, &way, out_why);

    memcpy(&o, repair,
           repair->struct_bytes && repair->struct_bytes < sizeof(o) ? repair->struct_bytes
                                                                    : sizeof(o));
    how = (struct pp_store_repair){.dry_run = o.dry_run,
                                   .forget_lost = o.forget_lost,
                                   .on_step = o.on_step ? tell_step : NULL,
                                   .ctx = &o};
    if (!err)
        err = find_all(&way, &findings, out_why);
    if (!err)
        err = pp_store_mend(&way.options, &findings, &how, out_why);
    pp_store_findings_fini(&findings);
    return close_way(&way, err, out_why);
}

/* --- snapshots ------------------------------------------------------------------------------ */

pipit_err pipit_store_snapshot(pipit_store *store,
                               bool (*write)(void *context, const void *bytes, size_t count),
                               void *context, uint64_t *out_messages)
{
    pp_store_snapshot *snapshot;
    bool end = false;
    pp_buf piece;
    pipit_err err = pp_store_snapshot_new(pp_store_view_store(store->view), &snapshot);

    if (err)
        return err;
    pp_buf_init(&piece, PIECE_MAX);
    while (!err && !end) {
        err = pp_store_snapshot_next(snapshot, PIECE_BYTES, &piece, &end);
        if (!err && !write(context, piece.ptr, piece.len))
            err = PIPIT_EIO;
        piece.len = 0;
    }
    *out_messages = pp_store_snapshot_messages(snapshot);
    pp_buf_fini(&piece);
    pp_store_snapshot_free(snapshot);
    return err;
}

static pipit_err bring_back(pp_restore *restore,
                            ptrdiff_t (*read)(void *context, void *bytes, size_t count),
                            void *context)
{
    char *piece = pp_alloc(PIECE_BYTES);
    pipit_err err = piece ? PIPIT_OK : PIPIT_ENOMEM;
    ptrdiff_t got = 1;

    while (!err && got > 0) {
        got = read(context, piece, PIECE_BYTES);
        if (got > 0)
            err = pp_restore_add(restore, (pp_str){piece, (size_t)got});
    }
    pp_free(piece);
    if (!err && got < 0)
        err = PIPIT_EIO;
    return err ? err : pp_restore_finish(restore);
}

pipit_err pipit_store_restore(const pipit_store_options *options,
                              ptrdiff_t (*read)(void *context, void *bytes, size_t count),
                              void *context, char out_why[PIPIT_STORE_WHY_BYTES])
{
    pp_restore *restore = NULL;
    struct way way;
    pipit_err err = open_way(options, &way, out_why);

    if (!err)
        err = pp_restore_new(&way.options, &restore, out_why);
    if (!err)
        err = bring_back(restore, read, context);
    pp_restore_free(restore);
    if (err == PIPIT_EDAMAGED && !*out_why)
        (void)snprintf(out_why, PIPIT_STORE_WHY_BYTES,
                       "that is not a whole snapshot; what was made of it is in %.120s.restoring",
                       way.options.dir);
    return close_way(&way, err, out_why);
}
