#include "core/account.h"

#include "base/alloc.h"
#include "base/random.h"

#include <string.h>

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

void pp_account_free(pp_account *account)
{
    if (!account)
        return;
    pp_sublist_free(account->subs);
    pp_free(account->counters_memory);
    pp_free(account->name);
    pp_free(account);
}
