/* core/permission.h -- what a client may publish to and subscribe to.
 *
 * Rules are subjects with wildcards. Without an allow list everything is allowed; then deny takes
 * away, and always wins. A subscription is judged as the set of subjects that it covers: it must
 * lie within one allow rule and not within a deny rule. One that only overlaps a deny rule is
 * allowed, and what it must not hear is left out at delivery. Source: NATS authentication,
 * section 9. Immutable once made. Thread: any. */
#ifndef PP_CORE_PERMISSION_H
#define PP_CORE_PERMISSION_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pp_permission_rule {
    pp_str subject;
    pp_str queue; /* subscribing only, may hold wildcards; empty: none named */
} pp_permission_rule;

/* Publishing where messages that were heard are to be answered, whatever the rules say. */
typedef struct pp_permission_responses {
    bool allowed;
    int64_t max;    /* publishes for each message; 0: PP_RESPONSES_MAX; negative: no limit */
    int64_t ttl_ns; /* since it was delivered; 0: PP_RESPONSES_TTL_NS; negative: no limit */
} pp_permission_responses;

#define PP_RESPONSES_MAX 1
#define PP_RESPONSES_TTL_NS INT64_C(120000000000)

/* What is said of one direction. */
typedef struct pp_permission_rules {
    bool has_allow; /* false: everything is allowed; true and no rule: nothing */
    const pp_permission_rule *allow;
    size_t allow_count;
    const pp_permission_rule *deny;
    size_t deny_count;
    /* Publishing only. Who may answer and has no allow list may do no more than that. */
    pp_permission_responses responses;
} pp_permission_rules;

typedef struct pp_permissions pp_permissions;

/* Owner: rules are copied. Errors: PIPIT_EINVAL a subject that is not valid; PIPIT_ENOMEM. */
pipit_err pp_permissions_new(pp_permissions **out_permissions, const pp_permission_rules *publish,
                             const pp_permission_rules *subscribe);
/* Errors: PIPIT_ENOMEM. */
pipit_err pp_permissions_copy(pp_permissions **out_copy, const pp_permissions *permissions);
void pp_permissions_free(pp_permissions *permissions);

/* subject is literal. NULL permissions allow everything, here and below. */
bool pp_permissions_may_publish(const pp_permissions *permissions, pp_str subject);

/* subject may hold wildcards; queue empty: a plain subscription. */
bool pp_permissions_may_subscribe(const pp_permissions *permissions, pp_str subject, pp_str queue);

/* May a subscriber hear a message on this literal subject, whatever it subscribed to? queue: as
 * member of that group; empty: by itself. */
bool pp_permissions_may_hear(const pp_permissions *permissions, pp_str subject, pp_str queue);

/* What a question about one direction costs, in deliveries of a message: rules are looked at one
 * after another, and a few make up one. Users of a tenant may have as many as fit into a token. */
size_t pp_permissions_publish_cost(const pp_permissions *permissions);
size_t pp_permissions_subscribe_cost(const pp_permissions *permissions);

/* On what terms may answers be published where the rules forbid it? NULL: not at all; else neither
 * number is 0. */
const pp_permission_responses *pp_permissions_responses(const pp_permissions *permissions);

/* The same rules, in the same order? */
bool pp_permissions_equal(const pp_permissions *a, const pp_permissions *b);

/* What was given, for who shows it. */
const pp_permission_rules *pp_permissions_publish(const pp_permissions *permissions);
const pp_permission_rules *pp_permissions_subscribe(const pp_permissions *permissions);

#endif
