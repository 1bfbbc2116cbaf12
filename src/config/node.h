/* config/node.h -- a value as it is made: with what must be known of it to keep a document small.
 *
 * A value used through a variable hangs in several places, so a file of a few lines can make a tree
 * of billions: "a: [x, x], b: [$a, $a], c: [$b, $b], ...". Therefore each node knows how large and
 * how high the tree below it is for someone who walks it, and both are limited before it is put
 * anywhere. */
#ifndef PP_CONFIG_NODE_H
#define PP_CONFIG_NODE_H

#include "base/err.h"
#include "config/arena.h"
#include "config/value.h"

#include <stdint.h>

typedef struct pp_config_node {
    pp_value value;        /* first, so that a pointer to one is a pointer to the other */
    uint32_t spread_bytes; /* about what the tree needs if nothing is shared */
    uint32_t height;       /* maps and arrays above each other; 0: a scalar */
} pp_config_node;

static inline pp_config_node *pp_config_node_of(pp_value *value)
{
    return (pp_config_node *)value;
}

/* Make a node of this kind in the arena; the rest of it is zero. */
pipit_err pp_config_node_new(pp_arena *arena, pp_value_kind kind, pp_config_position at,
                             pp_config_node **out);

/* What an entry or element adds to the spread of what it is put into. */
static inline uint64_t pp_config_node_cost(const pp_config_node *child, size_t key_bytes)
{
    return (uint64_t)child->spread_bytes + sizeof(pp_entry) + key_bytes;
}

#endif
