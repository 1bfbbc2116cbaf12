#include "core/account.h"

#include "base/alloc.h"
#include "base/random.h"

#include <string.h>

pipit_err pp_account_new(pp_account **out_account, const char *name, uint32_t id)
{
    pp_account *account = pp_calloc(1, sizeof(*account));
    pipit_err err = PIPIT_ENOMEM;

    if (!account)
        return err;
    account->id = id;
    account->name = pp_memdupz(name, strlen(name));
    if (account->name)
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
    pp_free(account->name);
    pp_free(account);
}
