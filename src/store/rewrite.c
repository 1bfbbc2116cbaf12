#include "store/inside.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/random.h"

enum {
    STEP_BYTES = 8 * 1024,  /* of records that are copied with one mutation */
    CHUNK_MAX = 256 * 1024, /* that are handed to the writer */
    CHUNK_PART = 16,        /* of a full segment */
    BYTES_MAX = 1 << 30,
};

const char pp_rewrite_name[] = "rewritten";

void pp_rewrite_init(struct pp_rewrite *rewrite)
{
    *rewrite = (struct pp_rewrite){0};
    pp_buf_init(&rewrite->bytes, BYTES_MAX);
}

void pp_rewrite_fini(struct pp_rewrite *rewrite)
{
    pp_segment_free(rewrite->to);
    pp_buf_fini(&rewrite->bytes);
    rewrite->to = NULL;
}

static uint32_t position_of(const pp_store *store, uint64_t number)
{
    uint32_t at = 0;

    while (at < store->segment_count && store->segments[at]->number != number)
        at++;
    PP_ASSERT(at < store->segment_count); /* nobody takes them out meanwhile */
    return at;
}

static void hold_sources(pp_store *store, bool held)
{
    const struct pp_rewrite *rewrite = &store->rewrite;

    for (uint32_t at = position_of(store, rewrite->first); at < store->segment_count; at++) {
        store->segments[at]->rewriting = held;
        pp_cache_forget(&store->cache, store->segments[at]->number); /* and what is read ahead */
        if (store->segments[at]->number == rewrite->last)
            break;
    }
}

/* Hand over what there is of the new file. */
static pipit_err hand_over(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    struct pp_journal_needs needs = {.actions = 1};
    struct pp_action action = {.kind = PP_ACTION_COPY,
                               .at = rewrite->bytes_at,
                               .bytes = rewrite->bytes.len,
                               .copy = rewrite->bytes.ptr};
    pipit_err err;

    if (rewrite->bytes.len == 0)
        return PIPIT_OK;
    err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    if (rewrite->bytes_at == 0) /* nothing that was handed over before is left */
        store->rewrite_failed = store->rewrite_done = false;
    pp_journal_action(store, action);
    pp_journal_end(store, store->last_seq);
    rewrite->ticket = store->issued;
    rewrite->bytes_at += action.bytes;
    pp_buf_init(&rewrite->bytes, BYTES_MAX); /* the action's by now */
    return PIPIT_OK;
}

/* Give it up. wipe: the bytes of a record of the copy that must be overwritten first. Errors: as
 * pp_store_append(); then nothing has happened. */
static pipit_err give_up(pp_store *store, uint64_t wipe_at, uint64_t wipe_bytes)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    struct pp_journal_needs needs = {.actions = 1};
    bool wanted = rewrite->wanted;
    pipit_err err = PIPIT_OK;

    if (rewrite->bytes_at) { /* there is a file */
        err = pp_journal_begin(store, &needs);
        if (err)
            return err;
        pp_journal_action(
            store,
            (struct pp_action){.kind = PP_ACTION_ABANDON, .at = wipe_at, .bytes = wipe_bytes});
        pp_journal_end(store, store->last_seq);
    }
    hold_sources(store, false);
    pp_rewrite_fini(rewrite);
    pp_rewrite_init(rewrite);
    rewrite->wanted = wanted;
    return PIPIT_OK;
}

