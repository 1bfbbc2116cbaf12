#include "core/permission.h"

#include "base/alloc.h"
#include "core/subject.h"

#include <string.h>

/* One allocation: the rules and their texts lie behind it. */
struct pp_permissions {
    pp_permission_rules publish;
    pp_permission_rules subscribe;
};

static size_t text_bytes(const pp_permission_rule *rules, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += rules[i].subject.len + rules[i].queue.len;
    return bytes;
}

static bool valid(const pp_permission_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!pp_subject_valid(rules[i].subject))
            return false;
    }
    return true;
}

static pp_str copy_text(char **at, pp_str text)
{
    pp_str copy = {*at, text.len};

    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static const pp_permission_rule *copy_rules(pp_permission_rule **to, char **at,
                                            const pp_permission_rule *rules, size_t count)
{
    pp_permission_rule *first = *to;

    for (size_t i = 0; i < count; i++) {
        first[i].subject = copy_text(at, rules[i].subject);
        first[i].queue = copy_text(at, rules[i].queue);
    }
    *to += count;
    return first;
}

static void copy_side(pp_permission_rules *out, pp_permission_rule **to, char **at,
                      const pp_permission_rules *side)
{
    *out = *side;
    out->allow = copy_rules(to, at, side->allow, side->allow_count);
    out->deny = copy_rules(to, at, side->deny, side->deny_count);
}

/* Source: NATS configuration, section 3.2. */
static void complete_responses(pp_permission_rules *publish)
{
    pp_permission_responses *responses = &publish->responses;

    if (!responses->allowed) {
        *responses = (pp_permission_responses){0};
        return;
    }
    publish->has_allow = true;
    if (!responses->max)
        responses->max = PP_RESPONSES_MAX;
    if (!responses->ttl_ns)
        responses->ttl_ns = PP_RESPONSES_TTL_NS;
}

pipit_err pp_permissions_new(pp_permissions **out_permissions, const pp_permission_rules *publish,
                             const pp_permission_rules *subscribe)
{
    const pp_permission_rules *sides[] = {publish, subscribe};
    size_t rules = 0, bytes = 0;
    pp_permissions *permissions;
    pp_permission_rule *to;
    char *at;

    for (size_t i = 0; i < 2; i++) {
        const pp_permission_rules *side = sides[i];

        if (!valid(side->allow, side->allow_count) || !valid(side->deny, side->deny_count))
            return PIPIT_EINVAL;
        rules += side->allow_count + side->deny_count;
        bytes +=
            text_bytes(side->allow, side->allow_count) + text_bytes(side->deny, side->deny_count);
    }
    permissions = pp_alloc(sizeof(*permissions) + rules * sizeof(pp_permission_rule) + bytes);
    if (!permissions)
        return PIPIT_ENOMEM;
    to = (pp_permission_rule *)(permissions + 1);
    at = (char *)(to + rules);
    copy_side(&permissions->publish, &to, &at, publish);
    complete_responses(&permissions->publish);
    copy_side(&permissions->subscribe, &to, &at, subscribe);
    *out_permissions = permissions;
    return PIPIT_OK;
}

pipit_err pp_permissions_copy(pp_permissions **out_copy, const pp_permissions *permissions)
{
    return pp_permissions_new(out_copy, &permissions->publish, &permissions->subscribe);
}

void pp_permissions_free(pp_permissions *permissions)
{
    pp_free(permissions);
}

/* --- judging ------------------------------------------------------------------------------ */

static bool any_matches(const pp_permission_rule *rules, size_t count, pp_str subject)
{
    for (size_t i = 0; i < count; i++) {
        if (!rules[i].queue.len && pp_subject_matches(subject, rules[i].subject))
            return true;
    }
    return false;
}

bool pp_permissions_may_publish(const pp_permissions *permissions, pp_str subject)
{
    const pp_permission_rules *side;

    if (!permissions)
        return true;
    side = &permissions->publish;
    if (side->has_allow && !any_matches(side->allow, side->allow_count, subject))
        return false;
    return !any_matches(side->deny, side->deny_count, subject);
}

static bool is_token(pp_str token, char c)
{
    return token.len == 1 && token.ptr[0] == c;
}

/* Does the name of a queue group fall under the rule's? It is any text, so it may have empty tokens
 * and ones that look like wildcards. In doubt it does where that denies (generous), and does not
 * where that allows. */
static bool queue_matches(const pp_permission_rule *rule, pp_str queue, bool generous)
{
    pp_str pattern = rule->queue;

    if (pp_str_eq(queue, pattern))
        return true;
    while (queue.ptr && pattern.ptr) {
        pp_str want = pp_subject_next_token(&pattern), got;

        if (is_token(want, '>') && !pattern.ptr)
            return true;
        got = pp_subject_next_token(&queue);
        if (is_token(want, '*')) {
            if (!generous && (!got.len || (is_token(got, '>') && !queue.ptr)))
                return false;
        } else if (!pp_str_eq(got, want)) {
            return false;
        }
    }
    return !queue.ptr && !pattern.ptr;
}

/* Rules that name a queue decide for queue subscribers wherever one of them covers the subject;
 * others do not help then. A plain subscription is never allowed by a rule that names a queue. */
static bool allowed(const pp_permission_rules *side, pp_str subject, pp_str queue)
{
    bool plain = false, named = false, fits = false;

    if (!side->has_allow)
        return true;
    for (size_t i = 0; i < side->allow_count; i++) {
        const pp_permission_rule *rule = &side->allow[i];

        if (!pp_subject_subset(subject, rule->subject))
            continue;
        if (!rule->queue.len) {
            plain = true;
        } else {
            named = true;
            fits |= queue_matches(rule, queue, false);
        }
    }
    return queue.len && named ? fits : plain;
}

/* A rule that names a queue is one for the members of such groups. */
static bool concerns(const pp_permission_rule *rule, pp_str queue)
{
    return !rule->queue.len || (queue.len && queue_matches(rule, queue, true));
}

static bool denied(const pp_permission_rules *side, pp_str subject, pp_str queue)
{
    for (size_t i = 0; i < side->deny_count; i++) {
        const pp_permission_rule *rule = &side->deny[i];

        if (pp_subject_subset(subject, rule->subject) && concerns(rule, queue))
            return true;
    }
    return false;
}

bool pp_permissions_may_subscribe(const pp_permissions *permissions, pp_str subject, pp_str queue)
{
    if (!permissions)
        return true;
    return allowed(&permissions->subscribe, subject, queue) &&
           !denied(&permissions->subscribe, subject, queue);
}

bool pp_permissions_may_hear(const pp_permissions *permissions, pp_str subject, pp_str queue)
{
    const pp_permission_rules *side;

    if (!permissions)
        return true;
    side = &permissions->subscribe;
    for (size_t i = 0; i < side->deny_count; i++) {
        if (pp_subject_matches(subject, side->deny[i].subject) && concerns(&side->deny[i], queue))
            return false;
    }
    return true;
}

const pp_permission_responses *pp_permissions_responses(const pp_permissions *permissions)
{
    if (!permissions || !permissions->publish.responses.allowed)
        return NULL;
    return &permissions->publish.responses;
}

static size_t cost(const pp_permission_rules *side)
{
    enum { RULES_A_DELIVERY = 4 };

    return (side->allow_count + side->deny_count) / RULES_A_DELIVERY;
}

size_t pp_permissions_publish_cost(const pp_permissions *permissions)
{
    return permissions ? cost(&permissions->publish) : 0;
}

size_t pp_permissions_subscribe_cost(const pp_permissions *permissions)
{
    return permissions ? cost(&permissions->subscribe) : 0;
}

/* --- comparing and showing ---------------------------------------------------------------- */

static bool rules_equal(const pp_permission_rule *a, size_t a_count, const pp_permission_rule *b,
                        size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++) {
        if (!pp_str_eq(a[i].subject, b[i].subject) || !pp_str_eq(a[i].queue, b[i].queue))
            return false;
    }
    return true;
}

static bool sides_equal(const pp_permission_rules *a, const pp_permission_rules *b)
{
    return a->has_allow == b->has_allow && a->responses.allowed == b->responses.allowed &&
           a->responses.max == b->responses.max && a->responses.ttl_ns == b->responses.ttl_ns &&
           rules_equal(a->allow, a->allow_count, b->allow, b->allow_count) &&
           rules_equal(a->deny, a->deny_count, b->deny, b->deny_count);
}

bool pp_permissions_equal(const pp_permissions *a, const pp_permissions *b)
{
    if (!a || !b)
        return a == b;
    return sides_equal(&a->publish, &b->publish) && sides_equal(&a->subscribe, &b->subscribe);
}

const pp_permission_rules *pp_permissions_publish(const pp_permissions *permissions)
{
    return &permissions->publish;
}

const pp_permission_rules *pp_permissions_subscribe(const pp_permissions *permissions)
{
    return &permissions->subscribe;
}
