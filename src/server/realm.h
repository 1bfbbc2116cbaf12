/* server/realm.h -- what the server does for accounts that deal with each other: it says who asks,
 * looks at the clock for responses that do not come, and tells how long the others took. */
#ifndef PP_SERVER_REALM_H
#define PP_SERVER_REALM_H

#include "base/err.h"
#include "core/realm.h"

struct pipit_server;
struct pp_worker;

/* Before there are accounts. Errors: PIPIT_ENOMEM. */
pipit_err pp_server_realm_init(struct pipit_server *server, unsigned worker_count);
void pp_server_realm_fini(struct pipit_server *server);

/* Let the worker's router know of it. */
void pp_server_realm_join(struct pp_worker *worker);

#endif