/* Header, and a record that says which segments are no more. */
static pipit_err begin_file(pp_store *store, const struct pp_range *missing, uint32_t count)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    pp_segment *to = rewrite->to;
    struct pp_identity id = pp_store_identity_of(store, to->number, to->first_seq);
    struct pp_record_head head = {.seq = to->first_seq - 1,
                                  .durable_at = PP_SEGMENT_HEADER_BYTES / PP_RECORD_ALIGN,
                                  .kind = PP_RECORD_DROP};
    uint64_t bytes = count ? pp_record_bytes(count * sizeof(*missing)) : 0;
    pipit_err err = pp_buf_reserve(&rewrite->bytes, PP_SEGMENT_HEADER_BYTES + (size_t)bytes);

    if (!err)
        err = pp_ranges_reserve(&to->drops, count);
    if (err)
        return err;
    id.features |= to->features;
    pp_identity_seal(&id);
    memset(rewrite->bytes.ptr, 0, PP_SEGMENT_HEADER_BYTES);
    memcpy(rewrite->bytes.ptr, &id, sizeof(id));
    to->end = PP_SEGMENT_HEADER_BYTES;
    if (count)
        pp_record_encode_ranges(rewrite->bytes.ptr + to->end, &head, missing, count,
                                pp_record_seed(store->id.salt, to->number), to->end);
    for (uint32_t i = 0; i < count; i++)
        pp_ranges_push(&to->drops, missing[i].first, missing[i].last);
    to->has_ops = count > 0;
    to->end += bytes;
    rewrite->bytes.len = (size_t)to->end;
    return PIPIT_OK;
}

/* The new segment: of the number of the last one, and begun as the first one. It is sealed with
 * other random bytes than what lay at the same places before. */
static pipit_err begin_segment(pp_store *store, uint32_t first, uint32_t last)
{
    pipit_err err = pp_segment_new(store->segments[last]->number, store->segments[first]->first_seq,
                                   &store->rewrite.to);
    pp_segment *to = store->rewrite.to;

    if (err)
        return err;
    to->sized = true;
    to->features = store->id.features;
    for (uint32_t at = first; at <= last; at++)
        to->features |= store->segments[at]->features & PP_FEATURE_COMPRESSED;
    if (store->keys) {
        pp_seal_derive(&to->seal, store->keys->keys[0], store->id.store, to->number,
                       pp_random_seed());
        to->sealed_by = 1;
    }
    return PIPIT_OK;
}

static pipit_err begin(pp_store *store, uint32_t first, uint32_t last)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    struct pp_range *missing = pp_alloc(PP_RANGES_PIECE * sizeof(*missing));
    uint32_t count;
    pipit_err err = PIPIT_ENOMEM;

    if (!missing)
        return err;
    count = pp_store_missing_numbers(store, first, last, missing);
    err = count == UINT32_MAX ? PIPIT_ELIMIT : begin_segment(store, first, last);
    if (!err)
        err = begin_file(store, missing, count);
    pp_free(missing);
    if (err) {
        pp_rewrite_fini(rewrite);
        pp_rewrite_init(rewrite);
        return err;
    }
    rewrite->state = PP_REWRITE_COPY;
    rewrite->first = rewrite->from = store->segments[first]->number;
    rewrite->last = store->segments[last]->number;
    rewrite->ticket = store->issued; /* what is to be done to these files is done before */
    hold_sources(store, true);
    return PIPIT_OK;
}

/* Copy a message; its record gets another place and, maybe, another key. What it says of messages
 * that limits evicted is among what is said again. */
static pipit_err copy_message(pp_store *store, pp_segment *from, uint32_t nth)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    uint64_t at = pp_segment_place(from, nth), bytes;
    struct pp_record_head old, head;
    struct pp_record_parts parts;
    pp_segment *to = rewrite->to;
    const char *record;
    pipit_err err = pp_store_fetch_head(store, from, nth, &old);

    if (!err)
        err =
            pp_store_fetch(store, from, at, PP_RECORD_HEAD_BYTES + (size_t)old.body_bytes, &record);
    if (!err && !pp_record_body_true(&old, record + PP_RECORD_HEAD_BYTES,
                                     pp_record_seed(store->id.salt, from->number)))
        err = PIPIT_EDAMAGED;
    if (!err)
        err = pp_store_open_body(store, from, at, &old, record + PP_RECORD_HEAD_BYTES, &parts);
    if (err)
        return err;
    parts.floor = 0;
    parts.sealed = store->keys != NULL;
    bytes = pp_record_bytes(pp_record_body_bytes(&parts));
    err = pp_segment_reserve(to, 1, old.seq);
    if (!err)
        err = pp_expiries_reserve(&to->expiries);
    if (!err)
        err = pp_buf_reserve(&rewrite->bytes, (size_t)bytes);
    if (err)
        return err;
    head = (struct pp_record_head){.seq = old.seq,
                                   .time_ns = old.time_ns,
                                   .durable_at = PP_SEGMENT_HEADER_BYTES / PP_RECORD_ALIGN};
    pp_record_encode_message(rewrite->bytes.ptr + rewrite->bytes.len, &head, &parts, &to->seal,
                             pp_record_seed(store->id.salt, to->number), to->end);
    if (to->count == 0)
        to->first_time_ns = old.time_ns;
    to->last_time_ns = old.time_ns;
    pp_segment_push(to, old.seq, to->end, pp_segment_subject(from, nth),
                    (uint32_t)pp_record_head_counts(false, &old));
    if (parts.expires_ns && parts.expires_ns != INT64_MAX)
        pp_expiries_push(&to->expiries, parts.expires_ns, old.seq);
    rewrite->bytes.len += (size_t)bytes;
    to->end += bytes;
    return PIPIT_OK;
}

