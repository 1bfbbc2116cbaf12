/* Records go into batches, and batches to who writes them.
 *
 * The owner decides here where each record will lie. A batch holds records that follow one another
 * in one segment; as long as nobody has taken it to write it, more are added. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>

enum {
    BATCH_BYTES_MAX = 1 << 30,
    /* Then the next one begins: what is in this one is settled sooner, and who waits for that has
     * more to write by the time that the next one is on disk. */
    BATCH_BYTES_ENOUGH = 8 * 1024 * 1024,
    /* At the end of a segment there is always room for the record of what limits evicted, and for
     * a mark. */
    LAST_BYTES = PP_RECORD_HEAD_BYTES + sizeof(struct pp_range) + PP_RECORD_HEAD_BYTES,
    FIRST_MEMORY_BYTES = 8 * 1024,
    MEMORY_SEGMENT_BYTES = 256 * 1024,
};

void pp_batch_free(struct pp_batch *batch)
{
    if (!batch)
        return;
    pp_buf_fini(&batch->bytes);
    pp_buf_fini(&batch->footer);
    pp_actions_forget(batch->actions, batch->action_count);
    pp_free(batch->actions);
    pp_free(batch);
}

/* Room that messages leave to what deletes messages: else a full disk could not be emptied. */
static uint64_t slack_of(uint64_t room)
{
    uint64_t slack = room / 16;

    return slack > 1024 * 1024 ? 1024 * 1024 : slack;
}

static bool fits(const pp_segment *segment, uint64_t bytes, bool message)
{
    uint64_t room = segment->room - (message ? slack_of(segment->room) : 0);

    return segment->end + bytes + LAST_BYTES <= room;
}

/* How large the next segment has to be: small streams take little room. */
static uint64_t next_room(const pp_store *store, uint64_t bytes)
{
    uint64_t room = store->memory ? FIRST_MEMORY_BYTES : PP_FIRST_SEGMENT_BYTES;
    uint64_t least = PP_SEGMENT_HEADER_BYTES + bytes + bytes / 8 + 2 * LAST_BYTES;

    if (store->segment_count)
        room = pp_store_active(store)->room * 2;
    if (store->memory && room > MEMORY_SEGMENT_BYTES)
        room = MEMORY_SEGMENT_BYTES;
    if (room > store->options.segment_bytes)
        room = store->options.segment_bytes;
    return (room > least ? room : least + 1024) & ~(uint64_t)7;
}

static struct pp_batch *last_batch(const pp_store *store)
{
    return pp_list_empty(&store->batches)
               ? NULL
               : PP_CONTAINER(store->batches.prev, struct pp_batch, link);
}

struct pp_batch *pp_batch_take(pp_store *store)
{
    struct pp_batch *batch = store->idle;

    store->idle = NULL;
    if (!batch) {
        batch = pp_calloc(1, sizeof(*batch));
        if (!batch)
            return NULL;
        pp_buf_init(&batch->bytes, BATCH_BYTES_MAX);
        pp_buf_init(&batch->footer, BATCH_BYTES_MAX);
    }
    return batch;
}

static void begin_batch(pp_store *store, struct pp_batch *batch, pp_segment *segment)
{
    batch->segment = segment;
    batch->at = segment->end;
    batch->durable_at = store->options.sync_interval_ns ? store->synced_end : segment->end;
    batch->ticket = store->issued;
    batch->seq = store->last_seq;
    segment->pending++;
    pp_list_append(&store->batches, &batch->link);
}

/* A batch to add so many bytes to. */
static pipit_err open_batch(pp_store *store, bool fresh, size_t bytes)
{
    struct pp_batch *batch = last_batch(store);

    if (batch && !batch->taken && !fresh && batch->segment == pp_store_active(store) &&
        (batch->bytes.len == 0 || batch->bytes.len + bytes <= BATCH_BYTES_ENOUGH))
        return PIPIT_OK;
    batch = pp_batch_take(store);
    if (!batch)
        return PIPIT_ENOMEM;
    begin_batch(store, batch, pp_store_active(store));
    return PIPIT_OK;
}

