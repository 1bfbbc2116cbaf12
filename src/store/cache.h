/* store/cache.h -- blocks of files, as they were read last. Bounded; the block that was used
 * longest ago makes room. */
#ifndef PP_STORE_CACHE_H
#define PP_STORE_CACHE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { PP_CACHE_BLOCK_BYTES = 64 * 1024 };

struct pp_cache_block {
    uint64_t file; /* number of a segment; 0: empty */
    uint64_t at;
    uint64_t tick;
    uint32_t len; /* bytes of it that were read */
    char *bytes;
};

typedef struct pp_cache {
    struct pp_cache_block *blocks;
    uint32_t count;
    uint32_t last; /* the block that was found last */
    uint64_t tick;
    uint64_t forgotten; /* times that something was, of any file: ahead.h tells who minds */
} pp_cache;

/* Errors: PIPIT_ENOMEM. Blocks get their memory when they are first used. */
pipit_err pp_cache_init(pp_cache *cache, size_t bytes);
void pp_cache_fini(pp_cache *cache);

/* The block at this place of the file if it is there; NULL otherwise. */
struct pp_cache_block *pp_cache_find(pp_cache *cache, uint64_t file, uint64_t at);
/* Enter what was read of this place, instead of what is there of it. Owner: bytes, with room for a
 * whole block, are the cache's. */
struct pp_cache_block *pp_cache_put(pp_cache *cache, uint64_t file, uint64_t at, char *bytes,
                                    uint32_t len);
/* An empty block for this place. NULL: no memory. */
struct pp_cache_block *pp_cache_take(pp_cache *cache, uint64_t file, uint64_t at);
/* Forget what is known of the file. */
void pp_cache_forget(pp_cache *cache, uint64_t file);

#endif