/* Copy some. *out_done: all of it is. */
static pipit_err copy_some(pp_store *store, bool *out_done)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    uint32_t at = position_of(store, rewrite->from);
    uint64_t end = rewrite->to->end + STEP_BYTES;

    *out_done = false;
    while (rewrite->to->end < end) {
        pp_segment *from = store->segments[at];
        pipit_err err = pp_store_load(store, from);

        if (err)
            return err;
        rewrite->nth = pp_segment_next_live(from, rewrite->nth);
        if (rewrite->nth < from->count) {
            err = copy_message(store, from, rewrite->nth);
            if (err == PIPIT_EDAMAGED) /* it is told of when it is read */
                from->unfit = true;
            if (err)
                return err;
            rewrite->nth++;
        } else if (from->number == rewrite->last) {
            *out_done = true;
            return PIPIT_OK;
        } else {
            rewrite->nth = 0;
            rewrite->from = store->segments[++at]->number;
        }
    }
    return PIPIT_OK;
}

/* What died since it was copied is dead in the copy, too. Errors: PIPIT_ENOMEM, PIPIT_EIO. */
static pipit_err follow_deaths(pp_store *store)
{
    const struct pp_rewrite *rewrite = &store->rewrite;
    uint32_t at = position_of(store, rewrite->first);
    pp_segment *to = rewrite->to, *from = NULL;
    uint64_t live_bytes = 0;
    pipit_err err = pp_segment_reserve_dead(to);

    for (uint32_t nth = 0; nth < to->count && !err; nth++) {
        uint64_t seq = pp_segment_seq(to, nth);
        uint32_t found;

        while (!from || from->last_seq < seq) {
            from = store->segments[from ? ++at : at];
            err = pp_store_load(store, from);
            if (err)
                return err;
        }
        found = pp_segment_lower(from, seq);
        if (!pp_segment_is_dead(to, nth) &&
            (found == from->count || pp_segment_is_dead(from, found)))
            pp_segment_kill(to, nth);
    }
    at = position_of(store, rewrite->first);
    do
        live_bytes += store->segments[at]->live_bytes;
    while (store->segments[at++]->number != rewrite->last);
    to->live_bytes = live_bytes;
    return err;
}

/* The sequences up to the end of the last one are taken, whether their messages are there or not.
 */
static pipit_err end_records(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    pp_segment *to = rewrite->to;
    struct pp_record_head head = {.seq =
                                      store->segments[position_of(store, rewrite->last)]->last_seq,
                                  .time_ns = to->last_time_ns,
                                  .durable_at = PP_SEGMENT_HEADER_BYTES / PP_RECORD_ALIGN,
                                  .kind = PP_RECORD_SKIP};
    pipit_err err;

    if (head.seq <= to->last_seq)
        return PIPIT_OK;
    err = pp_buf_reserve(&rewrite->bytes, PP_RECORD_HEAD_BYTES);
    if (err)
        return err;
    pp_record_encode_ranges(rewrite->bytes.ptr + rewrite->bytes.len, &head, NULL, 0,
                            pp_record_seed(store->id.salt, to->number), to->end);
    rewrite->bytes.len += PP_RECORD_HEAD_BYTES;
    to->end += PP_RECORD_HEAD_BYTES;
    to->last_seq = head.seq;
    to->has_ops = true;
    return PIPIT_OK;
}

