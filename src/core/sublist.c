#include "core/sublist.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "core/subject.h"
#include "core/trie.h"

#include <pthread.h>

struct pp_sublist {
    pp_sublist_gens gens;
    void *memory; /* what was allocated; the list begins at the first cache line in it */
    pp_trie trie; /* guarded by lock */
    atomic_size_t count;
    /* The lock prefers writers, or many matching loops would keep them out for ever. One writer at
     * a time comes to it, the one who has the turn, or many subscribing loops would keep readers
     * out: so whoever waits goes in when the writer, or the readers, that are in now have left. */
    _Alignas(64) pthread_rwlock_t lock;
    pthread_mutex_t turn; /* taken before lock, by writers */
};

/* Locks without special attributes, never taken twice by a thread nor by too many: on Linux none
 * of these calls fails. */
static void init_locks(pp_sublist *list)
{
    pthread_rwlockattr_t attr;
    int failed = pthread_rwlockattr_init(&attr);

    failed |= pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    failed |= pthread_rwlock_init(&list->lock, &attr);
    failed |= pthread_rwlockattr_destroy(&attr);
    failed |= pthread_mutex_init(&list->turn, NULL);
    PP_ASSERT(!failed);
}

static void lock_for_reading(pp_sublist *list)
{
    int failed = pthread_rwlock_rdlock(&list->lock);

    PP_ASSERT(!failed);
}

static void unlock(pp_sublist *list)
{
    int failed = pthread_rwlock_unlock(&list->lock);

    PP_ASSERT(!failed);
}

static void lock_for_writing(pp_sublist *list)
{
    int failed = pthread_mutex_lock(&list->turn);

    failed |= pthread_rwlock_wrlock(&list->lock);
    PP_ASSERT(!failed);
}

static void unlock_from_writing(pp_sublist *list)
{
    int failed;

    unlock(list); /* lets readers in */
    failed = pthread_mutex_unlock(&list->turn);
    PP_ASSERT(!failed);
}

pipit_err pp_sublist_new(pp_sublist **out_list, uint64_t hash_seed)
{
    const size_t line = _Alignof(pp_sublist);
    void *memory = pp_calloc(1, sizeof(pp_sublist) + line - 1);
    pp_sublist *list;

    if (!memory)
        return PIPIT_ENOMEM;
    list = (pp_sublist *)(((uintptr_t)memory + line - 1) & ~(uintptr_t)(line - 1));
    list->memory = memory;
    pp_trie_init(&list->trie, hash_seed);
    init_locks(list);
    *out_list = list;
    return PIPIT_OK;
}

void pp_sublist_free(pp_sublist *list)
{
    if (!list)
        return;
    PP_ASSERT(atomic_load(&list->count) == 0);
    PP_ASSERT(list->trie.pattern_count == 0 && list->trie.node_count == 0);
    (void)pthread_mutex_destroy(&list->turn);
    (void)pthread_rwlock_destroy(&list->lock);
    pp_free(list->memory);
}

/* The generation of what is remembered of subjects under the pattern. */
static atomic_uint *gen_of(pp_sublist *list, const pp_pattern *pattern)
{
    if (pattern->wildcard)
        return &list->gens.wild;
    return &list->gens
                .slot[pp_hash(pattern->text, pattern->len, list->trie.seed) % PP_SUBLIST_SLOTS];
}

/* Note a change made under the lock: one more or one less under the pattern. Who reads the new
 * generation finds the change in a match that begins afterwards, for it must take the lock. The
 * writers' lock keeps all others away, so plain additions do; readers see whole numbers. */
