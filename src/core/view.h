/* core/view.h -- all scopes of a server that see the same: one account with the same permissions.
 *
 * What loops remember of routes they remember by view, so that users who may do the same share it.
 * Views are made as somebody needs them, by a table of users or for one connection alone, and go
 * with the last who does; their numbers are used again. A number's serial tells its uses apart, for
 * a loop may still have what it remembered under the number of a view that has gone. */
#ifndef PP_CORE_VIEW_H
#define PP_CORE_VIEW_H

#include "base/err.h"
#include "core/permission.h"
#include "core/scope.h"

#include <pthread.h>
#include <stdint.h>

typedef struct pp_view {
    pp_account *account;
    pp_permissions *permissions; /* NULL: all is allowed. The view's own */
    uint64_t hash;
    uint64_t serial; /* of all views ever; from 1 */
    uint32_t number; /* among those that live: dense, from 0 */
    uint32_t holders;
    struct pp_view *next;
} pp_view;

/* All of a server. */
typedef struct pp_views {
    pthread_mutex_t lock; /* guards the rest, and holders of each view */
    pp_view **table;      /* by hash; chained */
    size_t mask, count;
    uint64_t seed, serials;
    uint32_t *free_numbers; /* those below next_number that are not in use; with room for all */
    size_t free_count, free_cap;
    uint32_t next_number;
} pp_views;

void pp_views_init(pp_views *views);
/* Only when none is held. */
void pp_views_fini(pp_views *views);

/**
 * Hold the view of whoever is in account with permissions, making it if there is none.
 *
 * Owner:  permissions are copied if it is made; account is borrowed for the view's life.
 * Thread: any.
 * Errors: PIPIT_ENOMEM.
 */
pipit_err pp_view_take(pp_views *views, pp_account *account, const pp_permissions *permissions,
                       pp_view **out_view);

/* One holder less; NULL is fine. Thread: any. */
void pp_view_let_go(pp_views *views, pp_view *view);

/* The scope of who holds the view, for as long. */
static inline pp_scope pp_view_scope(const pp_view *view)
{
    return (pp_scope){
        .account = view->account,
        .permissions = view->permissions,
        .view = view->number,
        .view_serial = view->serial,
    };
}

#endif