static uint64_t lowest_delete(const pp_store *store)
{
    uint32_t at = position_of(store, store->rewrite.first);
    uint64_t lowest = UINT64_MAX;

    do
        if (store->segments[at]->lowest_delete < lowest)
            lowest = store->segments[at]->lowest_delete;
    while (store->segments[at++]->number != store->rewrite.last);
    return lowest;
}

/* The footer, behind the records. */
static pipit_err add_footer(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    pp_segment *to = rewrite->to;
    pp_buf footer;
    uint64_t sizes_at;
    pipit_err err;

    pp_buf_init(&footer, BYTES_MAX);
    err = pp_footer_encode(to, &store->subjects, pp_record_seed(store->id.salt, to->number),
                           &footer, &sizes_at);
    if (!err)
        err = pp_buf_add(&rewrite->bytes, footer.ptr, footer.len);
    if (!err) {
        to->footer_at = to->end;
        to->sizes_at = sizes_at;
    }
    pp_buf_fini(&footer);
    return err;
}

/* All is copied: what stood in the old files alone is said again, and then the new one may take
 * their place. The file of the last one is kept open, since its name will mean another. */
static pipit_err order_replacement(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    uint32_t first = position_of(store, rewrite->first), last = position_of(store, rewrite->last);
    struct pp_journal_needs needs = {.actions = 1};
    pipit_err err = pp_ranges_reserve(&store->cut, last - first);

    if (!err)
        err = pp_store_file(store, store->segments[last]);
    if (!err && !rewrite->to->footer_at) {
        err = follow_deaths(store);
        if (!err)
            err = end_records(store);
        if (!err)
            err = add_footer(store);
    }
    if (!err)
        err = hand_over(store);
    if (!err)
        err = pp_store_say_again(store, first, lowest_delete(store));
    if (!err)
        err = pp_store_say_evicted(store); /* what is not in the copy is no more, for ever */
    if (!err)
        err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    pp_journal_action(store,
                      (struct pp_action){.kind = PP_ACTION_REPLACE, .number = rewrite->last});
    pp_journal_end(store, store->last_seq);
    rewrite->ticket = store->issued;
    rewrite->state = PP_REWRITE_REPLACE;
    return PIPIT_OK;
}

/* Its file is there: so it is, in the place of the others. */
static void take_place(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    uint32_t first = position_of(store, rewrite->first), last = position_of(store, rewrite->last);
    pp_segment *to = rewrite->to;

    hold_sources(store, false);
    for (uint32_t at = first; at < last; at++)
        pp_ranges_push(&store->cut, store->segments[at]->number, store->segments[at]->number);
    for (uint32_t at = last + 1; at-- > first;)
        pp_store_remove_segment(store, at);
    memmove(store->segments + first + 1, store->segments + first,
            (store->segment_count - first) * sizeof(pp_segment *));
    store->segments[first] = to;
    store->segment_count++;
    to->sealed = true;
    atomic_store(&to->written, to->end);
    pp_segment_trim(to);
    store->index_loaded += pp_segment_index_bytes(to);
    pp_ranges_fini(&to->drops);
    pp_expiries_fini(&to->expiries);
    rewrite->to = NULL;
    pp_rewrite_init(rewrite);
    store->rewritten++;
    rewrite->wanted = store->reclaim_wanted = true; /* there may be more, and files to remove */
}

/* PIPIT_EAGAIN: it is not known yet. */
static pipit_err end_replacement(pp_store *store)
{
    const struct pp_rewrite *rewrite = &store->rewrite;
    bool settled, failed;
    pipit_err err;

    (void)pthread_mutex_lock(&store->lock);
    err = store->failure;
    settled = store->settled >= rewrite->ticket;
    failed = !store->rewrite_done;
    (void)pthread_mutex_unlock(&store->lock);
    if (err)
        return err;
    if (!settled)
        return PIPIT_EAGAIN;
    if (failed)
        return give_up(store, 0, 0);
    err = follow_deaths(store);
    if (!err)
        take_place(store);
    return err;
}

