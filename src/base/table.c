#include "base/table.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { SLOTS_MIN = 64 };

void pp_table_fini(pp_table *table)
{
    pp_free(table->slots);
    *table = (pp_table){0};
}

/* Without memory it stays as it is. */
static void grow(pp_table *table)
{
    size_t count = (table->mask + 1) * 2;
    pp_table_entry **slots = pp_calloc(count, sizeof(pp_table_entry *));

    if (!slots)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        for (pp_table_entry *entry = table->slots[i], *next; entry; entry = next) {
            next = entry->next;
            entry->next = slots[entry->hash & (count - 1)];
            slots[entry->hash & (count - 1)] = entry;
        }
    }
    pp_free(table->slots);
    table->slots = slots;
    table->mask = count - 1;
}

pipit_err pp_table_add(pp_table *table, pp_table_entry *entry)
{
    pp_table_entry **slot;

    if (!table->slots) {
        table->slots = pp_calloc(SLOTS_MIN, sizeof(pp_table_entry *));
        if (!table->slots)
            return PIPIT_ENOMEM;
        table->mask = SLOTS_MIN - 1;
    }
    if (table->count > table->mask)
        grow(table);
    slot = &table->slots[entry->hash & table->mask];
    entry->next = *slot;
    *slot = entry;
    table->count++;
    return PIPIT_OK;
}

void pp_table_remove(pp_table *table, pp_table_entry *entry)
{
    pp_table_entry **at = &table->slots[entry->hash & table->mask];

    while (*at != entry) {
        PP_ASSERT(*at);
        at = &(*at)->next;
    }
    *at = entry->next;
    table->count--;
}

pp_table_entry *pp_table_any(const pp_table *table)
{
    for (size_t i = 0; table->count && i <= table->mask; i++) {
        if (table->slots[i])
            return table->slots[i];
    }
    return NULL;
}
