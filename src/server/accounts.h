/* server/accounts.h -- all accounts of a server, by name.
 *
 * An account is made when a configuration (or another account's import) names it, is found once
 * it is listed, and goes when nothing names it any more and its last client has left.
 *
 *   [pp_accounts_take]        [pp_accounts_list]           [pp_accounts_unlist]
 *  -------------------> fresh -----------------> listed ----------------------> removed
 *                         |                                                        |
 *                         +--[pp_accounts_drop_new]--> gone <--[pp_accounts_sweep]-+ */
#ifndef PP_SERVER_ACCOUNTS_H
#define PP_SERVER_ACCOUNTS_H

#include "core/account.h"
#include "core/view.h"

#include <pthread.h>

typedef struct pp_accounts {
    pthread_mutex_t lock; /* guards the rest: who looks for a name may be anybody */
    pp_account **all;
    size_t count, cap;
    pp_account **by_name; /* chains, through name_next */
    size_t name_mask;
    uint64_t seed;
    uint32_t *free_indexes; /* of accounts that have gone; room for cap of them */
    size_t free_index_count;
    uint32_t next_index;
    uint64_t last_serial;
    uint32_t loop_count;
    struct pp_realm *realm; /* of them all */
    pp_views views;         /* who sees the same of them; under a lock of its own */
    /* Called, with the lock held, for an account that is about to be freed: the server's own
     * subscriptions must go from it. NULL: there are none. */
    void (*farewell)(pp_account *account);
} pp_accounts;

void pp_accounts_init(pp_accounts *accounts, uint32_t loop_count);
void pp_accounts_fini(pp_accounts *accounts);

/* The listed account of that name. NULL: there is none. Borrowed, at least until the next reload.
 * Thread: any. */
pp_account *pp_accounts_find(pp_accounts *accounts, pp_str name);

/* The account of that name, listed or fresh, which is made if there is none. for_import: it is
 * counted in its named_by. Errors: PIPIT_ENOMEM. Thread: any. */
pipit_err pp_accounts_take(pp_accounts *accounts, const char *name, bool for_import,
                           pp_account **out_account);

/* Call visit for each listed account, under a lock that making and removing accounts waits for.
 * Thread: any. */
void pp_accounts_each(pp_accounts *accounts, void (*visit)(pp_account *account, void *arg),
                      void *arg);

/* With the lock held: let it be found from now on. */
void pp_accounts_list_locked(pp_accounts *accounts, pp_account *account);
/* With the lock held: let none be found that is listed now. */
void pp_accounts_unlist_all_locked(pp_accounts *accounts);

/* Free the accounts that are still fresh and that no import names. */
void pp_accounts_drop_new(pp_accounts *accounts);

/* Free the accounts that are removed, and that neither clients nor imports nor awaited responses
 * know any more. */
void pp_accounts_sweep(pp_accounts *accounts);

#endif
