#include "config/build.h"

#include "base/alloc.h"

enum { BYTES_MAX_DEFAULT = 64 << 20, DEPTH_MAX_DEFAULT = 100, INCLUDE_DEPTH_MAX_DEFAULT = 32 };

void pp_config_build_init(pp_config_build *build, const pp_document_limits *limits)
{
    *build = (pp_config_build){.limits = limits ? *limits : (pp_document_limits){0}};
    if (build->limits.bytes_max == 0)
        build->limits.bytes_max = BYTES_MAX_DEFAULT;
    if (build->limits.bytes_max > INT32_MAX) /* a node's spread is 32 bits */
        build->limits.bytes_max = INT32_MAX;
    if (build->limits.depth_max == 0)
        build->limits.depth_max = DEPTH_MAX_DEFAULT;
    if (build->limits.include_depth_max == 0)
        build->limits.include_depth_max = INCLUDE_DEPTH_MAX_DEFAULT;
    pp_arena_init(&build->arena, build->limits.bytes_max);
    pp_config_scope_pile_init(&build->pile);
}

void pp_config_build_fini(pp_config_build *build)
{
    pp_config_scope_pile_fini(&build->pile);
    pp_free(build->items);
    build->items = NULL;
}

pipit_err pp_config_build_push_item(pp_config_build *build, pp_value *item)
{
    if (build->item_count == build->item_cap) {
        size_t cap = build->item_cap ? 2 * build->item_cap : 64;
        pp_value **items = pp_realloc(build->items, cap * sizeof(pp_value *));

        if (!items)
            return PIPIT_ENOMEM;
        build->items = items;
        build->item_cap = cap;
    }
    build->items[build->item_count++] = item;
    return PIPIT_OK;
}

pipit_err pp_config_build_close_array(pp_config_build *build, size_t first, pp_config_node *node)
{
    size_t count = build->item_count - first;
    void *memory;
    pipit_err err = pp_arena_take(&build->arena, count * sizeof(pp_value *), &memory);

    if (err)
        return err;
    node->value.array.items = memory;
    node->value.array.count = count;
    if (count)
        memcpy(memory, build->items + first, count * sizeof(pp_value *));
    build->item_count = first;
    return PIPIT_OK;
}
