#include "net/chunk.h"

#include "base/alloc.h"

#include <stdbool.h>
#include <string.h>

enum {
    POOLED_CAP = PP_CHUNK_BYTES - sizeof(pp_chunk) - PP_CHUNK_SLACK,
    SMALL_CAP = PP_CHUNK_SMALL_BYTES - sizeof(pp_chunk) - PP_CHUNK_SLACK,
    FITTED_MIN = 512,
};

static void reset(pp_chunk *chunk)
{
    chunk->next = NULL;
    chunk->ptr = chunk->bytes;
    chunk->len = 0;
    chunk->body = NULL;
}

/* Whatever its capacity: one that happens to have a pooled chunk's may become one. */
static pp_chunk *make(size_t cap)
{
    pp_chunk *chunk = pp_alloc(sizeof(*chunk) + cap + PP_CHUNK_SLACK);

    if (!chunk)
        return NULL;
    chunk->cap = cap;
    reset(chunk);
    return chunk;
}

static pp_chunk *pop(pp_chunk **free, unsigned *count)
{
    pp_chunk *chunk = *free;

    *free = chunk->next;
    --*count;
    reset(chunk);
    return chunk;
}

static bool push(pp_chunk **free, unsigned *count, pp_chunk *chunk)
{
    if (*count == PP_CHUNK_POOL_MAX)
        return false;
    chunk->next = *free;
    *free = chunk;
    ++*count;
    return true;
}

pp_chunk *pp_chunk_take(pp_chunk_pool *pool, size_t len)
{
    if (pool->free && len <= POOLED_CAP)
        return pop(&pool->free, &pool->count);
    return make(len > POOLED_CAP ? len : POOLED_CAP);
}

pp_chunk *pp_chunk_take_small(pp_chunk_pool *pool, size_t len)
{
    if (len > SMALL_CAP)
        return pp_chunk_take(pool, len);
    return pool->free_small ? pop(&pool->free_small, &pool->small_count) : make(SMALL_CAP);
}

pp_chunk *pp_chunk_grow(pp_chunk_pool *pool, pp_chunk *chunk, size_t len)
{
    pp_chunk *grown = pp_chunk_take(pool, chunk->len + len);

    if (!grown)
        return NULL;
    memcpy(grown->bytes, chunk->ptr, chunk->len);
    grown->len = chunk->len;
    pp_chunk_give(pool, chunk);
    return grown;
}

pp_chunk *pp_chunk_copy(const char *bytes, size_t len)
{
    pp_chunk *chunk = make(len);

    if (!chunk)
        return NULL;
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
    fitted = make(cap);
    if (!fitted)
        return chunk;
    fitted->len = chunk->len;
    memcpy(fitted->bytes, chunk->ptr, chunk->len);
    pp_chunk_give(pool, chunk);
    return fitted;
}

void pp_chunk_give(pp_chunk_pool *pool, pp_chunk *chunk)
{
    if (chunk->body) {
        pp_body_unref(chunk->body);
    } else if (pool) {
        if (chunk->cap == POOLED_CAP && push(&pool->free, &pool->count, chunk))
            return;
        if (chunk->cap == SMALL_CAP && push(&pool->free_small, &pool->small_count, chunk))
            return;
    }
    pp_free(chunk);
}

bool pp_chunk_list_add(pp_chunk_list *list, pp_chunk *chunk)
{
    if (!chunk)
        return false;
    chunk->next = NULL;
    if (list->last)
        list->last->next = chunk;
    else
        list->first = chunk;
    list->last = chunk;
    list->bytes += chunk->len;
    return true;
}

void pp_chunk_list_free(pp_chunk_pool *pool, pp_chunk_list *list)
{
    while (list->first) {
        pp_chunk *chunk = list->first;

        list->first = chunk->next;
        pp_chunk_give(pool, chunk);
    }
    *list = (pp_chunk_list){0};
}

size_t pp_chunk_pool_bytes(const pp_chunk_pool *pool)
{
    return (size_t)pool->count * PP_CHUNK_BYTES + (size_t)pool->small_count * PP_CHUNK_SMALL_BYTES;
}

void pp_chunk_pool_fini(pp_chunk_pool *pool)
{
    while (pool->free)
        pp_free(pop(&pool->free, &pool->count));
    while (pool->free_small)
        pp_free(pop(&pool->free_small, &pool->small_count));
}
