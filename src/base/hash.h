/* base/hash.h -- one keyed hash for every table whose keys come from peers. */
#ifndef PP_BASE_HASH_H
#define PP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Hash bytes under a seed that peers do not know, so that they cannot aim at collisions. */
static inline uint64_t pp_hash(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

#endif
