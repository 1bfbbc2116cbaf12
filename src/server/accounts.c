#include "server/accounts.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "server/account_settings.h"

enum { AT_START = 8 };

void pp_accounts_init(pp_accounts *accounts, uint32_t loop_count)
{
    *accounts = (pp_accounts){.loop_count = loop_count, .seed = pp_random_seed()};
    pp_views_init(&accounts->views);
    (void)pthread_mutex_init(&accounts->lock, NULL);
}

/* --- by name ------------------------------------------------------------------------------ */

static pp_account **chain_of(const pp_accounts *accounts, pp_str name)
{
    return &accounts->by_name[pp_hash(name.ptr, name.len, accounts->seed) & accounts->name_mask];
}

static void enter(pp_accounts *accounts, pp_account *account)
{
    pp_account **chain = chain_of(accounts, pp_str_of(account->name));

    account->name_next = *chain;
    *chain = account;
}

static void leave(pp_accounts *accounts, pp_account *account)
{
    pp_account **at = chain_of(accounts, pp_str_of(account->name));

    while (*at != account)
        at = &(*at)->name_next;
    *at = account->name_next;
}

/* One that is listed; or fresh, which there is only where none is listed. */
static pp_account *find_locked(const pp_accounts *accounts, pp_str name, bool fresh_too)
{
    pp_account *account = accounts->by_name ? *chain_of(accounts, name) : NULL;

    for (; account; account = account->name_next) {
        if ((account->state == PP_ACCOUNT_LISTED ||
             (fresh_too && account->state == PP_ACCOUNT_FRESH)) &&
            pp_str_eq(pp_str_of(account->name), name))
            return account;
    }
    return NULL;
}

pp_account *pp_accounts_find(pp_accounts *accounts, pp_str name)
{
    pp_account *account;

    (void)pthread_mutex_lock(&accounts->lock);
    account = find_locked(accounts, name, false);
    (void)pthread_mutex_unlock(&accounts->lock);
    return account;
}

/* --- making ------------------------------------------------------------------------------- */

/* Room for twice as many. What has grown when memory ends stays grown. */
static pipit_err grow_locked(pp_accounts *accounts)
{
    size_t cap = accounts->cap ? 2 * accounts->cap : AT_START;
    pp_account **all = pp_realloc(accounts->all, cap * sizeof(pp_account *));
    uint32_t *free_indexes;
    pp_account **by_name;

    if (!all)
        return PIPIT_ENOMEM;
    accounts->all = all;
    free_indexes = pp_realloc(accounts->free_indexes, cap * sizeof(*free_indexes));
    if (!free_indexes)
        return PIPIT_ENOMEM;
    accounts->free_indexes = free_indexes;
    by_name = pp_calloc(cap, sizeof(pp_account *));
    if (!by_name)
        return PIPIT_ENOMEM;
    pp_free(accounts->by_name);
    accounts->by_name = by_name;
    accounts->name_mask = cap - 1;
    accounts->cap = cap;
    for (size_t i = 0; i < accounts->count; i++)
        enter(accounts, accounts->all[i]);
    return PIPIT_OK;
}

static pipit_err add_locked(pp_accounts *accounts, const char *name, pp_account **out)
{
    pipit_err err = PIPIT_OK;

    if (accounts->count == accounts->cap)
        err = grow_locked(accounts);
    if (!err)
        err = pp_account_new(out, name, accounts->loop_count);
    if (err)
        return err;
    (*out)->index = accounts->free_index_count
                        ? accounts->free_indexes[--accounts->free_index_count]
                        : accounts->next_index++;
    (*out)->serial = ++accounts->last_serial;
    (*out)->realm = accounts->realm;
    accounts->all[accounts->count++] = *out;
    enter(accounts, *out);
    return PIPIT_OK;
}

pipit_err pp_accounts_take(pp_accounts *accounts, const char *name, bool for_import,
                           pp_account **out_account)
{
    pipit_err err = PIPIT_OK;
    pp_account *account;

    (void)pthread_mutex_lock(&accounts->lock);
    account = find_locked(accounts, pp_str_of(name), true);
    if (!account)
        err = add_locked(accounts, name, &account);
    if (!err && for_import)
        (void)atomic_fetch_add(&account->named_by, 1);
    (void)pthread_mutex_unlock(&accounts->lock);
    if (!err)
        *out_account = account;
    return err;
}

/* --- listing ------------------------------------------------------------------------------ */

void pp_accounts_each(pp_accounts *accounts, void (*visit)(pp_account *account, void *arg),
                      void *arg)
{
    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        if (accounts->all[i]->state == PP_ACCOUNT_LISTED)
            visit(accounts->all[i], arg);
    }
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_accounts_list_locked(pp_accounts *accounts, pp_account *account)
{
    (void)accounts;
    account->state = PP_ACCOUNT_LISTED;
}

void pp_accounts_unlist_all_locked(pp_accounts *accounts)
{
    for (size_t i = 0; i < accounts->count; i++) {
        if (accounts->all[i]->state == PP_ACCOUNT_LISTED && !accounts->all[i]->claimed)
            accounts->all[i]->state = PP_ACCOUNT_REMOVED;
    }
}

/* --- going -------------------------------------------------------------------------------- */

static void free_locked(pp_accounts *accounts, pp_account *account)
{
    pp_account_settings_free(pp_account_settings_give_locked(accounts, account, NULL));
    if (accounts->farewell)
        accounts->farewell(account);
    accounts->free_indexes[accounts->free_index_count++] = account->index;
    leave(accounts, account);
    pp_account_free(account);
}

/* By imports, or by responses that are awaited. */
static bool is_known(pp_account *account)
{
    return atomic_load(&account->named_by) || atomic_load(&account->response_refs);
}

void pp_accounts_drop_new(pp_accounts *accounts)
{
    size_t kept = 0;

    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        pp_account *account = accounts->all[i];

        if (account->state == PP_ACCOUNT_FRESH && !is_known(account))
            free_locked(accounts, account);
        else
            accounts->all[kept++] = account;
    }
    accounts->count = kept;
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_accounts_sweep(pp_accounts *accounts)
{
    size_t kept = 0;

    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        pp_account *account = accounts->all[i];

        if (account->state == PP_ACCOUNT_REMOVED && !is_known(account) && !pp_account_subs(account))
            free_locked(accounts, account);
        else
            accounts->all[kept++] = account;
    }
    accounts->count = kept;
    (void)pthread_mutex_unlock(&accounts->lock);
}

void pp_accounts_fini(pp_accounts *accounts)
{
    /* First what refers to other accounts. */
    for (size_t i = 0; i < accounts->count; i++)
        pp_account_settings_free(pp_account_settings_give_locked(accounts, accounts->all[i], NULL));
    while (accounts->count)
        free_locked(accounts, accounts->all[--accounts->count]);
    pp_free(accounts->all);
    pp_free(accounts->by_name);
    pp_free(accounts->free_indexes);
    pp_views_fini(&accounts->views);
    (void)pthread_mutex_destroy(&accounts->lock);
}
