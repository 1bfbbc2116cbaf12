/* config/arena.h -- the memory of one document: given out piece by piece, bounded, and taken back
 * all at once. What it held is wiped before it goes back, since it may be a password. */
#ifndef PP_CONFIG_ARENA_H
#define PP_CONFIG_ARENA_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef struct pp_arena {
    struct pp_arena_chunk *chunks; /* the newest first */
    size_t used_bytes;             /* given out */
    size_t max_bytes;              /* never more than this */
} pp_arena;

void pp_arena_init(pp_arena *arena, size_t max_bytes);
void pp_arena_fini(pp_arena *arena);

/* Give out bytes, aligned for any object, not cleared; never moved, freed with the arena.
 * Errors: PIPIT_ETOOBIG over max_bytes, checked first; PIPIT_ENOMEM. */
pipit_err pp_arena_take(pp_arena *arena, size_t bytes, void **out);

/* Copy a text and put a NUL behind it. */
pipit_err pp_arena_copy(pp_arena *arena, pp_str text, pp_str *out);

#endif
