#include "base/reclaim.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdlib.h>

pipit_err pp_reclaim_init(pp_reclaim *shared, unsigned reader_count)
{
    /* aligned_alloc, not pp_alloc: a line of its own for each loop is the point of the thing. */
    shared->lines = aligned_alloc(64, sizeof(struct pp_reclaim_line) * reader_count);
    if (!shared->lines)
        return PIPIT_ENOMEM;
    for (unsigned i = 0; i < reader_count; i++)
        atomic_init(&shared->lines[i].seen, 0);
    atomic_init(&shared->era, 1);
    shared->reader_count = reader_count;
    return PIPIT_OK;
}

void pp_reclaim_fini(pp_reclaim *shared)
{
    free(shared->lines);
    shared->lines = NULL;
}

void pp_reclaimer_init(pp_reclaimer *r, pp_reclaim *shared, unsigned index)
{
    *r = (pp_reclaimer){.shared = shared, .index = index};
}

static void free_all(pp_retired *list)
{
    while (list) {
        pp_retired *next = list->next;

        list->free(list);
        list = next;
    }
}

void pp_reclaimer_fini(pp_reclaimer *r)
{
    /* Freeing may retire more: a connection's last user lets go of others. */
    while (r->waiting || r->fresh) {
        pp_retired *list = r->waiting ? r->waiting : r->fresh;

        if (r->waiting)
            r->waiting = NULL;
        else
            r->fresh = NULL;
        free_all(list);
    }
}

void pp_reclaim_enter(pp_reclaimer *r)
{
    pp_reclaim *shared = r->shared;

    atomic_store(&shared->lines[r->index].seen, atomic_load(&shared->era));
    atomic_thread_fence(memory_order_seq_cst); /* seen before anything shared is read */
}

void pp_reclaim_pass(pp_reclaimer *r)
{
    struct pp_reclaim_line *line = &r->shared->lines[r->index];
    uint64_t era = atomic_load_explicit(&r->shared->era, memory_order_acquire);

    if (atomic_load_explicit(&line->seen, memory_order_relaxed) != era) {
        atomic_store(&line->seen, era);
        atomic_thread_fence(memory_order_seq_cst);
    }
}

void pp_reclaim_leave(pp_reclaimer *r)
{
    atomic_store_explicit(&r->shared->lines[r->index].seen, 0, memory_order_release);
}

void pp_reclaim_retire(pp_reclaimer *r, pp_retired *object, void (*free_fn)(pp_retired *))
{
    object->free = free_fn;
    object->next = r->fresh;
    r->fresh = object;
}

static bool everyone_reached(const pp_reclaimer *r, uint64_t era)
{
    atomic_thread_fence(memory_order_seq_cst); /* what was made unreachable is, for who enters */
    for (unsigned i = 0; i < r->shared->reader_count; i++) {
        uint64_t seen = atomic_load(&r->shared->lines[i].seen);

        if (i != r->index && seen != 0 && seen < era)
            return false;
    }
    return true;
}

bool pp_reclaim_collect(pp_reclaimer *r)
{
    if (r->waiting && everyone_reached(r, r->waiting_era)) {
        pp_retired *list = r->waiting;

        r->waiting = NULL;
        free_all(list);
    }
    if (!r->waiting && r->fresh) {
        r->waiting = r->fresh;
        r->fresh = NULL;
        /* Readers that begin from now on cannot find what is in this batch. */
        r->waiting_era = atomic_fetch_add(&r->shared->era, 1) + 1;
        if (everyone_reached(r, r->waiting_era)) {
            pp_retired *list = r->waiting;

            r->waiting = NULL;
            free_all(list);
        }
    }
    return r->waiting || r->fresh;
}
