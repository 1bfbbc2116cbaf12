#include "net/outlet_inside.h"

#include "base/alloc.h"

#include <string.h>

enum {
    REFS_AT_START = 16,
    KEPT_STEP = 2048, /* of the read buffer: references are not smaller */
    KEPT_MAX = 64,
};

static void list_as_dirty(pp_outlet *outlet)
{
    pp_loop *loop = outlet->loop;

    if (outlet->dirty)
        return; /* flushed in the middle of the turn; it is still in the list */
    outlet->dirty = true;
    outlet->next_dirty = NULL;
    if (loop->dirty_last)
        loop->dirty_last->next_dirty = outlet;
    else
        loop->dirty = outlet;
    loop->dirty_last = outlet;
}

void pp_outlet_close_chunk(pp_outlet *outlet)
{
    if (outlet->last)
        outlet->last->len = (size_t)(outlet->at - outlet->last->bytes);
}

/* In the middle of a turn. An answer must not overtake what others are to get before it. */
static void flush_early(pp_outlet *outlet)
{
    if (outlet->has_answer)
        pp_loop_flush(outlet->loop);
    else
        pp_outlet_flush(outlet);
}

/* The only chunk is full. The first one is small, since most outlets of most turns say little. */
static bool grow_only_chunk(pp_outlet *outlet, size_t len)
{
    pp_chunk *grown;

    pp_outlet_close_chunk(outlet);
    grown = pp_chunk_grow(&outlet->loop->chunks, outlet->last, len);
    if (!grown)
        return false;
    outlet->first = outlet->last = grown;
    outlet->at = grown->bytes + grown->len;
    outlet->end = grown->bytes + grown->cap;
    return true;
}

char *pp_outlet_more_room(pp_outlet *outlet, size_t len)
{
    pp_loop *loop = outlet->loop;
    pp_chunk *chunk;

    /* A fan-out to very many recipients, or a flood to one, must not fill memory before the turn
     * ends. A frame that is cut by this goes on where it was. */
    if (loop->staged_chunks >= loop->chunks_max)
        pp_loop_flush(loop);
    else if (outlet->chunk_count >= PP_OUTLET_CHUNKS_MAX)
        flush_early(outlet);
    if (outlet->chunk_count == 1 && outlet->ref_count == 0 &&
        outlet->last->cap < PP_CHUNK_SMALL_BYTES)
        return grow_only_chunk(outlet, len) ? outlet->at : NULL;
    chunk =
        outlet->last ? pp_chunk_take(&loop->chunks, len) : pp_chunk_take_small(&loop->chunks, len);
    if (!chunk)
        return NULL;
    loop->staged_chunks++;
    outlet->chunk_count++;
    if (outlet->last) {
        pp_outlet_close_chunk(outlet);
        outlet->last->next = chunk;
        loop->staged_bytes += outlet->last->len;
    } else {
        outlet->first = chunk;
        list_as_dirty(outlet);
    }
    outlet->last = chunk;
    outlet->at = chunk->bytes;
    outlet->end = chunk->bytes + chunk->cap;
    return outlet->at;
}

bool pp_outlet_write(pp_outlet *outlet, pp_str bytes)
{
    char *room;

    if (bytes.len == 0)
        return true;
    room = pp_outlet_room(outlet, bytes.len);
    if (!room)
        return false;
    memcpy(room, bytes.ptr, bytes.len);
    pp_outlet_wrote(outlet, bytes.len);
    return true;
}

bool pp_outlet_reserve_ref(pp_outlet *outlet)
{
    unsigned cap = outlet->ref_cap ? 4U * outlet->ref_cap : REFS_AT_START;
    pp_outlet_ref *grown;

    if (outlet->ref_count < outlet->ref_cap)
        return true;
    grown = pp_realloc(outlet->refs, cap * sizeof(*grown));
    if (!grown)
        return false;
    outlet->refs = grown;
    outlet->ref_cap = (uint16_t)cap;
    return true;
}

bool pp_outlet_refer(pp_outlet *outlet, pp_str bytes, pp_body *body)
{
    if (!pp_outlet_reserve_ref(outlet) || (!outlet->last && !pp_outlet_more_room(outlet, 0)))
        return false;
    PP_ASSERT(outlet->ref_count < PP_OUTLET_REFS_MAX);
    outlet->refs[outlet->ref_count++] = (pp_outlet_ref){
        .after = outlet->last,
        .at = (size_t)(outlet->at - outlet->last->bytes),
        .ptr = bytes.ptr,
        .len = bytes.len,
        .body = body ? pp_body_ref(body) : NULL,
    };
    if (!body)
        outlet->loop->borrowed = true;
    outlet->loop->staged_bytes += bytes.len;
    if (outlet->ref_count == PP_OUTLET_REFS_MAX)
        flush_early(outlet);
    return true;
}

void pp_outlet_mark_answer(pp_outlet *outlet)
{
    outlet->has_answer = true;
}

