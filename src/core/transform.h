/* core/transform.h -- a subject made from another: source pattern, destination, functions.
 *
 * Compiled once into steps: copy this text, append that token, append the hash of those tokens.
 * Applying walks the subject once and the steps once, allocates nothing, and changes nothing: a
 * transform is immutable, and any thread may use it.
 *
 *   source "orders.*.*"  destination "o.$2.{{partition(8,1)}}"
 *   orders.eu.4711  ->  o.4711.3
 *
 * Source: NATS subject mapping. Where documentation and nats-server 2.15 disagree the server
 * wins; docs/compatibility.md lists where pipit is stricter. */
#ifndef PP_CORE_TRANSFORM_H
#define PP_CORE_TRANSFORM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PP_TRANSFORM_TEXT_MAX = 64 * 1024,   /* bytes of a source, and of a destination */
    PP_TRANSFORM_RESULT_MAX = 64 * 1024, /* bytes of a result */
    PP_TRANSFORM_FUNCTIONS_MAX = 256,    /* of one destination, and wildcards that they name */
};

typedef struct pp_transform pp_transform;

typedef enum pp_transform_rule {
    PP_TRANSFORM_ANY,
    PP_TRANSFORM_REVERSIBLE, /* of imports: no function but wildcard, and every * is used */
} pp_transform_rule;

/**
 * Compile a destination for the subjects that fall under source.
 *
 * An empty source is ">"; with an empty destination the subject stays as it is. Indexes of
 * wildcards below 1 name the subject's first token, as they do in nats-server, unless the
 * transform is to be reversible. What is wrong is written behind what error holds already, without
 * its subject; error may be NULL.
 *
 * Errors: PIPIT_EINVAL; PIPIT_ETOOBIG and PIPIT_ELIMIT for the maxima above; PIPIT_ENOMEM.
 */
pipit_err pp_transform_new(pp_transform **out, pp_str source, pp_str destination,
                           pp_transform_rule rule, pp_buf *error);
void pp_transform_free(pp_transform *transform);

/* As given, but for an empty source. */
pp_str pp_transform_source(const pp_transform *transform);
pp_str pp_transform_destination(const pp_transform *transform);

/* Does the subject fall under the source? */
bool pp_transform_matches(const pp_transform *transform, pp_str subject);

/* May two results for one subject differ? */
bool pp_transform_random(const pp_transform *transform);

/**
 * Write what a subject under the source becomes to out, which has room for cap bytes and does not
 * overlap the subject. random is a fresh number; all of the destination's random() come from it.
 *
 * A result is never empty, and if the subject has no empty token neither has the result; but a
 * token that was cut may leave one that is * or >, which is text like any other. A result is at
 * most twice as long as the subject for each function that the destination has, and the rest of
 * the destination.
 *
 * Errors: PIPIT_ETOOBIG over cap or PP_TRANSFORM_RESULT_MAX, out is partly written; PIPIT_EINVAL
 * when the subject has too few tokens, which one under the source never has.
 */
pipit_err pp_transform_apply(const pp_transform *transform, pp_str subject, uint64_t random,
                             char *out, size_t cap, size_t *out_len);

#endif
