/* Bytes of records: from the batches that wait to be written, from the cache, or from the file. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/assert.h"

/* Copy what a batch still has. PIPIT_ENOTFOUND: it is in the file by now, or will never be. */
static pipit_err copy_pending(pp_store *store, const pp_segment *segment, uint64_t at, size_t bytes)
{
    pipit_err err = PIPIT_ENOTFOUND;

    (void)pthread_mutex_lock(&store->lock);
    for (pp_link *link = store->batches.next; link != &store->batches; link = link->next) {
        const struct pp_batch *batch = PP_CONTAINER(link, struct pp_batch, link);

        if (batch->segment == segment && at >= batch->at &&
            at + bytes <= batch->at + batch->bytes.len) {
            memcpy(store->scratch.ptr, batch->bytes.ptr + (at - batch->at), bytes);
            err = PIPIT_OK;
            break;
        }
    }
    if (err && store->failure)
        err = store->failure;
    (void)pthread_mutex_unlock(&store->lock);
    return err;
}

static bool is_written(const pp_segment *segment, uint64_t end)
{
    return end <= atomic_load_explicit(&segment->written, memory_order_acquire);
}

/* How much of a block can be read: what is behind may change yet, it is read when it has been
 * written. */
static size_t written_of_block(const pp_segment *segment, uint64_t block_at)
{
    uint64_t written = atomic_load_explicit(&segment->written, memory_order_acquire);

    return block_at + PP_CACHE_BLOCK_BYTES <= written ? PP_CACHE_BLOCK_BYTES
                                                      : (size_t)(written - block_at);
}

/* The block behind this one: who reads on finds it read. */
static void hint_next(pp_store *store, const pp_segment *segment, uint64_t block_at)
{
    uint64_t next_at = block_at + PP_CACHE_BLOCK_BYTES;

    if (pp_store_may_hurry(store, segment) &&
        is_written(segment, segment->sealed ? next_at + 1 : next_at + PP_CACHE_BLOCK_BYTES) &&
        !pp_cache_find(&store->cache, segment->number, next_at))
        pp_ahead_hint(store, segment, next_at, written_of_block(segment, next_at));
}

/* What is left of a block, if it is in the system's memory. */
static bool read_block_now(pp_store *store, const pp_segment *segment, struct pp_cache_block *block,
                           size_t wanted)
{
    bool is_there = pp_disk_read_now(store->disk, segment->fd, block->bytes + block->len,
                                     wanted - block->len, block->at + block->len);

    if (is_there)
        block->len = (uint32_t)wanted;
    return is_there;
}

/* Have a block without waiting for the disk. False: it has to be read here and now, as is the end
 * of what is written, which was in memory a moment ago. */
static bool hurry_block(pp_store *store, const pp_segment *segment, uint64_t block_at,
                        struct pp_cache_block **block, pipit_err *out_err)
{
    size_t wanted = written_of_block(segment, block_at);
    char *bytes;

    if (!segment->sealed && wanted < PP_CACHE_BLOCK_BYTES)
        return false;
    *out_err = PIPIT_OK;
    switch (pp_ahead_take_bytes(store, segment, block_at, wanted, &bytes)) {
    case PP_AHEAD_HERE:
        *block = pp_cache_put(&store->cache, segment->number, block_at, bytes, (uint32_t)wanted);
        hint_next(store, segment, block_at);
        return true;
    case PP_AHEAD_FAILED:
        return false;
    case PP_AHEAD_COMING:
        break;
    case PP_AHEAD_UNKNOWN:
        if (!*block)
            *block = pp_cache_take(&store->cache, segment->number, block_at);
        if (!*block || read_block_now(store, segment, *block, wanted))
            return *block != NULL;
        if (!pp_ahead_ask_bytes(store, segment, block_at, wanted))
            return false;
        break;
    }
    *out_err = PIPIT_EAGAIN;
    return true;
}

/* A message of a file that cannot be found now has not gone. */
static pipit_err open_file(pp_store *store, pp_segment *segment)
{
    pipit_err err = pp_store_file(store, segment);

    return err == PIPIT_ENOTFOUND ? PIPIT_EIO : err;
}