/* May more be handed over? What was is written, or cannot be. */
static bool is_taken(pp_store *store, bool *out_failed)
{
    bool taken;

    (void)pthread_mutex_lock(&store->lock);
    taken = store->settled >= store->rewrite.ticket && !store->failure;
    *out_failed = store->rewrite_failed && store->rewrite.bytes_at;
    (void)pthread_mutex_unlock(&store->lock);
    return taken;
}

static bool is_chunk(const pp_store *store)
{
    uint64_t chunk = store->options.segment_bytes / CHUNK_PART;

    return store->rewrite.bytes.len >= (chunk < CHUNK_MAX ? chunk : CHUNK_MAX);
}

static void go_on(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    bool failed, done = false;
    pipit_err err = PIPIT_OK;

    if (!is_taken(store, &failed))
        return;
    store->hurried = store->options.readers != NULL;
    if (!rewrite->to->footer_at)
        err = copy_some(store, &done);
    store->hurried = false;
    if (!err && (done || rewrite->to->footer_at))
        err = rewrite->to->count ? order_replacement(store) : PIPIT_ENOTFOUND;
    else if (!err && is_chunk(store))
        err = hand_over(store);
    if (failed || (err && err != PIPIT_EAGAIN))
        (void)give_up(store, 0, 0);
}

void pp_rewrite_step(pp_store *store)
{
    struct pp_rewrite *rewrite = &store->rewrite;
    uint32_t first, last;

    if (rewrite->state == PP_REWRITE_COPY) {
        go_on(store);
    } else if (rewrite->state == PP_REWRITE_REPLACE) {
        (void)end_replacement(store);
    } else if (rewrite->wanted && !store->memory && !store->failure && store->cut.count == 0) {
        rewrite->wanted = false;
        if (pp_store_find_waste(store, &first, &last))
            (void)begin(store, first, last);
    }
}

/* Whether it takes the place of the others is known before anything else is done to them. */
static pipit_err await_replacement(pp_store *store)
{
    if (store->rewrite.state == PP_REWRITE_REPLACE && !store->options.pool)
        (void)pp_writer_serve(&store->seat, false);
    return store->rewrite.state == PP_REWRITE_REPLACE ? end_replacement(store) : PIPIT_OK;
}

pipit_err pp_rewrite_before_cut(pp_store *store, uint64_t seq)
{
    const struct pp_rewrite *rewrite = &store->rewrite;

    if (rewrite->state == PP_REWRITE_NONE ||
        store->segments[position_of(store, rewrite->last)]->last_seq <= seq)
        return PIPIT_OK;
    return rewrite->state == PP_REWRITE_COPY ? give_up(store, 0, 0) : await_replacement(store);
}

pipit_err pp_rewrite_before_erase(pp_store *store, uint64_t seq)
{
    const struct pp_rewrite *rewrite = &store->rewrite;
    const pp_segment *to = rewrite->to;
    uint64_t at = 0, end = 0;
    uint32_t nth;

    if (rewrite->state == PP_REWRITE_NONE ||
        store->segments[position_of(store, rewrite->first)]->first_seq > seq ||
        store->segments[position_of(store, rewrite->last)]->last_seq < seq)
        return PIPIT_OK;
    if (rewrite->state == PP_REWRITE_REPLACE)
        return await_replacement(store);
    nth = pp_segment_lower(to, seq);
    if (nth < to->count && pp_segment_seq(to, nth) == seq) {
        at = pp_segment_place(to, nth);
        end = nth + 1 < to->count ? pp_segment_place(to, nth + 1) : to->end;
    }
    /* What is not in the file yet never will be. */
    return at < rewrite->bytes_at ? give_up(store, at, end - at) : give_up(store, 0, 0);
}
