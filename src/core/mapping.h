/* core/mapping.h -- an account's mappings: which subject a message that comes in is given.
 *
 * A mapping is a source pattern and weighted destinations. A set of mappings is made whole from
 * the configuration, is immutable, and may be used by any thread; a reload makes another. A
 * message is mapped once, by the first mapping whose source its subject falls under: the one whose
 * source is the subject itself, or else the first in the order of the configuration.
 *
 * Source: NATS subject mapping; nats-server 2.15, but for the order, which there is left to
 * chance. */
#ifndef PP_CORE_MAPPING_H
#define PP_CORE_MAPPING_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_MAPPINGS_MAX = 65536,       /* entries of an account */
    PP_MAPPING_OPTIONS_MAX = 1024, /* of an entry */
};

typedef struct pp_mapping_destination {
    const char *destination;
    uint32_t weight;     /* out of 100 messages */
    const char *cluster; /* NULL: any */
} pp_mapping_destination;

typedef struct pp_mapping_entry {
    const char *source;
    const pp_mapping_destination *options;
    size_t option_count;
} pp_mapping_entry;

typedef struct pp_mapping pp_mapping;
typedef struct pp_mappings pp_mappings;

/**
 * Make the mappings of a server in the named cluster (NULL: in none).
 *
 * Options for that cluster, if there are any, count alone; otherwise those for any cluster do. What
 * their weights leave of 100 keeps its subject, or goes nowhere if the source is also named as a
 * destination. All options are checked, for whatever cluster. A source that comes again replaces
 * what it was before. What is wrong is written behind what error holds already, with the source
 * that it is about; error may be NULL.
 *
 * Owner:  entries is copied.
 * Errors: PIPIT_EINVAL; PIPIT_ELIMIT and PIPIT_ETOOBIG for maxima; PIPIT_ENOMEM.
 */
pipit_err pp_mappings_new(pp_mappings **out, const pp_mapping_entry *entries, size_t count,
                          const char *cluster_name, pp_buf *error);
void pp_mappings_free(pp_mappings *mappings);

/* The mapping for a literal subject; NULL: it is not mapped. Borrowed. */
const pp_mapping *pp_mappings_find(const pp_mappings *mappings, pp_str subject);

/* Is the outcome for a subject always the same, so that it may be remembered? */
bool pp_mapping_constant(const pp_mapping *mapping);

/**
 * Write where a message on subject, which find has answered the mapping for, goes this time.
 *
 * random is a fresh 64-bit number. *out_len 0: nowhere. The subject itself where the remainder of
 * the weights says so. out and subject do not overlap.
 *
 * Errors: PIPIT_ETOOBIG over cap or PP_TRANSFORM_RESULT_MAX; PIPIT_EINVAL when the subject does not
 * fall under the mapping's source, if noticed.
 */
pipit_err pp_mapping_apply(const pp_mapping *mapping, pp_str subject, uint64_t random, char *out,
                           size_t cap, size_t *out_len);

#endif