/* Have the block that holds the byte at, up to the byte end or the block's end. */
static pipit_err read_block(pp_store *store, pp_segment *segment, uint64_t at, uint64_t end,
                            struct pp_cache_block **out_block)
{
    uint64_t block_at = at - at % PP_CACHE_BLOCK_BYTES;
    struct pp_cache_block *block = pp_cache_find(&store->cache, segment->number, block_at);
    size_t got;
    pipit_err err;

    if (end > block_at + PP_CACHE_BLOCK_BYTES)
        end = block_at + PP_CACHE_BLOCK_BYTES;
    if (block && block_at + block->len >= end) {
        *out_block = block;
        return PIPIT_OK;
    }
    err = open_file(store, segment);
    if (err)
        return err;
    if (!pp_store_may_hurry(store, segment) ||
        !hurry_block(store, segment, block_at, &block, &err)) {
        if (!block)
            block = pp_cache_take(&store->cache, segment->number, block_at);
        if (!block)
            return PIPIT_ENOMEM;
        err = pp_disk_read(store->disk, segment->fd, block->bytes + block->len,
                           written_of_block(segment, block_at) - block->len, block_at + block->len,
                           &got);
        if (!err)
            block->len += (uint32_t)got;
    }
    if (err)
        return err;
    *out_block = block;
    return block_at + block->len >= end ? PIPIT_OK : PIPIT_EDAMAGED;
}

static pipit_err copy_blocks(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes)
{
    struct pp_cache_block *block;

    for (size_t done = 0; done < bytes;) {
        size_t from = (size_t)((at + done) % PP_CACHE_BLOCK_BYTES);
        size_t part = PP_CACHE_BLOCK_BYTES - from;
        pipit_err err;

        if (part > bytes - done)
            part = bytes - done;
        err = read_block(store, segment, at + done, at + done + part, &block);
        if (err)
            return err;
        memcpy(store->scratch.ptr + done, block->bytes + from, part);
        done += part;
    }
    return PIPIT_OK;
}

/* The same for a record that no block holds. */
static bool hurry_large(pp_store *store, const pp_segment *segment, uint64_t at, size_t bytes,
                        pipit_err *out_err)
{
    char *read;

    *out_err = PIPIT_OK;
    switch (pp_ahead_take_bytes(store, segment, at, bytes, &read)) {
    case PP_AHEAD_HERE:
        memcpy(store->scratch.ptr, read, bytes);
        pp_free(read);
        return true;
    case PP_AHEAD_FAILED:
        return false;
    case PP_AHEAD_COMING:
        break;
    case PP_AHEAD_UNKNOWN:
        if (pp_disk_read_now(store->disk, segment->fd, store->scratch.ptr, bytes, at))
            return true;
        if (!pp_ahead_ask_bytes(store, segment, at, bytes))
            return false;
        break;
    }
    *out_err = PIPIT_EAGAIN;
    return true;
}

static pipit_err read_large(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes)
{
    size_t got;
    pipit_err err = open_file(store, segment);

    if (err || (pp_store_may_hurry(store, segment) && hurry_large(store, segment, at, bytes, &err)))
        return err;
    err = pp_disk_read(store->disk, segment->fd, store->scratch.ptr, bytes, at, &got);
    if (!err && got < bytes)
        err = PIPIT_EDAMAGED;
    return err;
}

/* Room for a record in one piece. A large one's is not kept for ever. */
static pipit_err make_scratch(pp_store *store, size_t bytes)
{
    enum { KEPT_BYTES = 256 * 1024 };

    if (store->scratch.cap > KEPT_BYTES && bytes <= KEPT_BYTES)
        pp_buf_fini(&store->scratch);
    store->scratch.len = 0;
    return pp_buf_reserve(&store->scratch, bytes);
}

