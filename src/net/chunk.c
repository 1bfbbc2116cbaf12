#include "net/chunk.h"

#include "base/alloc.h"

#include <string.h>

enum {
    POOLED_CAP = PP_CHUNK_BYTES - sizeof(pp_chunk) - PP_CHUNK_SLACK,
    FITTED_MIN = 512,
};

static void reset(pp_chunk *chunk)
{
    chunk->next = NULL;
    chunk->ptr = chunk->bytes;
    chunk->len = 0;
    chunk->body = NULL;
}

pp_chunk *pp_chunk_take(pp_chunk_pool *pool, size_t len)
{
    pp_chunk *chunk = pool->free;
    size_t cap = len > POOLED_CAP ? len : POOLED_CAP;

    if (chunk && cap == POOLED_CAP) {
        pool->free = chunk->next;
        pool->count--;
    } else {
        chunk = pp_alloc(sizeof(*chunk) + cap + PP_CHUNK_SLACK);
        if (!chunk)
            return NULL;
        chunk->cap = cap;
    }
    reset(chunk);
    return chunk;
}

pp_chunk *pp_chunk_copy(const char *bytes, size_t len)
{
    pp_chunk *chunk = pp_alloc(sizeof(*chunk) + len);

    if (!chunk)
        return NULL;
    reset(chunk);
    chunk->cap = len;
    chunk->len = len;
    memcpy(chunk->bytes, bytes, len);
    return chunk;
}

pp_chunk *pp_chunk_view(pp_body *body, const char *ptr, size_t len)
{
    pp_chunk *chunk = pp_alloc(sizeof(*chunk));

    if (!chunk)
        return NULL;
    reset(chunk);
    chunk->cap = 0;
    chunk->ptr = ptr;
    chunk->len = len;
    chunk->body = pp_body_ref(body);
    return chunk;
}

pp_chunk *pp_chunk_fit(pp_chunk_pool *pool, pp_chunk *chunk)
{
    size_t cap = 2 * chunk->len > FITTED_MIN ? 2 * chunk->len : FITTED_MIN;
    pp_chunk *fitted;

    if (chunk->body || cap > chunk->cap / 2)
        return chunk;
    fitted = pp_alloc(sizeof(*fitted) + cap);
    if (!fitted)
        return chunk;
    reset(fitted);
    fitted->cap = cap;
    fitted->len = chunk->len;
    memcpy(fitted->bytes, chunk->ptr, chunk->len);
    pp_chunk_give(pool, chunk);
    return fitted;
}

void pp_chunk_give(pp_chunk_pool *pool, pp_chunk *chunk)
{
    if (chunk->body) {
        pp_body_unref(chunk->body);
    } else if (pool && chunk->cap == POOLED_CAP && pool->count < PP_CHUNK_POOL_MAX) {
        chunk->next = pool->free;
        pool->free = chunk;
        pool->count++;
        return;
    }
    pp_free(chunk);
}

void pp_chunk_pool_fini(pp_chunk_pool *pool)
{
    while (pool->free) {
        pp_chunk *chunk = pool->free;

        pool->free = chunk->next;
        pp_free(chunk);
    }
    pool->count = 0;
}
