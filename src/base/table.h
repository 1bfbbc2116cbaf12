/* base/table.h -- a hash table whose entries live in what is looked up.
 *
 * Chained, and doubled when it is full. An entry that cannot be added because there is no memory
 * for a longer table is still added: the chains get longer. */
#ifndef PP_BASE_TABLE_H
#define PP_BASE_TABLE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pp_table_entry {
    struct pp_table_entry *next;
    uint64_t hash;
} pp_table_entry;

/* Zeroed: empty. */
typedef struct pp_table {
    pp_table_entry **slots;
    size_t mask; /* slots less one */
    size_t count;
} pp_table;

/* Only when nothing that is in it will be looked for any more. */
void pp_table_fini(pp_table *table);

/* Add an entry whose hash is set. Errors: PIPIT_ENOMEM, only for the first entry ever. */
pipit_err pp_table_add(pp_table *table, pp_table_entry *entry);

/* Take out one that is in it. */
void pp_table_remove(pp_table *table, pp_table_entry *entry);

/* The first entry that may have that hash; go on with next, and compare. NULL: none. */
static inline pp_table_entry *pp_table_first(const pp_table *table, uint64_t hash)
{
    return table->slots ? table->slots[hash & table->mask] : NULL;
}

/* Some entry; NULL: it is empty. */
pp_table_entry *pp_table_any(const pp_table *table);

#endif
