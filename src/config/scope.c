#include "config/scope.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

enum { FEW = 8 }; /* looked through one by one */

struct pp_config_scope_slot {
    uint32_t hash;
    uint32_t index; /* from 1, of the scope's entries; 0: empty */
};

void pp_config_scope_pile_init(pp_config_scope_pile *pile)
{
    *pile = (pp_config_scope_pile){.hash_seed = pp_random_seed()};
}

void pp_config_scope_pile_fini(pp_config_scope_pile *pile)
{
    PP_DASSERT(pile->count == 0);
    pp_free(pile->entries);
    pile->entries = NULL;
}

void pp_config_scope_init(pp_config_scope *scope, pp_config_scope *outer,
                          pp_config_scope_pile *pile)
{
    *scope = (pp_config_scope){.outer = outer, .pile = pile, .first = pile->count, .height = 1};
}

void pp_config_scope_fini(pp_config_scope *scope)
{
    PP_DASSERT(scope->first + scope->count == scope->pile->count);
    scope->pile->count = scope->first;
    pp_free(scope->slots);
    scope->slots = NULL;
    scope->count = 0;
}

static pp_entry *entry_at(const pp_config_scope *scope, size_t index)
{
    return &scope->pile->entries[scope->first + index];
}

static uint32_t hash_of(const pp_config_scope *scope, pp_str key)
{
    return (uint32_t)pp_hash(key.ptr, key.len, scope->pile->hash_seed);
}

/* The slot of a key, or the empty one where it would go. */
static struct pp_config_scope_slot *slot_of(const pp_config_scope *scope, pp_str key, uint32_t hash)
{
    size_t mask = scope->slot_count - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct pp_config_scope_slot *slot = &scope->slots[i];

        if (slot->index == 0)
            return slot;
        if (slot->hash == hash && pp_str_eq(entry_at(scope, slot->index - 1)->key, key))
            return slot;
    }
}

pp_entry *pp_config_scope_find(const pp_config_scope *scope, pp_str key)
{
    if (scope->slots) {
        struct pp_config_scope_slot *slot = slot_of(scope, key, hash_of(scope, key));

        return slot->index ? entry_at(scope, slot->index - 1) : NULL;
    }
    for (size_t i = scope->count; i > 0; i--) {
        pp_entry *entry = entry_at(scope, i - 1);

        if (entry->value && pp_str_eq(entry->key, key))
            return entry;
    }
    return NULL;
}

/* Index all entries anew, in slots for twice as many and one to come. */
static pipit_err make_index(pp_config_scope *scope)
{
    struct pp_config_scope_slot *old = scope->slots;
    size_t slot_count = scope->slot_count ? 2 * scope->slot_count : 4 * FEW;
    struct pp_config_scope_slot *slots = pp_calloc(slot_count, sizeof(*slots));

    if (!slots)
        return PIPIT_ENOMEM;
    scope->slots = slots;
    scope->slot_count = slot_count;
    for (size_t i = 0; i < scope->count; i++) {
        pp_entry *entry = entry_at(scope, i);
        uint32_t hash;

        if (!entry->value)
            continue;
        hash = hash_of(scope, entry->key);
        *slot_of(scope, entry->key, hash) = (struct pp_config_scope_slot){hash, (uint32_t)i + 1};
    }
    pp_free(old);
    return PIPIT_OK;
}

static pipit_err grow_pile(pp_config_scope_pile *pile)
{
    size_t cap = pile->cap ? 2 * pile->cap : 64;
    pp_entry *entries = pp_realloc(pile->entries, cap * sizeof(*entries));

    if (!entries)
        return PIPIT_ENOMEM;
    pile->entries = entries;
    pile->cap = cap;
    return PIPIT_OK;
}

pipit_err pp_config_scope_set(pp_config_scope *scope, pp_entry entry)
{
    pp_config_scope_pile *pile = scope->pile;
    pp_entry *older;

    PP_DASSERT(scope->first + scope->count == pile->count);
    if (pile->count == pile->cap && grow_pile(pile))
        return PIPIT_ENOMEM;
    if (scope->slots ? scope->count >= scope->slot_count / 2 : scope->count >= FEW) {
        if (make_index(scope))
            return PIPIT_ENOMEM;
    }
    older = pp_config_scope_find(scope, entry.key);
    if (scope->slots) {
        uint32_t hash = hash_of(scope, entry.key);

        *slot_of(scope, entry.key, hash) =
            (struct pp_config_scope_slot){hash, (uint32_t)scope->count + 1};
    }
    if (older)
        older->value = NULL;
    pile->entries[pile->count++] = entry;
    scope->count++;
    return PIPIT_OK;
}

pipit_err pp_config_scope_close(pp_config_scope *scope, pp_arena *arena, pp_config_node *node)
{
    size_t live = 0;
    pp_entry *entries;
    void *memory;
    pipit_err err;

    for (size_t i = 0; i < scope->count; i++)
        live += entry_at(scope, i)->value != NULL;
    err = pp_arena_take(arena, live * sizeof(*entries), &memory);
    if (err)
        return err;
    entries = memory;
    node->value.map.entries = entries;
    node->value.map.count = live;
    for (size_t i = 0; i < scope->count; i++) {
        if (entry_at(scope, i)->value)
            *entries++ = *entry_at(scope, i);
    }
    return PIPIT_OK;
}
