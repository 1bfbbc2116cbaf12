/* config/scope.h -- maps while they are built: what a variable may refer to.
 *
 * The maps that are open at a time lie inside each other, so their entries are kept in one pile:
 * those of the innermost on top. When a map closes its entries leave the pile for the arena. A map
 * of more than a few entries gets an index by key, so that large ones stay linear. */
#ifndef PP_CONFIG_SCOPE_H
#define PP_CONFIG_SCOPE_H

#include "base/err.h"
#include "config/arena.h"
#include "config/node.h"
#include "config/value.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pp_config_scope_pile {
    pp_entry *entries; /* value NULL: replaced by a later one of the same key */
    size_t count, cap;
    uint64_t hash_seed;
} pp_config_scope_pile;

void pp_config_scope_pile_init(pp_config_scope_pile *pile);
void pp_config_scope_pile_fini(pp_config_scope_pile *pile);

typedef struct pp_config_scope {
    struct pp_config_scope *outer; /* NULL: the outermost map of its file */
    pp_config_scope_pile *pile;
    size_t first;                       /* in the pile; up to its top while this is the innermost */
    size_t count;                       /* in the pile, those replaced included */
    struct pp_config_scope_slot *slots; /* NULL while there are few */
    size_t slot_count;                  /* a power of two */
    uint64_t spread_bytes;              /* of its entries; kept by the parser, like height */
    uint32_t height;
} pp_config_scope;

/* Begin a map inside of outer. */
void pp_config_scope_init(pp_config_scope *scope, pp_config_scope *outer,
                          pp_config_scope_pile *pile);
/* Forget a map; what it holds leaves the pile. */
void pp_config_scope_fini(pp_config_scope *scope);

/* The entry of exactly this key, or NULL. Valid until the next set of any scope of the pile. */
pp_entry *pp_config_scope_find(const pp_config_scope *scope, pp_str key);

/* Set a key of the innermost map; an older value of the same key goes. The key's bytes are
 * borrowed, from the arena. Errors: PIPIT_ENOMEM, and nothing has changed. */
pipit_err pp_config_scope_set(pp_config_scope *scope, pp_entry entry);

/* Write the entries in order into node, a map. */
pipit_err pp_config_scope_close(pp_config_scope *scope, pp_arena *arena, pp_config_node *node);

#endif
