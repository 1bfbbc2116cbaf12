#include "config/arena.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <string.h>

enum { CHUNK_BYTES_MIN = 4096, CHUNK_BYTES_MAX = 1 << 20, ALIGNMENT = alignof(max_align_t) };

struct pp_arena_chunk {
    struct pp_arena_chunk *older;
    size_t cap, used;
    alignas(max_align_t) char bytes[];
};

void pp_arena_init(pp_arena *arena, size_t max_bytes)
{
    *arena = (pp_arena){.max_bytes = max_bytes};
}

void pp_arena_fini(pp_arena *arena)
{
    while (arena->chunks) {
        struct pp_arena_chunk *chunk = arena->chunks;

        arena->chunks = chunk->older;
        explicit_bzero(chunk->bytes, chunk->used);
        pp_free(chunk);
    }
    arena->used_bytes = 0;
}

/* Chunks double, so that a small file costs little and a large one few allocations. */
static pipit_err add_chunk(pp_arena *arena, size_t bytes)
{
    size_t cap = arena->chunks ? 2 * arena->chunks->cap : CHUNK_BYTES_MIN;
    struct pp_arena_chunk *chunk;

    if (cap > CHUNK_BYTES_MAX)
        cap = CHUNK_BYTES_MAX;
    if (cap < bytes)
        cap = bytes;
    chunk = pp_alloc(sizeof(*chunk) + cap);
    if (!chunk)
        return PIPIT_ENOMEM;
    chunk->older = arena->chunks;
    chunk->cap = cap;
    chunk->used = 0;
    arena->chunks = chunk;
    return PIPIT_OK;
}

/* Texts lie one behind the other; only what needs it begins at a multiple. */
static pipit_err take(pp_arena *arena, size_t bytes, size_t alignment, void **out)
{
    size_t left = arena->max_bytes - arena->used_bytes;
    size_t used = arena->chunks ? arena->chunks->used : 0;
    size_t gap = (alignment - used % alignment) % alignment;

    if (bytes > left || left - bytes < ALIGNMENT)
        return PIPIT_ETOOBIG;
    if (!arena->chunks || arena->chunks->cap - used < gap ||
        arena->chunks->cap - used - gap < bytes) {
        pipit_err err = add_chunk(arena, bytes);

        if (err)
            return err;
        used = gap = 0;
    }
    *out = arena->chunks->bytes + used + gap;
    arena->chunks->used += gap + bytes;
    arena->used_bytes += gap + bytes;
    return PIPIT_OK;
}

pipit_err pp_arena_take(pp_arena *arena, size_t bytes, void **out)
{
    return take(arena, bytes, ALIGNMENT, out);
}

pipit_err pp_arena_copy(pp_arena *arena, pp_str text, pp_str *out)
{
    void *memory;
    char *copy;
    pipit_err err = take(arena, text.len + 1, 1, &memory);

    if (err)
        return err;
    copy = memory;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *out = (pp_str){copy, text.len};
    return PIPIT_OK;
}
