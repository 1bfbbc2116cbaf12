/* tests/unit/permission_world.h -- permissions and subjects as a model has them that knows no rules
 * but those of the page, and asks nothing of the code under test.
 *
 * A pattern is the set of all the subjects of a small world that it covers, found by trying each,
 * so that "within" and "overlaps" are plain set operations. The world is one token deeper than any
 * pattern is and has a token that none names, so what holds in it holds everywhere. */
#ifndef PIPIT_TESTS_UNIT_PERMISSION_WORLD_H
#define PIPIT_TESTS_UNIT_PERMISSION_WORLD_H

#include "core/permission.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    DEPTH = 3,        /* of patterns */
    WORLD_TOKENS = 3, /* a, b and z, which no pattern names */
    WORLD = 3 + 9 + 27 + 81,
    WORDS = (WORLD + 63) / 64,
    RULES_MAX = 4,
};

static uint64_t dice;

static inline unsigned below(unsigned bound)
{
    return pp_random_below(&dice, bound);
}

/* --- the world and its sets --------------------------------------------------------------- */

typedef struct set {
    uint64_t bits[WORDS];
} set;

static char world[WORLD][2 * (DEPTH + 1)];

static inline void make_world(void)
{
    static const char tokens[WORLD_TOKENS] = {'a', 'b', 'z'};
    size_t at = 0;

    for (unsigned depth = 1, count = WORLD_TOKENS; depth <= DEPTH + 1;
         depth++, count *= WORLD_TOKENS) {
        for (unsigned n = 0; n < count; n++, at++) {
            for (unsigned t = 0, rest = n; t < depth; t++, rest /= WORLD_TOKENS) {
                world[at][2 * t] = tokens[rest % WORLD_TOKENS];
                world[at][2 * t + 1] = t + 1 < depth ? '.' : '\0';
            }
        }
    }
    assert_int_equal(at, WORLD);
}

/* One-letter tokens, as many as there are: letter by letter. */
static inline bool covers(const char *pattern, const char *subject)
{
    for (;; pattern += 2, subject += 2) {
        if (*pattern == '>')
            return true;
        if (*pattern != '*' && *pattern != *subject)
            return false;
        if (!pattern[1] || !subject[1])
            return !pattern[1] && !subject[1];
    }
}

static inline set set_of(const char *pattern)
{
    set s = {0};

    for (unsigned i = 0; i < WORLD; i++) {
        if (covers(pattern, world[i]))
            s.bits[i / 64] |= 1ull << i % 64;
    }
    return s;
}

static inline bool within(const set *inner, const set *outer)
{
    for (unsigned i = 0; i < WORDS; i++) {
        if (inner->bits[i] & ~outer->bits[i])
            return false;
    }
    return true;
}

static inline bool has(const set *s, unsigned subject)
{
    return s->bits[subject / 64] >> subject % 64 & 1;
}

/* --- permissions of the model ------------------------------------------------------------- */

struct rule {
    char subject[2 * DEPTH];
    char queue[8]; /* "": none named */
    set covered;
};

struct rules {
    bool has_allow;
    struct rule allow[RULES_MAX], deny[RULES_MAX];
    unsigned allow_count, deny_count;
};

struct permissions {
    bool any; /* false: all is allowed */
    struct rules publish, subscribe;
    pp_permissions *made; /* of the code under test */
};

static inline void random_pattern(char out[2 * DEPTH])
{
    static const char tokens[] = "aabb*";
    unsigned depth = 1 + below(DEPTH);

    for (unsigned t = 0; t < depth; t++) {
        bool last = t + 1 == depth;

        out[2 * t] = last && below(4) == 0 ? '>' : tokens[below(5)];
        out[2 * t + 1] = last ? '\0' : '.';
    }
}

static inline void random_queue(char out[8], bool of_rule)
{
    static const char *const names[] = {"q", "r", "q.x", "q.y", "*", "q.*", ">", "q.>"};

    strcpy(out, names[below(of_rule ? 8 : 4)]);
}

