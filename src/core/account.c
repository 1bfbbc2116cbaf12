#include "core/account.h"

#include "base/alloc.h"
#include "base/random.h"
#include "core/claim.h"
#include "core/desk.h"
#include "core/import.h"

#include <string.h>

enum { PATTERN_KEPT = 512 }; /* bytes of one that is copied to tell of its end */

static pp_account_counters *align(void *memory)
{
    const uintptr_t line = _Alignof(pp_account_counters);

    return (pp_account_counters *)(((uintptr_t)memory + line - 1) / line * line);
}

pipit_err pp_account_new(pp_account **out_account, const char *name, uint32_t loop_count)
{
    pp_account *account = pp_calloc(1, sizeof(*account));
    pipit_err err = PIPIT_ENOMEM;

    if (!account)
        return err;
    account->loop_count = loop_count;
    account->max_connections = account->max_subscriptions = account->max_payload =
        PP_ACCOUNT_UNLIMITED;
    pp_list_init(&account->imported_by);
    (void)pthread_mutex_init(&account->imports_lock, NULL);
    account->name = pp_memdupz(name, strlen(name));
    account->counters_memory = pp_calloc(loop_count + 1, sizeof(*account->counters));
    account->counters = align(account->counters_memory);
    if (account->name && account->counters_memory)
        err = pp_sublist_new(&account->subs, pp_random_seed());
    if (err) {
        pp_account_free(account);
        return err;
    }
    *out_account = account;
    return PIPIT_OK;
}

/* --- subscribing -------------------------------------------------------------------------- */

/* Tell exporters of a change that has been made under pattern; NULL: whatever it is. Imports are
 * read after the change: who put some up meanwhile has told them, or finds the change. */
static void note(pp_account *account, const pp_str *pattern)
{
    const pp_imports *imports;

    if (!atomic_load(&account->imports))
        return;
    (void)pthread_mutex_lock(&account->imports_lock);
    imports = atomic_load(&account->imports);
    if (imports && pattern)
        pp_imports_note(imports, *pattern);
    else if (imports)
        pp_imports_note_all(imports);
    (void)pthread_mutex_unlock(&account->imports_lock);
}

pipit_err pp_account_subscribe(pp_account *account, pp_sub *sub, pp_str subject)
{
    pipit_err err = pp_sublist_insert(account->subs, sub, subject);

    if (!err)
        note(account, &subject);
    return err;
}

void pp_account_unsubscribe(pp_account *account, pp_sub *sub)
{
    char kept[PATTERN_KEPT];
    pp_str pattern = pp_sublist_pattern(sub);
    bool fits = pattern.len <= sizeof(kept) && atomic_load(&account->imports);

    if (fits) {
        memcpy(kept, pattern.ptr, pattern.len);
        pattern.ptr = kept;
    }
    pp_sublist_remove(account->subs, sub);
    note(account, fits ? &pattern : NULL);
}

void pp_account_touch(pp_account *account, const pp_sub *sub)
{
    pp_str pattern = pp_sublist_pattern(sub);

    pp_sublist_touch(account->subs, sub);
    note(account, &pattern);
}

void pp_account_touch_all(pp_account *account)
{
    pp_sublist_touch_all(account->subs);
    note(account, NULL);
}

/* --- counting ----------------------------------------------------------------------------- */

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)counter, memory_order_relaxed);
}

static uint64_t less(uint64_t all, uint64_t some)
{
    return all > some ? all - some : 0; /* some may have been counted before all */
}

void pp_account_sum(const pp_account *account, pp_account_totals *out)
{
    uint64_t own_msgs = 0, own_bytes = 0;

    *out = (pp_account_totals){0};
    for (uint32_t i = 0; i < account->loop_count; i++) {
        const pp_account_counters *c = &account->counters[i];

        own_msgs += get(&c->own_msgs);
        own_bytes += get(&c->own_bytes);
        out->in_msgs += get(&c->in_msgs);
        out->in_bytes += get(&c->in_bytes);
        out->out_msgs += get(&c->out_msgs);
        out->out_bytes += get(&c->out_bytes);
        out->slow_consumers += get(&c->slow_consumers);
        out->connections_opened += get(&c->connections_opened);
        out->subs_inserted += get(&c->subs_inserted);
        out->subs_removed += get(&c->subs_removed);
    }
    out->out_msgs = less(out->out_msgs, own_msgs);
    out->out_bytes = less(out->out_bytes, own_bytes);
}

void pp_account_free(pp_account *account)
{
    if (!account)
        return;
    pp_claims_free(atomic_load(&account->claims));
    pp_desk_free(atomic_load(&account->desk));
    pp_sublist_free(atomic_load(&account->importers));
    (void)pthread_mutex_destroy(&account->imports_lock);
    pp_sublist_free(account->subs);
    pp_free(account->counters_memory);
    pp_free(account->name);
    pp_free(account);
}
