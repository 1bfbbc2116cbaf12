/* core/account.h -- an account: a subject space of its own. */
#ifndef PP_CORE_ACCOUNT_H
#define PP_CORE_ACCOUNT_H

#include "core/sublist.h"

#include <stdint.h>

typedef struct pp_account {
    char *name;
    uint32_t id; /* dense, from 0; indexes each router's caches */
    pp_sublist *subs;
} pp_account;

/* Errors: PIPIT_ENOMEM. */
pipit_err pp_account_new(pp_account **out_account, const char *name, uint32_t id);
/* Only when it has no subscriptions left. */
void pp_account_free(pp_account *account);

#endif
