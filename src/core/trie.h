/* core/trie.h -- the patterns of an index, by their tokens.
 *
 * Invariants:
 * - Patterns are distinct and valid (core/subject.h).
 * - Below the root every node has two or more ways on, so there are fewer nodes than patterns,
 *   however many tokens a pattern has: memory is bounded by the text that is subscribed to.
 * - All texts below a node agree in their first node->below bytes, which end with a dot; an edge
 *   stands for the further bytes all texts beyond it agree in, which are whole tokens.
 *
 *   orders.*.new  orders.7.new  orders.7.paid  >          (n): a node with its below
 *
 *   (0) --rest--> >
 *    +----orders--> (7) --star--> orders.*.new
 *                    +-------7--> (9) --new--> orders.7.new
 *                                  +----paid-> orders.7.paid
 *
 * Not safe between threads by itself. */
#ifndef PP_CORE_TRIE_H
#define PP_CORE_TRIE_H

#include "core/node.h"

typedef struct pp_trie {
    pp_node root;
    uint64_t seed;
    size_t pattern_count;
    size_t node_count; /* without the root */
} pp_trie;

typedef struct pp_trie_shape {
    size_t depth;  /* nodes on the longest way down, the root included */
    size_t widest; /* ways on at the widest node */
} pp_trie_shape;

void pp_trie_init(pp_trie *trie, uint64_t hash_seed);

/* Find the pattern of a valid subject, or make it; wildcard says what the subject is.
 * Errors: PIPIT_ENOMEM, and nothing has changed. */
pipit_err pp_trie_insert(pp_trie *trie, pp_str subject, bool wildcard, pp_pattern **out_pattern);

/* Take the pattern out and free it. Never fails. */
void pp_trie_remove(pp_trie *trie, pp_pattern *pattern);

/* Visit every pattern that has a subject in common with a valid one, wildcards or not, each once.
 * *out_steps: ways that have been followed. Errors: PIPIT_ENOMEM; those of visit, which end it. */
pipit_err pp_trie_meet(const pp_trie *trie, pp_str pattern,
                       pipit_err (*visit)(void *arg, pp_pattern *met), void *arg,
                       size_t *out_steps);

/* Measure by walking all of it. Errors: PIPIT_ENOMEM. */
pipit_err pp_trie_measure(const pp_trie *trie, pp_trie_shape *out_shape);

enum { PP_TRIE_WALK_TOKENS = 32 }; /* a subject with more takes memory from the heap */

struct pp_walk_token {
    const char *ptr;
    uint32_t len;
    bool hashed;
    uint64_t hash;
};

/* An edge yet to be followed: its texts from text_at against the tokens from token_at. */
struct pp_walk_way {
    pp_edge edge;
    uint32_t text_at;
    uint32_t token_at;
};

/* All patterns that cover one literal subject, each once.
 *
 * A walk visits a node at most once, for one way leads to it; its work is bounded by the number
 * of nodes, of which only those are visited whose tokens so far cover the subject's: a single way
 * when no pattern has wildcards. To make walks slow takes as many subscriptions as the
 * walk has steps. Its memory is bounded by the number of tokens: a node leaves at most two ways
 * for later, and the one that is followed first begins at least one token further on. */
typedef struct pp_trie_walk {
    struct pp_walk_token *tokens;
    size_t token_count;
    size_t steps; /* ways that have been followed */ /* 0: nothing matches */
    struct pp_walk_way *ways;
    size_t way_count;
    void *memory;
    struct pp_walk_token few_tokens[PP_TRIE_WALK_TOKENS];
    struct pp_walk_way few_ways[2 * PP_TRIE_WALK_TOKENS + 1];
} pp_trie_walk;

/* Split subject, which is borrowed. Looks at no trie. Errors: PIPIT_ENOMEM. */
pipit_err pp_trie_walk_init(pp_trie_walk *walk, pp_str subject);
void pp_trie_walk_fini(pp_trie_walk *walk);

/* Start at the root. Until the end of the walk the trie must not change. */
void pp_trie_walk_start(pp_trie_walk *walk, const pp_trie *trie);

/* The next pattern; NULL: no more. */
pp_pattern *pp_trie_walk_next(pp_trie_walk *walk, const pp_trie *trie);

#endif