static pipit_err reserve_actions(struct pp_batch *batch, uint32_t more)
{
    uint32_t room = batch->action_count + batch->action_count / 2 + more;
    struct pp_action *actions;

    if (batch->action_room - batch->action_count >= more)
        return PIPIT_OK;
    actions = pp_realloc(batch->actions, room * sizeof(*actions));
    if (!actions)
        return PIPIT_ENOMEM;
    batch->actions = actions;
    batch->action_room = room;
    return PIPIT_OK;
}

/* Wake whoever serves the store. */
static void wake(pp_store *store)
{
    if (store->options.pool && !store->served) {
        store->served = true;
        pp_pool_push(store->options.pool, &store->seat);
    }
}

/* Is there a file for the next segment? If not, have one made. Without a pool it is made now, after
 * all that waits has been written. */
static pipit_err want_spare(pp_store *store, uint64_t room)
{
    pipit_err err;

    if (store->spare == PP_SPARE_READY && store->spare_bytes >= room)
        return PIPIT_OK;
    if (store->spare != PP_SPARE_WANTED || store->spare_bytes < room) {
        store->spare = PP_SPARE_WANTED;
        store->spare_bytes = room;
    }
    err = store->spare_err;
    if (store->options.pool) {
        wake(store);
        return err ? err : PIPIT_EAGAIN;
    }
    (void)pthread_mutex_unlock(&store->lock);
    (void)pp_writer_serve(&store->seat, false);
    (void)pthread_mutex_lock(&store->lock);
    if (store->failure) /* of what has been written meanwhile */
        return store->failure;
    if (store->spare == PP_SPARE_READY && store->spare_bytes >= room)
        return PIPIT_OK;
    return store->spare_err ? store->spare_err : PIPIT_EIO;
}

/* Write a record of ranges behind all others; its room was reserved. */
static void put_ranges(pp_store *store, pp_record_kind kind, uint64_t seq,
                       const struct pp_range *ranges, uint32_t count)
{
    struct pp_batch *batch = last_batch(store);
    pp_segment *segment = batch->segment;
    uint64_t bytes = pp_record_bytes(count * sizeof(*ranges));
    struct pp_record_head head = {
        .seq = seq,
        .time_ns = store->last_time_ns,
        .durable_at = (uint32_t)(batch->durable_at / PP_RECORD_ALIGN),
        .kind = (uint8_t)kind,
    };

    PP_ASSERT(batch->bytes.cap - batch->bytes.len >= bytes);
    pp_record_encode_ranges(batch->bytes.ptr + batch->bytes.len, &head, ranges, count,
                            pp_record_seed(store->id.salt, segment->number), segment->end);
    batch->bytes.len += bytes;
    segment->end += bytes;
    segment->has_ops = true;
    store->pending_bytes += bytes;
}

/* What limits have evicted is said once for a segment, not for each message. */
static pipit_err settle_evicted(pp_store *store)
{
    pp_segment *active = pp_store_active(store);
    struct pp_range range = {1, store->evicted_seq};
    pipit_err err;

    if (!store->evicted_seq)
        return PIPIT_OK;
    err = pp_ranges_reserve(&active->deletes, 1);
    if (!err)
        err = open_batch(store, false, LAST_BYTES);
    if (!err)
        err = pp_buf_reserve(&last_batch(store)->bytes, LAST_BYTES);
    if (err)
        return err;
    put_ranges(store, PP_RECORD_DELETE, store->last_seq, &range, 1);
    pp_ranges_push(&active->deletes, range.first, range.last);
    active->lowest_delete = 1;
    store->evicted_seq = 0;
    return PIPIT_OK;
}

static pipit_err new_memory(pp_segment *segment, uint64_t room)
{
    segment->memory = pp_alloc(room);
    segment->end = PP_RECORD_ALIGN; /* no message lies at 0 */
    segment->room = room;
    return segment->memory ? PIPIT_OK : PIPIT_ENOMEM;
}

