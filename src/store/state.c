/* What a store tells of itself. */
#include "store/inside.h"

#include "base/assert.h"

static int64_t time_of_first(pp_store *store)
{
    struct pp_record_head head;
    pp_segment *segment;
    uint32_t nth;

    if (pp_store_find_live(store, store->first_seq, &segment, &nth) ||
        pp_store_fetch_head(store, segment, nth, &head))
        return 0;
    return head.time_ns;
}

static uint64_t disk_bytes(pp_store *store)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < store->segment_count && !store->memory; i++) {
        int64_t used = -1;

        if (pp_store_file(store, store->segments[i]) == PIPIT_OK)
            used = store->disk->ops->used(store->disk, store->segments[i]->fd);
        bytes += used > 0 ? (uint64_t)used : 0;
    }
    (void)pthread_mutex_lock(&store->lock);
    if (store->spare == PP_SPARE_READY)
        bytes += pp_segment_file_bytes(store->spare_bytes);
    (void)pthread_mutex_unlock(&store->lock);
    return bytes + store->rewrite.bytes_at;
}

void pp_store_state(pp_store *store, struct pp_store_state *out_state)
{
    struct pp_store_state state = {
        .messages = store->messages,
        .bytes = store->bytes,
        .first_seq = store->first_seq,
        .last_seq = store->last_seq,
        .last_time_ns = store->last_time_ns,
        .subjects = store->subjects.live,
        .segments = store->segment_count,
        .rewritten = store->rewritten,
    };

    if (state.messages) {
        state.first_time_ns = time_of_first(store);
        state.deleted = state.last_seq - state.first_seq + 1 - state.messages;
    }
    for (uint32_t i = 0; i < store->lost.count; i++)
        state.lost += store->lost.items[i].last - store->lost.items[i].first + 1;
    for (uint32_t i = 0; i < store->segment_count; i++)
        state.index_bytes +=
            pp_segment_index_bytes(store->segments[i]) + store->segments[i]->dead_room / 8;
    state.disk_bytes = disk_bytes(store);
    *out_state = state;
}

void pp_store_deleted(pp_store *store, void (*visit)(void *ctx, uint64_t first, uint64_t last),
                      void *ctx)
{
    uint64_t expected = store->first_seq;

    for (uint32_t at = 0; at < store->segment_count; at++) {
        pp_segment *segment = store->segments[at];

        /* One whose index cannot be read is told of as if it had no message. */
        if (segment->dead == segment->count || pp_store_load(store, segment))
            continue;
        for (uint32_t nth = pp_segment_next_live(segment, 0); nth < segment->count;
             nth = pp_segment_next_live(segment, nth + 1)) {
            uint64_t seq = pp_segment_seq(segment, nth);

            if (seq > expected)
                visit(ctx, expected, seq - 1);
            expected = seq + 1;
        }
    }
    if (store->messages && expected <= store->last_seq)
        visit(ctx, expected, store->last_seq);
}

void pp_store_lost(pp_store *store, void (*visit)(void *ctx, uint64_t first, uint64_t last),
                   void *ctx)
{
    for (uint32_t i = 0; i < store->lost.count; i++)
        visit(ctx, store->lost.items[i].first, store->lost.items[i].last);
}

pp_store_refusal pp_store_refused(const pp_store *store)
{
    return store->refused;
}

uint64_t pp_store_issued(pp_store *store)
{
    return store->issued; /* written by this thread only */
}

void pp_store_progress(pp_store *store, struct pp_store_progress *out_progress)
{
    (void)pthread_mutex_lock(&store->lock);
    *out_progress = (struct pp_store_progress){.ticket = store->settled,
                                               .seq = store->settled_seq,
                                               .reads = store->ahead.reads,
                                               .err = store->failure};
    (void)pthread_mutex_unlock(&store->lock);
}

void pp_store_run(pp_store *store)
{
    PP_ASSERT(!store->options.pool);
    if (!store->memory)
        (void)pp_writer_serve(&store->seat, false);
}

void pp_store_tend(pp_store *store)
{
    PP_ASSERT(!store->options.pool);
    if (!store->memory)
        (void)pp_writer_serve(&store->seat, true);
}

pipit_err pp_store_wait(pp_store *store, uint64_t ticket)
{
    pipit_err err;

    if (!store->options.pool)
        pp_store_run(store);
    (void)pthread_mutex_lock(&store->lock);
    store->awaited = true; /* so nobody adds to what is gathered */
    if (store->gather_at) {
        store->gather_at = 0;
        (void)pthread_cond_signal(&store->more);
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (store->options.pool && !store->memory)
        (void)pp_pool_serve_here(store->options.pool, &store->seat);
    (void)pthread_mutex_lock(&store->lock);
    while (store->settled < ticket && !store->failure)
        (void)pthread_cond_wait(&store->moved, &store->lock);
    store->awaited = false;
    err = store->settled >= ticket ? PIPIT_OK : store->failure;
    (void)pthread_mutex_unlock(&store->lock);
    return err;
}
