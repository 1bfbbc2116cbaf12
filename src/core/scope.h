/* core/scope.h -- from where somebody sees the subject space: in which account, and with which
 * permissions.
 *
 * Immutable. A reload makes new ones; the old ones live until no loop can look at them. */
#ifndef PP_CORE_SCOPE_H
#define PP_CORE_SCOPE_H

#include "core/account.h"
#include "core/permission.h"

#include <stdint.h>

typedef struct pp_scope {
    pp_account *account;
    const pp_permissions *permissions; /* NULL: all is allowed */
    /* Scopes of one account with the same permissions share a view, so that what is remembered for
     * one serves all. Dense, from 0; indexes each router's caches. */
    uint32_t view;
    uint64_t view_serial; /* tells a view from others that had its number before */
} pp_scope;

#endif
