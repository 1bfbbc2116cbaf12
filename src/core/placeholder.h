/* core/placeholder.h -- what one token of a transform's destination stands for.
 *
 * Literal text, "$n", or a function "{{name(arguments)}}". Pure text to struct: whether the
 * wildcards that are named exist is the transform's question (core/transform.h).
 *
 * Source: NATS subject mapping; what nats-server 2.15 accepts. */
#ifndef PP_CORE_PLACEHOLDER_H
#define PP_CORE_PLACEHOLDER_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PP_PLACEHOLDER_INDEXES_MAX = 256 };

typedef enum pp_placeholder_kind {
    PP_PLACEHOLDER_NONE, /* a literal token */
    PP_PLACEHOLDER_WILDCARD,
    PP_PLACEHOLDER_PARTITION,
    PP_PLACEHOLDER_RANDOM,
    PP_PLACEHOLDER_SPLIT_FROM_LEFT,
    PP_PLACEHOLDER_SPLIT_FROM_RIGHT,
    PP_PLACEHOLDER_SLICE_FROM_LEFT,
    PP_PLACEHOLDER_SLICE_FROM_RIGHT,
    PP_PLACEHOLDER_SPLIT,
    PP_PLACEHOLDER_LEFT,
    PP_PLACEHOLDER_RIGHT,
} pp_placeholder_kind;

typedef struct pp_placeholder {
    pp_placeholder_kind kind;
    int32_t number;     /* how many partitions, or a position, size or length in bytes */
    pp_str delimiter;   /* of split; may be empty. A slice of the token */
    size_t index_count; /* partition: 0 means the whole subject */
    int64_t indexes[PP_PLACEHOLDER_INDEXES_MAX]; /* of wildcards, from 1; not checked */
} pp_placeholder;

/* Is this token meant as a function? "{{}}" is not. */
static inline bool pp_placeholder_is_function(pp_str token)
{
    return token.len > 4 && memcmp(token.ptr, "{{", 2) == 0 &&
           memcmp(token.ptr + token.len - 2, "}}", 2) == 0;
}

/* Read one token, which holds no dot.
 * Errors: PIPIT_EINVAL, or PIPIT_ELIMIT for too many indexes; then *out_reason is a constant text.
 */
pipit_err pp_placeholder_parse(pp_str token, pp_placeholder *out, const char **out_reason);

#endif
