#include "config/node.h"

pipit_err pp_config_node_new(pp_arena *arena, pp_value_kind kind, pp_config_position at,
                             pp_config_node **out)
{
    void *memory;
    pipit_err err = pp_arena_take(arena, sizeof(pp_config_node), &memory);
    pp_config_node *node = memory;

    if (err)
        return err;
    *node =
        (pp_config_node){.value = {.kind = kind, .at = at}, .spread_bytes = sizeof(pp_config_node)};
    *out = node;
    return PIPIT_OK;
}
