/* core/sublist.h -- which subscriptions match a subject. One per account.
 *
 * Writers take the index's lock; so does a match. Loops avoid the match by caching its result and
 * asking only whether it is still valid: generations change before an insert or a remove returns.
 * A subscription to a literal subject changes only the generation of that subject's slot, one with
 * wildcards the generation of all; so churn of private inboxes leaves other routes valid. */
#ifndef PP_CORE_SUBLIST_H
#define PP_CORE_SUBLIST_H

#include "base/buf.h"
#include "core/sub.h"

#include <stdatomic.h>

enum { PP_SUBLIST_SLOTS = 64 };

typedef struct pp_sublist pp_sublist;

/* What a cached result must compare equal to. */
typedef struct pp_sublist_gen {
    uint32_t wild;
    uint32_t slot;
} pp_sublist_gen;

/* Written under the index's lock, read by every loop at every publish; lines of their own. */
typedef struct pp_sublist_gens {
    _Alignas(64) atomic_uint wild;
    _Alignas(64) atomic_uint slot[PP_SUBLIST_SLOTS];
} pp_sublist_gens;

/* The result of a match: borrowed subscriptions, valid until the loop's turn ends. Grows as
 * needed, up to max; reused from call to call. */
typedef struct pp_sub_set {
    pp_sub **subs;
    size_t count;
    size_t cap;
    size_t steps; /* what it took to find them, beside them: ways that were followed */
} pp_sub_set;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_sublist_new(pp_sublist **out_list, uint64_t hash_seed);
/* Only when it is empty. */
void pp_sublist_free(pp_sublist *list);

/* Owner: sub is borrowed until pp_sublist_remove(). Queue subscriptions too.
 * Errors: PIPIT_EINVAL bad subject; PIPIT_ENOMEM, and nothing has changed. Thread: any. */
pipit_err pp_sublist_insert(pp_sublist *list, pp_sub *sub, pp_str subject);

/* Take out what was inserted; never fails. (Tables that have become too long are exchanged for
 * shorter ones if there is memory for them.) Thread: any. */
void pp_sublist_remove(pp_sublist *list, pp_sub *sub);

/* Collect every subscription whose pattern covers the literal subject, plain and queue, each once,
 * in no stated order. Tokens of subject are text, also * and >. A subject with an empty token
 * matches nothing. Errors: PIPIT_ENOMEM. Thread: any. */
pipit_err pp_sublist_match(pp_sublist *list, pp_str subject, pp_sub_set *out_set);

/* Collect every subscription whose pattern has a subject in common with pattern, which is valid and
 * may hold wildcards; otherwise the same. Takes no more steps than there are nodes and patterns. */
pipit_err pp_sublist_meet(pp_sublist *list, pp_str pattern, pp_sub_set *out_set);

/* The pattern a subscription was inserted with. Thread: any while it is inserted. */
pp_str pp_sublist_pattern(const pp_sub *sub);

/* Append the pattern of a subscription that may go at any moment; false: it has gone, or there is
 * no room. Thread: any that may hold sub. */
bool pp_sublist_copy_pattern(pp_sublist *list, const pp_sub *sub, pp_buf *out);

/* Tell that what is known of sub has changed (its limit, say), so that cached results go. Does
 * nothing when sub has been removed. Thread: any that may hold sub. */
void pp_sublist_touch(pp_sublist *list, const pp_sub *sub);

/* The same of all that cover one literal subject. */
void pp_sublist_touch_literal(pp_sublist *list, pp_str subject);

/* The same of all of them: permissions have changed. */
void pp_sublist_touch_all(pp_sublist *list);

/* The seed of pp_hash over a whole subject, whose low bits choose its slot. */
uint64_t pp_sublist_seed(const pp_sublist *list);

/* The generations of a list; they live as long as it. */
const pp_sublist_gens *pp_sublist_generations(const pp_sublist *list);

/* Read the generation for a subject with that hash. Read before matching, compare before use. */
static inline pp_sublist_gen pp_sublist_gen_read(const pp_sublist_gens *gens, uint64_t subject_hash)
{
    return (pp_sublist_gen){
        atomic_load_explicit(&gens->wild, memory_order_acquire),
        atomic_load_explicit(&gens->slot[subject_hash % PP_SUBLIST_SLOTS], memory_order_acquire)};
}

size_t pp_sublist_count(const pp_sublist *list);

/* How many patterns and nodes it is made of. Thread: any. */
void pp_sublist_size(pp_sublist *list, size_t *out_patterns, size_t *out_nodes);

/* Write counts and shape (subscriptions, patterns, nodes, depth) as text. Thread: any. */
pipit_err pp_sublist_dump(pp_sublist *list, pp_buf *out);

void pp_sub_set_fini(pp_sub_set *set);

#endif
