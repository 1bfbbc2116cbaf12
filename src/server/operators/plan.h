/* server/operators/plan.h -- what a configuration says of operator mode, read and checked: whom to
 * trust, who may log in, and what is known from the start.
 *
 * Immutable and counted: a reload makes another, and whoever is at work with the old one finishes
 * with it. */
#ifndef PP_SERVER_OPERATORS_PLAN_H
#define PP_SERVER_OPERATORS_PLAN_H

#include "auth/trust.h"
#include "base/log.h"
#include "config/diagnostics.h"
#include "config/options.h"

#include <stdatomic.h>

/* One text for each of some keys, sorted. */
typedef struct pp_plan_entry {
    char *key;
    char *token; /* NULL: the key is all there is */
} pp_plan_entry;

/* Files by which a server and its client know each other. Owned; NULL: the system's authorities,
 * and nobody in particular. */
typedef struct pp_fetch_tls {
    char *ca_file, *cert_file, *key_file;
    uint32_t min_version; /* 12 or 13 */
} pp_fetch_tls;

typedef struct pp_operator_plan {
    atomic_int holders;
    pp_trust trust;
    char *system_account; /* its key; NULL: there is none */
    char *sentinel;       /* the token of who shows none; NULL: there is none */
    bool pinned;          /* only accounts among pins may log in */
    pp_plan_entry *pins;
    size_t pin_count;
    pp_plan_entry *preloads;
    size_t preload_count;
    pp_fetch_tls tls; /* on the way to a URL */
} pp_operator_plan;

/* Do options ask for operator mode at all? */
static inline bool pp_operator_mode(const pp_options *options)
{
    return options->operator_count || options->trusted_key_count;
}

/**
 * Look whether what options say of operator mode makes sense, and fill in what the operator's own
 * token says and they do not: the system account, the resolver. Notes what is wrong.
 *
 * Errors: PIPIT_ENOMEM.
 */
pipit_err pp_operator_options_complete(pp_options *options, pp_diagnostics *diagnostics);

/* Make the plan of options that have been completed. Errors: PIPIT_EINVAL; PIPIT_ENOMEM. */
pipit_err pp_operator_plan_new(pp_operator_plan **out_plan, const pp_options *options);
void pp_operator_plan_hold(pp_operator_plan *plan);
void pp_operator_plan_let_go(pp_operator_plan *plan); /* NULL is fine */

/* The token that is known from the start; NULL: none is. */
const char *pp_operator_plan_preload(const pp_operator_plan *plan, pp_str key);
bool pp_operator_plan_pins(const pp_operator_plan *plan, pp_str key);

/* Tell who is trusted, as nats-server does at the start. */
void pp_operator_plan_log(const pp_options *options, const pp_log *log);

#endif
