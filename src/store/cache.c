#include "store/cache.h"

#include "base/alloc.h"

pipit_err pp_cache_init(pp_cache *cache, size_t bytes)
{
    uint32_t count = (uint32_t)(bytes / PP_CACHE_BLOCK_BYTES);

    *cache = (pp_cache){.count = count < 2 ? 2 : count};
    cache->blocks = pp_calloc(cache->count, sizeof(*cache->blocks));
    return cache->blocks ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_cache_fini(pp_cache *cache)
{
    for (uint32_t i = 0; cache->blocks && i < cache->count; i++)
        pp_free(cache->blocks[i].bytes);
    pp_free(cache->blocks);
    *cache = (pp_cache){0};
}

struct pp_cache_block *pp_cache_find(pp_cache *cache, uint64_t file, uint64_t at)
{
    struct pp_cache_block *block = &cache->blocks[cache->last];

    if (block->file == file && block->at == at) /* most reads go on where the last one was */
        return block;
    for (uint32_t i = 0; i < cache->count; i++) {
        block = &cache->blocks[i];
        if (block->file == file && block->at == at) {
            cache->last = i;
            block->tick = ++cache->tick;
            return block;
        }
    }
    return NULL;
}

static struct pp_cache_block *oldest_of(pp_cache *cache)
{
    struct pp_cache_block *block = &cache->blocks[0];

    for (uint32_t i = 1; i < cache->count; i++)
        if (cache->blocks[i].tick < block->tick)
            block = &cache->blocks[i];
    block->file = 0;
    return block;
}

struct pp_cache_block *pp_cache_put(pp_cache *cache, uint64_t file, uint64_t at, char *bytes,
                                    uint32_t len)
{
    struct pp_cache_block *block = pp_cache_find(cache, file, at);

    if (!block)
        block = oldest_of(cache);
    pp_free(block->bytes);
    *block = (struct pp_cache_block){file, at, ++cache->tick, len, bytes};
    cache->last = (uint32_t)(block - cache->blocks);
    return block;
}

struct pp_cache_block *pp_cache_take(pp_cache *cache, uint64_t file, uint64_t at)
{
    struct pp_cache_block *block = oldest_of(cache);

    if (!block->bytes)
        block->bytes = pp_alloc(PP_CACHE_BLOCK_BYTES);
    if (!block->bytes)
        return NULL;
    block->file = file;
    block->at = at;
    block->len = 0;
    block->tick = ++cache->tick;
    cache->last = (uint32_t)(block - cache->blocks);
    return block;
}

void pp_cache_forget(pp_cache *cache, uint64_t file)
{
    cache->forgotten++;
    for (uint32_t i = 0; i < cache->count; i++)
        if (cache->blocks[i].file == file) {
            cache->blocks[i].file = 0;
            cache->blocks[i].tick = 0;
        }
}
