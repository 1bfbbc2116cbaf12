#include "core/view.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

enum { SLOTS_AT_START = 64 };

void pp_views_init(pp_views *views)
{
    *views = (pp_views){.seed = pp_random_seed()};
    (void)pthread_mutex_init(&views->lock, NULL);
}

void pp_views_fini(pp_views *views)
{
    PP_ASSERT(views->count == 0);
    pp_free(views->table);
    pp_free(views->free_numbers);
    (void)pthread_mutex_destroy(&views->lock);
}

/* --- which is which ----------------------------------------------------------------------- */

static uint64_t hash_rules(const pp_permission_rule *rules, size_t count, uint64_t h)
{
    for (size_t i = 0; i < count; i++) {
        h = pp_hash(rules[i].subject.ptr, rules[i].subject.len, h);
        h = pp_hash(rules[i].queue.ptr, rules[i].queue.len, h);
    }
    return h;
}

/* Whatever else permissions say is left to comparing. */
static uint64_t hash_of(const pp_views *views, const pp_account *account,
                        const pp_permissions *permissions)
{
    uint64_t h = pp_hash(&account, sizeof(account), views->seed);

    if (permissions) {
        const pp_permission_rules *publish = pp_permissions_publish(permissions);
        const pp_permission_rules *subscribe = pp_permissions_subscribe(permissions);

        h = hash_rules(publish->allow, publish->allow_count, h + 1);
        h = hash_rules(publish->deny, publish->deny_count, h + 1);
        h = hash_rules(subscribe->allow, subscribe->allow_count, h + 1);
        h = hash_rules(subscribe->deny, subscribe->deny_count, h + 1);
    }
    return h;
}

static pp_view *find_locked(const pp_views *views, uint64_t hash, const pp_account *account,
                            const pp_permissions *permissions)
{
    pp_view *view = views->table ? views->table[hash & views->mask] : NULL;

    while (view && !(view->hash == hash && view->account == account &&
                     pp_permissions_equal(view->permissions, permissions)))
        view = view->next;
    return view;
}

/* --- making ------------------------------------------------------------------------------- */

static bool grow_locked(pp_views *views)
{
    size_t slots = views->table ? 2 * (views->mask + 1) : SLOTS_AT_START;
    pp_view **table = pp_calloc(slots, sizeof(pp_view *));

    if (!table)
        return views->table != NULL; /* longer chains, no harm */
    for (size_t i = 0; views->table && i <= views->mask; i++) {
        while (views->table[i]) {
            pp_view *view = views->table[i];

            views->table[i] = view->next;
            view->next = table[view->hash & (slots - 1)];
            table[view->hash & (slots - 1)] = view;
        }
    }
    pp_free(views->table);
    views->table = table;
    views->mask = slots - 1;
    return true;
}

/* Giving a number back must not need memory: there is room for all of them before they are given
 * out. */
static bool take_number_locked(pp_views *views, uint32_t *out_number)
{
    if (views->free_count) {
        *out_number = views->free_numbers[--views->free_count];
        return true;
    }
    if (views->next_number == views->free_cap) {
        size_t cap = views->free_cap ? 2 * views->free_cap : SLOTS_AT_START;
        uint32_t *grown = pp_realloc(views->free_numbers, cap * sizeof(*grown));

        if (!grown)
            return false;
        views->free_numbers = grown;
        views->free_cap = cap;
    }
    *out_number = views->next_number++;
    return true;
}

static pipit_err make_locked(pp_views *views, uint64_t hash, pp_account *account,
                             const pp_permissions *permissions, pp_view **out)
{
    pp_view *view = pp_calloc(1, sizeof(*view));

    if (!view)
        return PIPIT_ENOMEM;
    if (permissions && pp_permissions_copy(&view->permissions, permissions))
        goto failed;
    if (views->count >= views->mask && !grow_locked(views))
        goto failed;
    if (!take_number_locked(views, &view->number))
        goto failed;
    view->account = account;
    view->hash = hash;
    view->serial = ++views->serials;
    view->next = views->table[hash & views->mask];
    views->table[hash & views->mask] = view;
    views->count++;
    *out = view;
    return PIPIT_OK;
failed:
    pp_permissions_free(view->permissions);
    pp_free(view);
    return PIPIT_ENOMEM;
}

pipit_err pp_view_take(pp_views *views, pp_account *account, const pp_permissions *permissions,
                       pp_view **out_view)
{
    uint64_t hash = hash_of(views, account, permissions);
    pipit_err err = PIPIT_OK;
    pp_view *view;

    (void)pthread_mutex_lock(&views->lock);
    view = find_locked(views, hash, account, permissions);
    if (!view)
        err = make_locked(views, hash, account, permissions, &view);
    if (!err) {
        view->holders++;
        *out_view = view;
    }
    (void)pthread_mutex_unlock(&views->lock);
    return err;
}

static void unlink_locked(pp_views *views, pp_view *view)
{
    pp_view **at = &views->table[view->hash & views->mask];

    while (*at != view)
        at = &(*at)->next;
    *at = view->next;
    views->count--;
    views->free_numbers[views->free_count++] = view->number;
}

void pp_view_let_go(pp_views *views, pp_view *view)
{
    bool last;

    if (!view)
        return;
    (void)pthread_mutex_lock(&views->lock);
    PP_ASSERT(view->holders > 0);
    last = --view->holders == 0;
    if (last)
        unlink_locked(views, view);
    (void)pthread_mutex_unlock(&views->lock);
    if (last) {
        pp_permissions_free(view->permissions);
        pp_free(view);
    }
}
