#include "config/value.h"

#include "base/assert.h"

const pp_value *pp_value_find(const pp_value *map, const char *key)
{
    pp_str wanted = pp_str_of(key);

    PP_ASSERT(map->kind == PP_VALUE_MAP);
    for (size_t i = map->map.count; i > 0; i--) {
        const pp_entry *entry = &map->map.entries[i - 1];

        if (pp_str_eq_nocase(entry->key, wanted))
            return entry->value;
    }
    return NULL;
}

const char *pp_value_kind_name(pp_value_kind kind)
{
    switch (kind) {
    case PP_VALUE_MAP:
        return "map";
    case PP_VALUE_ARRAY:
        return "array";
    case PP_VALUE_STRING:
        return "string";
    case PP_VALUE_INT:
        return "integer";
    case PP_VALUE_FLOAT:
        return "float";
    case PP_VALUE_BOOL:
        return "boolean";
    case PP_VALUE_DATE:
        return "date";
    }
    pp_panic("config value of kind %d", (int)kind);
}
