/* core/token_map.h -- the literal tokens that may follow at a node of the trie.
 *
 * Keys are not stored: an edge leads to a text that holds its token at a known place. A slot is
 * eight bytes: the edge, with 16 bits of its token's hash (the tag) in the half-word that user
 * addresses leave free. Slots are kept in the order of their tags from the place the tag asks for
 * (linear probing, "robin hood"), so that a lookup ends early, a table can be resized without
 * looking at a single key, and a lookup meets a foreign key one time in twelve at the most.
 *
 * A table that would outgrow a few thousand slots is divided into 256 maps by the hash's next
 * byte instead, and those may be divided again. So no single insert or remove, however many
 * tokens there are, moves more than one such table: others wait for the lock meanwhile. */
#ifndef PP_CORE_TOKEN_MAP_H
#define PP_CORE_TOKEN_MAP_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* A pattern or a node (core/node.h), bit 0 telling which, with a tag above. 0: none. */
typedef uint64_t pp_edge;

enum {
    PP_TOKEN_MAP_PARTS = 256,
    PP_TOKEN_MAP_LEVELS = 6, /* of division; then tables grow without bound */
};

#define PP_TOKEN_MAP_DIVIDED UINT32_MAX

typedef struct pp_token_map {
    union {
        pp_edge *slots;             /* cap of them; NULL while cap is 0 */
        struct pp_token_map *parts; /* when cap is PP_TOKEN_MAP_DIVIDED */
    };
    uint32_t count; /* edges, those in parts included */
    uint32_t cap;
} pp_token_map;

/* A token, where it stands in the texts of a map's edges, and its hash under seed. */
typedef struct pp_token_key {
    pp_str token;
    uint32_t at;
    uint64_t hash;
    uint64_t seed;
} pp_token_key;

/* Edges of one map lead to texts of different tokens; all zero is an empty map. */

/* Where the token's edge is kept; NULL when absent. Valid until the map changes. */
pp_edge *pp_token_map_find(const pp_token_map *map, const pp_token_key *key);

/* Add an edge whose token is absent. Any tag in it is replaced.
 * Errors: PIPIT_ENOMEM, and nothing has changed. */
pipit_err pp_token_map_add(pp_token_map *map, const pp_token_key *key, pp_edge edge);

/* Empty the slot that pp_token_map_find() has answered for the key. Gives memory back if it can
 * get the smaller piece; never fails. */
void pp_token_map_remove(pp_token_map *map, const pp_token_key *key, pp_edge *slot);

/* Some edge of a map that is not empty. */
pp_edge pp_token_map_any(const pp_token_map *map);

/* Call visit with every edge, in no stated order. The map must not change meanwhile. */
void pp_token_map_each(const pp_token_map *map, void (*visit)(void *ctx, pp_edge edge), void *ctx);

/* Forget all edges and free the tables. */
void pp_token_map_fini(pp_token_map *map);

#endif