size_t pp_outlet_gather(pp_outlet *outlet, struct iovec *iov, size_t *out_bytes)
{
    size_t count = 0, bytes = 0;
    uint32_t ref = 0;

    for (pp_chunk *chunk = outlet->first; chunk; chunk = chunk->next) {
        size_t at = 0;

        while (ref < outlet->ref_count && outlet->refs[ref].after == chunk) {
            const pp_outlet_ref *r = &outlet->refs[ref++];

            if (r->at > at)
                iov[count++] = (struct iovec){chunk->bytes + at, r->at - at};
            iov[count++] = (struct iovec){(char *)r->ptr, r->len};
            bytes += r->at - at + r->len;
            at = r->at;
        }
        if (chunk->len > at)
            iov[count++] = (struct iovec){chunk->bytes + at, chunk->len - at};
        bytes += chunk->len - at;
    }
    PP_ASSERT(ref == outlet->ref_count && count <= PP_OUTLET_PIECES_MAX);
    *out_bytes = bytes;
    return count;
}

void pp_outlet_clear(pp_outlet *outlet)
{
    while (outlet->first) {
        pp_chunk *chunk = outlet->first;

        outlet->first = chunk->next;
        pp_chunk_give(&outlet->loop->chunks, chunk);
    }
    for (uint32_t i = 0; i < outlet->ref_count; i++)
        pp_body_unref(outlet->refs[i].body);
    if (outlet->refs) {
        pp_free(outlet->refs);
        outlet->refs = NULL;
    }
    outlet->ref_count = outlet->ref_cap = 0;
    outlet->chunk_count = 0;
    outlet->last = NULL;
    outlet->at = outlet->end = NULL;
}

void pp_outlet_fini(pp_outlet *outlet)
{
    pp_outlet_clear(outlet);
}

/* Copies of what lies in the read buffer, made when recipients could not be sent it: one for all
 * of them. By address; good until the end of the flush, for then the buffer is read into anew. */
struct pp_kept {
    struct {
        const char *ptr;
        pp_body *body;
    } at[KEPT_MAX];
};

void pp_outlet_forget_kept(pp_loop *loop)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        pp_body_unref(loop->kept->at[i].body);
    pp_free(loop->kept);
    loop->kept = NULL;
}

pp_body *pp_outlet_share(pp_loop *loop, const char *ptr, size_t len)
{
    size_t slot = (uintptr_t)ptr / KEPT_STEP % KEPT_MAX;
    pp_body *body;

    if (!loop->shares || len < KEPT_STEP)
        return NULL;
    if (!loop->kept)
        loop->kept = pp_calloc(1, sizeof(*loop->kept));
    if (!loop->kept)
        return NULL;
    body = loop->kept->at[slot].body;
    if (body && loop->kept->at[slot].ptr == ptr && body->len == len)
        return body;
    body = pp_body_new(len);
    if (!body)
        return NULL;
    memcpy(body->bytes, ptr, len);
    pp_body_unref(loop->kept->at[slot].body);
    loop->kept->at[slot].ptr = ptr;
    loop->kept->at[slot].body = body;
    return body;
}

/* Nothing is referred to: the chunks themselves. */
static void take_chunks(pp_outlet *outlet, size_t skip, pp_chunk_list *list)
{
    pp_chunk_pool *pool = &outlet->loop->chunks;

    while (outlet->first) {
        pp_chunk *chunk = outlet->first;
        size_t drop = skip < chunk->len ? skip : chunk->len;

        outlet->first = chunk->next;
        chunk->ptr += drop;
        chunk->len -= drop;
        skip -= drop;
        if (chunk->len) /* a little that waits for long must not hold a lot */
            (void)pp_chunk_list_add(list, outlet->first ? chunk : pp_chunk_fit(pool, chunk));
        else
            pp_chunk_give(pool, chunk);
    }
}

/* Copies of what was written, views of what is referred to. */
static bool take_pieces(pp_outlet *outlet, size_t skip, pp_chunk_list *list)
{
    struct iovec iov[PP_OUTLET_PIECES_MAX];
    size_t bytes, count = pp_outlet_gather(outlet, iov, &bytes);
    uint32_t ref = 0;

    for (size_t i = 0; i < count; i++) {
        size_t drop = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        const char *ptr = iov[i].iov_base;
        size_t len = iov[i].iov_len - drop;
        pp_body *body = NULL;

        skip -= drop;
        if (ref < outlet->ref_count && outlet->refs[ref].ptr == ptr) {
            body = outlet->refs[ref++].body;
            if (!body && len && (body = pp_outlet_share(outlet->loop, ptr, iov[i].iov_len)))
                ptr = body->bytes;
        }
        ptr += drop;
        if (len && !pp_chunk_list_add(list, body ? pp_chunk_view(body, ptr, len)
                                                 : pp_chunk_copy(ptr, len)))
            return false;
    }
    return true;
}

bool pp_outlet_take_staged(pp_outlet *outlet, size_t skip, pp_chunk_list *out_list)
{
    pp_chunk_list list = {0};

    if (outlet->ref_count == 0) {
        take_chunks(outlet, skip, &list);
    } else if (!take_pieces(outlet, skip, &list)) {
        pp_chunk_list_free(&outlet->loop->chunks, &list);
        return false;
    }
    pp_outlet_clear(outlet);
    *out_list = list;
    return true;
}
