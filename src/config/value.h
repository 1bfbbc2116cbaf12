/* config/value.h -- the tree that a configuration file becomes: maps, arrays and scalars, each
 * knowing where it was written. Values belong to their document and never change once it is read;
 * one that was used through a variable may hang in several places. */
#ifndef PP_CONFIG_VALUE_H
#define PP_CONFIG_VALUE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Line and column count from 1, the column in bytes. line 0: the file as a whole; file NULL:
 * nowhere in particular. */
typedef struct pp_config_position {
    const char *file; /* owned by the document */
    uint32_t line, column;
} pp_config_position;

typedef enum pp_value_kind {
    PP_VALUE_MAP,
    PP_VALUE_ARRAY,
    PP_VALUE_STRING,
    PP_VALUE_INT,
    PP_VALUE_FLOAT,
    PP_VALUE_BOOL,
    PP_VALUE_DATE,
} pp_value_kind;

typedef struct pp_value {
    pp_value_kind kind;
    bool from_variable; /* came through a variable */
    /* The key's; for an element of an array its own; through a variable that of the key (or
     * element) that uses it. */
    pp_config_position at;
    union {
        pp_str string; /* with a NUL behind; may hold others */
        int64_t integer;
        double real;
        bool boolean;
        int64_t date_s; /* seconds since the epoch, UTC */
        struct {
            struct pp_entry *entries; /* in the order of the file; of equal keys only the last */
            size_t count;
        } map;
        struct {
            struct pp_value **items;
            size_t count;
        } array;
    };
    pp_str text; /* INT, FLOAT and DATE: as written, with a NUL behind */
} pp_value;

typedef struct pp_entry {
    pp_str key;            /* as written, with a NUL behind; keys that differ in case are two */
    bool used_as_variable; /* some value was looked up here, so that any name will do */
    struct pp_value *value;
} pp_entry;

/* The value of a key, whatever the case of its letters; the last of several. NULL when absent. */
const pp_value *pp_value_find(const pp_value *map, const char *key);

/* What a value of this kind is called when speaking to people: "map", "integer", ... */
const char *pp_value_kind_name(pp_value_kind kind);

#endif