static pipit_err fetch_copy(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes)
{
    pipit_err err = make_scratch(store, bytes);

    if (!err && !is_written(segment, at + bytes)) {
        err = copy_pending(store, segment, at, bytes);
        if (!err)
            return PIPIT_OK;
        if (err != PIPIT_ENOTFOUND)
            return err;
        err = is_written(segment, at + bytes) ? PIPIT_OK : PIPIT_EDAMAGED;
    }
    if (err)
        return err;
    if (bytes > PP_CACHE_BLOCK_BYTES)
        return read_large(store, segment, at, bytes);
    return copy_blocks(store, segment, at, bytes);
}

pipit_err pp_store_fetch(pp_store *store, pp_segment *segment, uint64_t at, size_t bytes,
                         const char **out_bytes)
{
    struct pp_cache_block *block;
    pipit_err err;

    if (store->memory) {
        *out_bytes = segment->memory + at;
        return at + bytes <= segment->end ? PIPIT_OK : PIPIT_EDAMAGED;
    }
    if (at % PP_CACHE_BLOCK_BYTES + bytes > PP_CACHE_BLOCK_BYTES ||
        !is_written(segment, at + bytes)) {
        err = fetch_copy(store, segment, at, bytes);
        if (!err)
            *out_bytes = store->scratch.ptr;
        return err;
    }
    err = read_block(store, segment, at, at + bytes, &block);
    if (!err)
        *out_bytes = block->bytes + at % PP_CACHE_BLOCK_BYTES;
    return err;
}

static uint64_t seed_of(const pp_store *store, const pp_segment *segment)
{
    return pp_record_seed(store->id.salt, segment->number);
}

pipit_err pp_store_fetch_head(pp_store *store, pp_segment *segment, uint32_t nth,
                              struct pp_record_head *out_head)
{
    uint64_t at = pp_segment_place(segment, nth);
    struct pp_record_head head;
    const char *bytes;
    pipit_err err;

    if (at == 0)
        return PIPIT_EDAMAGED; /* its place is not known any more */
    err = pp_store_fetch(store, segment, at, PP_RECORD_HEAD_BYTES, &bytes);
    if (err)
        return err;
    if (!pp_record_head_read(bytes, PP_RECORD_HEAD_BYTES, seed_of(store, segment), at, &head) ||
        head.kind != PP_RECORD_MESSAGE || head.seq != pp_segment_seq(segment, nth))
        return PIPIT_EDAMAGED;
    *out_head = head;
    return PIPIT_OK;
}

pipit_err pp_store_fetch_size(pp_store *store, pp_segment *segment, uint32_t nth,
                              uint32_t *out_size)
{
    size_t got;
    pipit_err err;

    if (store->memory || !segment->footer_at)
        return PIPIT_ENOTFOUND;
    err = open_file(store, segment);
    if (!err)
        err = pp_disk_read(store->disk, segment->fd, out_size, sizeof(*out_size),
                           segment->sizes_at + (uint64_t)nth * sizeof(*out_size), &got);
    if (!err && got < sizeof(*out_size))
        err = PIPIT_EDAMAGED;
    return err;
}

pipit_err pp_store_fetch_message(pp_store *store, pp_segment *segment, uint32_t nth,
                                 struct pp_store_message *out_message)
{
    uint64_t at = pp_segment_place(segment, nth);
    struct pp_record_parts parts;
    struct pp_record_head head;
    const char *bytes, *body;
    pipit_err err = pp_store_fetch_head(store, segment, nth, &head);

    if (err)
        return err;
    err =
        pp_store_fetch(store, segment, at, PP_RECORD_HEAD_BYTES + (size_t)head.body_bytes, &bytes);
    if (err)
        return err;
    body = bytes + PP_RECORD_HEAD_BYTES;
    if (!pp_record_body_true(&head, body, seed_of(store, segment)))
        return PIPIT_EDAMAGED;
    err = pp_store_open_body(store, segment, at, &head, body, &parts);
    if (!err)
        err = pp_store_unsqueeze(store, &parts);
    if (err)
        return err;
    *out_message = (struct pp_store_message){
        .seq = head.seq,
        .time_ns = head.time_ns,
        .expires_ns = parts.expires_ns,
        .subject = parts.subject,
        .headers = parts.headers,
        .payload = parts.payload,
    };
    return PIPIT_OK;
}