static pipit_err roll_memory(pp_store *store, uint64_t bytes, uint64_t first_seq)
{
    pp_segment *segment = NULL;
    pipit_err err = pp_segment_new(store->next_number, first_seq, &segment);

    if (!err)
        err = new_memory(segment, next_room(store, bytes));
    if (!err)
        err = pp_store_add_segment(store, segment);
    if (err) {
        pp_segment_free(segment);
        return err;
    }
    store->next_number++;
    if (store->segment_count > 1) {
        pp_segment *before = store->segments[store->segment_count - 2];

        before->sealed = true;
        pp_segment_trim(before);
    }
    return PIPIT_OK;
}

/* The last segment ends here, and the next one begins with the batch that this makes. */
static pipit_err roll_file(pp_store *store, uint64_t bytes, uint64_t first_seq)
{
    pp_segment *before = pp_store_active(store), *segment = NULL;
    uint64_t room = next_room(store, bytes), sizes_at;
    struct pp_batch *batch = NULL;
    pipit_err err = want_spare(store, room);

    if (!err)
        err = settle_evicted(store);
    if (!err)
        err = pp_segment_new(store->next_number, first_seq, &segment);
    if (!err) {
        batch = pp_batch_take(store);
        err = batch ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (!err)
        err = pp_footer_encode(before, &store->subjects,
                               pp_record_seed(store->id.salt, before->number), &batch->footer,
                               &sizes_at);
    if (!err)
        err = pp_store_add_segment(store, segment);
    if (err) {
        pp_segment_free(segment);
        pp_batch_free(batch);
        return err;
    }
    store->next_number++;
    segment->end = PP_SEGMENT_HEADER_BYTES;
    segment->room = store->spare_bytes;
    segment->features = store->id.features;
    if (store->keys)
        pp_store_give_key(store, segment, 0);
    segment->sized = true;
    store->spare = PP_SPARE_NONE;
    store->synced_end = PP_SEGMENT_HEADER_BYTES;
    batch->opens = true;
    batch->begins = first_seq;
    store->openings++;
    batch->sealed = before;
    before->pending++;
    begin_batch(store, batch, segment);
    before->sealed = true;
    before->footer_at = before->end;
    before->sizes_at = sizes_at;
    pp_segment_trim(before);
    store->index_loaded += pp_segment_index_bytes(before);
    pp_ranges_fini(&before->drops); /* its deletes stay: until its footer is there, they tell */
    pp_expiries_fini(&before->expiries);
    return PIPIT_OK;
}

static pipit_err make_room(pp_store *store, const struct pp_journal_needs *needs)
{
    uint64_t seq = needs->new_segment ? needs->new_seq : store->last_seq + 1;

    if (!needs->new_segment && pp_store_suits(store, pp_store_active(store)) &&
        fits(pp_store_active(store), needs->bytes, needs->message))
        return PIPIT_OK;
    store->reclaim_wanted = store->rewrite.wanted = true; /* the one that is sealed may be dead */
    return store->memory ? roll_memory(store, needs->bytes, seq)
                         : roll_file(store, needs->bytes, seq);
}

/* What the last segment's index and footer will need. */
static pipit_err reserve_lists(pp_store *store, const struct pp_journal_needs *needs)
{
    pp_segment *active = pp_store_active(store);
    pipit_err err = PIPIT_OK;

    if (needs->message)
        err = pp_segment_reserve(active, 1, needs->seq);
    if (!err && needs->expires && !store->memory)
        err = pp_expiries_reserve(&active->expiries);
    if (!err && !store->memory)
        err = pp_ranges_reserve(&active->deletes, needs->ranges);
    if (!err && !store->memory && active->drops.count < needs->drops)
        err = pp_ranges_reserve(&active->drops, needs->drops - active->drops.count);
    return err;
}

static pipit_err prepare_segment(pp_store *store, const struct pp_journal_needs *needs)
{
    struct pp_journal_needs rolled = *needs;
    pipit_err err = make_room(store, needs);

    if (!err)
        err = reserve_lists(store, needs);
    if (err != PIPIT_ETOOBIG)
        return err;
    rolled.new_segment = true; /* the sequence is too far from the first one of this segment */
    rolled.new_seq = needs->seq;
    err = make_room(store, &rolled);
    return err ? err : reserve_lists(store, needs);
}

static pipit_err begin_locked(pp_store *store, const struct pp_journal_needs *needs)
{
    size_t pending_max = store->options.pending_max * (needs->message ? 1 : 2);
    pipit_err err;

    if (store->failure)
        return store->failure;
    /* However large a record is, one may wait. */
    if (store->pending_bytes && store->pending_bytes + needs->bytes > pending_max)
        return PIPIT_EAGAIN;
    err = prepare_segment(store, needs);
    if (err || store->memory)
        return err;
    err = open_batch(store, needs->fresh, needs->bytes);
    if (!err) /* and what settle_evicted() may add later has its own */
        err = pp_buf_reserve(&last_batch(store)->bytes, needs->bytes);
    if (!err)
        err = reserve_actions(last_batch(store), needs->actions);
    return err;
}

pipit_err pp_journal_begin(pp_store *store, const struct pp_journal_needs *needs)
{
    pipit_err err;

    if (needs->bytes > PP_RECORD_BODY_MAX + PP_RECORD_HEAD_BYTES + PP_RECORD_ALIGN)
        return PIPIT_ETOOBIG;
    (void)pthread_mutex_lock(&store->lock);
    err = begin_locked(store, needs);
    if (err)
        (void)pthread_mutex_unlock(&store->lock);
    return err;
}

uint64_t pp_journal_message(pp_store *store, const struct pp_record_parts *parts, uint64_t seq,
                            int64_t time_ns)
{
    struct pp_batch *batch = store->memory ? NULL : last_batch(store);
    pp_segment *segment = pp_store_active(store);
    uint64_t at = segment->end, bytes = pp_record_bytes(pp_record_body_bytes(parts));
    struct pp_record_head head = {
        .seq = seq,
        .time_ns = time_ns,
        .durable_at = batch ? (uint32_t)(batch->durable_at / PP_RECORD_ALIGN) : 0,
    };

    pp_record_encode_message(batch ? batch->bytes.ptr + batch->bytes.len : segment->memory + at,
                             &head, parts, &segment->seal,
                             pp_record_seed(store->id.salt, segment->number), at);
    if (batch) {
        batch->bytes.len += bytes;
        store->pending_bytes += bytes;
    }
    segment->end += bytes;
    if (parts->floor) {
        pp_segment_note_floor(segment, parts->floor);
        store->evicted_seq = 0;
    }
    return at;
}

void pp_journal_ranges(pp_store *store, pp_record_kind kind, uint64_t seq,
                       const struct pp_range *ranges, uint32_t count)
{
    if (!store->memory)
        put_ranges(store, kind, seq, ranges, count);
}

void pp_journal_deletes(pp_store *store, pp_record_kind kind, uint64_t seq,
                        const struct pp_range *ranges, uint32_t count)
{
    pp_segment *active = pp_store_active(store);

    if (store->memory)
        return;
    put_ranges(store, kind, seq, ranges, count);
    for (uint32_t i = 0; i < count; i++) {
        pp_ranges_push(&active->deletes, ranges[i].first, ranges[i].last);
        if (ranges[i].first < active->lowest_delete)
            active->lowest_delete = ranges[i].first;
    }
}

void pp_journal_action(pp_store *store, struct pp_action action)
{
    struct pp_batch *batch = last_batch(store);

    if (store->memory)
        return;
    PP_ASSERT(batch->action_count < batch->action_room);
    batch->actions[batch->action_count++] = action;
    batch->urgent |= action.kind != PP_ACTION_COPY;
}

void pp_journal_end(pp_store *store, uint64_t newest)
{
    pp_segment *active = pp_store_active(store);

    store->issued++;
    if (store->memory) {
        store->settled = store->issued;
        store->settled_seq = newest;
    } else {
        struct pp_batch *batch = last_batch(store);

        batch->ticket = store->issued;
        batch->seq = newest;
        store->marked = false;
        if (store->gather_at && store->issued >= store->gather_at) {
            store->gather_at = 0;
            (void)pthread_cond_signal(&store->more);
        }
        if (store->spare == PP_SPARE_NONE && !store->spare_err && active->end > active->room / 2) {
            store->spare = PP_SPARE_WANTED;
            store->spare_bytes = next_room(store, 0);
        }
        wake(store);
    }
    (void)pthread_mutex_unlock(&store->lock);
}