static void note_change_locked(pp_sublist *list, const pp_pattern *pattern, size_t change)
{
    atomic_uint *gen = gen_of(list, pattern);

    atomic_store_explicit(gen, atomic_load_explicit(gen, memory_order_relaxed) + 1,
                          memory_order_release);
    atomic_store_explicit(&list->count,
                          atomic_load_explicit(&list->count, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

static void join_ring(pp_pattern *pattern, pp_sub *sub)
{
    pp_sub *first = pattern->subs;

    sub->pattern = pattern;
    if (!first) {
        sub->next = sub->prev = sub;
        pattern->subs = sub;
        return;
    }
    sub->next = first;
    sub->prev = first->prev;
    first->prev->next = sub;
    first->prev = sub;
}

static void leave_ring(pp_pattern *pattern, pp_sub *sub)
{
    if (pattern->subs == sub)
        pattern->subs = sub->next == sub ? NULL : sub->next;
    sub->prev->next = sub->next;
    sub->next->prev = sub->prev;
    sub->pattern = NULL;
}

pipit_err pp_sublist_insert(pp_sublist *list, pp_sub *sub, pp_str subject)
{
    pp_subject_kind kind = pp_subject_classify(subject);
    pp_pattern *pattern;
    pipit_err err;

    PP_ASSERT(!sub->pattern);
    if (kind == PP_SUBJECT_INVALID || subject.len > PP_PATTERN_LEN_MAX)
        return PIPIT_EINVAL;
    lock_for_writing(list);
    err = pp_trie_insert(&list->trie, subject, kind == PP_SUBJECT_WILDCARD, &pattern);
    if (!err) {
        join_ring(pattern, sub);
        note_change_locked(list, pattern, 1);
    }
    unlock_from_writing(list);
    return err;
}

void pp_sublist_remove(pp_sublist *list, pp_sub *sub)
{
    pp_pattern *pattern = sub->pattern; /* changed only by who inserts and removes sub */

    PP_ASSERT(pattern);
    __builtin_prefetch(pattern); /* far away, and the lock takes its time, too */
    lock_for_writing(list);
    leave_ring(pattern, sub);
    note_change_locked(list, pattern, (size_t)-1);
    if (!pattern->subs)
        pp_trie_remove(&list->trie, pattern);
    unlock_from_writing(list);
}

static pipit_err grow(pp_sub_set *set)
{
    size_t cap = set->cap ? set->cap * 2 : 16;
    pp_sub **subs = pp_realloc(set->subs, cap * sizeof(*subs));

    if (!subs)
        return PIPIT_ENOMEM;
    set->subs = subs;
    set->cap = cap;
    return PIPIT_OK;
}

static pipit_err add_ring(pp_sub_set *set, pp_sub *first)
{
    pp_sub *sub = first;

    do {
        if (set->count == set->cap && grow(set))
            return PIPIT_ENOMEM;
        set->subs[set->count++] = sub;
        sub = sub->next;
    } while (sub != first);
    return PIPIT_OK;
}

pipit_err pp_sublist_match(pp_sublist *list, pp_str subject, pp_sub_set *out_set)
{
    pp_trie_walk walk;
    pp_pattern *pattern;
    pipit_err err;

    out_set->count = out_set->steps = 0;
    err = pp_trie_walk_init(&walk, subject);
    if (err)
        return err;
    lock_for_reading(list);
    pp_trie_walk_start(&walk, &list->trie);
    while (!err && (pattern = pp_trie_walk_next(&walk, &list->trie)))
        err = add_ring(out_set, pattern->subs);
    unlock(list);
    out_set->steps = walk.steps;
    pp_trie_walk_fini(&walk);
    if (err)
        out_set->count = 0;
    return err;
}

static pipit_err add_met(void *set, pp_pattern *met)
{
    return add_ring(set, met->subs);
}

pipit_err pp_sublist_meet(pp_sublist *list, pp_str pattern, pp_sub_set *out_set)
{
    pipit_err err;

    out_set->count = 0;
    lock_for_reading(list);
    err = pp_trie_meet(&list->trie, pattern, add_met, out_set, &out_set->steps);
    unlock(list);
    if (err)
        out_set->count = 0;
    return err;
}

pp_str pp_sublist_pattern(const pp_sub *sub)
{
    return pp_pattern_text(sub->pattern);
}

bool pp_sublist_copy_pattern(pp_sublist *list, const pp_sub *sub, pp_buf *out)
{
    bool copied = false;

    lock_for_reading(list);
    if (sub->pattern)
        copied = !pp_buf_add(out, sub->pattern->text, sub->pattern->len);
    unlock(list);
    return copied;
}

void pp_sublist_touch(pp_sublist *list, const pp_sub *sub)
{
    lock_for_reading(list);
    if (sub->pattern) /* other readers may be here, so this addition is atomic */
        (void)atomic_fetch_add_explicit(gen_of(list, sub->pattern), 1, memory_order_release);
    unlock(list);
}

void pp_sublist_touch_literal(pp_sublist *list, pp_str subject)
{
    size_t slot = pp_hash(subject.ptr, subject.len, list->trie.seed) % PP_SUBLIST_SLOTS;

    lock_for_reading(list); /* who writes does not add atomically */
    (void)atomic_fetch_add_explicit(&list->gens.slot[slot], 1, memory_order_release);
    unlock(list);
}

void pp_sublist_touch_all(pp_sublist *list)
{
    lock_for_reading(list);
    (void)atomic_fetch_add_explicit(&list->gens.wild, 1, memory_order_release);
    unlock(list);
}

uint64_t pp_sublist_seed(const pp_sublist *list)
{
    return list->trie.seed;
}

const pp_sublist_gens *pp_sublist_generations(const pp_sublist *list)
{
    return &list->gens;
}

size_t pp_sublist_count(const pp_sublist *list)
{
    return atomic_load_explicit(&((pp_sublist *)list)->count, memory_order_relaxed);
}

void pp_sublist_size(pp_sublist *list, size_t *out_patterns, size_t *out_nodes)
{
    lock_for_reading(list);
    *out_patterns = list->trie.pattern_count;
    *out_nodes = list->trie.node_count;
    unlock(list);
}

pipit_err pp_sublist_dump(pp_sublist *list, pp_buf *out)
{
    pp_trie_shape shape;
    size_t patterns, nodes, subs;
    pipit_err err;

    lock_for_reading(list);
    subs = atomic_load_explicit(&list->count, memory_order_relaxed);
    patterns = list->trie.pattern_count;
    nodes = list->trie.node_count;
    err = pp_trie_measure(&list->trie, &shape);
    unlock(list);
    if (err)
        return err;
    return pp_buf_addf(out, "subscriptions=%zu patterns=%zu nodes=%zu depth=%zu widest=%zu\n", subs,
                       patterns, nodes, shape.depth, shape.widest);
}

void pp_sub_set_fini(pp_sub_set *set)
{
    pp_free(set->subs);
    *set = (pp_sub_set){0};
}