static inline void random_rules(struct rule *rules, unsigned *count, bool queues)
{
    *count = below(RULES_MAX + 1);
    for (unsigned i = 0; i < *count; i++) {
        random_pattern(rules[i].subject);
        rules[i].queue[0] = '\0';
        if (queues && below(3) == 0)
            random_queue(rules[i].queue, true);
        rules[i].covered = set_of(rules[i].subject);
    }
}

static inline void to_core(const struct rule *from, unsigned count, pp_permission_rule *to)
{
    for (unsigned i = 0; i < count; i++)
        to[i] = (pp_permission_rule){pp_str_of(from[i].subject), pp_str_of(from[i].queue)};
}

static inline pp_permission_rules core_rules(const struct rules *rules, pp_permission_rule *allow,
                                             pp_permission_rule *deny)
{
    to_core(rules->allow, rules->allow_count, allow);
    to_core(rules->deny, rules->deny_count, deny);
    return (pp_permission_rules){.has_allow = rules->has_allow,
                                 .allow = allow,
                                 .allow_count = rules->allow_count,
                                 .deny = deny,
                                 .deny_count = rules->deny_count};
}

static inline void random_direction(struct rules *rules, bool queues)
{
    rules->has_allow = below(2);
    random_rules(rules->allow, &rules->allow_count, queues);
    random_rules(rules->deny, &rules->deny_count, queues);
    if (!rules->has_allow)
        rules->allow_count = 0;
}

static inline void random_permissions(struct permissions *p)
{
    pp_permission_rule space[4][RULES_MAX];
    pp_permission_rules publish, subscribe;

    p->any = below(6) != 0;
    p->made = NULL;
    if (!p->any)
        return;
    random_direction(&p->publish, false);
    random_direction(&p->subscribe, true);
    publish = core_rules(&p->publish, space[0], space[1]);
    subscribe = core_rules(&p->subscribe, space[2], space[3]);
    assert_int_equal(pp_permissions_new(&p->made, &publish, &subscribe), PIPIT_OK);
}

/* --- what the page says ------------------------------------------------------------------- */

static inline bool may_publish(const struct permissions *p, const char *subject)
{
    bool may = !p->any || !p->publish.has_allow;

    for (unsigned i = 0; p->any && i < p->publish.allow_count; i++)
        may |= covers(p->publish.allow[i].subject, subject);
    for (unsigned i = 0; p->any && i < p->publish.deny_count; i++)
        may &= !covers(p->publish.deny[i].subject, subject);
    return may;
}

/* Groups have ordinary names here. */
static inline bool same_queue(const char *pattern, const char *queue)
{
    return covers(pattern, queue);
}

static inline bool may_subscribe(const struct permissions *p, const set *subjects,
                                 const char *queue)
{
    bool plain = false, named = false, fits = false, may = true;

    if (!p->any)
        return true;
    for (unsigned i = 0; i < p->subscribe.allow_count; i++) {
        const struct rule *rule = &p->subscribe.allow[i];

        if (!within(subjects, &rule->covered))
            continue;
        plain |= !*rule->queue;
        named |= *rule->queue != '\0';
        fits |= *rule->queue && same_queue(rule->queue, queue);
    }
    if (p->subscribe.has_allow)
        may = *queue && named ? fits : plain;
    for (unsigned i = 0; i < p->subscribe.deny_count; i++) {
        const struct rule *rule = &p->subscribe.deny[i];

        if (within(subjects, &rule->covered) &&
            (!*rule->queue || (*queue && same_queue(rule->queue, queue))))
            may = false;
    }
    return may;
}

static inline bool may_hear(const struct permissions *p, const char *subject, const char *queue)
{
    for (unsigned i = 0; p->any && i < p->subscribe.deny_count; i++) {
        const struct rule *rule = &p->subscribe.deny[i];

        if (covers(rule->subject, subject) &&
            (!*rule->queue || (*queue && same_queue(rule->queue, queue))))
            return false;
    }
    return true;
}

#endif
