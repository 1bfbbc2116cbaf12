/* config/key.h -- every key that a configuration file may hold, in one table.
 *
 * The table is what reads a file, writes docs/configuration.md and --help-config, knows the key
 * that somebody nearly typed, and tells what a reload may change. Keys of nats-server whose feature
 * is not here stand in it, too, so that they are refused by name. Source: NATS configuration,
 * section 3, and nats-server 2.15 where that leaves a question. */
#ifndef PP_CONFIG_KEY_H
#define PP_CONFIG_KEY_H

#include "base/buf.h"
#include "base/err.h"
#include "config/options.h"
#include "config/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pp_key_type {
    PP_KEY_TEXT,      /* const char *; an empty one stands for none */
    PP_KEY_SECRET,    /* the same, and never shown */
    PP_KEY_URL,       /* the same; what may be a password in it is not shown */
    PP_KEY_SWITCH,    /* bool */
    PP_KEY_COUNT,     /* uint32_t, from min to max */
    PP_KEY_LIMIT,     /* int64_t or, where max fits, int32_t: from -1, which is no limit */
    PP_KEY_BYTES,     /* uint64_t, from min to max */
    PP_KEY_MEMORY,    /* the same, or "none" */
    PP_KEY_DURATION,  /* int64_t ns, at least min; whole seconds are taken with a warning */
    PP_KEY_PERIOD,    /* the same, but only as text */
    PP_KEY_SECONDS,   /* the same, as text or as a number of seconds */
    PP_KEY_PORT,      /* int32_t: -1 any, 0 as said by initial */
    PP_KEY_MODE,      /* uint32_t: octal text */
    PP_KEY_WORD,      /* enum: the place among words */
    PP_KEY_HOST_PORT, /* client_advertise */
    PP_KEY_BASE_PATH, /* const char *: cleaned, begins with '/' */
    PP_KEY_NAME,      /* const char *: a text without blanks */
    PP_KEY_OTHER,     /* by its own function; no single field */
} pp_key_type;

/* What a reload does with a change. */
typedef enum pp_key_reload { PP_KEY_APPLIED, PP_KEY_RESTART } pp_key_reload;

/* The value that may stand there although the feature is missing: it asks for nothing. */
typedef enum pp_key_harmless {
    PP_KEY_NEVER,
    PP_KEY_IF_FALSE,
    PP_KEY_IF_DISABLED, /* false, "disabled", or a map that says enabled: false and no more */
    PP_KEY_IF_ZERO,
    PP_KEY_IF_NO_TEXT,
    PP_KEY_IF_NO_ITEMS,
    PP_KEY_IF_NO_ENTRIES,
} pp_key_harmless;

enum {
    PP_KEY_ZERO_IS_DEFAULT = 1 << 0, /* 0 changes nothing */
    PP_KEY_RAISE = 1 << 1,           /* below min stands for min */
    PP_KEY_LOWER = 1 << 2,           /* above max stands for max */
    PP_KEY_OWN = 1 << 3,             /* nats-server has no such key */
    PP_KEY_NO_EFFECT = 1 << 4,       /* read and checked; help says why nothing follows */
    PP_KEY_LONG = 1 << 5,            /* more than a minute is nothing unusual */
};

#define PP_KEY_NO_FIELD SIZE_MAX

struct pp_reader;
struct pp_key;

/* Read one value into the structure that the block's keys are fields of. */
typedef void (*pp_key_read_fn)(struct pp_reader *reader, const struct pp_key *key,
                               const pp_value *value, void *base);

typedef struct pp_key {
    const char *names; /* separated by spaces; the first is the one that is shown */
    pp_key_type type;
    size_t offset; /* in the structure of the block; PP_KEY_NO_FIELD */
    int64_t min, max;
    unsigned flags;
    pp_key_reload reload;
    const char *initial; /* the value where none is given, as text; NULL: none */
    const char *unit;    /* what a number counts, or what kind of value it is */
    const char *words;   /* of PP_KEY_WORD, separated by spaces */
    const char *block;   /* the value is a map (or several) of this block */
    pp_key_read_fn read; /* NULL: as the type says */
    const char *feature; /* NULL: built; else what this version lacks */
    pp_key_harmless harmless;
    const char *help; /* one line */
} pp_key;

typedef struct pp_key_block {
    const char *name; /* "" is the top level */
    const char *help;
    const pp_key *keys;
    size_t count;
    const char *feature; /* what this version lacks, so that no such block is read; NULL */
    bool in_options;     /* its fields lie in pp_options */
} pp_key_block;

/* keys.c and keys_missing.c: the table in its two parts. */
extern const pp_key_block pp_served_blocks[], pp_missing_blocks[];
extern const size_t pp_served_block_count, pp_missing_block_count;

/* The blocks of both, in the order of the documentation; NULL behind the last. */
const pp_key_block *pp_key_block_at(size_t i);

/* Borrowed, constant; NULL: there is none. */
const pp_key_block *pp_key_block_find(const char *name);
const pp_key *pp_key_find(const pp_key_block *block, pp_str name);

/* The name next to a mistyped one in this block, or its own in another, where it should stand. A
 * slice of the table, empty if there is none. */
pp_str pp_key_nearest(const pp_key_block *block, pp_str typed, const pp_key_block **out_block);

/* Take the next of some space-separated names; empty at the end. */
pp_str pp_key_next_name(const char **names);
static inline pp_str pp_key_name(const pp_key *key)
{
    const char *names = key->names;

    return pp_key_next_name(&names);
}

/* May it be shown? False: PP_KEY_REDACTED stands for it. */
static inline bool pp_key_shown(const pp_key *key)
{
    return key->type != PP_KEY_SECRET;
}
#define PP_KEY_REDACTED "[REDACTED]"

/**
 * Write what a field holds, as the file would say it; nothing for a text that is not there.
 *
 * Secrets are written: it is up to the caller to show only what may be shown. Not for PP_KEY_OTHER.
 * Errors: those of pp_buf_add.
 */
pipit_err pp_key_format(const pp_key *key, const void *base, pp_buf *out);

#endif
